"""The advice which prior to train with: a rule on the standings of priors, never on means.

`standing.py` makes the standings before; `reports/answer.py` puts the advice into sentences.
Prices are measured and not tested; they only decide between priors that verdicts cannot tell apart.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from .standing import (
    ADVISED,
    OPEN,
    PROVISIONAL,
    TRADE_OFF,
    FailureCount,
    PriorStanding,
    primary_rows,
    standings_of,
)

RULE = (
    "Of a prior only the verdicts of its primary metrics count, one an axis; means, exploratory "
    "metrics and what priors optimise (smoothness) do not.",
    "A prior is a candidate if it is better than the baseline on at least one axis and worse on "
    "none; a loss that is shown to be below the declared margin is no loss here.",
    "A candidate whose prediction is better, equivalent or non-inferior goes before one whose "
    "prediction is undecided, which is advised provisionally.",
    "Of several candidates the one that is better on more axes goes first, then the one whose "
    "training step is cheaper, as measured, then the one that the study names first; priors are "
    "not tested against each other.",
    "Without a candidate the advice is the baseline; a prior that is better on one axis and worse "
    "on another is named as a trade-off and left to the reader.",
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
        n: the fewest paired seeds behind a primary test; 0 where nothing was compared.
        tests: number of tests of a difference in the primary family.
        correction: how their p is corrected; a name of ``statistics.CORRECTIONS``.
    """

    baseline: str
    prior: str
    basis: str
    rivals: tuple[str, ...]
    standings: tuple[PriorStanding, ...]
    n: int
    tests: int
    correction: str

    @property
    def advised(self) -> PriorStanding | None:
        """The standing of the advised prior; None for the baseline."""
        return next((s for s in self.standings if s.prior == self.prior), None)


def advise(
    comparisons: pd.DataFrame, *, baseline: str, failures: Mapping[str, FailureCount] | None = None
) -> Advice:
    """Return the advice for one setting.

    Args:
        comparisons: rows of comparisons.csv of the setting.
        baseline: spec of the prior that they compare with.
        failures: number of failed trials by prior; none where left out.
    """
    return advise_across(comparisons, comparisons, baseline=baseline, failures=failures)


def advise_across(
    across: pd.DataFrame,
    comparisons: pd.DataFrame,
    *,
    baseline: str,
    failures: Mapping[str, FailureCount] | None = None,
) -> Advice:
    """Return the advice for all settings together, by the same rule on their common verdicts.

    An axis may have several metrics here, of tasks that differ; a prior is better or worse on it if
    it is on one of them. Metrics that no two settings share have no verdict over them.

    Args:
        across: rows of across.csv.
        comparisons: rows of comparisons.csv of the same run, for prices.
        baseline: spec of the prior that they compare with.
        failures: number of failed trials by prior; none where left out.
    """
    standings = standings_of(across, comparisons, failures or {})
    candidates = sorted(
        (standing for standing in standings if standing.kind in (ADVISED, PROVISIONAL)),
        key=lambda s: (*_merit(s), s.price if math.isfinite(s.price) else math.inf),
    )  # equals stay in the study's order
    results = [result for standing in standings for result in standing.results]
    corrections = primary_rows(across)["correction"]
    basis = candidates[0].kind if candidates else OPEN
    if not candidates and any(standing.kind == TRADE_OFF for standing in standings):
        basis = TRADE_OFF
    return Advice(
        baseline=baseline,
        prior=candidates[0].prior if candidates else baseline,
        basis=basis,
        rivals=tuple(s.prior for s in candidates[1:] if _merit(s) == _merit(candidates[0])),
        standings=standings,
        n=min((result.n for result in results), default=0),
        tests=max((result.tests for result in results), default=0),
        correction=str(corrections.iloc[0]) if len(corrections) else "",
    )


def _merit(standing: PriorStanding) -> tuple[bool, int]:
    """Return what verdicts alone order by, the best first."""
    return (standing.kind != ADVISED, -len({result.axis for result in standing.gains}))
