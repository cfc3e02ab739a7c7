"""Reads the docstrings of components: what a component is, and what each of its options means."""

from __future__ import annotations

import dataclasses
import inspect
import itertools
import typing
from dataclasses import dataclass
from typing import Any

from docstring_parser import DocstringStyle, parse


@dataclass(frozen=True)
class Option:
    """An option of a component, which is a field of its class.

    Attributes:
        name: name of the field.
        kind: its type, choices between bars.
        default: default value, written as in a spec.
        text: meaning, from the docstring of the class that introduces the option.
        owner: that class.
    """

    name: str
    kind: str
    default: str
    text: str
    owner: type


def about(cls: type) -> str:
    """Return the docstring of a class without its section ``Attributes``."""
    text = inspect.cleandoc(cls.__doc__ or "")
    return text.partition("\nAttributes:\n")[0].rstrip()


def attribute_texts(cls: type) -> dict[str, str]:
    """Return the entries of the section ``Attributes`` in a class's own docstring, by name.

    Each is on one line. A docstring that is not in Google's style has none.
    """
    lines = _entry_lines(cls.__dict__.get("__doc__") or "")
    if not lines:
        return {}
    entries = parse("\n".join(["", "Attributes:", *lines]), DocstringStyle.GOOGLE).params
    return {entry.arg_name: " ".join((entry.description or "").split()) for entry in entries}


def _entry_lines(docstring: str) -> list[str]:
    """Return the lines of the section ``Attributes`` that belong to an entry.

    A line that has no name and colon where an entry begins is left out, with all that is indented
    below it: the parser would refuse the whole docstring for its sake.
    """
    section = f"\n{inspect.cleandoc(docstring)}".partition("\nAttributes:\n")[2]
    lines = [line for line in section.splitlines() if line.strip()]
    inside = list(itertools.takewhile(lambda line: line[0].isspace(), lines))
    kept, belongs = [], False
    for line in inside:
        if _indent(line) <= _indent(inside[0]):
            belongs = line.strip().find(":") > 0
        if belongs:
            kept.append(line)
    return kept


def _indent(line: str) -> int:
    """Return how many blanks a line starts with."""
    return len(line) - len(line.lstrip())


def default_weights(cls: type[Any]) -> str:
    """Return the default weights in words, by task and by choice of an option."""
    by_task = dict(cls().default_weights)
    general = by_task.pop("*", None)
    weights = [] if general is None else [f"{general:g}"]
    weights += [f"{weight:g} for {task}" for task, weight in by_task.items()]
    own = attribute_texts(cls)
    for option in options(cls):
        if option.name not in own or general is None or "|" not in option.kind:
            continue
        for choice in option.kind.split(" | "):
            weight = cls(**{option.name: choice}).default_weight("*")
            if weight != general:
                weights.append(f"{weight:g} with {option.name}={choice}")
    return ", ".join(weights)


def options(cls: type[Any]) -> list[Option]:
    """Return the options of a component, in the order in which a spec is normalised."""
    texts: dict[str, tuple[str, type]] = {}
    for base in reversed(cls.__mro__):
        texts |= {name: (text, base) for name, text in attribute_texts(base).items()}
    hints = typing.get_type_hints(cls)
    return [
        Option(
            field.name,
            " | ".join(map(str, typing.get_args(hints[field.name]))) or hints[field.name].__name__,
            str(field.default).lower() if isinstance(field.default, bool) else str(field.default),
            *texts.get(field.name, ("", cls)),
        )
        for field in dataclasses.fields(cls)
    ]
