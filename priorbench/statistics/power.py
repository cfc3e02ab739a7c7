"""How many paired runs a claim needs, and how small an effect a number of runs can show.

Differences are taken as normal with a known standard deviation; effects are in units of it. Power
is that of the first step of the correction, the hardest case: the sign-flip test at a level of
alpha over the number of tests for Holm's and for Benjamini and Hochberg's method. For the joint
correction the other tests of the family are of nothing and independent; tests that depend on each
other, and later steps, find more. Below ten pairs it is simulated; from ten on it is that of
Student's test at the level at which such tests exceed it once in 1 / alpha families (Sidak 1967).
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

from .families.joint import JOINTLY_EXACT_UP_TO, joint_flips
from .families.multiplicity import HOLM, JOINT
from .signflip import EXACT_UP_TO, RANDOM_FLIPS, sign_flip_greater_ps, smallest_p

_ENUMERATED_UP_TO = 12
_DRAWS, _SIMULATED_DRAWS = 8_000, 2_000
_JOINT_DRAWS = 1_000
_STUDENT_FROM = 10
"""pairs from which Student's test stands for the joint correction"""
_MOST_RUNS = 1_000
_MOST_APPROXIMATE = 1_000_000
_LEVEL_TOLERANCE = 1e-9
"""rounding of a level, which is a multiple of a power of two"""
_APPROXIMATELY = 4
"""pairs by which an approximate number may be wrong, twice what was ever seen"""
_CERTAIN = 1e3
"""an effect that every test finds; larger ones, and infinite ones, give no other power"""
_CAUTION = 0.8
"""confidence in the upper limit of a standard deviation"""


@dataclass(frozen=True)
class ClaimKind:
    """A kind of claim, as far as its power depends on it.

    Attributes:
        alpha: level before correction.
        sides: 2 for a difference, 1 for non-inferiority.
        tests: number of tests in the family.
        correction: a name in ``multiplicity.CORRECTIONS``.
    """

    alpha: float = 0.05
    sides: int = 2
    tests: int = 1
    correction: str = HOLM

    @property
    def joint(self) -> bool:
        """Whether whole seeds are flipped in several tests at once."""
        return self.correction == JOINT and self.tests > 1

    @property
    def one_sided(self) -> float:
        """Corrected level in the direction of the effect."""
        if self.joint:
            return -math.expm1(math.log1p(-self.alpha) / self.tests) / self.sides
        return self.alpha / self.sides / self.tests


def attainable_level(n: int, claim: ClaimKind) -> float:
    """Return the largest one-sided level, up to the claim's, of a sign-flip test of n pairs.

    Up to 20 pairs it is a multiple of 2**-n. Beyond, p is (b + 1) / (m + 1) with m random flips,
    and is compared with alpha over the number of tests. It is 0 where no result of n pairs is
    significant.
    """
    if claim.joint:
        possible = 0.5**n <= claim.alpha / claim.sides + _LEVEL_TOLERANCE
        return claim.one_sided if possible else 0.0
    if n <= EXACT_UP_TO:
        return float(np.floor(claim.one_sided * 2.0**n + _LEVEL_TOLERANCE) / 2.0**n)
    least = np.floor(claim.alpha / claim.tests * (RANDOM_FLIPS + 1) + _LEVEL_TOLERANCE)
    return float(least / (RANDOM_FLIPS + 1) / claim.sides)


def smallest_adjusted_p(n: int, claim: ClaimKind) -> float:
    """Return the smallest adjusted p that tests of n pairs can have; NaN without a pair."""
    if claim.joint:
        return smallest_p(n) if n <= JOINTLY_EXACT_UP_TO else 1.0 / (RANDOM_FLIPS + 1)
    return min(1.0, claim.tests * smallest_p(n)) if n else float("nan")


def fewest_pairs(claim: ClaimKind) -> int:
    """Return the fewest pairs with which a test of the family can be significant."""
    return next((n for n in range(2, 64) if attainable_level(n, claim) > 0), _MOST_APPROXIMATE)


