"""Templates and the page around the sections."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup, escape

import priorbench
from priorbench.components.contracts import Section
from priorbench.results.finished_run import Run

from .numbers import MISSING, counted, exact_p, listed

_SHARED = Path(__file__).parent
_SECTIONS = _SHARED.parent


@cache
def _templates() -> jinja2.Environment:
    # autoescape: names, reasons and notes come from users
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader([_SECTIONS, _SHARED / "templates"]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"exact_p": exact_p, "listed": listed}
    environment.filters |= {"unit": _unit, "spec": _breakable, "sentence": _sentence}
    environment.globals |= {"counted": counted, "missing": MISSING}
    return environment


def render(template: str, **values: Any) -> Markup:
    """A template of this folder filled in; every value is escaped unless it is Markup.

    Args:
        template: file name without ``.jinja``.
        **values: what the template names.
    """
    return Markup(_templates().get_template(f"{template}.jinja").render(values))


def _unit(unit: str) -> str:
    return "×" if unit == "x" else unit


def _sentence(text: str) -> str:
    """With a capital at the start; the rest, which may be a name, stays as it is."""
    return text[:1].upper() + text[1:]


def _breakable(spec: str) -> Markup:
    """A spec that may wrap where its options begin."""
    return Markup(re.sub(r"([:+])", r"\1<wbr>", str(escape(spec))))


def assemble(run: Run, sections: Sequence[Section]) -> str:
    """The page: every section that has something to say, with a table of contents."""
    bodies = []
    for section in sections:
        body = section.render(run)
        if body:
            name = type(section).__module__.rpartition(".")[2].replace("_", "-")
            bodies.append({"id": name, "title": section.title, "body": Markup(body)})
    script = render("script")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    page = render(
        "page",
        name=run.study["name"],
        runs=run.parts,
        sections=bodies,
        version=priorbench.__version__,
        script=script,
        digest=digest,
    )
    return str(page) + "\n"
