"""The files that ``priorbench new`` writes, from the texts in `template_texts/`."""

from __future__ import annotations

import ast
import builtins
import importlib.util
import keyword
import re
from pathlib import Path
from string import Template
from typing import Literal

from priorbench.components import registry
from priorbench.errors import UserError

NewKind = Literal["prior", "task", "architecture", "metric"]
"""kinds of things that a file of one's own may define"""
_LONGEST = 40
"""letters of a name, with which no line of a template is too long"""
_TEMPLATES = Path(__file__).parent / "template_texts"


def write_new(kind: NewKind, name: str, folder: Path) -> Path:
    """Write a file with a component or metric that works as it is, and return its path.

    The name has letters, digits and hyphens; the file is ``NAME.py`` in the folder.

    Raises:
        UserError: if the name cannot be used, or the file exists already.
    """
    name = name.replace("_", "-")
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9]*(-[A-Za-z0-9]+)*", name):
        raise UserError(
            f"{name!r} cannot be the name of a {kind}; start with a letter and use letters, digits "
            "and single hyphens"
        )
    if len(name) > _LONGEST:
        raise UserError(f"{name!r} has {len(name)} letters; choose a name of at most {_LONGEST}")
    taken = _taken(name)
    if taken:
        raise UserError(f"{taken} {name!r} exists already; choose another name")
    path = folder / f"{name.replace('-', '_')}.py"
    cls = "".join(part[0].upper() + part[1:] for part in name.split("-"))
    template = Template((_TEMPLATES / f"{kind}.txt").read_text(encoding="utf-8"))
    _refuse_names_in_use(name, template, path.stem, cls)
    if not path.exists() and importlib.util.find_spec(path.stem) is not None:
        raise UserError(
            f"{path.name} would hide the Python module {path.stem!r}; choose another name"
        )
    text = template.substitute(name=name, file=path.name, function=path.stem, cls=cls)
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise UserError(f"{path}: exists already; choose another name, or remove it") from None
    return path


def _refuse_names_in_use(name: str, template: Template, function: str, cls: str) -> None:
    """Raise UserError if Python or the template uses the name of what the template defines."""
    for written in (function, cls):
        if keyword.iskeyword(written):
            raise UserError(f"{written!r} is a word of Python's; choose another name than {name!r}")
    defined = function if "function" in template.get_identifiers() else cls
    if hasattr(builtins, defined):
        raise UserError(f"{name!r} would hide {defined!r} of Python; choose another name")
    used = set()
    for node in ast.parse(template.substitute(name="a", file="a.py", function="_", cls="_")).body:
        used |= {alias.asname or alias.name for alias in getattr(node, "names", ())}
        used |= {
            n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)
        }
    if defined in used:
        raise UserError(f"{name!r}: its file uses {defined!r} already; choose another name")


def _taken(name: str) -> str:
    """Return the kind of what has a name already, or ""."""
    from priorbench.metrics import METRICS  # waits for SciPy

    for kind in registry.PLUGIN_KINDS:
        if name in registry.components(kind):
            return kind
    return "metric" if name in METRICS else ""
