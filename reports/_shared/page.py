"""Templates, and the page around the sections."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup, escape

import priorbench
from priorbench.components import registry
from priorbench.components.metric import Metric
from priorbench.components.section import Section
from priorbench.number_text import MISSING, counted, exact_p, listed, with_relation
from priorbench.results.finished_run import Run

from .settings import MANY_SETTINGS, ComparedSetting

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
    environment.filters |= {
        "aside": _aside,
        "exact_p": exact_p,
        "listed": listed,
        "prose": _prose,
        "sentence": _sentence,
        "spec": _breakable,
        "specs": _specs,
        "with_relation": with_relation,
        "with_unit": _with_unit,
    }
    environment.globals |= {"counted": counted, "missing": MISSING}
    return environment


def render(template: str, **values: Any) -> Markup:
    """Return a template filled in; every value is escaped unless it is Markup.

    Args:
        template: name of its file in ``reports`` or ``_shared/templates``, without ``.jinja``.
        **values: values of the names that the template uses.
    """
    return Markup(_templates().get_template(f"{template}.jinja").render(values))


def _aside(text: str) -> Markup:
    """Return a less important text as a line of its own in a cell; empty for an empty one."""
    return Markup(' <span class="difference">{}</span>').format(text) if text else Markup("")


def _with_unit(metric: Metric) -> str:
    """Return the name of a metric, with its unit in parentheses if it has one."""
    unit = "×" if metric.unit == "x" else metric.unit
    return f"{metric.name} ({unit})" if unit else metric.name


def _sentence(text: str) -> str:
    """Return a text with a capital at its start; the rest, which may be a name, stays as it is."""
    return text[:1].upper() + text[1:]


def _breakable(spec: str) -> Markup:
    """Return a spec that may wrap where its options begin."""
    return Markup(re.sub(r"([:+])", r"\1<wbr>", str(escape(spec))))


def _specs(specs: Iterable[str]) -> Markup:
    """Return specs as code, separated by commas."""
    return Markup(", ").join(Markup("<code>{}</code>").format(_breakable(s)) for s in specs)


def _prose(text: str) -> Markup:
    """Return a sentence in which names of priors, between backquotes, are code."""
    parts = text.split("`")
    if len(parts) % 2 == 0:  # a single backquote is no quotation
        return escape(text)
    code = Markup("<code>{}</code>")
    return Markup("").join(
        code.format(_breakable(part)) if number % 2 else escape(part)
        for number, part in enumerate(parts)
    )


def sections() -> dict[str, Section]:
    """Return the sections of the report by name, in the order of the page."""
    by_name = {name: registry.load("report", name)() for name in registry.components("report")}
    return dict(sorted(by_name.items(), key=lambda item: item[1].position))


def not_drawn(settings: Sequence[ComparedSetting]) -> Markup:
    """Return a note that names the settings beyond MANY_SETTINGS; empty where there are none."""
    rest = settings[MANY_SETTINGS:]
    return render("not_drawn", settings=rest, many=MANY_SETTINGS) if rest else Markup("")


def assemble(run: Run) -> str:
    """Return the page: every section that is not empty, with a table of contents."""
    bodies = [
        {"id": name, "title": section.title, "body": Markup(body)}
        for name, section in sections().items()
        if (body := section.render(run))
    ]
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
