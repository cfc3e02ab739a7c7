"""Everything of a kind that there is, by name, without torch."""

from __future__ import annotations

from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

from priorbench.components import registry, specs
from priorbench.storage import source_code

Kind = Literal["priors", "tasks", "architectures", "attributions", "metrics", "studies"]
COMPONENTS = {"priors": "prior", "tasks": "task", "architectures": "architecture"}
"""kinds of things that are components, and what one of them is called"""


def listing(kind: str) -> list[dict[str, Any]]:
    """Return the name and summary of everything of a kind; needs no torch.

    Args:
        kind: such as ``priors``, in the plural.
    """
    if kind in COMPONENTS:
        components = registry.components(COMPONENTS[kind])
        return [{"name": name, **registry.describe(where)} for name, where in components.items()]
    return _OTHERS[kind]()


def _metrics() -> list[dict[str, Any]]:
    from priorbench.metrics import METRICS

    return [
        {
            "name": metric.name,
            "summary": metric.summary
            + (" (optimised-for)" if metric.optimised_for else "")
            + (f" (published form: {metric.published})" if metric.published else ""),
            "axis": metric.axis,
            "unit": metric.unit,
            "published": metric.published,
            "higher_is_better": metric.higher_is_better,
        }
        for metric in METRICS.values()
    ]


def _attributions() -> list[dict[str, Any]]:
    """Return attributions that penalties can see, then those that are only scored."""
    trained, scored = (
        {
            specs.kebab(name.removesuffix("Explainer")): texts
            for path in source_code.engine_files(f"attribution/{place}")
            for name, texts in source_code.class_texts(path).items()
            if "summary" in texts
        }
        for place in ("methods.py", "explainers")
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
    from priorbench.inputs import read_toml

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


def builtin_studies() -> dict[str, Path]:
    """Return the files of the studies that come with priorbench, by name."""
    folder = Path(str(files("priorbench.studies")))
    return {path.stem: path for path in sorted(folder.glob("*.toml"))}
