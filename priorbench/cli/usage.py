"""Options and arguments that were given wrongly, said in one line."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from inspect import Parameter, signature
from itertools import pairwise
from typing import Any

from priorbench.errors import UserError
from priorbench.inputs import wanted

from .options import SHORT

_CHOICES = re.compile(r"is not one of (?P<known>'.*')")


def refuse_nothing(arguments: Sequence[str]) -> None:
    """Raise UserError if an argument is empty, as that of a variable that is not set."""
    for before, argument in zip(["", *arguments], arguments, strict=False):
        option, equals, value = argument.partition("=")
        if not argument or (option.startswith("--") and equals and not value):
            what = option if equals else before
            raise UserError(f"{what} '': an empty text names nothing; leave it out, or name one")


def refuse_options_as_values(
    arguments: Sequence[str], commands: Mapping[str, Callable[..., Any]]
) -> None:
    """Raise UserError if an option that takes a value is followed by another option of its command.

    Args:
        arguments: what the user wrote after the program's name.
        commands: every command by name.
    """
    command = next((commands[word] for word in arguments if word in commands), None)
    if command is None:
        return
    takes_value: dict[str, bool] = {}
    for name, parameter in signature(command).parameters.items():
        if parameter.kind is Parameter.KEYWORD_ONLY:
            valued = not isinstance(parameter.default, bool)
            takes_value |= dict.fromkeys((f"--{name.replace('_', '-')}", *_short(name)), valued)
    for option, value in pairwise(arguments):
        if option == "--":
            return
        if takes_value.get(option) and value.partition("=")[0] in takes_value:
            raise UserError(
                f"{option}: its value is missing, as {value} is the next option; give one, or "
                f"leave {option} out"
            )


def _short(name: str) -> list[str]:
    return [SHORT[name]] if name in SHORT else []


def usage_line(error: Any) -> str:
    """Return what is wrong with an option or an argument, and what is wanted, in one line.

    Args:
        error: an error of usage by typer.
    """
    cause, parameter = error.__cause__, getattr(error, "param", None)
    if parameter is None:
        return str(error.format_message())
    name = parameter.opts[0] if parameter.opts else parameter.name
    if not name.startswith("-"):
        name = name.upper()
    choices = _CHOICES.search(error.format_message())
    if hasattr(cause, "errors"):  # pydantic, by which typer converts
        problem = cause.errors(include_url=False)[0]
        if choices is None:
            return f"{name} {problem['input']!r}: {wanted(problem)}"
        known = choices["known"].replace("'", "").rstrip(".")
        return f"{name} {problem['input']!r}: give one of {known}"
    return str(error.format_message())
