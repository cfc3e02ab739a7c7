"""The commands `list` and `show`: the components, metrics and studies that there are."""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Callable
from json import dumps
from pathlib import Path
from typing import Any, Literal, get_args

from priorbench.components import docstrings, registry, source_code, specs
from priorbench.errors import unknown

from .options import add_plugins, builtin_studies

_Kind = Literal["priors", "tasks", "architectures", "attributions", "metrics", "studies"]
_COMPONENTS = {"priors": "prior", "tasks": "task", "architectures": "architecture"}


def list_components(
    kind: _Kind | None = None, *, json: bool = False, plugin: list[Path] | None = None
) -> None:
    """List priors, tasks, networks, attributions, metrics and studies.

    Example: priorbench list priors

    Args:
        kind: Kind of things to list. Default: all kinds.
        json: Print the list as JSON. Default: off.
    """
    add_plugins(plugin)
    rows_by_kind = {name: listing(name) for name in ([kind] if kind else get_args(_Kind))}
    if json:
        print(dumps(rows_by_kind[kind] if kind else rows_by_kind, indent=1))
        return
    indent = "" if kind else "  "
    for name, rows in rows_by_kind.items():
        if not kind:
            print(f"{name}:")
        width = max((len(row["name"]) for row in rows), default=0)
        for row in rows:
            print(f"{indent}{row['name']:<{width}}  {row['summary']}")
            if row.get("minutes"):
                minutes = ", ".join(f"{scale} {m:,.10g}" for scale, m in row["minutes"].items())
                print(f"{indent}{'':<{width}}  minutes on one core: {minutes}")


def show(name: str, *, plugin: list[Path] | None = None) -> None:
    """Show what a component does: its formula, options, defaults and citation.

    Example: priorbench show fourier

    Args:
        name: Name of a prior, task, architecture, attribution, metric or study. Example: fourier
    """
    add_plugins(plugin)
    print(details(name))


def listing(kind: str) -> list[dict[str, Any]]:
    """Return the name and summary of everything of a kind; needs no torch.

    Args:
        kind: such as ``priors``, in the plural.
    """
    if kind in _COMPONENTS:
        components = registry.components(_COMPONENTS[kind])
        return [{"name": name, **registry.describe(where)} for name, where in components.items()]
    return _OTHERS[kind]()


def _metrics() -> list[dict[str, Any]]:
    from priorbench.metrics import METRICS

    return [
        {
            "name": metric.name,
            "summary": metric.summary + (" (optimised-for)" if metric.optimised_for else ""),
            "axis": metric.axis,
            "unit": metric.unit,
            "higher_is_better": metric.higher_is_better,
        }
        for metric in METRICS.values()
    ]


def _attributions() -> list[dict[str, Any]]:
    """Return attributions that penalties can see, then those that are only scored."""
    trained, scored = (
        {
            specs.kebab(name.removesuffix("Explainer")): texts
            for path in source_code.engine_files(f"attribution/{module}.py")
            for name, texts in source_code.class_texts(path).items()
            if "summary" in texts
        }
        for module in ("differentiable", "explainers")
    )
    texts = scored | trained
    return [
        {
            "name": name,
            **texts[name],
            "summary": texts[name]["summary"] + ("" if name in trained else " (scored only)"),
        }
        for name in sorted(texts, key=lambda name: name not in trained)
    ]


def _studies() -> list[dict[str, Any]]:
    from priorbench.study.study import read_toml

    studies = {name: read_toml(path) for name, path in builtin_studies().items()}
    return [
        {"name": name, "summary": study["question"], "minutes": study.get("minutes", {})}
        for name, study in studies.items()
    ]


_OTHERS: dict[str, Callable[[], list[dict[str, Any]]]] = {
    "attributions": _attributions,
    "metrics": _metrics,
    "studies": _studies,
}


def details(name: str) -> str:
    """Return a component, metric or study in full, as text.

    Raises:
        UserError: if the name is unknown, with a did-you-mean.
    """
    for kind in _COMPONENTS.values():
        if name in registry.components(kind):
            return _class_text(kind, name, registry.load(kind, name))
    if name in [row["name"] for row in _attributions()]:
        from priorbench.attribution.differentiable import METHODS
        from priorbench.attribution.explainers import EXPLAINERS

        texts = []
        if name in METHODS:
            texts.append(_class_text("attribution that penalties see", name, METHODS[name]))
        texts.append(_class_text("attribution that is scored", name, EXPLAINERS[name]))
        return "\n\n".join(texts)
    if name in [row["name"] for row in _metrics()]:
        return _metric_text(name)
    for row in _studies():
        if row["name"] == name:
            facts = [f"{key}: {value}" for key, value in row.items() if key != "name"]
            return "\n".join([f"{name} (study)", "", *facts])
    known = [row["name"] for kind in (*_COMPONENTS, *_OTHERS) for row in listing(kind)]
    raise unknown("name", name, known)


def _metric_text(name: str) -> str:
    from priorbench.metrics import METRICS

    metric = METRICS[name]
    better = {True: "higher", False: "lower", None: "neither: shown, never ranked"}
    about = inspect.cleandoc(metric.function.__doc__ or "").partition("\nArgs:")[0].strip()
    lines = [f"{name} (metric): {metric.summary}", "", about, "", f"axis: {metric.axis}"]
    lines += [f"better: {better[metric.higher_is_better]}"]
    return "\n".join(lines + ([f"unit: {metric.unit}"] if metric.unit else []))


def _class_text(kind: str, name: str, cls: type[Any]) -> str:
    lines = [f"{name} ({kind}): {cls.summary}", "", docstrings.about(cls), ""]
    options = docstrings.options(cls)
    if options:
        lines += ["Options and their defaults:"]
        for field in options:
            lines.append(f"  {field.name} = {field.default}  ({field.kind})")
            if field.text:
                lines += textwrap.wrap(
                    field.text, 96, initial_indent=" " * 6, subsequent_indent=" " * 6
                )
        lines += [f"Written {name}:{options[-1].name}={options[-1].default}", ""]
    if kind == "prior" and docstrings.default_weights(cls):
        lines.append(f"default weight: {docstrings.default_weights(cls)}")
    for label in ("citation", "scale_free", "reverse_complement_invariant"):
        value = getattr(cls(), label, None)
        if value not in (None, "", {}):
            lines.append(f"{label.replace('_', ' ')}: {value}")
    return "\n".join(lines)
