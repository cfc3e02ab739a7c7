"""How many paired runs a claim needs, and how small an effect a number of runs can show.

Differences are taken as normal with a known standard deviation; effects are in units of it. The
test is the sign-flip test, at the level that a family of tests leaves to each: alpha over their
number, which is the first step of Holm's and of Benjamini and Hochberg's method, so that needs are
those of the hardest case.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from .signflip import EXACT_UP_TO, RESAMPLES, sign_flip_greater_ps

_ENUMERATED_UP_TO = 12
_DRAWS, _SIMULATED_DRAWS = 8_000, 2_000
_MOST_RUNS = 1_000
_MOST_APPROXIMATE = 1_000_000
_ROUNDING = 1e-9
_CAUTION = 0.8


@dataclass(frozen=True)
class ClaimKind:
    """A kind of claim, as far as its power goes.

    Attributes:
        alpha: level, before correction.
        sides: 2 for a difference, 1 for non-inferiority.
        tests: in its family.
    """

    alpha: float = 0.05
    sides: int = 2
    tests: int = 1

    @property
    def one_sided(self) -> float:
        """Level in the direction of the effect, corrected."""
        return self.alpha / self.sides / self.tests


def attainable_level(n: int, claim: ClaimKind) -> float:
    """The largest one-sided level up to the claim's that a sign-flip test of n pairs can have.

    A multiple of 2**-n up to 20 pairs. Beyond, p is (b + 1) / (m + 1) with m random flips, and what
    is compared with it is alpha over the number of tests. 0 where no result of n pairs is
    significant.
    """
    if n <= EXACT_UP_TO:
        return float(np.floor(claim.one_sided * 2.0**n + _ROUNDING) / 2.0**n)
    least = np.floor(claim.alpha / claim.tests * (RESAMPLES + 1) + _ROUNDING)
    return float(least / (RESAMPLES + 1) / claim.sides)


def sign_flip_power(effect: float, n: int, claim: ClaimKind) -> float:
    """Probability that a sign-flip test of n normal differences finds the effect.

    Up to 20 pairs, as far as the test is exact, by simulation with fixed draws; beyond, that of
    Student's t test, with the luck of random flips. (At 13 pairs and a level of .001 Student's test
    would have .64 where the sign-flip test has .59; at 22 and .0001, .81 where it has .76.)

    Args:
        effect: mean over standard deviation of the differences, in the direction of the claim.
        n: pairs.
        claim: what is to be shown.
    """
    level = attainable_level(n, claim)
    if n < 2 or level == 0:
        return 0.0
    if n <= _ENUMERATED_UP_TO:
        return float(np.mean(_thresholds(n, round(level * 2**n)) < effect))
    if n <= EXACT_UP_TO:
        return _simulated_power(effect, n, level)
    return _random_flip_power(effect, n, claim)


def needed_runs(effect: float, power: float, claim: ClaimKind) -> int | None:
    """The fewest pairs that find the effect with that power; None if 1,000 do not.

    Args:
        effect: as in :func:`sign_flip_power`.
        power: such as 0.8.
        claim: what is to be shown.
    """
    if not effect > 0:
        return None
    # power grows with n, and so does the level that a test can attain, among the exact tests and
    # among those by random flips; from the ones to the others it may fall
    for counts in (range(2, EXACT_UP_TO + 1), range(EXACT_UP_TO + 1, _MOST_RUNS + 1)):
        place = bisect_left(counts, power, key=lambda n: sign_flip_power(effect, n, claim))
        if place < len(counts):
            return counts[place]
    return None


def approximate_runs(effect: float, power: float, claim: ClaimKind) -> int | None:
    """:func:`needed_runs` without simulation: Student's power in closed form (Guenther 1981).

    ((z_level + z_power) / effect)^2 + z_level^2 / 2, and no fewer than can be significant at all.
    It is within two pairs of :func:`needed_runs`.

    Args:
        effect: as in :func:`sign_flip_power`.
        power: such as 0.8.
        claim: what is to be shown.

    Returns:
        pairs; None for no effect, above a million, and where random flips leave p too large.
    """
    if not effect > 0:
        return None
    level = NormalDist().inv_cdf(1 - claim.one_sided)
    exact = ((level + NormalDist().inv_cdf(power)) / effect) ** 2 + level**2 / 2
    if not exact <= _MOST_APPROXIMATE:
        return None
    fewest = next((n for n in range(2, 64) if attainable_level(n, claim) > 0), _MOST_APPROXIMATE)
    runs = max(math.ceil(exact), fewest)
    return runs if attainable_level(runs, claim) > 0 else None


@lru_cache(maxsize=256)
def smallest_effect(n: int, power: float, claim: ClaimKind) -> float:
    """The effect that n pairs find with that power, in standard deviations; infinite if none."""
    level = attainable_level(n, claim)
    if n < 2 or level == 0:
        return float("inf")
    if n <= _ENUMERATED_UP_TO:
        return float(np.quantile(_thresholds(n, round(level * 2**n)), power))
    if n <= EXACT_UP_TO:
        return _root(lambda effect: _simulated_power(effect, n, level), power)
    return _root(lambda effect: _random_flip_power(effect, n, claim), power)


def cautious_spread(spread: float, n: int) -> float:
    """Upper 80% confidence limit of a standard deviation, estimated from n pilot differences.

    s sqrt((n - 1) / chi2_{.2, n-1}) (Browne 1995): a plan by the estimate itself has too little
    power about every second time. Infinite for fewer than two.
    """
    from scipy.stats import chi2

    if n < 2:
        return float("inf")
    return float(spread * np.sqrt((n - 1) / chi2.ppf(1 - _CAUTION, n - 1)))


def _random_flip_power(effect: float, n: int, claim: ClaimKind) -> float:
    """Power of random flips, beyond 20 pairs.

    Student's statistic stands for the exact p; that of m random flips is (b + 1) / (m + 1) with b
    binomial, so that at a level of few multiples of 1 / (m + 1) luck decides. The mean is over a
    grid of equally likely means and variances.
    """
    from scipy.stats import binom, t

    normal, scale = _statistic_grid(n)
    exact = claim.sides * t.sf((normal + effect * np.sqrt(n)) / scale, n - 1)
    level = attainable_level(n, claim) * claim.sides
    most = round(level * (RESAMPLES + 1)) - 1
    return float(binom.cdf(most, RESAMPLES, np.minimum(exact, 1)).mean())


@lru_cache(maxsize=64)
def _statistic_grid(n: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(200, 1) standard normal and (1, 60) standard deviations, all equally likely."""
    from scipy.stats import chi2, norm

    shares = [(np.arange(count) + 0.5) / count for count in (200, 60)]
    return norm.ppf(shares[0])[:, None], np.sqrt(chi2.ppf(shares[1], n - 1) / (n - 1))[None, :]


