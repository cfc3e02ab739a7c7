"""Published values beside ours: does a published mean lie in our interval?

`study/keys/published.py` says what was published; `results/` writes the table.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from priorbench.components.specs import split_composition
from priorbench.metrics import METRICS
from priorbench.number_text import counted
from priorbench.statistics.confidence import NO_INTERVAL, mean_interval
from priorbench.storage.run_directory import DONE
from priorbench.study.trial import EVALUATE, SETTING_COLUMNS

AGREES, HIGHER, LOWER = "agrees", "higher", "lower"
"""verdicts: the published mean is in our interval; ours is above it, or below"""
NO_VERDICT, NOT_RUN, OTHER_SCALE = "no interval", "not run", "other scale"
"""why nobody can say"""
COMPARED = (AGREES, HIGHER, LOWER)
_WIDE = 2.0
"""half an interval, in published standard deviations, from which it agrees with almost anything"""
PUBLISHED_COLUMNS = [
    *("metric", "attribution", *SETTING_COLUMNS, "prior", "weight"),
    *("published_mean", "published_sd", "published_n", "source", "read"),
    *("n", "failed", "mean", "sd", "ci_low", "ci_high", "interval", "verdict", "words"),
]
_WORDS = {
    AGREES: "yes",
    HIGHER: "no, ours is higher",
    LOWER: "no, ours is lower",
    NOT_RUN: "not run",
}
_ROUNDING = 1e-9
_NAMED = (*SETTING_COLUMNS, "weight")
"""keys of a published value that may be left out"""


def published_table(
    published: Sequence[Mapping[str, Any]], results: pd.DataFrame, scale: str
) -> pd.DataFrame:
    """Return published values beside ours, a row for each value and setting that was run.

    Ours is the mean over the seeds whose trial ended well, with the 95% interval of
    :func:`~priorbench.statistics.confidence.mean_interval`; there is none for one seed, and for
    agreement between seeds, whose values share trials. Other trials are counted in ``failed``. A
    value of which nothing was run has a row too. A value that belongs to another scale than the
    run's is not compared: networks and data have other sizes.

    Args:
        published: published values of a resolved study, by name of their fields.
        results: a table with the columns of results.csv.
        scale: scale of the run.

    Returns:
        a table with PUBLISHED_COLUMNS.
    """
    evaluated = results[results["stage"] == EVALUATE]
    rows = [row for value in published for row in _rows(value, evaluated, scale)]
    return pd.DataFrame(rows, columns=PUBLISHED_COLUMNS)


def _rows(
    value: Mapping[str, Any], evaluated: pd.DataFrame, scale: str
) -> Iterator[dict[str, Any]]:
    """Yield a row for every setting that a published value is of; one alone if none was run."""
    of_value = _of_arm(value, evaluated)
    for column in ("metric", "attribution", *SETTING_COLUMNS):
        if value[column] or column == "attribution":  # a metric of none has none
            of_value &= evaluated[column].astype(str) == value[column]
    said = {name: value.get(name, math.nan) for name in ("mean", "sd", "n")}
    about = {
        **{column: value[column] for column in ("metric", "attribution", "prior")},
        **{f"published_{name}": number for name, number in said.items()},
        **{name: value[name] for name in ("source", "read")},
    }
    if not of_value.any():
        yield {
            **{column: value[column] for column in SETTING_COLUMNS},
            **{"weight": value.get("weight", math.nan), **about, "n": 0, "failed": 0},
            **{"interval": "", "verdict": NOT_RUN, "words": _WORDS[NOT_RUN]},
        }
        return
    for key, rows in evaluated[of_value].groupby([*_NAMED], sort=False):
        ours = _ours(value, rows)
        if value.get("scale", scale) != scale:
            words = f"not compared: the published one is of scale {value['scale']}"
            ours |= {"verdict": OTHER_SCALE, "words": words}
        yield {**dict(zip(_NAMED, key, strict=True)), **about, **ours}


def _of_arm(value: Mapping[str, Any], evaluated: pd.DataFrame) -> pd.Series:
    """Return bool: the rows of a published value's prior and weight, however both are written.

    A weight may stand in the spec (``fourier=0.3``) or beside it.
    """
    specs, weights = evaluated["prior"].astype(str), evaluated["weight"].to_numpy(float)
    same: pd.Series = specs == value["prior"]
    if "weight" in value:
        same &= np.isclose(weights, value["weight"], rtol=_ROUNDING, atol=0)
    spec, factor = _split(value["prior"])
    if "weight" in value or factor is not None:
        wanted = (1.0 if factor is None else factor) * value.get("weight", 1.0)
        known = {text: _split(text) for text in specs.unique()}
        factors = {text: 1.0 if own is None else own for text, (_, own) in known.items()}
        totals = [factors[text] * w for text, w in zip(specs, weights, strict=True)]
        alike = np.array([known[text][0] == spec for text in specs], dtype=bool)
        same |= alike & np.isclose(totals, wanted, rtol=_ROUNDING, atol=0)
    return same


def _split(spec: str) -> tuple[str, float | None]:
    """Return the spec of a single prior without its weight, and this; a composition as it is."""
    parts = split_composition(spec)
    return parts[0] if len(parts) == 1 else (spec, None)


def is_wide(low: float, high: float, sd: float) -> bool:
    """Return whether an interval is so wide, beside the published spread, that it says little.

    Args:
        low: lower end of the interval.
        high: upper end.
        sd: published standard deviation over networks; NaN where it is unknown.
    """
    return bool((high - low) / 2 > _WIDE * sd)


def _ours(value: Mapping[str, Any], rows: pd.DataFrame) -> dict[str, Any]:
    """Return what our trials of one arm say of a published value."""
    scores = rows["value"].to_numpy(dtype=float)
    well = scores[(rows["status"] == DONE).to_numpy() & np.isfinite(scores)]
    failed, together = len(scores) - len(well), METRICS[value["metric"]].of_arm
    interval = NO_INTERVAL if together else mean_interval(well)
    if not interval.method:
        verdict = NO_VERDICT
        known = counted(len(well), "seed")
        words = f"no interval of {'agreement between seeds' if together else known}"
    else:
        verdict, room = AGREES, _ROUNDING * abs(value["mean"])
        if not interval.low - room <= value["mean"] <= interval.high + room:
            verdict = HIGHER if interval.low > value["mean"] else LOWER
        words = _WORDS[verdict]
        if verdict == AGREES and is_wide(interval.low, interval.high, value.get("sd", math.nan)):
            words += ", but the interval is wide"
    if failed:
        words += f"; {failed} of {counted(len(scores), 'trial')} failed"
    return {
        **{"n": len(well), "failed": failed},
        "mean": float(well.mean()) if len(well) else math.nan,
        "sd": float(well.std(ddof=1)) if len(well) > 1 else math.nan,
        # scores of one arm: nothing is paired here
        **{"ci_low": interval.low, "ci_high": interval.high},
        "interval": interval.method.removeprefix("paired "),
        **{"verdict": verdict, "words": words},
    }


def published_line(table: pd.DataFrame) -> str:
    """Return how many published means lie in our intervals, in a sentence; "" for no values."""
    if table.empty:
        return ""
    known = table[table["verdict"].isin(COMPARED)]
    agreeing = known[known["verdict"] == AGREES]
    inside = len(agreeing)
    columns = zip(*(agreeing[c] for c in ("ci_low", "ci_high", "published_sd")), strict=True)
    wide = sum(is_wide(*map(float, row)) for row in columns)
    rest = len(table) - len(known)
    if known.empty:
        return f"of {counted(rest, 'published mean')} nothing can be said"
    lie = "lies" if len(known) == 1 else "lie"
    further = f"; of {rest} more nothing can be said" if rest else ""
    little = f", {wide} of them in one too wide to say much" if wide else ""
    means = counted(len(known), "published mean")
    return f"{inside} of {means} {lie} in our 95% interval{little}{further}"