def sign_flip_power(effect: float, n: int, claim: ClaimKind) -> float:
    """Return the probability that a sign-flip test of n normal differences finds the effect.

    Up to 20 pairs, where the test is exact, it is simulated with fixed draws; beyond, it is that of
    Student's t test, with the chance of random flips. (At 13 pairs and a level of .001 Student's
    test would have .64 where the sign-flip test has .59; at 22 and .0001, .81 where it has .76.)

    Args:
        effect: mean over standard deviation of the differences, in the direction of the claim.
        n: number of pairs.
        claim: kind of claim.
    """
    level = attainable_level(n, claim)
    if n < 2 or level == 0:
        return 0.0
    effect = min(effect, _CERTAIN)
    if claim.joint:
        return _joint_power(effect, n, claim)
    if n <= _ENUMERATED_UP_TO:
        return float(np.mean(_thresholds(n, round(level * 2**n)) < effect))
    if n <= EXACT_UP_TO:
        return _simulated_power(effect, n, level)
    return _random_flip_power(effect, n, claim)


def needed_runs(effect: float, power: float, claim: ClaimKind) -> int | None:
    """Return the fewest pairs that find the effect with that power; None if 1,000 do not.

    Args:
        effect: mean over standard deviation of the differences, in the direction of the claim.
        power: probability of finding the effect, such as 0.8.
        claim: kind of claim.
    """
    if not effect > 0:
        return None
    # power grows with n among the exact tests and among those by random flips, as the attainable
    # level does; from the former to the latter it may fall
    exact, drawn = range(2, EXACT_UP_TO + 1), range(EXACT_UP_TO + 1, _MOST_RUNS + 1)
    about = approximate_runs(effect, power, claim) or 0
    for counts in (drawn,) if about > EXACT_UP_TO + _APPROXIMATELY else (exact, drawn):
        place = bisect_left(counts, power, key=lambda n: sign_flip_power(effect, n, claim))
        if place < len(counts):
            return counts[place]
    return None


def approximate_runs(effect: float, power: float, claim: ClaimKind) -> int | None:
    """Return about the fewest pairs that find the effect with that power, without simulation.

    ((z_level + z_power) / effect)^2 + z_level^2 / 2 is Student's power in closed form (Guenther
    1981); no fewer pairs are returned than can be significant at all. The result is within two
    pairs of :func:`needed_runs`.

    Args:
        effect: mean over standard deviation of the differences, in the direction of the claim.
        power: probability of finding the effect, such as 0.8.
        claim: kind of claim.

    Returns:
        The number of pairs; None for no effect, above a million, and where random flips leave p
        too large.
    """
    if not effect > 0:
        return None
    level = NormalDist().inv_cdf(1 - claim.one_sided)
    exact = ((level + NormalDist().inv_cdf(power)) / effect) ** 2 + level**2 / 2
    if not exact <= _MOST_APPROXIMATE:
        return None
    runs = max(math.ceil(exact), fewest_pairs(claim))
    return runs if attainable_level(runs, claim) > 0 else None


@lru_cache(maxsize=256)
def smallest_effect(n: int, power: float, claim: ClaimKind) -> float:
    """Return the effect, in standard deviations, that n pairs find with that power, or infinity."""
    level = attainable_level(n, claim)
    if n < 2 or level == 0:
        return float("inf")
    if claim.joint:
        return _root(lambda effect: _joint_power(effect, n, claim), power)
    if n <= _ENUMERATED_UP_TO:
        return float(np.quantile(_thresholds(n, round(level * 2**n)), power))
    if n <= EXACT_UP_TO:
        return _root(lambda effect: _simulated_power(effect, n, level), power)
    return _root(lambda effect: _random_flip_power(effect, n, claim), power)


def cautious_spread(spread: float, n: int) -> float:
    """Return the upper 80% confidence limit of a standard deviation from n pilot differences.

    It is s sqrt((n - 1) / chi2_{.2, n-1}) (Browne 1995): a plan by the estimate s itself has too
    little power about every second time. It is infinite for fewer than two.
    """
    from scipy.stats import chi2

    if n < 2:
        return float("inf")
    return float(spread * np.sqrt((n - 1) / chi2.ppf(1 - _CAUTION, n - 1)))