@lru_cache(maxsize=1024)
def _simulated_power(effect: float, n: int, level: float) -> float:
    draws = np.random.default_rng(n).standard_normal((_SIMULATED_DRAWS, n)) + effect
    return float(np.mean(sign_flip_greater_ps(draws) <= level + _ROUNDING))


def _root(power_of: Callable[[float], float], power: float) -> float:
    """The least effect with that power, to a hundredth of a standard deviation."""
    steps = range(1, 1_000)
    return steps[bisect_left(steps, power, key=lambda step: power_of(step / 100))] / 100


@lru_cache(maxsize=64)
def _thresholds(n: int, k: int) -> NDArray[np.float64]:
    """(draws,) the effect that each draw of n normal differences needs to be significant.

    The sign-flip test rejects where fewer than k typical values, the empty subset's counted in,
    are at most zero; adding an effect to the differences adds it to each.
    """
    draws = np.random.default_rng([n, k]).standard_normal((_DRAWS, n))
    subsets = ((np.arange(1, 2**n)[:, None] >> np.arange(n)) & 1).astype(float)
    weights = (subsets / subsets.sum(axis=1, keepdims=True)).T
    found = [
        np.partition(part @ weights, k - 1, axis=1)[:, k - 1]
        for part in np.array_split(draws, max(1, _DRAWS * 2**n // 4_000_000))
    ]
    return -np.concatenate(found)
