"""The checks of a component by its file or its name, whatever its kind: `priorbench check`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from priorbench.components import registry
from priorbench.components.metric import Metric
from priorbench.errors import UserError, unknown

from .architecture_checks import check_architecture
from .check_tools import CheckResult
from .metric_checks import check_metric
from .prior_checks import check_prior
from .task_checks import check_task

_CHECKS: dict[str, Callable[[str], Iterator[CheckResult]]] = {
    "prior": check_prior,
    "task": check_task,
    "architecture": check_architecture,
}
assert tuple(_CHECKS) == registry.PLUGIN_KINDS


@dataclass(frozen=True)
class CheckedComponent:
    """What is checked.

    Attributes:
        kind: ``prior``, ``task``, ``architecture`` or ``metric``.
        name: its spec, or the metric's name.
        results: results of the checks, each made when it is asked for.
    """

    kind: str
    name: str
    results: Iterator[CheckResult]


def check_component(text: str) -> CheckedComponent:
    """Return the checks of what a file defines, or of what has a name.

    Args:
        text: path of a Python file with one prior, task or architecture, or with one
            ``priorbench.Metric``; or a spec or the name of a metric, of which priors come first.

    Raises:
        UserError: if there is no such thing, or the file defines none or several.
    """
    if Path(text).suffix == ".py" or Path(text).is_file():
        return _of_file(Path(text))
    from priorbench.metrics import METRICS

    name = re.split("[:+=]", text)[0]
    for kind, check in _CHECKS.items():
        if name in registry.components(kind):
            return CheckedComponent(kind, text, check(text))
    if name in METRICS:
        return CheckedComponent("metric", name, check_metric(METRICS[name]))
    every = [name for kind in _CHECKS for name in registry.components(kind)]
    raise unknown("prior, task, architecture or metric", name, [*every, *METRICS])


def _of_file(path: Path) -> CheckedComponent:
    metrics = _metrics_of(path)
    if len(metrics) > 1:
        names = ", ".join(metric.name for metric in metrics)
        raise UserError(f"{path}: defines several metrics ({names}); one file defines one")
    if metrics:
        return CheckedComponent("metric", metrics[0].name, check_metric(metrics[0]))
    plugin = registry.add_plugin(path)
    kind = next(k for k in _CHECKS if registry.components(k).get(plugin.name) == plugin)
    return CheckedComponent(kind, plugin.name, _CHECKS[kind](plugin.name))


def _metrics_of(path: Path) -> list[Metric]:
    """Return the metrics that a file defines; none of a file that is missing."""
    if not path.is_file():
        return []
    module = registry.import_file(path.resolve())
    return [value for value in vars(module).values() if isinstance(value, Metric)]
