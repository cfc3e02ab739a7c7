"""What is further from where it should be than three times its Monte Carlo error."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from priorbench.statistics.families.verdicts import ALPHA

from .intervals import CAUTIOUS
from .rates import OVERALL, WITHIN

COVERED, FOUND = 0.94, 0.55
"""least coverage of all intervals of a family at once; least power of eight seeds, five priors"""
PREDICTION_ERROR = 0.05
"""power that the prediction for the joint correction may promise too much, from eight seeds on"""
FALSE_CLAIMS = ("different", "non-inferior", "equivalent", "unfounded", "advised", "per prior")
"""shares of studies, or of harmful priors, of which each is at most ALPHA"""
Tables = Mapping[str, pd.DataFrame]


def error(rate: Any, studies: Any) -> Any:
    """Return three times the Monte Carlo error of a rate over so many studies."""
    return 3 * np.sqrt(rate * (1 - rate) / studies)


def complaints(tables: Tables) -> list[str]:
    """Return a line for everything that is out of bounds, the null study aside."""
    return [*_false_claims(tables), *_missed(tables), *_rows(tables)]


def _false_claims(tables: Tables) -> Iterator[str]:
    """Yield rates of false claims, kind by kind, and over all kinds of a truth."""
    for name in ("main", "tempting"):
        for column in _columns(tables[name], FALSE_CLAIMS):
            yield from _above(tables[name], column)
        for scope in (WITHIN, OVERALL):
            parts = _columns(tables[name], ("advised", "provisional"))
            parts = [column for column in parts if column.startswith(scope)]
            if parts:
                either = f"{scope} advised or provisional"
                total = tables[name][parts].sum(axis=1, min_count=1)
                yield from _above(tables[name].assign(**{either: total}), either)


def _columns(table: pd.DataFrame, names: tuple[str, ...]) -> list[str]:
    both = (f"{scope} {name}" for name in names for scope in (WITHIN, OVERALL))
    return [column for column in both if column in table]


def _above(table: pd.DataFrame, column: str) -> Iterator[str]:
    known = table[table[column].notna()]
    for row in known[known[column] > ALPHA + error(ALPHA, known["studies"])].to_dict("records"):
        yield f"{column} {row[column]:.3f}: {_kind(row)}"
    for truth, rows in known.groupby("truth"):
        mean = np.average(rows[column], weights=rows["studies"])
        if mean > ALPHA + error(ALPHA, rows["studies"].sum()):
            yield f"{column} {mean:.3f} over all studies: {truth}"


def _missed(tables: Tables) -> Iterator[str]:
    """Yield intervals that cover too little or contradict their verdict, and a lack of power."""
    for name in ("main", "tempting"):
        for row in tables[name].to_dict("records"):
            for scope in (WITHIN, OVERALL):
                covered = row.get(f"{scope} covered", np.nan)
                if covered < COVERED - error(COVERED, row["studies"]):
                    yield f"{scope} covered {covered:.3f}: {_kind(row)}"
                if row.get(f"{scope} contradictions", 0) > 0:
                    yield f"{scope} contradictions: {_kind(row)}"
    for row in tables["found"].to_dict("records"):
        if row["within found"] < FOUND - error(FOUND, row["studies"]):
            yield f"found {row['within found']:.3f}: {_kind(row)}"


def _kind(row: Mapping[Any, Any]) -> str:
    names = ("truth", "law", "seeds", "datasets", "priors", "margin", "harm")
    return ", ".join(f"{name} {row[name]}" for name in names)


def _rows(tables: Tables) -> Iterator[str]:
    """Yield rows of the tables of single tests and intervals, of looks and of power."""
    stable, looks, covered = (tables[name] for name in ("stability", "looks", "coverage"))
    below = error(0.95, covered["studies"])
    upper = np.where(covered["interval"] == CAUTIOUS, 1.0, 0.97 + below)
    outside = (covered["covered"] < 0.93 - below) | (covered["covered"] > upper)
    power = tables["power"]
    joint = power["correction"] == "joint"
    # the prediction is simulated too
    miss = 2**0.5 * error(power["predicted"], power["studies"])
    short = power["predicted"] - power["found"] > miss + PREDICTION_ERROR * joint
    more = (power["found"] - power["predicted"] > miss) & ~joint
    wrong = (
        stable[stable["better or worse"] > ALPHA + error(ALPHA, stable["studies"])],
        looks[looks["level of each look"] > ALPHA + error(ALPHA, looks["studies"])],
        covered[outside & (covered["offered"] == "yes") & (covered["seeds"] >= 8)],
        power[(short | more) & ~(joint & (power["seeds"] < 8))],
    )
    for table in wrong:
        yield from map(str, table.to_dict("records"))
