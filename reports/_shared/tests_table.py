"""Rows of the tables of tests, of one setting or of all together."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd

from priorbench.number_text import decimals_for, fixed, interval, p_value

from .settings import remark

INTERVAL_METHODS = {"paired t": "paired t, no test"}
"""methods of intervals in words, where their name is not enough"""
Cells = Callable[[Mapping[str, Any], int], Mapping[str, Any]]
"""function of a row and a number of decimal places that returns further cells"""


def difference_cells(row: Mapping[str, Any] | None, places: int) -> dict[str, str]:
    """Return a paired difference as text: itself, its interval, its adjusted p and its verdict.

    Args:
        row: row of comparisons.csv or of across.csv; None for the baseline.
        places: number of decimal places.
    """
    if row is None:
        return {"verdict": ""}
    return {
        "difference": fixed(row["difference"], places, signed=True),
        "interval": interval(row["ci_low"], row["ci_high"], places),
        "p": p_value(row["p_adjusted"]) if row["verdict"] else "",
        "verdict": row["verdict"],
        "remark": remark(row["verdict"]),
    }


def detectable_text(size: float, places: int) -> str:
    """Return a detectable difference as text; "none" where no difference is detectable."""
    return "none" if math.isinf(size) else fixed(size, places)


def tested_rows(table: pd.DataFrame, more: Cells) -> list[dict[str, Any]]:
    """Return rows for ``tests_table.jinja``, with decimal places that suit each metric.

    Args:
        table: rows of comparisons.csv or of across.csv, those of a metric together.
        more: further cells of a row.
    """
    rows = []
    for _, of_metric in table.groupby("metric", sort=False):
        # margins are not among the columns of all datasets
        sizes = of_metric.filter(["difference", "margin"]).to_numpy(dtype=float).ravel()
        places = decimals_for(sizes.tolist())
        for record in of_metric.to_dict("records"):
            row = {str(key): value for key, value in record.items()}
            rows.append({**_cells(row, places), **more(row, places)})
    return rows


def _cells(row: Mapping[str, Any], places: int) -> dict[str, Any]:
    has_interval = math.isfinite(row["ci_low"])
    return {
        **difference_cells(row, places),
        "prior": row["prior"],
        "metric": row["metric"],
        "method": (INTERVAL_METHODS.get(row["interval"], row["interval"]) if has_interval else ""),
        "unadjusted": p_value(row["p"]),
        "adjusted": p_value(row["p_adjusted"]),
        "noninferior": p_value(row["p_noninferior_adjusted"]),
        "equivalent": p_value(row["p_equivalent_adjusted"]),
    }
