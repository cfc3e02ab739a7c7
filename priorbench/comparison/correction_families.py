"""Families of tests in words, for every table of p values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from priorbench.statistics import HOLM
from priorbench.study.declared import PRIMARY

from .paired_runs import SETTING_COLUMNS

_CORRECTIONS = {HOLM: "Holm’s method"}
_OTHERWISE = "Benjamini and Hochberg’s method"


def correction_in_words(correction: str) -> str:
    """Return a correction, named as in ``statistics.CORRECTIONS``, in words."""
    return _CORRECTIONS.get(correction, _OTHERWISE)


@dataclass(frozen=True)
class Family:
    """Tests that are corrected for one another.

    Attributes:
        name: ``primary`` or ``exploratory``.
        correction: a name of ``statistics.CORRECTIONS``.
        tests: of a difference.
        margin_tests: against a margin, of either kind.
        metrics: names.
        priors: how many are compared with the baseline.
    """

    name: str
    correction: str
    tests: int
    margin_tests: int
    metrics: tuple[str, ...]
    priors: int

    @property
    def sentence(self) -> str:
        """What is corrected, how, and for how much."""
        priors = f"{self.priors} prior{'' if self.priors == 1 else 's'}"
        if self.name == PRIMARY:
            about = f"{', '.join(self.metrics)} of {priors}, declared before the run"
        else:
            about = f"all else that was measured of {priors}; leads, not findings"
        tests = f"{self.tests} test{'' if self.tests == 1 else 's'}"
        margins = f" and {self.margin_tests} against a margin" if self.margin_tests else ""
        return (
            f"{self.name.capitalize()} family: {tests} of a difference{margins} ({about}), "
            f"p adjusted by {correction_in_words(self.correction)}."
        )


def families(comparisons: pd.DataFrame) -> list[Family]:
    """The families of one setting, or of several datasets together, primary first.

    Args:
        comparisons: rows of comparisons.csv of one setting, or of across.csv.
    """
    judged = comparisons[comparisons["family"] != ""]
    found = [
        Family(
            str(name),
            str(rows["correction"].iloc[0]),
            int(rows["tests"].max()),
            int(rows["margin_tests"].max()),
            tuple(dict.fromkeys(map(str, rows["metric"]))),
            int(rows["prior"].nunique()),
        )
        for name, rows in judged.groupby("family", sort=False)
    ]
    return sorted(found, key=lambda family: family.name != PRIMARY)


def sentences(shown: pd.DataFrame, comparisons: pd.DataFrame) -> Sequence[str]:
    """The sentences of the families that some shown rows are part of, setting by setting.

    Args:
        shown: some rows of comparisons.csv.
        comparisons: all rows.
    """
    several = len(comparisons[SETTING_COLUMNS].drop_duplicates()) > 1
    lines = []
    for key, rows in comparisons.groupby(SETTING_COLUMNS, sort=False):
        here = shown[(shown[SETTING_COLUMNS].astype(str) == [str(k) for k in key]).all(axis=1)]
        where = f"{' · '.join(map(str, key))}: " if several else ""
        lines += [where + f.sentence for f in families(rows) if f.name in set(here["family"])]
    return lines
