"""Verdicts: the words that stand for the tests of a family of comparisons, and their intervals."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from priorbench.statistics.confidence import (
    NO_INTERVAL,
    Interval,
    false_coverage_intervals,
    shared_level_intervals,
)

from .joint import simultaneous_intervals, step_down_p
from .multiplicity import BENJAMINI_HOCHBERG, JOINT, adjust

ALPHA = 0.05
"""level of every claim, after correction, over all looks at a study"""
BETTER, WORSE, EQUIVALENT = "better", "worse", "equivalent"
NONINFERIOR, INCONCLUSIVE = "non-inferior", "inconclusive"
DEFINITIONS = {
    BETTER: "the mean difference is in the good direction, and adjusted p is at most the level",
    WORSE: "the mean difference is in the bad direction, and adjusted p is at most the level",
    EQUIVALENT: "no difference was shown, and one as large as the margin, either way, is excluded "
    "(two one-sided tests, adjusted p at most the level)",
    NONINFERIOR: "no difference was shown, and a loss as large as the margin is excluded "
    "(one-sided test, adjusted p at most the level); a gain is not. A loss that few runs have may "
    "be missed",
    INCONCLUSIVE: "none of these could be shown; it is no evidence that there is no difference",
}
"""verdicts and what they mean, in the order in which they are tried"""


@dataclass(frozen=True, eq=False)
class Evidence:
    """One comparison, before correction for the others of its family.

    Attributes:
        gains: (n,) differences, positive where the prior is better; one a unit of the family, which
            is a seed or a seed of a dataset, and NaN where this comparison lacks it.
        p: two-sided p of no difference; NaN where there was no test.
        allowance: (n,) loss that is allowed, of the same units; None without a margin.
        p_noninferior: one-sided p of a loss as large as the margin; NaN without a margin.
        p_equivalent: p of a difference as large as the margin; NaN without a margin.
        prior: what is compared; comparisons of the same prior are its own family.
        weights: (n,) weights that the gains and allowances were multiplied by; None for 1.
    """

    gains: NDArray[np.float64]
    p: float
    allowance: NDArray[np.float64] | None = None
    p_noninferior: float = float("nan")
    p_equivalent: float = float("nan")
    prior: Hashable = ""
    weights: NDArray[np.float64] | None = None

    @property
    def gain(self) -> float:
        """Mean difference, positive where the prior is better."""
        return float(np.nanmean(self.gains))


@dataclass(frozen=True)
class Judgement:
    """The verdict on one comparison, given the others of its family.

    Attributes:
        p_adjusted: adjusted p of no difference.
        p_adjusted_own: the same, adjusted for the tests of the same prior only, as if no other
            prior had been compared.
        p_noninferior_adjusted: adjusted p of a loss as large as the margin.
        p_equivalent_adjusted: adjusted p of a difference as large as the margin.
        tests: number of tests of a difference in the family.
        margin_tests: number of tests against a margin in the family.
        verdict: a key of DEFINITIONS; "" where nothing was tested.
        interval: interval of the gain that is corrected as the verdict is, and never contradicts
            it (:func:`consistent`).
    """

    p_adjusted: float
    p_adjusted_own: float
    p_noninferior_adjusted: float
    p_equivalent_adjusted: float
    tests: int
    margin_tests: int
    verdict: str
    interval: Interval = field(default=NO_INTERVAL)


def judge(family: Sequence[Evidence], correction: str, level: float = ALPHA) -> list[Judgement]:
    """Return the verdicts on the comparisons of one family.

    The three kinds of claim (a difference, non-inferiority, equivalence) are corrected each over
    the family's tests of that kind. Equivalence is two one-sided tests, of which there are twice as
    many.

    Args:
        family: the comparisons, in the same order of units.
        correction: a name in ``multiplicity.CORRECTIONS``.
        level: level of every kind of claim after correction.
    """
    if not family:
        return []
    gains = np.stack([evidence.gains for evidence in family])
    p = np.array([evidence.p for evidence in family])
    adjusted = _adjusted(gains, p, correction)
    own = np.full(len(family), np.nan)
    priors = [evidence.prior for evidence in family]
    for prior in dict.fromkeys(priors):
        rows = [i for i, other in enumerate(priors) if other == prior]
        own[rows] = _adjusted(gains[rows], p[rows], correction)
    noninferior, equivalent = _adjusted_margins(family, gains, correction)
    verdicts = [
        _verdict(evidence.gain if np.isfinite(evidence.p) else 0.0, tests, level)
        for evidence, *tests in zip(family, adjusted, equivalent, noninferior, strict=True)
    ]
    intervals = _intervals(family, gains, correction, level)
    return [
        Judgement(
            p_adjusted=float(adjusted[i]),
            p_adjusted_own=float(own[i]),
            p_noninferior_adjusted=float(noninferior[i]),
            p_equivalent_adjusted=float(equivalent[i]),
            tests=int(np.isfinite(adjusted).sum()),
            margin_tests=int(np.isfinite(noninferior).sum()),
            verdict=verdict,
            interval=consistent(intervals[i], verdict, _mean_allowance(family[i])),
        )
        for i, verdict in enumerate(verdicts)
    ]


def _adjusted(
    gains: NDArray[np.float64], p: NDArray[np.float64], correction: str
) -> NDArray[np.float64]:
    """Return (k,) adjusted p; NaN where there was no test."""
    if correction != JOINT:
        return adjust(p, correction)
    tested = np.where(np.isfinite(p)[:, None], gains, np.nan)
    # seeds that none of these tests has say nothing of them
    tested = tested[:, np.isfinite(tested).any(axis=0)]
    # random flips may give a little less than the exact p of the single test
    return np.fmax(step_down_p(tested), p)


def _adjusted_margins(
    family: Sequence[Evidence], gains: NDArray[np.float64], correction: str
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return (k,) adjusted p of non-inferiority and of equivalence."""
    if correction != JOINT:
        columns = (
            [evidence.p_noninferior for evidence in family],
            [evidence.p_equivalent for evidence in family],
        )
        noninferior, equivalent = (adjust(column, correction) for column in columns)
        return noninferior, equivalent
    nothing = np.full(gains.shape[1], np.nan)
    allowed = np.stack([nothing if e.allowance is None else e.allowance for e in family])
    sides = [
        np.where(np.isfinite([[e.p_noninferior] for e in family]), sign * gains + allowed, np.nan)
        for sign in (1, -1)
    ]
    both = step_down_p(np.concatenate(sides), two_sided=False)
    raw = np.array([[e.p_noninferior, e.p_equivalent] for e in family])
    return (
        np.fmax(step_down_p(sides[0], two_sided=False), raw[:, 0]),
        np.fmax(both.reshape(2, -1).max(axis=0), raw[:, 1]),
    )


