"""Differences between two arms over paired runs."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from .confidence import Interval, agreement_interval, mean_interval
from .effects import (
    cliffs_delta,
    improvement_interval,
    pair_correlation,
    probability_of_improvement,
    standardised_difference,
)
from .signflip import EXACT_UP_TO, ROUNDING, sign_flip_p, smallest_p


@dataclass(frozen=True)
class PairedDifference:
    """Mean difference of paired runs.

    Attributes:
        n: number of pairs.
        mean_baseline: mean of the baseline's runs.
        mean_prior: mean of the prior's runs.
        difference: mean_prior - mean_baseline.
        ci_low: lower end of the 95% interval of the difference; NaN where none is offered.
        ci_high: upper end.
        interval: name of the interval's method, or "".
        effect_size: d_z, mean over standard deviation of the differences; NaN where the
            standard deviation is zero or n < 2.
        cliffs_delta: over all pairs of runs, above 0 where the prior's are larger.
        improvement: probability that a run of the prior is above one of the baseline.
        improvement_low: lower end of its 95% interval; NaN where none is offered.
        improvement_high: upper end.
        correlation: correlation of the arms over pairs; NaN for fewer than three, or where an arm
            does not vary.
        p: two-sided sign-flip p; NaN for fewer than two pairs, or three for an agreement.
        p_t: two-sided p of the paired t test; NaN for an agreement.
        p_wilcoxon: two-sided p of Wilcoxon's signed-rank test.
        smallest_p: the smallest p that this number of pairs can have; NaN for fewer than two.
        test: name of the test of ``p``, or "" where there is none.
    """

    n: int
    mean_baseline: float
    mean_prior: float
    difference: float
    ci_low: float
    ci_high: float
    interval: str
    effect_size: float
    cliffs_delta: float
    improvement: float
    improvement_low: float
    improvement_high: float
    correlation: float
    p: float
    p_t: float
    p_wilcoxon: float
    smallest_p: float
    test: str


def paired_t_p(differences: NDArray[np.float64]) -> float:
    """Return the two-sided p of Student's paired t test of (n,) differences.

    It is NaN for fewer than two, and where they are equal up to rounding but not zero; 1 where all
    are zero.
    """
    from scipy.special import stdtr

    n = len(differences)
    if n < 2:
        return float("nan")
    if not differences.any():
        return 1.0
    if np.isnan(standardised_difference(differences)):
        return float("nan")
    # scipy.stats.ttest_1samp computes the same bits, but takes a tenth of a millisecond to look at
    # its input: a large run has 30,000 tests
    mean = differences.mean()
    variance = ((differences - mean) ** 2).mean() * (n / (n - 1))
    return float(2 * stdtr(n - 1, -abs(mean / np.sqrt(variance / n))))


def wilcoxon_p(differences: NDArray[np.float64]) -> float:
    """Return the two-sided p of Wilcoxon's signed-rank test of (n,) differences.

    It is the sign-flip test of signed ranks, with mid-ranks for ties: exact where SciPy's test is,
    and with ties too. Zeros are ranked and then left out (Pratt 1959). It is NaN for fewer than
    two, 1 where all are zero.
    """
    from scipy.stats import rankdata

    return sign_flip_p(np.sign(differences) * rankdata(np.abs(differences)))


def paired_difference(
    baseline: NDArray[np.float64], prior: NDArray[np.float64]
) -> PairedDifference:
    """Compare two arms run by run.

    Args:
        baseline: (n,) values of the baseline, one for each run.
        prior: (n,) values of the prior, in the same order of runs.

    Raises:
        ValueError: if lengths differ, there is no pair, or a value is not finite.
    """
    if baseline.shape != prior.shape or baseline.ndim != 1 or not len(baseline):
        raise ValueError(f"wanted two (n,) arrays with n >= 1, got {baseline.shape}, {prior.shape}")
    if not (np.isfinite(baseline).all() and np.isfinite(prior).all()):
        raise ValueError("paired values must be finite; impute failures first")
    differences = without_rounding(baseline, prior)
    return _described(differences, (baseline, prior), mean_interval(differences))


def without_rounding(
    baseline: NDArray[np.float64], prior: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return (n,) prior - baseline, 0 where it is within the rounding of sums of such scores.

    Scores that differ by less than 1e-12 of their size differ in the order of additions, which a
    test of signs would take for an effect.
    """
    differences = prior - baseline
    rounding = ROUNDING * np.maximum(np.abs(baseline), np.abs(prior))
    return np.where(np.abs(differences) > rounding, differences, 0.0)


def compared_agreement(
    pseudo: NDArray[np.float64], runs: tuple[NDArray[np.float64], NDArray[np.float64]]
) -> PairedDifference:
    """Compare two arms on how well their runs agree among themselves.

    Args:
        pseudo: (n,) values of :func:`~.agreement.agreement_pseudo_values`, which are tested; n is
            at least 3.
        runs: (n,) mean agreement of each run with the others of its arm, baseline's and prior's.
            They share runs, so there are neither tests nor a probability of improvement of them.
    """
    described = _described(pseudo, runs, agreement_interval(pseudo))
    nothing = float("nan")
    return replace(
        described,
        difference=float(runs[1].mean() - runs[0].mean()),
        improvement=nothing,
        improvement_low=nothing,
        improvement_high=nothing,
        cliffs_delta=nothing,
        correlation=nothing,
        p_t=nothing,
        p_wilcoxon=nothing,
    )


def _described(
    differences: NDArray[np.float64],
    arms: tuple[NDArray[np.float64], NDArray[np.float64]],
    interval: Interval,
) -> PairedDifference:
    n = len(differences)
    improvement = improvement_interval(*arms)
    p = sign_flip_p(differences)
    exact = "sign-flip, exact" if n <= EXACT_UP_TO else "sign-flip, Monte Carlo"
    return PairedDifference(
        n=n,
        mean_baseline=float(arms[0].mean()),
        mean_prior=float(arms[1].mean()),
        difference=float(differences.mean()),
        ci_low=interval.low,
        ci_high=interval.high,
        interval=interval.method,
        effect_size=standardised_difference(differences),
        cliffs_delta=cliffs_delta(*arms),
        improvement=probability_of_improvement(*arms),
        improvement_low=improvement.low,
        improvement_high=improvement.high,
        correlation=pair_correlation(*arms),
        p=p,
        p_t=paired_t_p(differences),
        p_wilcoxon=wilcoxon_p(differences),
        smallest_p=smallest_p(n) if np.isfinite(p) else float("nan"),
        test=exact if np.isfinite(p) else "",
    )


def impute_failures(
    values: NDArray[np.float64],
    failed: NDArray[np.bool_],
    *,
    higher_is_better: bool,
    floor: float | None = None,
) -> NDArray[np.float64]:
    """Give failed runs the worst outcome, so that failures count.

    Args:
        values: (k,) one metric of all runs of the arms; failed ones may be NaN.
        failed: (k,) bool, the runs that failed.
        higher_is_better: direction of the metric.
        floor: score of a random attribution or predictor, where there is one.

    Returns:
        (k,) values, in which every failed run has the worst of all finite values, its own
        included, and of the floor; NaN stays where no value is finite.
    """
    candidates = values[np.isfinite(values)]
    if floor is not None and np.isfinite(floor):
        candidates = np.append(candidates, floor)
    if not len(candidates):
        return values.copy()
    worst = candidates.min() if higher_is_better else candidates.max()
    return np.where(failed, worst, values)
