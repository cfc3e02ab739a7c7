"""What there is, for `priorbench list` and `priorbench show`."""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

from priorbench.components import docstrings, registry, source_code, specs
from priorbench.errors import unknown

_COMPONENTS = {"priors": "prior", "tasks": "task", "architectures": "architecture"}


def listing(kind: str) -> list[dict[str, Any]]:
    """Name and summary of everything of a kind; needs no torch."""
    if kind in _COMPONENTS:
        found = registry.components(_COMPONENTS[kind])
        return [{"name": name, **registry.describe(found[name])} for name in found]
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
    """Those that penalties can see and that are scored, then those that are only scored."""
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

    folder = Path(str(files("priorbench.studies")))
    found = {path.stem: read_toml(path) for path in sorted(folder.glob("*.toml"))}
    return [
        {"name": name, "summary": text["question"], "minutes": text.get("minutes", {})}
        for name, text in found.items()
    ]


_OTHERS: dict[str, Callable[[], list[dict[str, Any]]]] = {
    "attributions": _attributions,
    "metrics": _metrics,
    "studies": _studies,
}


def details(name: str) -> str:
    """A component, metric or study in full.

    Raises:
        UserError: for an unknown name, with a did-you-mean.
    """
    for kind in _COMPONENTS.values():
        if name in registry.components(kind):
            return _class(kind, name, registry.load(kind, name))
    if name in [row["name"] for row in _attributions()]:
        from priorbench.attribution.differentiable import METHODS
        from priorbench.attribution.explainers import EXPLAINERS

        texts = []
        if name in METHODS:
            texts.append(_class("attribution that penalties see", name, METHODS[name]))
        texts.append(_class("attribution that is scored", name, EXPLAINERS[name]))
        return "\n\n".join(texts)
    if name in [row["name"] for row in _metrics()]:
        return _metric_text(name)
    for plural, read in _OTHERS.items():
        for row in read():
            if row["name"] == name:
                singular = {"studies": "study"}[plural]
                lines = [f"{name} ({singular})", ""]
                return "\n".join(lines + [f"{k}: {v}" for k, v in row.items() if k != "name"])
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


def _class(kind: str, name: str, cls: type[Any]) -> str:
    lines = [f"{name} ({kind}): {cls.summary}", "", docstrings.about(cls), ""]
    options = docstrings.options(cls)
    if options:
        lines += ["Options and their defaults:"]
        for option in options:
            lines.append(f"  {option.name} = {option.default}  ({option.kind})")
            if option.text:
                lines += textwrap.wrap(
                    option.text, 96, initial_indent=" " * 6, subsequent_indent=" " * 6
                )
        lines += [f"Written {name}:{options[-1].name}={options[-1].default}", ""]
    if kind == "prior" and docstrings.default_weights(cls):
        lines.append(f"default weight: {docstrings.default_weights(cls)}")
    for label in ("citation", "scale_free", "reverse_complement_invariant"):
        value = getattr(cls(), label, None)
        if value not in (None, "", {}):
            lines.append(f"{label.replace('_', ' ')}: {value}")
    return "\n".join(lines)
