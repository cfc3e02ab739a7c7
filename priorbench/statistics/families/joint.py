"""Joint sign-flip tests of several differences over the same seeds: step-down max |t|.

All tests of a family see the same seeds, so that their results depend on each other. Here the signs
of a whole seed are flipped in all tests at once, and a test is compared with the largest statistic
of the family under each flip (Westfall & Young 1993; Romano & Wolf 2005). However many tests there
are, the smallest adjusted p is 2 / 2**n, as in a single test: what is large beside chance in any of
them can be shown with eight seeds, where Holm's method needs eleven or more.

The statistic of n differences d is |sum d| / sqrt(sum d^2). For the same number of pairs it grows
with Student's |t|, so that both order flips alike; unlike t it is bounded, by sqrt(n), so that a
test of few pairs does not drown those of many.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from priorbench.statistics.confidence import NO_INTERVAL, SIGN_FLIP_FROM, Interval
from priorbench.statistics.signflip import RANDOM_FLIPS

JOINTLY_EXACT_UP_TO = 14
"""seeds up to which all joint flips are enumerated; beyond, RANDOM_FLIPS of them are drawn"""
_TOLERANCE = 1e-9
"""difference of two statistics that counts as rounding"""


def step_down_p(differences: NDArray[np.float64], *, two_sided: bool = True) -> NDArray[np.float64]:
    """Return p of a mean of zero in each of several tests, adjusted for all of them.

    With m random flips it is (b + 1) / (m + 1) (Phipson & Smyth 2010). It controls the probability
    of one false rejection or more, whichever of the tests are of nothing.

    Args:
        differences: (k, n) paired differences, one row a test, one column a seed, or another unit
            whose runs are independent of the others'; NaN where a test lacks the pair.
        two_sided: False for tests of a mean of zero against one above it.

    Returns:
        (k,) adjusted p in (0, 1]; NaN for rows of fewer than two pairs.
    """
    known = np.isfinite(differences).sum(axis=1) >= 2
    result = np.full(len(differences), np.nan)
    if not known.any():
        return result
    scaled = _scaled(differences[known])
    statistics = _statistics(scaled, two_sided=two_sided)
    observed = scaled.sum(axis=1)
    observed = np.abs(observed) if two_sided else observed
    order = np.argsort(-observed, kind="stable")
    # column i has, for every flip, the largest statistic of the i-th test and those after it
    largest = np.maximum.accumulate(statistics[:, order[::-1]], axis=1)[:, ::-1]
    extreme = (largest >= observed[order] - _TOLERANCE).sum(axis=0)
    shares = extreme / len(statistics)
    if differences.shape[1] > JOINTLY_EXACT_UP_TO:
        shares = (extreme + 1) / (len(statistics) + 1)
    adjusted = np.empty(len(order))
    adjusted[order] = np.maximum.accumulate(shares)
    result[known] = adjusted
    return result


def simultaneous_intervals(
    differences: NDArray[np.float64],
    level: float = 0.05,
    weights: NDArray[np.float64] | None = None,
) -> list[Interval]:
    """Return intervals of the means of several tests that hold all at once.

    The critical value is that of the largest |t| of the family when seeds are flipped in the
    deviations from each mean: all the intervals contain their means in about a share 1 - level of
    all studies (docs/calibration.md). A row of fewer than six pairs has none.

    Args:
        differences: (k, n) paired differences as in :func:`step_down_p`, times their weights.
        level: probability that one interval or more misses its mean.
        weights: (k, n) weights, whose mean over the pairs of a row is 1; 1 everywhere if None.

    Returns:
        k intervals; the mean itself where all differences of a row are equal.
    """
    known = np.isfinite(differences)
    counts = known.sum(axis=1)
    offered = counts >= SIGN_FLIP_FROM
    intervals = [NO_INTERVAL] * len(differences)
    if not offered.any():
        return intervals
    rows = np.where(known, differences, 0.0)[offered]
    weight = np.where(known, 1.0 if weights is None else weights, 0.0)[offered]
    means = rows.sum(axis=1) / counts[offered]
    critical = _critical(_scaled(rows - weight * means[:, None]), level)
    for place, row, own, mean in zip(np.flatnonzero(offered), rows, weight, means, strict=True):
        low, high = _accepted(row, own, float(mean), critical)
        intervals[place] = Interval(low, high, "joint sign-flip")
    return intervals


def _accepted(
    row: NDArray[np.float64], weight: NDArray[np.float64], mean: float, critical: float
) -> tuple[float, float]:
    """Return all x with |sum(d - w x)| <= c sqrt(sum (d - w x)^2), as an interval about the mean.

    With d = w (mean + e) this is a quadratic inequality in y = x - mean.
    """
    count = weight.sum()
    deviation = row - weight * mean
    # (count^2 - c^2 sum w^2) y^2 + 2 c^2 sum(w e) y - c^2 sum e^2 <= 0
    first = count**2 - critical**2 * (weight @ weight) if np.isfinite(critical) else -1.0
    if first <= 0:
        return -np.inf, np.inf
    half = critical**2 * (weight @ deviation) / first
    reach = np.sqrt(half**2 + critical**2 * (deviation @ deviation) / first)
    return float(mean - half - reach), float(mean - half + reach)


def _critical(scaled: NDArray[np.float64], level: float) -> float:
    """Return the statistic that the largest of a family exceeds under a share ``level`` of flips.

    It is infinite where so few seeds cannot show anything at that level.
    """
    largest = _statistics(scaled, two_sided=True).max(axis=1)
    exact = scaled.shape[1] <= JOINTLY_EXACT_UP_TO
    most = int(level * len(largest) + _TOLERANCE) if exact else int(level * (len(largest) + 1)) - 1
    # two flips that differ in every sign have the same statistic
    if most < (2 if exact else 1):
        return float("inf")
    return float(np.partition(largest, len(largest) - 1 - most)[len(largest) - 1 - most])


def _scaled(differences: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return (k, n) rows over their root of the sum of squares; 0 where a pair is missing."""
    filled = np.nan_to_num(differences)
    norm = np.linalg.norm(filled, axis=1, keepdims=True)
    scaled: NDArray[np.float64] = np.divide(filled, norm, out=np.zeros_like(filled), where=norm > 0)
    return scaled


def _statistics(scaled: NDArray[np.float64], *, two_sided: bool) -> NDArray[np.float64]:
    """Return the (flips, k) statistics of (k, n) scaled differences under every flip."""
    sums: NDArray[np.float64] = joint_flips(scaled.shape[1]) @ scaled.T
    return np.abs(sums) if two_sided else sums


@lru_cache(maxsize=8)
def joint_flips(n: int) -> NDArray[np.float64]:
    """Return (flips, n) signs: all 2**n up to 14 seeds, beyond the same random ones every time."""
    if n <= JOINTLY_EXACT_UP_TO:
        bits = np.arange(2**n)[:, None] >> np.arange(n)
        every: NDArray[np.float64] = np.where(bits & 1, -1.0, 1.0)
        return every
    generator = np.random.default_rng(1)
    signs: NDArray[np.float64] = generator.choice([-1.0, 1.0], size=(RANDOM_FLIPS, n))
    return signs
