"""The page of the public names, from their docstrings and the examples in api.toml."""

from __future__ import annotations

import inspect
import re
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import priorbench

_EXAMPLES = Path(__file__).resolve().parents[1] / "api.toml"
_WIDTH = 88
_SECTIONS = re.compile(r"^(Args|Returns|Raises|Attributes):\n", re.MULTILINE)
_HEAD = """\
# The library

Made from the docstrings by `make docs`; do not edit. These are all names that `priorbench` exports;
[loops of your own](how-to/own-loop.md) shows whole training loops. The examples run in the tests,
with these names:

```python
{setup}```

An error of use is a `UserError`, or a `ValueError` for arrays of the wrong shape, dtype or device.

"""


def sections() -> list[dict[str, Any]]:
    """Return the sections of api.toml: ``title``, and ``examples`` by name."""
    parsed: list[dict[str, Any]] = tomllib.loads(_EXAMPLES.read_text(encoding="utf-8"))["section"]
    return parsed


def setup() -> str:
    """Return the code that every example follows."""
    text: str = tomllib.loads(_EXAMPLES.read_text(encoding="utf-8"))["setup"]
    return text


def api_page(prose: Callable[[str], str]) -> str:
    """Return the text of docs/api.md; ``prose`` turns a line of a docstring into Markdown."""
    lines = [_HEAD.format(setup=setup())]
    for section in sections():
        lines += [f"## {section['title']}", ""]
        for name, example in section["examples"].items():
            thing = getattr(priorbench, name)
            lines += [f"### {name}", "", "```python", signature(name, thing), "```", ""]
            lines += [*_text(thing, prose), *_methods(thing, prose)]
            lines += ["```python", example.rstrip(), "```", ""]
    return "\n".join(lines).rstrip() + "\n"


def signature(name: str, thing: Any) -> str:
    """Return how a function or a class is called, on one line if it is short."""
    if inspect.isclass(thing) and (inspect.isabstract(thing) or issubclass(thing, Exception)):
        return f"class {name}"
    called = inspect.signature(thing)
    parts, only = [], False
    for parameter in called.parameters.values():
        if parameter.kind is parameter.KEYWORD_ONLY and not only:
            parts.append("*")
            only = True
        parts.append(_argument(parameter))
    ends = "" if inspect.isclass(thing) else f" -> {_kind(called.return_annotation)}"
    line = f"{name}({', '.join(parts)}){ends}"
    if len(line) <= _WIDTH:
        return line
    return "\n".join([f"{name}(", *(f"    {part}," for part in parts), f"){ends}"])


def _argument(parameter: inspect.Parameter) -> str:
    text = f"{parameter.name}: {_kind(parameter.annotation)}"
    if parameter.default is parameter.empty:
        return text
    default = repr(parameter.default).replace("'", '"')
    return f"{text} = {'...' if 'factory' in default else default}"  # of a dataclass


def _kind(annotation: Any) -> str:
    text = annotation if isinstance(annotation, str) else getattr(annotation, "__name__", "")
    return text.replace("'", '"')


def _text(thing: Any, prose: Callable[[str], str]) -> Iterator[str]:
    """Yield a docstring as Markdown: prose, then a list for each of its sections."""
    first, *others = _SECTIONS.split(inspect.cleandoc(thing.__doc__ or ""))
    for line in first.rstrip().splitlines():
        yield line if line.startswith("    ") else prose(_plain(line))
    yield ""
    for title, text in zip(others[::2], others[1::2], strict=True):
        entries = inspect.cleandoc("\n" + text)
        if title == "Returns":
            yield f"Returns {prose(_plain(' '.join(entries.split())))}"
            yield ""
            continue
        yield f"{title}:"
        yield ""
        for entry in re.split(r"\n(?=\S)", entries):
            name, _, meaning = entry.partition(":")
            yield f"- `{name}`: {prose(_plain(' '.join(meaning.split())))}"
        yield ""


def _methods(thing: Any, prose: Callable[[str], str]) -> Iterator[str]:
    """Yield the methods and properties that a class adds to its public bases."""
    if not inspect.isclass(thing):
        return
    own: dict[str, Any] = {}
    for base in thing.__mro__:
        public = base is not thing and base.__name__ in dir(priorbench)
        if public or not base.__module__.startswith("priorbench"):
            break
        own |= {name: value for name, value in vars(base).items() if name not in own}
    rows = []
    for name, value in own.items():
        function = value.fget if isinstance(value, property) else value
        if name.startswith("_") or not inspect.isfunction(function):
            continue
        first = inspect.cleandoc(function.__doc__ or "").split("\n\n")[0]
        given = [p for p in inspect.signature(function).parameters if p != "self"]
        call = name if isinstance(value, property) else f"{name}({', '.join(given)})"
        rows.append(f"- `{call}`: {prose(_plain(' '.join(first.split())))}")
    if rows:
        yield from ("Methods and properties:", "", *rows, "")


def _plain(line: str) -> str:
    """Return a line without the roles of Sphinx."""
    return re.sub(r":(?:func|class|meth):`~?([^`]+)`", r"``\1``", line)
