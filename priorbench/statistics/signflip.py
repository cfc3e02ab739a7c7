"""The sign-flip (Fisher-Pitman) test of paired differences, one-sided, two-sided and inverted.

It supposes that differences are symmetric about their mean, whatever their shape. Differences of
arms that may be exchanged are symmetric; docs/calibration.md says what skewed differences do.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

EXACT_UP_TO = 20
"""pairs up to which all sign flips are enumerated"""
RANDOM_FLIPS = 10_000
"""number of random flips beyond EXACT_UP_TO pairs"""
ROUNDING = 1e-12
"""relative error of a sum of scores that counts as rounding"""
_LISTED_UP_TO = 14
"""pairs up to which intervals list the means of all subsets rather than bisect"""
_BISECTIONS = 50


def smallest_p(n: int) -> float:
    """Return the smallest two-sided p that a sign-flip test of n pairs can have.

    It is 2 / 2**n up to n = 20, 1 / (m + 1) with m random flips beyond, and NaN without a pair.
    """
    if n < 1:
        return float("nan")
    return 2.0 / 2.0**n if n <= EXACT_UP_TO else 1.0 / (RANDOM_FLIPS + 1)


def sign_flip_p(differences: NDArray[np.float64]) -> float:
    """Return the two-sided p of a mean difference of zero.

    It is exact, over all 2**n flips, up to n = 20; beyond, it is (b + 1) / (m + 1) from m random
    flips of a fixed seed (Phipson & Smyth 2010). Flips whose mean is as large as the observed mean,
    up to rounding, count among the b.

    Args:
        differences: (n,) paired differences.

    Returns:
        p in (0, 1]; NaN for fewer than two pairs or where one is NaN, 1 where all differences are
        zero.
    """
    n = len(differences)
    if n < 2 or np.isnan(differences).any():
        return float("nan")
    least = abs(differences.sum()) - _tolerance(differences)
    if n > EXACT_UP_TO:
        extreme = np.abs(_flips(n) @ differences) >= least
        return float((extreme.sum() + 1) / (RANDOM_FLIPS + 1))
    if least <= 0:
        return 1.0
    # flipping every sign turns one tail into the other
    return 2 * _share_of_sums(differences, least)


def sign_flip_greater_p(differences: NDArray[np.float64]) -> float:
    """Return the one-sided p of a mean difference of zero against one above zero.

    Args:
        differences: (n,) paired differences.

    Returns:
        p in (0, 1]; NaN for fewer than two pairs.
    """
    n = len(differences)
    if n < 2:
        return float("nan")
    least = differences.sum() - _tolerance(differences)
    if n > EXACT_UP_TO:
        extreme = _flips(n) @ differences >= least
        return float((extreme.sum() + 1) / (RANDOM_FLIPS + 1))
    return _share_of_sums(differences, least)


def sign_flip_ps(differences: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the (k,) two-sided p, as of :func:`sign_flip_p`, of every row of (k, n)."""
    if differences.shape[1] > EXACT_UP_TO:
        return _random_ps(differences, np.abs)
    # flipping every sign turns one tail into the other
    sides = [sign_flip_greater_ps(sign * differences) for sign in (1, -1)]
    result: NDArray[np.float64] = (2 * np.minimum(*sides)).clip(max=1)
    return result


