"""What every table of tests shows of a row, whether of one dataset or of all."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd

from .numbers import decimals_for, fixed, interval, p_value
from .settings import remark

_METHODS = {"paired t": "paired t, no test"}
"""of intervals in words, where the name is not enough"""
Cells = Callable[[Mapping[str, Any], int], Mapping[str, Any]]
"""what else a table shows, of a row, with so many decimal places"""


def tested_rows(table: pd.DataFrame, more: Cells) -> list[dict[str, Any]]:
    """Rows for ``tested.jinja``, metric by metric, with decimal places that suit each.

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
            rows.append({**_tested(row, places), **more(row, places)})
    return rows


def _tested(row: Mapping[str, Any], places: int) -> dict[str, Any]:
    offered = math.isfinite(row["ci_low"])
    return {
        "prior": row["prior"],
        "metric": row["metric"],
        "verdict": row["verdict"],
        "remark": remark(row["verdict"]),
        "difference": fixed(row["difference"], places, signed=True),
        "interval": interval(row["ci_low"], row["ci_high"], places),
        "method": _METHODS.get(row["interval"], row["interval"]) if offered else "",
        "p": p_value(row["p"]),
        "adjusted": p_value(row["p_adjusted"]),
        "noninferior": p_value(row["p_noninferior_adjusted"]),
        "equivalent": p_value(row["p_equivalent_adjusted"]),
    }
