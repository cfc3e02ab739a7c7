"""Rows of the tables of tests, and how small a p so many seeds can give."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from priorbench.comparison.within_dataset import GRADED_COLUMNS
from priorbench.number_text import MISSING, decimals_for, fixed, interval, p_value
from priorbench.results.finished_run import Run
from priorbench.statistics.power import ClaimKind, fewest_pairs, smallest_adjusted_p
from priorbench.study.declared import PRIMARY

from .settings import ComparedSetting, remark

INTERVAL_METHODS = {"paired t": "paired t, no test", "joint sign-flip": "simultaneous"}
"""methods of intervals in words, where their name is not enough"""
Cells = Callable[[Mapping[str, Any], int], Mapping[str, Any]]
"""function of a row and a number of decimal places that returns further cells"""


@dataclass(frozen=True)
class SmallestP:
    """The smallest adjusted p that a number of seeds can give in the primary family.

    Attributes:
        n: number of paired seeds.
        tests: number of tests of a difference in the family.
        level: level of the claims.
        smallest: smallest adjusted p that n seeds can give.
        needed: fewest seeds whose smallest adjusted p is significant.
    """

    n: int
    tests: int
    level: float
    smallest: float
    needed: int

    @property
    def enough(self) -> bool:
        """Whether some difference could be significant."""
        return self.n >= self.needed


def reach(run: Run, setting: ComparedSetting) -> SmallestP | None:
    """Return the smallest p that tests of a setting can give; None if nothing was compared."""
    if setting.comparisons.empty:
        return None
    n = int(setting.comparisons["n"].max())
    priors = int(setting.comparisons["prior"].nunique())
    # counted also where one seed leaves nothing to test
    tests = int((setting.comparisons["family"] == PRIMARY).sum()) or priors
    claims = run.claims
    claim = ClaimKind(claims.level, tests=tests, correction=claims.correction)
    return SmallestP(n, tests, claims.level, smallest_adjusted_p(n, claim), fewest_pairs(claim))


def difference_cells(row: Mapping[str, Any] | None, places: int) -> dict[str, str]:
    """Return a paired difference as text: itself, its corrected interval, its p and its verdict.

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


def chances(row: Mapping[str, Any]) -> str:
    """Return the graded answer as percentages: better, practically the same, worse; "" without."""
    shares = [float(row[name]) for name in GRADED_COLUMNS]
    if not all(map(math.isfinite, shares)):
        return ""
    return " · ".join(f"{100 * share:.0f}" for share in shares) + " %"


def seeds_text(row: Mapping[str, Any]) -> str:
    """Return on how many seeds a prior is better and worse; a dash where nobody has counted."""
    counts = [row.get(name, math.nan) for name in ("seeds_better", "seeds_worse")]
    return MISSING if any(map(math.isnan, counts)) else " : ".join(f"{n:.0f}" for n in counts)


def detectable_text(size: float, places: int) -> str:
    """Return a detectable difference as text; "none" where no difference is detectable."""
    return "none" if math.isinf(size) else fixed(size, places)


def tested_rows(table: pd.DataFrame, more: Cells) -> list[dict[str, Any]]:
    """Return rows for ``tests_table.jinja``, with decimal places that suit each metric.

    Args:
        table: rows of comparisons.csv or of across.csv, those of an axis together.
        more: further cells of a row.
    """
    rows = []
    for _, of_metric in table.groupby(["axis", "metric"], sort=False):
        sizes = of_metric[["difference", "margin"]].to_numpy(dtype=float).ravel()
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
        "axis": row["axis"],
        "metric": row["metric"],
        "method": (INTERVAL_METHODS.get(row["interval"], row["interval"]) if has_interval else ""),
        "alone": interval(row["ci_low_alone"], row["ci_high_alone"], places),
        "margin": fixed(row["margin"], places),
        "chances": chances(row),
        "unadjusted": p_value(row["p"]),
        "adjusted": p_value(row["p_adjusted"]),
        "noninferior": p_value(row["p_noninferior_adjusted"]),
        "equivalent": p_value(row["p_equivalent_adjusted"]),
    }
