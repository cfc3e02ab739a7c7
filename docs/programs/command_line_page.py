"""The page of the command line, from the help of the program's commands."""

from __future__ import annotations

import inspect
import re
import typing
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from types import NoneType, UnionType
from typing import Any

from typer.models import ArgumentInfo, CommandInfo, OptionInfo

from priorbench.cli.app import app

_HEAD = """\
# Command line

Made from the program's help by `make docs`; do not edit.
[Running comparisons](how-to/running.md) has an example for everything. An error is one line on
standard error, with exit status 2; `--debug`, of every command, shows its traceback. `priorbench
--install-completion` lets the shell complete commands, options and names.
"""
_EXAMPLE = re.compile(r"\s*Example: (priorbench .*)")
_OPTION = re.compile(r"(?<![\w-])(--[a-z][a-z-]*)")
_WORDS = {str: "text", int: "number", float: "number", Path: "path", bool: ""}
"""what is written after an option, by its type"""


def command_line_page() -> str:
    """Return the text of docs/command-line.md."""
    lines, panels = [_HEAD], defaultdict(list)
    for info in app.registered_commands:
        panels[info.rich_help_panel].append(info)
    lines += ["| | command | what it does |", "|---|---|---|"]
    for panel, infos in panels.items():
        for info in infos:
            first = _prose(str(info.help).split("\n\n")[0])
            shown = panel if info is infos[0] else ""
            lines.append(f"| {shown} | [`{info.name}`](#{info.name}) | {first} |")
    lines.append("")
    for info in app.registered_commands:
        lines += _section(info)
    return "\n".join(lines).rstrip() + "\n"


def _section(info: CommandInfo) -> Iterator[str]:
    """Yield the lines on a command: how it is called, an example, and its parameters in tables."""
    assert info.callback is not None  # as of every command that is registered
    parameters = inspect.signature(info.callback, eval_str=True).parameters.values()
    given = [p for p in parameters if p.kind is not p.KEYWORD_ONLY]
    words = [p.name.upper() if p.default is p.empty else f"[{p.name.upper()}]" for p in given]
    yield from (f"## {info.name}", "", "```")
    yield " ".join(["priorbench", str(info.name), *words, "[OPTIONS]"])
    example = _EXAMPLE.search(str(info.help))
    if example:
        yield example[1]
    yield from ("```", "", _prose(_EXAMPLE.sub("", str(info.help))), "")
    tables: dict[str, list[str]] = defaultdict(list)
    for parameter in parameters:
        kind, *_, about = typing.get_args(parameter.annotation)
        own = "Arguments" if isinstance(about, ArgumentInfo) else "Options"
        row = f"| {_names(parameter, about)} | {_value(kind)} | {_prose(str(about.help))} |"
        tables[about.rich_help_panel or own].append(row)
    for heading, rows in tables.items():
        yield from (f"**{heading}**", "", "| name | value | meaning |", "|---|---|---|", *rows, "")


def _names(parameter: inspect.Parameter, about: OptionInfo | ArgumentInfo) -> str:
    if isinstance(about, ArgumentInfo):
        return f"`{parameter.name.upper()}`"
    option = parameter.name.replace("_", "-")
    names = list(about.param_decls or [f"--{option}"])
    if parameter.default is True:
        names.append(f"--no-{option}")
    return ", ".join(f"`{name}`" for name in names)


def _value(kind: Any) -> str:
    """Return in a word what a parameter of a type takes, or its choices."""
    if isinstance(kind, UnionType) or typing.get_origin(kind) in (typing.Union, list):
        return ", ".join(_value(part) for part in typing.get_args(kind) if part is not NoneType)
    if typing.get_origin(kind) is typing.Literal:
        return ", ".join(f"`{choice}`" for choice in typing.get_args(kind))
    return _WORDS[kind]


def _prose(text: str) -> str:
    """Return help as Markdown: options are code, and nothing else but backquotes is markup."""
    parts = text.split("`")
    for place in range(0, len(parts), 2):
        plain = re.sub(r"([_*<|])", r"\\\1", parts[place])
        parts[place] = _OPTION.sub(r"`\1`", plain)
    return "`".join(parts)
