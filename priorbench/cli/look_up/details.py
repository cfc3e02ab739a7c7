"""All that there is to say of a name: as a component, an attribution, a metric or a study."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, get_args

from priorbench.cli.output.tables import print_wrapped
from priorbench.components import docstrings, registry
from priorbench.errors import unknown

from .completion import names_of
from .listing import COMPONENTS, Kind, listing
from .study_details import study_facts

_BETTER = {True: "higher", False: "lower", None: "neither: shown, never ranked"}
_CLAIMED = ("citation", "scale_free", "reverse_complement_invariant")
"""attributes of a component's class that are facts about it"""

_NUMBERS_ONLY = ("default_weights",)
"""facts for programs, which another fact says in words"""
_LABELS = {
    "primary": "primary metrics",
    "skill_margins": "smallest loss that matters, as a share of the range of a score",
    "margins": "smallest loss that matters, in units of the metric",
    "published": "published values that results are shown beside",
    "trials_by_dataset": "trials for each dataset",
    "minutes": "minutes on one core",
    "command": "run it with",
}
"""facts that need more words than their key"""


@dataclass(frozen=True)
class Details:
    """What a name stands for.

    Attributes:
        name: the name.
        kind: what it is the name of, such as ``prior``.
        summary: what it is in one line.
        about: what it is in full, with the formula; "" where the summary says all.
        options: its options, each with name, type, default and meaning.
        facts: what else is known, by name.
    """

    name: str
    kind: str
    summary: str
    about: str = ""
    options: list[dict[str, str]] = field(default_factory=list)
    facts: Mapping[str, Any] = field(default_factory=dict)


def details(name: str) -> list[Details]:
    """Return what a name stands for: mostly one thing, but a task and a study may share a name.

    Raises:
        UserError: if the name is unknown, with a did-you-mean.
    """
    known = {kind: names_of(kind) for kind in get_args(Kind)}
    meanings = [
        meaning
        for kind, names in known.items()
        if name in names
        for meaning in _meanings(kind, name)
    ]
    if not meanings:
        raise unknown("name", name, [name for names in known.values() for name in names])
    return meanings


def _meanings(kind: str, name: str) -> Iterator[Details]:
    if kind in COMPONENTS:
        component = COMPONENTS[kind]
        yield _of_class(component, name, registry.load(component, name))
    elif kind == "attributions":
        from priorbench.attribution.explainers import EXPLAINERS
        from priorbench.attribution.methods import METHODS

        if name in METHODS:
            yield _of_class("attribution that penalties see", name, METHODS[name])
        yield _of_class("attribution that is scored", name, EXPLAINERS[name])
    elif kind == "metrics":
        yield _of_metric(name)
    else:
        summary = next(row["summary"] for row in listing("studies") if row["name"] == name)
        yield Details(name, "study", summary, facts=study_facts(name))


def _of_class(kind: str, name: str, cls: type[Any]) -> Details:
    facts = {label: getattr(cls(), label, None) for label in _CLAIMED}
    if kind == "prior":
        words, numbers = docstrings.default_weights(cls), dict(cls().default_weights)
        facts = {"default_weight": words, "default_weights": numbers, **facts}
    options = [
        {"name": o.name, "type": o.kind, "default": o.default, "meaning": o.text}
        for o in docstrings.options(cls)
    ]
    known = {label: value for label, value in facts.items() if value not in (None, "", {})}
    return Details(name, kind, cls.summary, docstrings.about(cls), options, known)


def _of_metric(name: str) -> Details:
    from priorbench.metrics import METRICS

    metric = METRICS[name]
    about = inspect.cleandoc(metric.function.__doc__ or "").partition("\nArgs:")[0].strip()
    facts = {"axis": metric.axis, "better": _BETTER[metric.higher_is_better]}
    facts |= {"unit": metric.unit} if metric.unit else {}
    facts |= {"published": metric.published} if metric.published else {}
    return Details(name, "metric", metric.summary, about, facts=facts)


def print_details(known: Details) -> None:
    """Print what a name stands for as text."""
    print_wrapped(f"{known.name} ({known.kind}): {known.summary}")
    print()
    for paragraph in known.about.split("\n\n") if known.about else []:
        if any(line.startswith(" ") for line in paragraph.splitlines()):  # a formula, or a list
            print(paragraph)
        else:
            print_wrapped(paragraph)
        print()
    if known.options:
        print("Options and their defaults:")
        for option in known.options:
            line = f"{option['name']} = {option['default']}  ({option['type']})"
            print_wrapped(line, indent=2, hanging=4)
            if option["meaning"]:
                print_wrapped(option["meaning"], indent=6)
        last = known.options[-1]
        print(f"Written {known.name}:{last['name']}={last['default']}\n")
    shown = {key: value for key, value in known.facts.items() if key not in _NUMBERS_ONLY}
    for label, value in shown.items():
        print_wrapped(f"{_LABELS.get(label, label.replace('_', ' '))}: {_in_words(value)}")


def _in_words(value: Any) -> str:
    if isinstance(value, Mapping):
        parts = [
            f"{key} ({_in_words(item)})"
            if isinstance(item, Mapping)
            else f"{key} {_in_words(item)}"
            for key, item in value.items()
        ]
        return ", ".join(parts)
    if isinstance(value, float):
        return f"{value:,.10g}"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
