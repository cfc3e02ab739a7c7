"""Intervals of a mean difference, and which of them is offered for how many pairs.

Simulation decides (docs/calibration.md): of the intervals that were tried, the inverted sign-flip
test covers 95% for symmetric differences of any shape from six pairs on. The BCa bootstrap covers
84% at 5 pairs and 89% at 8; so it is not offered.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .signflip import sign_flip_bounds, smallest_p

SIGN_FLIP_FROM = 6
"""fewest pairs with which a sign-flip test can reject at .05, so that its inverse is an interval"""


@dataclass(frozen=True)
class Interval:
    """A confidence interval.

    Attributes:
        low: lower end; NaN where none is offered.
        high: upper end.
        method: name of the method, or "" where none is offered.
    """

    low: float
    high: float
    method: str


NO_INTERVAL = Interval(float("nan"), float("nan"), "")


def mean_interval(differences: NDArray[np.float64], confidence: float = 0.95) -> Interval:
    """Return the interval of the mean that is offered for this number of paired differences.

    ``sign-flip``, from six pairs on: all means that the sign-flip test does not reject.
    ``paired t``, for two to five pairs: exact for normal differences only.

    Args:
        differences: (n,) finite values.
        confidence: nominal coverage.

    Returns:
        The interval; NO_INTERVAL for fewer than two values, the value itself if all are equal.
    """
    n = len(differences)
    if n < 2:
        return NO_INTERVAL
    if n < SIGN_FLIP_FROM:
        return t_interval(differences, confidence)
    return Interval(*sign_flip_bounds(differences, 1 - confidence), "sign-flip")


def t_interval(differences: NDArray[np.float64], confidence: float = 0.95) -> Interval:
    """Return Student's interval of the mean of (n,) values, n >= 2."""
    from scipy.stats import t

    n = len(differences)
    reach = t.ppf((1 + confidence) / 2, n - 1) * differences.std(ddof=1) / np.sqrt(n)
    mean = float(differences.mean())
    return Interval(mean - float(reach), mean + float(reach), "paired t")


def agreement_interval(pseudo: NDArray[np.float64], confidence: float = 0.95) -> Interval:
    """Return the interval of a difference in agreement: all that its sign-flip test accepts.

    It is offered from six seeds on, like :func:`mean_interval`.

    Args:
        pseudo: (n,) values of :func:`~.agreement.agreement_pseudo_values`.
        confidence: nominal coverage.
    """
    if len(pseudo) < SIGN_FLIP_FROM:
        return NO_INTERVAL
    return Interval(*sign_flip_bounds(pseudo, 1 - confidence), "sign-flip, pseudo-values")


def shared_level_intervals(differences: NDArray[np.float64], level: float) -> list[Interval]:
    """Return an interval for each of (k, n) rows that hold together, each at its share of a level.

    It is Bonferroni's correction, as in the first step of Holm's method. NaN stands for a pair that
    a row lacks. A row with too few pairs to show anything at its share of the level has none.
    """
    count = max(int((np.isfinite(differences).sum(axis=1) > 1).sum()), 1)
    return [_interval_at(row[np.isfinite(row)], level / count) for row in differences]


def false_coverage_intervals(
    differences: NDArray[np.float64], adjusted: NDArray[np.float64], level: float
) -> list[Interval]:
    """Return an interval for each of (k, n) rows, corrected as Benjamini and Hochberg's method is.

    Of the intervals of the tests that the method rejects, a share of at most ``level`` misses on
    average (Benjamini & Yekutieli 2005): where R of k tests are rejected, each is at R / k of the
    level, the level at which the method rejects, so that it excludes 0 exactly where it does.

    Args:
        differences: (k, n) paired differences; NaN where a pair is missing.
        adjusted: (k,) p adjusted by that method; NaN where nothing was tested.
        level: the level of the family.
    """
    tested = max(int(np.isfinite(adjusted).sum()), 1)
    rejected = max(int((adjusted <= level).sum()), 1)
    share = level * rejected / tested
    return [_interval_at(row[np.isfinite(row)], share) for row in differences]


def _interval_at(differences: NDArray[np.float64], level: float) -> Interval:
    """Return the inverse of a sign-flip test at a level; none where it can reject nothing."""
    if len(differences) < SIGN_FLIP_FROM or smallest_p(len(differences)) > level:
        return NO_INTERVAL
    return Interval(*sign_flip_bounds(differences, level), "sign-flip, corrected")


def bca_interval(differences: NDArray[np.float64], confidence: float = 0.95) -> Interval:
    """Return the bias-corrected and accelerated bootstrap interval of the mean (Efron 1987).

    It is calibrated beside the others; :func:`mean_interval` does not offer it.

    Args:
        differences: (n,) values, n >= 2.
        confidence: nominal coverage.

    Returns:
        The interval; the value itself if all are equal.
    """
    from scipy.stats import bootstrap

    if np.ptp(differences) == 0:
        return Interval(float(differences[0]), float(differences[0]), "BCa bootstrap")
    interval = bootstrap(
        (differences,),
        np.mean,
        confidence_level=confidence,
        n_resamples=2_000,
        method="BCa",
        vectorized=True,
        rng=np.random.default_rng(0),
    ).confidence_interval
    return Interval(float(interval.low), float(interval.high), "BCa bootstrap")
