"""Differences between two arms over paired runs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

EXACT_UP_TO = 20
"""pairs up to which all sign flips are enumerated"""
_RESAMPLES = 10_000


@dataclass(frozen=True)
class PairedDifference:
    """Mean difference of paired runs.

    Attributes:
        n: pairs.
        mean_baseline: mean of the baseline's runs.
        mean_prior: mean of the prior's runs.
        difference: mean_prior - mean_baseline.
        ci_low: lower end of the bootstrap interval; NaN for fewer than two pairs.
        ci_high: upper end.
        effect_size: d_z, mean over standard deviation of the differences; NaN where the
            standard deviation is zero or n < 2.
        p: two-sided sign-flip p; NaN for fewer than two pairs.
        test: name of the test, or "" where there is none.
    """

    n: int
    mean_baseline: float
    mean_prior: float
    difference: float
    ci_low: float
    ci_high: float
    effect_size: float
    p: float
    test: str


def smallest_p(n: int) -> float:
    """The smallest two-sided p that a sign-flip test of n pairs can give: 2 / 2**n."""
    return 2.0 / 2.0**n if n else float("nan")


def sign_flip_p(
    differences: NDArray[np.float64], generator: np.random.Generator | None = None
) -> float:
    """Two-sided sign-flip (Fisher-Pitman) p of the mean difference being zero.

    Exact, over all 2**n flips, up to n = 20; beyond that (b + 1) / (m + 1) from m random flips
    (Phipson & Smyth 2010). Flips whose mean is as large as the observed one up to rounding
    count as such.

    Args:
        differences: (n,) paired differences.
        generator: for n above 20; a fixed seed if None.

    Returns:
        p in (0, 1]; NaN for fewer than two pairs, 1 where all differences are zero.
    """
    n = len(differences)
    if n < 2:
        return float("nan")
    observed = abs(differences.sum())
    tolerance = 1e-12 * np.abs(differences).sum()
    if n > EXACT_UP_TO:
        generator = generator or np.random.default_rng(0)
        flips = generator.integers(0, 2, size=(_RESAMPLES, n), dtype=np.int8) * 2 - 1
        extreme = np.abs(flips @ differences) >= observed - tolerance
        return float((extreme.sum() + 1) / (_RESAMPLES + 1))
    # sums over all sign patterns, doubled difference by difference
    sums = np.zeros(1)
    for difference in differences:
        sums = np.concatenate([sums + difference, sums - difference])
    return float(np.mean(np.abs(sums) >= observed - tolerance))


def bootstrap_interval(
    differences: NDArray[np.float64], confidence: float = 0.95
) -> tuple[float, float]:
    """Bias-corrected and accelerated bootstrap interval of the mean (Efron 1987).

    Args:
        differences: (n,) values.
        confidence: nominal coverage.

    Returns:
        lower and upper end; NaN for fewer than two values, the value itself if all are equal.
    """
    from scipy.stats import bootstrap

    if len(differences) < 2:
        return float("nan"), float("nan")
    if np.ptp(differences) == 0:
        return float(differences[0]), float(differences[0])
    result = bootstrap(
        (differences,),
        np.mean,
        confidence_level=confidence,
        n_resamples=_RESAMPLES,
        method="BCa",
        vectorized=True,
        rng=np.random.default_rng(0),
    )
    return float(result.confidence_interval.low), float(result.confidence_interval.high)


def paired_difference(
    baseline: NDArray[np.float64], prior: NDArray[np.float64]
) -> PairedDifference:
    """Compare two arms run by run.

    Args:
        baseline: (n,) values of the baseline, one a run.
        prior: (n,) values of the prior, in the same order of runs.

    Raises:
        ValueError: for unequal lengths, no pair, or values that are not finite.
    """
    if baseline.shape != prior.shape or baseline.ndim != 1 or not len(baseline):
        raise ValueError(f"wanted two (n,) arrays with n >= 1, got {baseline.shape}, {prior.shape}")
    if not (np.isfinite(baseline).all() and np.isfinite(prior).all()):
        raise ValueError("paired values must be finite; impute failures first")
    return summarise_differences(prior - baseline, float(baseline.mean()), float(prior.mean()))


def summarise_differences(
    differences: NDArray[np.float64], mean_baseline: float, mean_prior: float
) -> PairedDifference:
    """Interval, effect size and test of (n,) differences, one a run; n >= 1."""
    n = len(differences)
    low, high = bootstrap_interval(differences)
    spread = differences.std(ddof=1) if n > 1 else 0.0
    # differences that are equal up to rounding have no spread to measure an effect by
    varies = spread > 1e-12 * np.abs(differences).max()
    exact = "sign-flip, exact" if n <= EXACT_UP_TO else "sign-flip, Monte Carlo"
    return PairedDifference(
        n=n,
        mean_baseline=mean_baseline,
        mean_prior=mean_prior,
        difference=float(differences.mean()),
        ci_low=low,
        ci_high=high,
        effect_size=float(differences.mean() / spread) if varies else float("nan"),
        p=sign_flip_p(differences),
        test=exact if n > 1 else "",
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
        values: (k,) one metric of all runs of all arms in a dataset; failed ones may be NaN.
        failed: (k,) bool.
        higher_is_better: direction of the metric.
        floor: score of a random attribution or predictor, where there is one.

    Returns:
        (k,) values in which every failed run has the worst of all finite values, its own
        included, and of the floor; NaN stays where no value is finite.
    """
    candidates = values[np.isfinite(values)]
    if floor is not None and np.isfinite(floor):
        candidates = np.append(candidates, floor)
    if not len(candidates):
        return values.copy()
    worst = candidates.min() if higher_is_better else candidates.max()
    return np.where(failed, worst, values)
