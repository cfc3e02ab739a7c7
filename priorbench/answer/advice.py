"""The advice which prior to train with: a rule on the standings of priors.

`standing.py` makes the standings before; `sentences.py` puts the advice into sentences.
Prices are measured and not tested; they only decide between priors that verdicts cannot tell apart.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from priorbench.statistics.families.verdicts import ALPHA
from priorbench.study.trial import SETTING_COLUMNS

from .primary_result import primary_rows
from .standing import (
    ADVISED,
    OPEN,
    PROVISIONAL,
    TRADE_OFF,
    FailureCount,
    PriorStanding,
    standings_of,
)

RULE = (
    "Of a prior only its primary metrics count, one an axis; exploratory metrics and what priors "
    "optimise (smoothness) do not.",
    "A prior is advised if it is better than the baseline on at least one axis, and a loss as "
    "large as the margin is excluded on every axis: that no significant loss was found is no "
    "evidence of safety. Each axis is tested at the full level, as all of them must pass "
    "(intersection-union test), and the priors are corrected for their number by Holm’s method.",
    "It is advised provisionally if it is better on an axis, and every axis excludes a loss beyond "
    "the margin by its estimate, by its uncorrected interval and among the tests of the family.",
    "A prior that is better on one axis and on another likely to be worse by more than is "
    "excluded, or estimated to lose more than the margin, is a trade-off, and left to the reader. "
    "Over several settings a loss that is likely in one of them makes it a trade-off for the "
    "whole, and a prior that was not asked everywhere is not advised. What withholds advice is not "
    "corrected for other priors or looks.",
    "Of several candidates the advised go first, then the one that is better on more axes, then "
    "the one whose training step is cheaper, as measured, then the one that the study names first; "
    "priors are not tested against each other.",
    "Without a candidate the advice is the baseline. Priors that are added to a run never turn a "
    "trade-off into advice.",
)
"""the rule in words, as reports state it"""


@dataclass(frozen=True)
class Advice:
    """Which prior to train with, by RULE, in one setting or over all of them.

    Attributes:
        baseline: spec of the prior that all are compared with.
        prior: spec of the advised prior; the baseline where there is no candidate.
        basis: ADVISED or PROVISIONAL; TRADE_OFF where there are only trade-offs; OPEN where no
            gain was shown at all.
        rivals: candidates that verdicts do not tell from the advised prior.
        standings: standings of all priors but the baseline, in the order of the study.
        tests: number of tests of a difference in the primary family.
        correction: how their p is corrected; a name of ``multiplicity.CORRECTIONS``.
        level: level of the claims.
        partial: sentences on axes that were not measured in every setting.
    """

    baseline: str
    prior: str
    basis: str
    rivals: tuple[str, ...]
    standings: tuple[PriorStanding, ...]
    tests: int
    correction: str
    level: float = ALPHA
    partial: tuple[str, ...] = ()

    @property
    def advised(self) -> PriorStanding | None:
        """The standing of the advised prior; None for the baseline."""
        return next((s for s in self.standings if s.prior == self.prior), None)

    @property
    def seeds(self) -> tuple[int, int]:
        """The fewest and the most pairs behind a prior; zeros where nothing was compared."""
        counts = [standing.n for standing in self.standings if standing.results]
        return (min(counts, default=0), max(counts, default=0))


def advise(
    table: pd.DataFrame,
    comparisons: pd.DataFrame,
    *,
    baseline: str,
    failures: Mapping[str, FailureCount] | None = None,
    withheld: Sequence[str] = (),
) -> Advice:
    """Return the advice for one setting, or by the same rule for all settings together.

    Args:
        table: rows of comparisons.csv of the setting, or of across.csv.
        comparisons: rows of comparisons.csv: of the setting, or of all settings of the run.
        baseline: spec of the prior that they compare with.
        failures: number of failed trials by prior; none where left out.
        withheld: axes whose claims were changed after training: no prior is safe there.
    """
    standings = standings_of(table, comparisons, failures or {}, withheld)
    candidates = sorted(
        (standing for standing in standings if standing.kind in (ADVISED, PROVISIONAL)),
        key=lambda s: (*_merit(s), s.price if math.isfinite(s.price) else math.inf),
    )  # equals stay in the study's order
    results = [result for standing in standings for result in standing.results]
    basis = candidates[0].kind if candidates else OPEN
    if not candidates and any(standing.kind == TRADE_OFF for standing in standings):
        basis = TRADE_OFF
    return Advice(
        baseline=baseline,
        prior=candidates[0].prior if candidates else baseline,
        basis=basis,
        rivals=tuple(s.prior for s in candidates[1:] if _merit(s) == _merit(candidates[0])),
        standings=standings,
        tests=max((result.tests for result in results), default=0),
        correction=results[0].correction if results else "",
        level=min((result.level for result in results), default=ALPHA),
        partial=_partial(table, comparisons) if "runs" in table else (),
    )


def _partial(table: pd.DataFrame, comparisons: pd.DataFrame) -> tuple[str, ...]:
    """Return sentences on axes that some settings have no result on, or none that compares."""
    rows = primary_rows(comparisons)
    settings = rows[SETTING_COLUMNS].drop_duplicates()
    places = rows[[*SETTING_COLUMNS, "axis"]].drop_duplicates()
    counts = {str(a): int(n) for a, n in places["axis"].value_counts(sort=False).items()}
    over_all = primary_rows(table).groupby("axis", sort=False)["settings"].max()
    compared = {str(axis): int(count) for axis, count in over_all.items()}
    lost = tuple(
        f"On {axis}, {counts[axis] - count} of {counts[axis]} settings did not enter the "
        "comparison over all of them: the range of their scores is unknown."
        for axis, count in compared.items()
        if count < counts.get(axis, 0)
    )
    return lost + tuple(
        f"Of the {len(settings)} settings, {count} {'has' if count == 1 else 'have'} a result on "
        f"{axis}: nothing was asked about it in the rest."
        for axis, count in counts.items()
        if count < len(settings)
    )


def _merit(standing: PriorStanding) -> tuple[bool, int]:
    """Return what verdicts alone order by, the best first."""
    return (standing.kind != ADVISED, -len({result.axis for result in standing.gains}))
