"""Rows of comparisons on pages of findings: their settings, names, gains and verdicts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from priorbench.comparison.option_trends import task_options
from priorbench.components.specs import split_spec
from priorbench.metrics import METRICS
from priorbench.reports._shared.settings import SIGNS
from priorbench.study.trial import SETTING_COLUMNS

Facts = Mapping[str, Any]
Row = Mapping[str, Any]


def gain(row: Row, column: str) -> float:
    """Return a difference with the sign at which more is better; NaN where there is none."""
    if row[column] is None:
        return float("nan")
    sign = -1.0 if METRICS[row["metric"]].higher_is_better is False else 1.0
    return sign * float(row[column])


def setting_key(row: Row) -> str:
    """Return task, dataset and architecture of a row, joined with spaces."""
    return " ".join(row[column] for column in SETTING_COLUMNS)


def setting_names(rows: Sequence[Row]) -> dict[str, str]:
    """Return the shortest names that distinguish settings, by :func:`setting_key`."""
    keys = {setting_key(row): row for row in rows}
    tasks = list(dict.fromkeys(row["task"] for row in rows))
    names = {
        "task": _task_names(tasks),
        "dataset": {row["dataset"]: row["dataset"] for row in rows},
        "architecture": {row["architecture"]: row["architecture"] for row in rows},
    }
    several = [column for column, known in names.items() if len(known) > 1]
    return {
        key: " · ".join(names[column][row[column]] for column in several) or str(row["task"])
        for key, row in keys.items()
    }


def _task_names(specs: Sequence[str]) -> dict[str, str]:
    """Return the name of every task, with the options in which tasks of that name differ."""
    options = {spec: task_options(spec) for spec in specs}
    names = {}
    for spec in specs:
        name = split_spec(spec)[0]
        alike = [options[other] for other in specs if split_spec(other)[0] == name]
        varying = [key for key in alike[0] if len({str(values[key]) for values in alike}) > 1]
        texts = ", ".join(f"{key}={_number(options[spec][key])}" for key in varying)
        names[spec] = f"{name} {texts}".strip()
    return names


def _number(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def compared(facts: Facts, comparison: Row) -> list[Row]:
    """Return the rows of a baseline and, if the comparison names any, of some priors."""
    priors = comparison.get("priors")
    return [
        row
        for row in facts["compared"]
        if row["baseline"] == comparison["baseline"] and (not priors or row["prior"] in priors)
    ]


def signed(verdict: str) -> str:
    """Return a verdict behind its sign, such as ``✓ better``."""
    return f"{SIGNS.get(verdict, '')} {verdict or 'not tested'}".strip()


def reservation(weight: Mapping[str, Any]) -> str:
    """Return in brackets what speaks against a weight that was chosen; "" if nothing does."""
    note = str(weight.get("note") or "")
    texts = ["edge of its grid"] * bool(weight["edge"])
    texts += [note] * (note not in ("", "the reference") and not note.startswith("best "))
    return f" ({'; '.join(texts)})" if texts else ""
