"""The files that ``priorbench new`` writes, from the texts in `template_texts/`."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from string import Template
from typing import Literal

from priorbench.components import registry
from priorbench.errors import UserError

NewKind = Literal["prior", "task", "architecture", "metric"]
"""kinds of things that a file of one's own may define"""
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
    taken = _taken(name)
    if taken:
        raise UserError(f"{taken} {name!r} exists already; choose another name")
    path = folder / f"{name.replace('-', '_')}.py"
    if not path.exists() and importlib.util.find_spec(path.stem) is not None:
        raise UserError(
            f"{path.name} would hide the Python module {path.stem!r}; choose another name"
        )
    template = Template((_TEMPLATES / f"{kind}.txt").read_text(encoding="utf-8"))
    text = template.substitute(
        name=name,
        file=path.name,
        function=path.stem,
        cls="".join(part[0].upper() + part[1:] for part in name.split("-")),
    )
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise UserError(f"{path}: exists already; choose another name, or remove it") from None
    return path


def _taken(name: str) -> str:
    """Return the kind of what has a name already, or ""."""
    from priorbench.metrics import METRICS  # waits for SciPy

    for kind in registry.PLUGIN_KINDS:
        if name in registry.components(kind):
            return kind
    return "metric" if name in METRICS else ""