def sign_flip_greater_ps(differences: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the (k,) one-sided p, as of :func:`sign_flip_greater_p`, of every row of (k, n)."""
    count, n = differences.shape
    if n > EXACT_UP_TO:
        return _random_ps(differences, lambda sums: sums)
    least = differences.sum(axis=1) - ROUNDING * np.abs(differences).sum(axis=1)
    first = _signed_sums(differences[:, : n // 2].T).T
    second = np.sort(_signed_sums(differences[:, n // 2 :].T).T, axis=1)
    # rows are moved apart, so that one sorted array serves them all
    apart = 4 * np.abs(differences).sum(axis=1).max() + 1
    shift = apart * np.arange(count)[:, None]
    places = np.searchsorted((second + shift).ravel(), least[:, None] - first + shift)
    short = places - second.shape[1] * np.arange(count)[:, None]
    shares: NDArray[np.float64] = short.clip(0, second.shape[1]).mean(axis=1) / second.shape[1]
    return 1 - shares


def _random_ps(
    differences: NDArray[np.float64], size: Callable[[NDArray[np.float64]], NDArray[np.float64]]
) -> NDArray[np.float64]:
    flips = _flips(differences.shape[1])
    counts = []
    for part in np.array_split(differences, max(1, len(differences) // 500)):
        least = size(part.sum(axis=1)) - ROUNDING * np.abs(part).sum(axis=1)
        counts.append((size(part @ flips.T) >= least[:, None]).sum(axis=1))
    result: NDArray[np.float64] = (np.concatenate(counts) + 1) / (RANDOM_FLIPS + 1)
    return result


def typical_values(differences: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the means of the non-empty subsets of (n,) differences, in no order (Hartigan 1969).

    The one-sided sign-flip p of ``differences - x`` is the share of subsets, the empty one counted
    in, whose mean is at most x. All subsets are taken up to n = 20, random ones beyond.
    """
    n = len(differences)
    if n > EXACT_UP_TO:
        chosen = _flips(n) < 0
        counts = chosen.sum(axis=1)
        means: NDArray[np.float64] = (chosen @ differences)[counts > 0] / counts[counts > 0]
        return means
    sums, counts = np.zeros(1), np.zeros(1)
    for difference in differences:
        sums = np.concatenate([sums, sums + difference])
        counts = np.concatenate([counts, counts + 1])
    every: NDArray[np.float64] = sums[1:] / counts[1:]
    return every


def sign_flip_bounds(differences: NDArray[np.float64], alpha: float) -> tuple[float, float]:
    """Return the least and the largest mean that two-sided tests at ``alpha`` do not reject.

    They are infinite where n is too small for such a test to reject anything.
    """
    if _LISTED_UP_TO < len(differences) <= EXACT_UP_TO:
        low, high = (_least_mean(sign * differences, alpha / 2) for sign in (1, -1))
        return low, -high
    values = typical_values(differences)
    k = int(alpha / 2 * (len(values) + 1) + ROUNDING)
    if k == 0:
        return -np.inf, np.inf
    values.partition((k - 1, len(values) - k))
    return float(values[k - 1]), float(values[-k])


def _least_mean(differences: NDArray[np.float64], level: float) -> float:
    """Return the least mean that a one-sided test does not reject, by bisection."""
    low, high = float(differences.min()), float(differences.mean())
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        if sign_flip_greater_p(differences - middle) <= level:
            low = middle
        else:
            high = middle
    return high


def _tolerance(differences: NDArray[np.float64]) -> float:
    return float(ROUNDING * np.abs(differences).sum())


def _share_of_sums(differences: NDArray[np.float64], least: float) -> float:
    """Return the share of the 2**n signed sums that are at least ``least``.

    A signed sum is one of the first half's plus one of the second half's (Horowitz & Sahni 1974):
    2**(n/2) look-ups do for 2**n sums.
    """
    half = len(differences) // 2
    first, second = _signed_sums(differences[:half]), np.sort(_signed_sums(differences[half:]))
    short = np.searchsorted(second, least - first, side="left")
    return float(1 - short.sum() / (len(first) * len(second)))


def _signed_sums(differences: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the (2**n, ...) sums of (n, ...) values under all choices of signs."""
    sums = np.zeros((1, *differences.shape[1:]))
    for difference in differences:
        sums = np.concatenate([sums + difference, sums - difference])
    return sums


@lru_cache(maxsize=8)
def _flips(n: int) -> NDArray[np.float64]:
    """Return (RANDOM_FLIPS, n) random signs, the same at every call."""
    generator = np.random.default_rng(0)
    signs: NDArray[np.float64] = generator.choice([-1.0, 1.0], size=(RANDOM_FLIPS, n))
    return signs
