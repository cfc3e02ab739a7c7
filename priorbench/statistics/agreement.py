"""Scores of pairs of trials, such as the cosine of two seeds' attributions.

The agreements of a seed with the other seeds of its arm share trials: they are not independent,
and a test that takes them for paired differences finds effects where there are none. The
functions here return values that may be tested.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

MOST_PARTNERS = 64
"""number of other trials that a trial is compared with, at most"""


def are_partners(count: int) -> NDArray[np.bool_]:
    """Return (S, S) bool: which of S trials are compared with each other.

    Every two are up to 65 trials. Beyond, each is compared with the 32 before and the 32 behind it,
    the last being followed by the first, so that time grows with the trials and not with their
    pairs. Every trial has as many partners, which is what an incomplete U-statistic takes to have
    the pseudo-values of the complete one (Blom 1976), and more pairs would add next to nothing: the
    variance is that of the trials.
    """
    steps = np.abs(np.subtract.outer(np.arange(count), np.arange(count)))
    near: NDArray[np.bool_] = np.minimum(steps, count - steps) <= MOST_PARTNERS // 2
    np.fill_diagonal(near, False)
    return near


def leave_one_out(agreement: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the (S,) mean agreement of each trial with its partners; NaN where there is no other.

    Args:
        agreement: (S, S) symmetric agreements of every two trials, of which those of partners
            (:func:`are_partners`) are read.
    """
    count = len(agreement)
    if count < 2:
        return np.full(count, np.nan)
    partners = are_partners(count)
    result: NDArray[np.float64] = np.where(partners, agreement, 0).sum(axis=1) / partners[0].sum()
    return result


def agreement_pseudo_values(
    baseline: NDArray[np.float64], prior: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the jackknife pseudo-values of the difference in mean agreement, one for each seed.

    They are n U - (n - 1) U_{-i}, with U the mean agreement within the prior less that within the
    baseline and U_{-i} the same without seed i (Arvesen 1969), also where each trial has been
    compared with some of the others only. Their mean is U. A sign-flip test of
    them tests whether the trials of each arm agree equally well among themselves. A test that
    exchanges the two trials of a seed supposes more: arms that are equally stable, but attribute
    different things, cannot be exchanged, and it calls them different in up to a third of all
    studies.

    Args:
        baseline: (n,) mean agreement of each of the baseline's trials with its others, as
            :func:`leave_one_out` returns it.
        prior: the same of the prior's trials, seeds in the same order.

    Returns:
        (n,) pseudo-values; NaN for fewer than three seeds.
    """
    n = len(baseline)
    if n < 3:
        return np.full(n, np.nan)
    gained = prior - baseline
    centre = gained.mean()
    result: NDArray[np.float64] = centre + 2 * (n - 1) / (n - 2) * (gained - centre)
    return result
