"""Sizes of an effect between two arms of paired runs."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .confidence import NO_INTERVAL, Interval

IMPROVEMENT_FROM = 15
"""runs an arm from which the interval of the probability of improvement holds its level"""
_ROUNDING = 1e-12


def standardised_difference(differences: NDArray[np.float64]) -> float:
    """d_z: mean over standard deviation of (n,) paired differences (Cohen 1988).

    NaN for fewer than two values, or where they are equal up to rounding.
    """
    if len(differences) < 2:
        return float("nan")
    spread = differences.std(ddof=1)
    varies = spread > _ROUNDING * np.abs(differences).max()
    return float(differences.mean() / spread) if varies else float("nan")


def pair_correlation(baseline: NDArray[np.float64], prior: NDArray[np.float64]) -> float:
    """Pearson's correlation of two (n,) arms: what pairing by seed has gained.

    NaN for fewer than three pairs, or where an arm does not vary.
    """
    if len(baseline) < 3:
        return float("nan")
    one, other = baseline - baseline.mean(), prior - prior.mean()
    size = float(np.sqrt((one @ one) * (other @ other)))
    largest = float(np.abs(baseline).max() * np.abs(prior).max())
    return float(one @ other / size) if size > _ROUNDING * largest else float("nan")


def improvements(baseline: NDArray[np.float64], prior: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n, n): 1 where the prior's run i is above the baseline's run j, 1/2 where they are equal."""
    above = prior[:, None] > baseline[None, :]
    equal = prior[:, None] == baseline[None, :]
    result: NDArray[np.float64] = above + 0.5 * equal
    return result


def probability_of_improvement(baseline: NDArray[np.float64], prior: NDArray[np.float64]) -> float:
    """P(prior's run > baseline's run) + P(equal) / 2, over all pairs of runs.

    Runs need not be of the same seed (Agarwal et al. 2021, of Mann & Whitney 1947).

    Args:
        baseline: (n,) larger is better.
        prior: (m,).
    """
    return float(improvements(baseline, prior).mean())


def cliffs_delta(baseline: NDArray[np.float64], prior: NDArray[np.float64]) -> float:
    """P(prior's run > baseline's run) - P(below), over all pairs of runs (Cliff 1993): -1 to 1."""
    return 2 * probability_of_improvement(baseline, prior) - 1


def improvement_interval(
    baseline: NDArray[np.float64], prior: NDArray[np.float64], confidence: float = 0.95
) -> Interval:
    """Interval of the probability of improvement, from fifteen runs an arm on.

    Normal on the logit scale, with the variance of DeLong et al. (1988) in which the two runs of
    a seed stay together, after one seed is added that says one half (compare Agresti & Coull
    1998): without it coverage falls to 90% where the arms hardly overlap. Where they do not overlap
    at all, the end inside is (alpha / 2)**(1 / n): n independent pairs would all point one way as
    often as that.

    Args:
        baseline: (n,) larger is better.
        prior: (n,) in the same order of seeds.
        confidence: nominal coverage.
    """
    from scipy.special import expit, logit
    from scipy.stats import norm

    n = len(baseline)
    if n < IMPROVEMENT_FROM:
        return NO_INTERVAL
    above = improvements(baseline, prior)
    if above.mean() in (0.0, 1.0):
        end = ((1 - confidence) / 2) ** (1 / n)
        low, high = (end, 1.0) if above.mean() else (0.0, 1 - end)
        return Interval(low, high, "exact, no overlap")
    by_seed = np.append((above.mean(axis=1) + above.mean(axis=0)) / 2, 0.5)
    centre = float(by_seed.mean())
    # each run is in two of the means, so that the halves above have half the deviation
    error = 2 * by_seed.std(ddof=1) / np.sqrt(n + 1) / (centre * (1 - centre))
    reach, place = norm.ppf((1 + confidence) / 2) * error, logit(centre)
    return Interval(float(expit(place - reach)), float(expit(place + reach)), "logit DeLong")