def _joint_power(effect: float, n: int, claim: ClaimKind) -> float:
    from scipy.stats import nct, t

    if n >= _STUDENT_FROM:
        return float(nct.sf(t.isf(claim.one_sided, n - 1), n - 1, effect * math.sqrt(n)))
    draws, largest = _other_tests(n, claim.tests, claim.sides)
    shifted = draws + effect
    scaled = shifted / np.linalg.norm(shifted, axis=1, keepdims=True)
    own = joint_flips(n) @ scaled.T
    own = np.abs(own) if claim.sides == 2 else own
    extreme = np.maximum(own, largest) >= scaled.sum(axis=1) - _LEVEL_TOLERANCE
    return float(np.mean(extreme.mean(axis=0) <= claim.alpha + _LEVEL_TOLERANCE))


@lru_cache(maxsize=32)
def _other_tests(n: int, tests: int, sides: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return (draws, n) normal differences and (flips, draws) largest statistics of other tests."""
    generator = np.random.default_rng([n, tests])
    draws = generator.standard_normal((_JOINT_DRAWS, n))
    flips = joint_flips(n)
    largest = np.full((len(flips), _JOINT_DRAWS), -np.inf)
    for _ in range(tests - 1):
        other = generator.standard_normal((_JOINT_DRAWS, n))
        sums = flips @ (other / np.linalg.norm(other, axis=1, keepdims=True)).T
        np.maximum(largest, np.abs(sums) if sides == 2 else sums, out=largest)
    return draws, largest


def _random_flip_power(effect: float, n: int, claim: ClaimKind) -> float:
    """Return the power of a test by random flips, beyond 20 pairs.

    Student's statistic stands for the exact p; the p of m random flips is (b + 1) / (m + 1) with
    b binomial, so that chance decides at a level of few multiples of 1 / (m + 1). The power is a
    mean over a grid of equally likely means and variances.
    """
    from scipy.stats import binom, t

    normal, scale = _statistic_grid(n)
    exact = claim.sides * t.sf((normal + effect * np.sqrt(n)) / scale, n - 1)
    level = attainable_level(n, claim) * claim.sides
    most = round(level * (RANDOM_FLIPS + 1)) - 1
    return float(binom.cdf(most, RANDOM_FLIPS, np.minimum(exact, 1)).mean())


@lru_cache(maxsize=64)
def _statistic_grid(n: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return (200, 1) standard normal values and (1, 60) standard deviations, equally likely."""
    from scipy.stats import chi2, norm

    shares = [(np.arange(count) + 0.5) / count for count in (200, 60)]
    return norm.ppf(shares[0])[:, None], np.sqrt(chi2.ppf(shares[1], n - 1) / (n - 1))[None, :]


@lru_cache(maxsize=1024)
def _simulated_power(effect: float, n: int, level: float) -> float:
    draws = np.random.default_rng(n).standard_normal((_SIMULATED_DRAWS, n)) + effect
    return float(np.mean(sign_flip_greater_ps(draws) <= level + _LEVEL_TOLERANCE))


def _root(power_of: Callable[[float], float], power: float) -> float:
    """Return the least effect with that power, to a hundredth; infinite beyond ten deviations."""
    steps = range(1, 1_000)
    place = bisect_left(steps, power, key=lambda step: power_of(step / 100))
    return steps[place] / 100 if place < len(steps) else float("inf")


@lru_cache(maxsize=64)
def _thresholds(n: int, k: int) -> NDArray[np.float64]:
    """Return the (draws,) effect that each draw of n normal differences needs to be significant.

    The sign-flip test rejects where fewer than k typical values, the empty subset's counted in,
    are at most zero; adding an effect to the differences adds it to each.
    """
    draws = np.random.default_rng([n, k]).standard_normal((_DRAWS, n))
    subsets = ((np.arange(1, 2**n)[:, None] >> np.arange(n)) & 1).astype(float)
    weights = (subsets / subsets.sum(axis=1, keepdims=True)).T
    thresholds = [
        np.partition(part @ weights, k - 1, axis=1)[:, k - 1]
        for part in np.array_split(draws, max(1, _DRAWS * 2**n // 4_000_000))
    ]
    return -np.concatenate(thresholds)
