"""Specs, which are components as text: ``fourier:softness=0.3``, ``fourier=1+dropout``."""

from __future__ import annotations

import dataclasses
import math
import re
import typing
from collections.abc import Collection, Mapping
from typing import Any, TypeVar

from priorbench.errors import UserError, unknown

T = TypeVar("T")
_MOST_SHOWN = 60
"""letters of a value that are shown"""
TRAINING_OPTIONS = ("train_share", "train_epochs", "attributed")
"""options of tasks that decide neither their data nor what a seed draws"""
_LARGEST = 2**31 - 1
"""largest whole number of an option"""
_BOOLEANS = {"true": True, "false": False}


def split_spec(spec: str) -> tuple[str, dict[str, str]]:
    """Return the name and the options in a spec, as text.

    Raises:
        UserError: if an option lacks a name or a value, or is written twice.
    """
    name, *parts = spec.strip().split(":")
    options: dict[str, str] = {}
    for part in parts:
        key, equals, value = part.partition("=")
        key = key.strip().replace("-", "_")
        if not equals or not key or not value.strip():
            raise UserError(f"{spec!r}: option {part!r} must be written name=value")
        if key in options:
            raise UserError(f"{spec!r}: option {key!r} is given twice")
        options[key] = value.strip()
    return name.strip(), options


def name_of(spec: str) -> str:
    """Return the name in a spec, without its options."""
    return split_spec(spec)[0]


def split_composition(spec: str) -> list[tuple[str, float | None]]:
    """Return the specs that ``+`` joins, each with the weight written after it, or None.

    Raises:
        UserError: if a part is empty, or a weight is not a number.
    """
    if not spec.strip():
        raise UserError("a prior needs a name; this one is empty")
    # not the plus of 1e+5
    return [_split_weight(part.strip(), spec) for part in re.split(r"\+(?!\d)", spec)]


def _split_weight(part: str, spec: str) -> tuple[str, float | None]:
    head, colon, last = part.rpartition(":")
    written = last.split("=")
    # a name alone has no other =, an option has one
    if len(written) < (3 if colon else 2):
        weight = None
    else:
        try:
            weight = float(written.pop())
        except ValueError:
            raise UserError(f"{spec!r}: write {part.partition('=')[0]}=WEIGHT, a number") from None
        if not colon and len(written) > 1:
            raise UserError(f"{spec!r}: has several weights; write one, {written[0]}=WEIGHT")
    text = head + colon + "=".join(written)
    if not text:
        place = "beside the +" if "+" in spec else "before the ="
        raise UserError(f"{spec!r}: nothing stands {place}; write a name there")
    return text, weight


def _convert(text: str, kind: Any, where: str) -> Any:
    if typing.get_origin(kind) is typing.Literal:
        choices = typing.get_args(kind)
        for choice in choices:
            if str(choice) == text:
                return choice
        raise UserError(f"{where}: {text!r} is not one of {', '.join(map(str, choices))}")
    if kind is str and not text.isprintable():
        raise UserError(f"{where}: {text!r} has a character that cannot be printed; leave it out")
    try:
        if kind is bool:
            return _BOOLEANS[text.lower()]
        value = kind(text)
    except (ValueError, KeyError):
        words = {"int": "a whole number", "float": "a number", "bool": "true or false"}
        raise UserError(f"{where}: {_shown(text)} is not {words[kind.__name__]}") from None
    if kind is float and not math.isfinite(value):
        raise UserError(f"{where}: {text!r} is not finite; give a finite number")
    if kind is int and abs(value) > _LARGEST:
        raise UserError(f"{where}: {text} is too large; give at most {_LARGEST}")
    return value


def _shown(text: str) -> str:
    """Return what was written, cut where it is long."""
    return repr(text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}...")


def number(value: float) -> str:
    """Return the shortest text that reads as the same number."""
    return f"{value:.0f}" if value == int(value) and abs(value) < 1e15 else repr(value)


def kebab(name: str) -> str:
    """Return ``ClassName`` as ``class-name``."""
    return re.sub(r"(?<!^)(?=[A-Z])", "-", name).lower()


def build_one_of(kind: str, known: Mapping[str, type[T]], spec: str) -> T:
    """Return an instance of the class that a spec names, with its options.

    Raises:
        UserError: if the name or an option is unknown; the message suggests the nearest.
    """
    name = name_of(spec)
    if name not in known:
        raise unknown(kind, name, known)
    return build(kind, known[name], spec)


def build(kind: str, cls: type[T], spec: str) -> T:
    """Return an instance of a component's dataclass with the options of a spec.

    Args:
        kind: kind of component, for error messages, such as ``"prior"``.
        cls: a dataclass whose fields are int, float, bool, str or Literal.
        spec: the spec as the user wrote it.

    Raises:
        UserError: if an option is unknown, a value has the wrong type, or the component itself
            refuses it.
    """
    name, options = split_spec(spec)
    hints = typing.get_type_hints(cls)
    fields = {f.name for f in dataclasses.fields(cls)}  # type: ignore[arg-type]
    values = {}
    for key, text in options.items():
        if key not in fields:
            raise unknown(
                f"option of {kind} {name!r}", key, fields, listed_by=f"priorbench show {name}"
            )
        values[key] = _convert(text, hints[key], f"{kind} {name!r}, option {key!r}")
    try:
        return cls(**values)
    except UserError as error:
        raise UserError(f"{kind} {spec!r}: {error}") from None
    except Exception as error:
        # a plug-in's own mistake, at the border where it enters
        raise UserError(f"{kind} {spec!r}: {type(error).__name__}: {error}") from error


def check_options(cls: type) -> None:
    """Raise UserError if a dataclass has an option that a spec cannot give."""
    try:
        hints = typing.get_type_hints(cls)
    except (NameError, TypeError) as error:
        raise UserError(f"{cls.__name__}: the type of an option cannot be read: {error}") from None
    for field in dataclasses.fields(cls):
        kind = hints[field.name]
        if kind not in (int, float, bool, str) and typing.get_origin(kind) is not typing.Literal:
            written = getattr(field.type, "__name__", field.type)
            raise UserError(
                f"{cls.__name__}: option {field.name!r} is of type {written}; use int, float, "
                "bool, str or Literal"
            )
        missing = dataclasses.MISSING
        if field.default is missing and field.default_factory is missing:
            raise UserError(f"{cls.__name__}: option {field.name!r} has no default; give it one")


def without(spec: str, options: Collection[str]) -> str:
    """Return a normal spec without some of its options, which are then at their default."""
    name, *parts = spec.split(":")
    return ":".join([name, *(part for part in parts if part.partition("=")[0] not in options)])


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def normalise(name: str, component: Any) -> str:
    """Return the shortest spec that builds the component: defaults are left out."""
    parts = [
        f"{f.name}={_text(value)}"
        for f in dataclasses.fields(component)
        if (value := getattr(component, f.name)) != f.default
    ]
    return ":".join([name, *parts])
