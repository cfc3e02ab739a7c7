"""The pages of a published folder: the table over all runs, and a page for each."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args
from urllib.parse import quote

from markupsafe import Markup

import priorbench
from priorbench.answer.standing import STANDINGS
from priorbench.components.task import Axis
from priorbench.number_text import MISSING, decimals_for, fixed, interval, p_value
from priorbench.publish.entry import REPORT_FILE, AxisResult, Entry, PriorInSetting
from priorbench.statistics.families.verdicts import DEFINITIONS

from ..page import render
from ..settings import SIGNS, remark
from .run_words import compared, run_names, seeds_in_words, weights_in_words

_FILES = {
    "results.csv": "every score of every trial",
    "results.csv.gz": "every score of every trial that counts, and primary metrics of the others",
    "comparisons.csv": "every paired comparison with the baseline",
    "across.csv": "every prior and axis, over all settings",
    "trends.csv": "gains along an option of the task",
    "published.csv": "published values beside these",
    "tuning.csv": "every weight that was tried",
    "architectures.csv": "every network that was tried",
    "answer.json": "the answer for programs",
    "study.toml": "the study with all its options",
    "environment.json": "versions, machine, digests of data and code",
    "claims.json": "what was declared before training",
}
"""what files hold, without the number of a run; without the ending .gz, unless it changes that"""
_NOTHING = Markup("")
_WAIT = Markup('document.documentElement.classList.add("reading");')
"""script that hides rows until the page is read, as a growing table is laid out again and again"""


@dataclass(frozen=True)
class SitePages:
    """Pages of a published folder.

    Attributes:
        index: the page with the table over all runs.
        runs: page of each run, by the name of its entry.
    """

    index: str
    runs: Mapping[str, str]


def site_pages(entries: Sequence[Entry]) -> SitePages:
    """Return the pages about entries; each works alone, and loads nothing."""
    axes, names = _axes(entries), run_names(entries)
    runs = [_run(entry, names[entry.name]) for entry in entries]
    rows = [{**_cells(row, axes), "run": run} for run in runs for row in run["entry"].rows]
    script = Markup("\n").join([render("script"), render("site_script")])
    index = _page(
        "site_index",
        script,
        _WAIT,
        rows=rows,
        axes=axes,
        runs=runs,
        choices={
            name: sorted({getattr(row, name) for entry in entries for row in entry.rows})
            for name in ("prior", "task", "dataset", "architecture")
        },
    )
    return SitePages(index, {run["entry"].name: _run_page(run, runs) for run in runs})


def _run(entry: Entry, name: str) -> dict[str, Any]:
    """Return what the pages say of a run in a line."""
    return {
        "entry": entry,
        "name": name,
        "link": f"runs/{quote(entry.name)}/index.html",
        "headline": _headline(entry),
        "dates": _dates(entry),
        "seeds": seeds_in_words(entry.seeds),
        "weights": weights_in_words(entry),
        "compared": compared(entry),
        "trials": sum(entry.statuses.values()),
    }


def _run_page(run: Mapping[str, Any], runs: Iterable[Mapping[str, Any]]) -> str:
    entry: Entry = run["entry"]
    others = [
        {**other, "link": f"../{other['link'].removeprefix('runs/')}"}
        for other in runs
        if other["entry"].name != entry.name
        and (other["entry"].study == entry.study or other["entry"].title == entry.title)
    ]
    axes = _axes([entry])
    return _page(
        "site_run",
        render("script"),
        entry=entry,
        run=run,
        axes=axes,
        rows=[_cells(row, axes, full=True) for row in entry.rows],
        others=others,
        report=REPORT_FILE if REPORT_FILE in entry.files else "",
        files=[(name, _about(name)) for name in entry.files if name != REPORT_FILE],
        standings=STANDINGS,
        seeds_in_words=seeds_in_words,
    )


def _page(template: str, script: Markup, early: Markup = _NOTHING, **values: Any) -> str:
    scripts = {"script": script, "early": early}
    # no other script runs, whatever texts of others hold
    digests = [_digest(text) for text in scripts.values() if text]
    about = {**scripts, "digests": digests, "version": priorbench.__version__}
    words = {"definitions": DEFINITIONS, "signs": SIGNS}
    return f"{render(template, **about, **words, **values)}\n"


def _digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _axes(entries: Iterable[Entry]) -> list[str]:
    """Return the axes on which a run has a primary metric, in the order of reports."""
    there = {r.axis for entry in entries for row in entry.rows for r in row.results}
    return [*(axis for axis in get_args(Axis) if axis in there), *sorted(there - {*get_args(Axis)})]


def _cells(row: PriorInSetting, axes: Sequence[str], *, full: bool = False) -> dict[str, Any]:
    """Return a row as the templates show it.

    Args:
        row: the row.
        axes: axes of the table.
        full: whether p and means are shown too.
    """
    by_axis = {result.axis: result for result in row.results}
    return {
        "row": row,
        "weight": "" if row.weight is None else f"{row.weight:g}",
        "price": "" if row.price is None else f"{row.price:.2f}",
        "axes": [_result(by_axis.get(axis), full) for axis in axes],
    }


def _result(result: AxisResult | None, full: bool) -> dict[str, str]:
    """Return a cell: its verdict, the gain with its interval, and the key by which it is sorted."""
    if result is None:
        return {"verdict": "", "text": "", "sort": ""}
    numbers = {name: _number(getattr(result, name)) for name in ("gain", "low", "high", "margin")}
    places = decimals_for([numbers["gain"], numbers["margin"]])
    gain = fixed(numbers["gain"], places, signed=True)
    means = [_number(value) for value in (result.baseline, result.mean)]
    digits = decimals_for(means)
    return {
        "verdict": result.verdict,
        "text": remark(result.verdict) if result.verdict else "not tested",
        "gain": gain,
        "interval": interval(numbers["low"], numbers["high"], places),
        "metric": result.metric,
        "sort": "" if gain == MISSING else f"{numbers['gain']:.6g}",
        "p": p_value(result.p) if full and result.p is not None else "",
        "means": " → ".join(fixed(value, digits) for value in means) if full else "",
    }


def _number(value: float | None) -> float:
    return float("nan") if value is None else value


def _headline(entry: Entry) -> str:
    """Return the first sentence of the answer, that over all settings where there are several."""
    sentences = (answer.sentences[0] for answer in entry.answers if answer.sentences)
    return next(sentences, "No trial left a score.")


def _dates(entry: Entry) -> str:
    days = sorted({run.date for run in entry.runs})
    return days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}"


def _about(name: str) -> str:
    """Return what a file holds; of one of several runs, also of which."""
    if name in _FILES:
        return _FILES[name]
    stem, _, ending = name.removesuffix(".gz").partition(".")
    word, dash, number = stem.rpartition("-")
    numbered = bool(dash) and number.isdigit()
    text = _FILES.get(f"{word if numbered else stem}.{ending}", "")
    return f"{text}, of run {number}" if numbered and text else text
