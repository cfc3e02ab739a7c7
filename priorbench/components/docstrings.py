"""Reads the docstrings of components: what it is, and what each option means."""

from __future__ import annotations

import dataclasses
import inspect
import re
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Option:
    """A field of a component.

    Attributes:
        name: as written in a spec.
        kind: its type, choices between bars.
        default: as written in a spec.
        text: what it means, from the docstring of the class that introduces it.
        owner: that class.
    """

    name: str
    kind: str
    default: str
    text: str
    owner: type


def about(cls: type) -> str:
    """The docstring of a class without its section ``Attributes``."""
    text = inspect.cleandoc(cls.__doc__ or "")
    return text.partition("\nAttributes:\n")[0].rstrip()


def attribute_texts(cls: type) -> dict[str, str]:
    """What the section ``Attributes`` of a class's own docstring says, by name, on one line."""
    section = inspect.cleandoc(cls.__dict__.get("__doc__") or "").partition("\nAttributes:\n")[2]
    found: dict[str, str] = {}
    name = ""
    for line in section.splitlines():
        start = re.match(r" {4}(\w+): (.*)", line)
        if start:
            name = start[1]
            found[name] = start[2]
        elif name and line.startswith(" " * 8):
            found[name] += " " + line.strip()
        else:
            name = ""
    return found


def default_weights(cls: type[Any]) -> str:
    """Default weights in words: for any task, for some, and for other choices of an option."""
    usual = dict(cls().default_weights)
    general = usual.pop("*", None)
    found = [] if general is None else [f"{general:g}"]
    found += [f"{weight:g} for {task}" for task, weight in usual.items()]
    own = attribute_texts(cls)
    for option in options(cls):
        if option.name not in own or general is None or "|" not in option.kind:
            continue
        for choice in option.kind.split(" | "):
            weight = cls(**{option.name: choice}).default_weight("*")
            if weight != general:
                found.append(f"{weight:g} with {option.name}={choice}")
    return ", ".join(found)


def options(cls: type[Any]) -> list[Option]:
    """The options of a component, in the order in which a spec is normalised."""
    texts: dict[str, tuple[str, type]] = {}
    for base in reversed(cls.__mro__):
        for name, text in attribute_texts(base).items():
            texts[name] = (text, base)
    found = []
    for field in dataclasses.fields(cls):
        kind = str(field.type)
        choices = re.fullmatch(r"Literal\[(.*)\]", kind)
        if choices:
            kind = " | ".join(re.findall(r"['\"]([^'\"]+)['\"]", choices[1]))
        text, owner = texts.get(field.name, ("", cls))
        default = str(field.default)
        default = default.lower() if isinstance(field.default, bool) else default
        found.append(Option(field.name, kind, default, text, owner))
    return found
