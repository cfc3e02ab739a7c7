"""Published values beside ours: does a published mean lie in our interval?

`study/keys/published.py` says what was published; `results/` writes the table.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from priorbench.metrics import METRICS
from priorbench.number_text import counted
from priorbench.statistics.confidence import NO_INTERVAL, mean_interval
from priorbench.storage.run_directory import DONE
from priorbench.study.trial import EVALUATE, SETTING_COLUMNS

AGREES, HIGHER, LOWER, NO_VERDICT, NOT_RUN = "agrees", "higher", "lower", "no interval", "not run"
"""verdicts: the published mean is in our interval; ours is above it, or below; or nobody can say"""
PUBLISHED_COLUMNS = [
    *("metric", "attribution", *SETTING_COLUMNS, "prior", "weight"),
    *("published_mean", "published_sd", "published_n", "source", "read"),
    *("n", "failed", "mean", "ci_low", "ci_high", "interval", "verdict", "words"),
]
_WORDS = {
    AGREES: "yes",
    HIGHER: "no, ours is higher",
    LOWER: "no, ours is lower",
    NOT_RUN: "not run",
}
_NAMED = (*SETTING_COLUMNS, "weight")
"""keys of a published value that may be left out"""


def published_table(published: Sequence[Mapping[str, Any]], results: pd.DataFrame) -> pd.DataFrame:
    """Return published values beside ours, a row for each value and setting that was run.

    Ours is the mean over the seeds whose trial ended well, with the 95% interval of
    :func:`~priorbench.statistics.confidence.mean_interval`; there is none for one seed, and for
    agreement between seeds, whose values share trials. Other trials are counted in ``failed``. A
    value of which nothing was run has a row too.

    Args:
        published: published values of a resolved study, by name of their fields.
        results: a table with the columns of results.csv.

    Returns:
        a table with PUBLISHED_COLUMNS.
    """
    evaluated = results[results["stage"] == EVALUATE]
    rows = [row for value in published for row in _rows(value, evaluated)]
    return pd.DataFrame(rows, columns=PUBLISHED_COLUMNS)


def _rows(value: Mapping[str, Any], evaluated: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """Yield a row for every setting that a published value is of; one alone if none was run."""
    of_value = pd.Series(True, index=evaluated.index)
    for column in ("metric", "attribution", "prior", *SETTING_COLUMNS):
        if value[column] or column == "attribution":  # a metric of none has none
            of_value &= evaluated[column].astype(str) == value[column]
    if "weight" in value:
        near = np.isclose(evaluated["weight"].to_numpy(float), value["weight"], rtol=1e-9, atol=0)
        of_value &= near
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
        yield {**dict(zip(_NAMED, key, strict=True)), **about, **_ours(value, rows)}


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
        verdict = AGREES
        if not interval.low <= value["mean"] <= interval.high:
            verdict = HIGHER if interval.low > value["mean"] else LOWER
        words = _WORDS[verdict]
    if failed:
        words += f"; {failed} of {counted(len(scores), 'trial')} failed"
    return {
        **{"n": len(well), "failed": failed},
        "mean": float(well.mean()) if len(well) else math.nan,
        # scores of one arm: nothing is paired here
        **{"ci_low": interval.low, "ci_high": interval.high},
        "interval": interval.method.removeprefix("paired "),
        **{"verdict": verdict, "words": words},
    }


def published_line(table: pd.DataFrame) -> str:
    """Return how many published means lie in our intervals, in a sentence; "" for no values."""
    if table.empty:
        return ""
    known = table[~table["verdict"].isin([NO_VERDICT, NOT_RUN])]
    inside = int((known["verdict"] == AGREES).sum())
    rest = len(table) - len(known)
    if known.empty:
        return f"of {counted(rest, 'published mean')} nothing can be said"
    lie = "lies" if len(known) == 1 else "lie"
    further = f"; of {rest} more nothing can be said" if rest else ""
    return f"{inside} of {counted(len(known), 'published mean')} {lie} in our 95% interval{further}"
