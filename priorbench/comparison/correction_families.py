"""Families of tests that are corrected together, in words, for every table of p values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from priorbench.statistics.families.multiplicity import BENJAMINI_HOCHBERG, HOLM, JOINT
from priorbench.study.declared import PRIMARY
from priorbench.study.trial import SETTING_COLUMNS

CORRECTIONS_IN_WORDS = {
    JOINT: "joint sign flips of whole seeds (step-down max |t|)",
    HOLM: "Holm’s method",
    BENJAMINI_HOCHBERG: "Benjamini and Hochberg’s method",
}
"""corrections, named as in ``multiplicity.CORRECTIONS``, in words"""


@dataclass(frozen=True)
class Family:
    """Tests that are corrected for one another.

    Attributes:
        name: ``primary`` or ``exploratory``.
        correction: a name of ``multiplicity.CORRECTIONS``.
        tests: number of tests of a difference.
        margin_tests: number of tests against a margin, of either kind.
        metrics: names of the metrics.
        priors: how many priors are compared with the baseline.
    """

    name: str
    correction: str
    tests: int
    margin_tests: int
    metrics: tuple[str, ...]
    priors: int

    @property
    def sentence(self) -> str:
        """A sentence that says what is corrected, how, and for how many tests."""
        priors = f"{self.priors} prior{'' if self.priors == 1 else 's'}"
        if self.name == PRIMARY:
            about = f"{', '.join(self.metrics)} of {priors}, declared before the run"
        else:
            about = f"all else that was measured of {priors}; leads, not findings"
        tests = f"{self.tests} test{'' if self.tests == 1 else 's'}"
        margins = f" and {self.margin_tests} against a margin" if self.margin_tests else ""
        return (
            f"{self.name.capitalize()} family: {tests} of a difference{margins} ({about}), "
            f"p adjusted by {CORRECTIONS_IN_WORDS[self.correction]}."
        )


def families(comparisons: pd.DataFrame) -> list[Family]:
    """Return the families of one setting, or of all settings together, the primary one first.

    Args:
        comparisons: rows of comparisons.csv of one setting, or of across.csv.
    """
    judged = comparisons[comparisons["family"] != ""]
    all_families = [
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
    return sorted(all_families, key=lambda family: family.name != PRIMARY)


def sentences(shown: pd.DataFrame, comparisons: pd.DataFrame) -> Sequence[str]:
    """Return the sentences of the families that the shown rows are part of, setting by setting.

    Args:
        shown: some rows of comparisons.csv.
        comparisons: all rows of comparisons.csv.
    """
    several = len(comparisons[SETTING_COLUMNS].drop_duplicates()) > 1
    lines = []
    for key, rows in comparisons.groupby(SETTING_COLUMNS, sort=False):
        here = shown[(shown[SETTING_COLUMNS].astype(str) == [str(k) for k in key]).all(axis=1)]
        where = f"{' · '.join(map(str, key))}: " if several else ""
        lines += [where + f.sentence for f in families(rows) if f.name in set(here["family"])]
    return lines
