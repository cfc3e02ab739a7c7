"""The primary family in full: every test that was declared before the run."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import pandas as pd
from markupsafe import Markup

from priorbench import Section
from priorbench.claims import PRIMARY
from priorbench.metrics import METRICS
from priorbench.results import Run
from priorbench.statistics import DEFINITIONS

from ._blocks import SIGNS, Block, blocks, remark
from ._numbers import MISSING, decimals_for, fixed, p_value
from ._page import render

_METHODS = {"paired t": "paired t, no test"}
"""in words, where the name is not enough"""


class Primary(Section):
    """Effect sizes, tests against zero and against margins, and what could have been seen."""

    title: ClassVar[str] = "Primary comparisons"
    position: ClassVar[int] = 22

    def render(self, run: Run) -> str:
        """See Section."""
        found = [block for block in blocks(run) if block.primary]
        tables = [_table(block) for block in found]
        return Markup("").join(tables) + (
            render("verdicts", definitions=DEFINITIONS, signs=SIGNS) if tables else Markup("")
        )


def _table(block: Block) -> Markup:
    rows = block.comparisons[block.comparisons["family"] == PRIMARY]
    metrics = [name for name in METRICS if name in block.primary]
    return render(
        "primary",
        block=block,
        family=block.families[0],
        rows=[row for name in metrics for row in _rows(rows[rows["metric"] == name])],
    )


def _rows(of_metric: pd.DataFrame) -> list[dict[str, Any]]:
    places = decimals_for([*of_metric["difference"], *of_metric["margin"].dropna()])
    return [
        _row({str(key): value for key, value in row.items()}, places)
        for _, row in of_metric.iterrows()
    ]


def _row(row: Mapping[str, Any], places: int) -> dict[str, Any]:
    return {
        "prior": row["prior"],
        "metric": row["metric"],
        "n": row["n"],
        "difference": fixed(row["difference"], places, signed=True),
        "interval": _between(row["ci_low"], row["ci_high"], places),
        "method": _METHODS.get(row["interval"], row["interval"])
        if math.isfinite(row["ci_low"])
        else "",
        "effect": fixed(row["effect_size"], 2),
        "cliff": fixed(row["cliffs_delta"], 2),
        "improvement": fixed(row["improvement"], 2),
        "improvement_interval": _between(row["improvement_low"], row["improvement_high"], 2),
        "correlation": fixed(row["correlation"], 2),
        "p": p_value(row["p"]),
        "adjusted": p_value(row["p_adjusted"]),
        "margin": fixed(row["margin"], places),
        "noninferior": p_value(row["p_noninferior_adjusted"]),
        "equivalent": p_value(row["p_equivalent_adjusted"]),
        "visible": "none" if math.isinf(row["detectable"]) else fixed(row["detectable"], places),
        "verdict": row["verdict"],
        "remark": remark(row["verdict"]),
        "missing": row["missing"],
    }


def _between(low: float, high: float, places: int) -> str:
    if not math.isfinite(low):
        return MISSING
    return f"[{fixed(low, places)}, {fixed(high, places)}]"