def _intervals(
    family: Sequence[Evidence], gains: NDArray[np.float64], correction: str, level: float
) -> list[Interval]:
    p = np.array([evidence.p for evidence in family])
    tested = np.where(np.isfinite(p)[:, None], gains, np.nan)
    if correction == JOINT:
        even = np.ones(gains.shape[1])
        weights = np.stack([even if e.weights is None else e.weights for e in family])
        return simultaneous_intervals(tested, level, weights)
    if correction == BENJAMINI_HOCHBERG:
        return false_coverage_intervals(tested, adjust(p, correction), level)
    if any(evidence.weights is not None for evidence in family):
        return [NO_INTERVAL] * len(family)  # a sign-flip test is inverted without weights only
    return shared_level_intervals(tested, level)


def consistent(interval: Interval, verdict: str, margin: float = math.nan) -> Interval:
    """Return an interval of a gain that does not contradict the verdict.

    Tests find more than the intervals exclude: they step down, and those against the margin have
    one side. Where only a test shows a difference, the interval ends at 0, and where only a test
    excludes the margin, at the margin. What no test excludes is inside.

    Args:
        interval: the interval.
        verdict: a key of DEFINITIONS; "" leaves the interval as it is.
        margin: loss, and gain, that does not matter; NaN without a margin.
    """
    low, high = interval.low, interval.high
    if math.isnan(low) or not verdict:
        return interval
    if verdict == BETTER:
        return Interval(max(low, 0.0), high, interval.method)
    if verdict == WORSE:
        return Interval(low, min(high, 0.0), interval.method)
    low, high = min(low, 0.0), max(high, 0.0)
    if math.isfinite(margin):
        safe, same = verdict in (NONINFERIOR, EQUIVALENT), verdict == EQUIVALENT
        low = max(low, -margin) if safe else min(low, -margin)
        high = min(high, margin) if same else max(high, margin) if safe else high
    return Interval(low, high, interval.method)


def _mean_allowance(evidence: Evidence) -> float:
    """Return the margin; NaN without one, or without a test against it."""
    if evidence.allowance is None or not math.isfinite(evidence.p_noninferior):
        return math.nan
    return float(np.nanmean(evidence.allowance))


def _verdict(gain: float, adjusted: Sequence[float], level: float) -> str:
    p, p_equivalent, p_noninferior = adjusted
    if not np.isfinite(p):
        return ""
    if p <= level:
        return BETTER if gain > 0 else WORSE
    if p_equivalent <= level:
        return EQUIVALENT
    return NONINFERIOR if p_noninferior <= level else INCONCLUSIVE
