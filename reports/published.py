"""Published values beside ours, where the study names any."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import pandas as pd

from priorbench import Section
from priorbench.comparison.published_values import published_line
from priorbench.number_text import counted, decimals_for, fixed, interval
from priorbench.results.finished_run import Run

from ._shared.page import render

_PLACES = ("task", "dataset", "architecture", "prior", "weight", "attribution")
"""columns that say what a value is of, beside its metric; those that vary are shown"""


class Published(Section):
    """Theirs, ours with its interval over seeds, and whether the interval holds theirs."""

    title: ClassVar[str] = "Published values"
    position: ClassVar[int] = 23

    def render(self, run: Run) -> str:
        """Return the table; empty for a study that names no published values."""
        table = run.published
        if table.empty:
            return ""
        return render(
            "published",
            line=published_line(table),
            rows=list(_rows(table)),
            sources=table[["source", "read"]].drop_duplicates().to_dict("records"),
        )


def _rows(table: pd.DataFrame) -> Iterator[Mapping[str, Any]]:
    varying = [name for name in _PLACES if _varies(table, name)]
    for row in table.to_dict("records"):
        # a digit more than the scores of a comparison: what was published has up to four
        places = decimals_for([row["published_mean"]]) + 1
        spread = f"± {fixed(row['published_sd'], places)}" if row["published_sd"] >= 0 else ""
        networks = counted(int(row["published_n"]), "network") if row["published_n"] > 0 else ""
        yield {
            "metric": row["metric"],
            "of": " · ".join(filter(None, (_text(name, row[name]) for name in varying))),
            "theirs": fixed(row["published_mean"], places),
            "spread": ", ".join(filter(None, (spread, networks))),
            "ours": fixed(row["mean"], places),
            "interval": interval(row["ci_low"], row["ci_high"], places),
            "own_spread": f"± {fixed(row['sd'], places)}" if row["sd"] >= 0 else "",
            "n": row["n"],
            "words": row["words"],
        }


def _varies(table: pd.DataFrame, name: str) -> bool:
    """Return whether a column tells values apart; a weight, whether it does for one prior."""
    if name == "weight":
        return bool((table.groupby("prior")[name].nunique() > 1).any())
    return len(set(table[name]) - {""}) > 1


def _text(name: str, value: Any) -> str:
    return str(value) if name != "weight" else f"weight {value:g}" if value > 0 else ""
