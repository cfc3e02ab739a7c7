"""Options and arguments that were given wrongly, said in one line."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from inspect import Parameter, signature
from itertools import pairwise
from typing import Any

from priorbench.errors import UserError, unknown
from priorbench.inputs import wanted

from .options import SHORT

_CHOICES = re.compile(r"is not one of (?P<known>'.*')")
_TO_CHOOSE = re.compile(r"Choose from:(?P<known>.*)", re.DOTALL)
_NO_COMMAND = re.compile(r"No such command '(?P<name>.*?)'", re.DOTALL)
_EXTRA = re.compile(r"unexpected extra arguments?(\(s\))? \((?P<arguments>.*)\)", re.DOTALL)
"""what typer says"""


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
    """Raise UserError if an option that takes a value is followed by another option.

    What begins with two dashes is one, and what its command knows; ``--priors=--x`` gives a value.

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
        is_option = value.startswith("--") or value in (*takes_value, "-h")
        if takes_value.get(option) and is_option:
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
    said, context = str(error.format_message()), getattr(error, "ctx", None)
    manual = f"{context.command_path if context else 'priorbench'} --help"
    if (parameter := getattr(error, "param", None)) is not None:
        return _of_parameter(error, parameter, manual)
    if (option := getattr(error, "option_name", None)) is not None:
        return _of_option(error, option, manual)
    if context and (command := _NO_COMMAND.search(said)):
        commands = context.command.list_commands(context)
        return str(unknown("command", command["name"], commands, listed_by=manual))
    if extra := _EXTRA.search(said):
        return f"{extra['arguments']}: more than this command takes; `{manual}` shows what it does"
    return said


def _of_option(error: Any, option: str, manual: str) -> str:
    """Return what is wrong with an option by itself: it is not known, or has no value, or one."""
    if hasattr(error, "possibilities"):
        known = [name for each in error.ctx.command.get_params(error.ctx) for name in each.opts]
        options = [name for name in known if name.startswith("-")]
        return str(unknown("option", option, options, listed_by=manual))
    if "does not take" in error.format_message():
        return f"{option}: takes no value; write {option} alone"
    return f"{option}: its value is missing; give one, or leave {option} out"


def _of_parameter(error: Any, parameter: Any, manual: str) -> str:
    """Return what is wrong with the value of an option or an argument, or that it is missing."""
    cause, said = error.__cause__, str(error.format_message())
    name = parameter.opts[0] if parameter.opts else parameter.name
    if not name.startswith("-"):
        name = name.upper()
    if said.startswith("Missing"):
        choices = _TO_CHOOSE.search(said)
        give = f"one of {_together(choices['known'])}" if choices else "it"
        return f"{name}: is missing; give {give}, as `{manual}` shows"
    if not hasattr(cause, "errors"):  # not by pydantic, by which typer converts
        return said
    problem = cause.errors(include_url=False)[0]
    choices = _CHOICES.search(said)
    give = f"give one of {_together(choices['known'])}" if choices else wanted(problem)
    return f"{name} {problem['input']!r}: {give}"


def _together(choices: str) -> str:
    return ", ".join(choices.replace("'", "").rstrip(".").replace(",", " ").split())
