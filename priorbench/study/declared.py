"""What a study declares before it runs: primary metrics, margins, the baseline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, get_args

from priorbench.components import registry
from priorbench.components.metric import Metric
from priorbench.components.specs import name_of
from priorbench.components.task import Axis, Task
from priorbench.errors import UserError, unknown
from priorbench.metrics import METRICS
from priorbench.statistics.equivalence import Margin
from priorbench.statistics.multiplicity import BENJAMINI_HOCHBERG, HOLM

from .study import BASELINE, Study

PRIMARY, EXPLORATORY = "primary", "exploratory"
"""families of tests: of the metrics that were declared, and of all others"""
CORRECTION = {PRIMARY: HOLM, EXPLORATORY: BENJAMINI_HOCHBERG}
"""correction of p by family"""
CLAIMED: tuple[Axis, ...] = ("prediction", "localisation", "stability", "faithfulness")
"""axes with a primary metric unless the study says otherwise; costs are measured, not claimed"""


@dataclass(frozen=True)
class DeclaredClaims:
    """What a study claims about its priors, declared before it runs.

    Attributes:
        primary: metric by axis, by name of the task; all other metrics are exploratory.
        margins: the smallest loss that matters, by metric, in its units.
        loss_margin: the same for metrics that are a loss, as a share of the baseline's value.
        attribution: spec of the attribution that primary metrics are read from.
        baseline: normalised spec of the prior that the others are compared with.
    """

    primary: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    margins: Mapping[str, float] = field(default_factory=dict)
    loss_margin: float = 0.02
    attribution: str = ""
    baseline: str = BASELINE

    def family(self, task: str, attribution: str, metric: Metric) -> str:
        """Return the family of a metric's tests; ``attribution`` is a spec, "" for none."""
        declared = self.primary.get(name_of(task), {}).get(metric.axis)
        main = not metric.of_attribution or attribution == self.attribution
        return PRIMARY if main and declared == metric.name else EXPLORATORY

    def margin(self, metric: Metric) -> Margin | None:
        """Return the smallest loss in a metric that matters; None where none is declared."""
        if metric.name in self.margins:
            return Margin(absolute=self.margins[metric.name])
        return Margin(relative=self.loss_margin) if metric.loss else None


def claims_of(study: Mapping[str, Any], baseline: str = "") -> DeclaredClaims:
    """Return the claims of a study.toml, with the normalised spec of another baseline, if any."""
    return DeclaredClaims(
        study["primary"],
        study["margins"],
        study["loss_margin"],
        study["attributions"][0],
        baseline or study["baseline"],
    )


def default_primary(task: Task) -> dict[str, str]:
    """Return the primary metric of every axis in CLAIMED.

    On the axis prediction it is the first of the task's metrics; on others the first metric that
    reports show at first sight, unless the task names another.
    """
    usual: dict[str, str] = {
        axis: next(m.name for m in METRICS.values() if m.axis == axis and m.main)
        for axis in CLAIMED
    }
    return usual | {"prediction": task.metrics[0]} | dict(type(task).primary)


def resolve_primary(study: Study, tasks: Sequence[str]) -> dict[str, dict[str, str]]:
    """Return the primary metrics by axis, declared or default, of each task by name.

    Raises:
        UserError: if a task, axis or metric is unknown, or a metric cannot be primary.
    """
    axes = {key: value for key, value in study.primary.items() if isinstance(value, str)}
    by_task = {key: value for key, value in study.primary.items() if isinstance(value, dict)}
    for name in by_task:
        if name not in tasks:
            raise UserError(f"primary: {unknown('task of this study', name, tasks)}")
    primary = {}
    for name in tasks:
        task: Task = registry.build("task", name)
        declared = axes | by_task.get(name, {})
        for axis, metric in declared.items():
            _check_primary(task, name, axis, metric)
        every = default_primary(task) | declared
        primary[name] = {axis: metric for axis, metric in every.items() if metric}
    return primary


def _check_primary(task: Task, name: str, axis: str, metric: str) -> None:
    where = f"primary metric of task {name!r} on {axis!r}"
    if axis not in get_args(Axis):
        raise UserError(f"primary: {unknown('axis', axis, get_args(Axis))}")
    if not metric:
        return
    if metric not in METRICS:
        raise UserError(f"{where}: {unknown('metric', metric, METRICS)}")
    declared = METRICS[metric]
    if declared.axis != axis:
        raise UserError(f"{where}: {metric!r} is a metric of axis {declared.axis!r}; name it there")
    if declared.higher_is_better is None:
        raise UserError(f"{where}: {metric!r} is only shown, never ranked; leave it out")
    if axis == "prediction" and metric not in task.metrics:
        raise UserError(f"{where}: {unknown('metric of this task', metric, task.metrics)}")


def check_margins(study: Study) -> None:
    """Raise UserError if a margin is for an unknown metric, or for one without a direction."""
    for name in study.margins:
        if name not in METRICS:
            raise UserError(f"margins: {unknown('metric', name, METRICS)}")
        if METRICS[name].higher_is_better is None:
            raise UserError(f"margins: {name!r} is only shown, never judged; leave it out")
