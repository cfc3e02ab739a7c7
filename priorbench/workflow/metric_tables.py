"""The numbers of `compare` and `power` as tables in words, one setting after the other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from priorbench.comparison.seeds_needed import DIFFERENCE
from priorbench.components.metric import Metric
from priorbench.number_text import MISSING, decimals_for, fixed, interval, p_value
from priorbench.study.trial import SETTING_COLUMNS

Row = Mapping[str, Any]
_BETTER = {True: "higher is better", False: "lower is better", None: "shown, never ranked"}


@dataclass(frozen=True)
class TextTable:
    """A table for a terminal.

    Attributes:
        title: a line above it.
        headings: one a column.
        rows: one text a column.
        words: how many of the first columns hold words; the others hold numbers.
    """

    title: str
    headings: Sequence[str]
    rows: Sequence[Sequence[str]]
    words: int = 1


def comparison_tables(rows: pd.DataFrame, metric: Metric) -> list[TextTable]:
    """Return the tables of some rows of comparisons.csv, all of one metric.

    Each setting has one of differences and one of what is not corrected and of margins.
    """
    scores = rows[["mean_baseline", "mean_prior", "difference"]].to_numpy(dtype=float)
    places = decimals_for(scores.ravel().tolist())
    tables = []
    for title, of_setting in _settings(rows, metric):
        baseline = str(of_setting[0]["baseline"])
        tables += [
            TextTable(
                title,
                ["prior", "seeds", baseline, "mean", "difference", "interval", "p", "verdict"],
                [_difference(row, places) for row in of_setting],
            ),
            TextTable(
                "Without correction (alone), and against the margin, corrected:",
                [
                    *("prior", "interval alone", "p alone", "margin"),
                    *("p of such\na loss", "p of such\na difference"),
                ],
                [_against_margin(row, places) for row in of_setting],
            ),
        ]
    return tables


def _difference(row: Row, places: int) -> list[str]:
    return [
        str(row["prior"]),
        str(row["n"]),
        fixed(row["mean_baseline"], places),
        fixed(row["mean_prior"], places),
        fixed(row["difference"], places, signed=True),
        interval(row["ci_low"], row["ci_high"], places) or MISSING,
        p_value(row["p_adjusted"]),
        str(row["verdict"]) or MISSING,
    ]


def _against_margin(row: Row, places: int) -> list[str]:
    return [
        str(row["prior"]),
        interval(row["ci_low_alone"], row["ci_high_alone"], places) or MISSING,
        p_value(row["p"]),
        fixed(row["margin"], places),
        p_value(row["p_noninferior_adjusted"]),
        p_value(row["p_equivalent_adjusted"]),
    ]


def power_tables(rows: pd.DataFrame, metric: Metric) -> list[TextTable]:
    """Return the tables of a plan of seeds: seeds that are needed, and what the pilot had.

    Args:
        rows: a table with ``seeds_needed.POWER_COLUMNS``.
        metric: the metric that it is about.
    """
    effects = decimals_for(rows["effect"].dropna())
    spreads = decimals_for(rows["spread"].dropna())
    tables = []
    for title, of_setting in _settings(rows, metric):
        # a claim's test alone comes first, that in its family last
        in_family = {(row["prior"], row["claim"]): row for row in of_setting}.values()
        tables += [
            TextTable(
                f"{title}: seeds needed",
                [
                    *("prior", "to show", "test", "effect"),
                    *("80%\npower", "95%\npower", "80%,\ncautious", "95%,\ncautious"),
                ],
                [_needed(row, effects) for row in of_setting],
                words=3,
            ),
            TextTable(
                "The pilot, and the smallest effect that as many seeds find with 80% power:",
                [
                    *("prior", "to show", "test", "seeds"),
                    *("correlation\nof pairs", "SD of\ndifferences", "smallest\neffect"),
                ],
                [_pilot(row, spreads, effects) for row in in_family],
                words=3,
            ),
        ]
    return tables


def _needed(row: Row, effects: int) -> list[str]:
    counts = [row[name] for name in ("seeds_80", "seeds_95", "cautious_80", "cautious_95")]
    texts = ["> 1000" if pd.isna(count) else f"{count:.0f}" for count in counts]
    return [*_claim(row), fixed(row["effect"], effects), *texts]


def _pilot(row: Row, spreads: int, effects: int) -> list[str]:
    return [
        *_claim(row),
        str(row["pilot_seeds"]),
        fixed(row["correlation"], 2),
        fixed(row["spread"], spreads),
        fixed(row["visible"], effects),
    ]


def _claim(row: Row) -> list[str]:
    """Return the prior, what is claimed of it, and of how many tests this is one."""
    what = "difference" if row["claim"] == DIFFERENCE else "no loss"
    return [str(row["prior"]), what, "alone" if row["tests"] == 1 else f"one of {row['tests']}"]


def _settings(rows: pd.DataFrame, metric: Metric) -> Iterable[tuple[str, Sequence[Row]]]:
    """Yield the title and the rows of each setting."""
    unit = f", {metric.unit}" if metric.unit else ""
    for key, of_setting in rows.groupby(SETTING_COLUMNS, sort=False):
        where = " · ".join(map(str, key))
        about = f"{metric.axis}{unit}, {_BETTER[metric.higher_is_better]}"
        records = [{str(k): v for k, v in row.items()} for row in of_setting.to_dict("records")]
        yield f"{where}: {metric.name} ({about})", records
