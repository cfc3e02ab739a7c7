"""Scores of pairs of trials, such as the cosine of two seeds' attributions.

The values that a seed has with the other seeds of its arm share trials: they are not
independent, and a test that takes them for paired differences finds effects where there are
none. The functions here give differences that may be tested.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def leave_one_out(agreement: NDArray[np.float64]) -> NDArray[np.float64]:
    """(S,) mean agreement of each trial with the others; NaN where there is no other.

    Args:
        agreement: (S, S), symmetric.
    """
    count = len(agreement)
    if count < 2:
        return np.full(count, np.nan)
    result: NDArray[np.float64] = (agreement.sum(axis=1) - np.diag(agreement)) / (count - 1)
    return result


def agreement_differences(agreement: NDArray[np.float64]) -> NDArray[np.float64]:
    """One difference a seed, whose mean is that of the two arms' mean agreements.

    With b_i and p_i the two trials of seed i and g the agreement, seed i has

        d_i = mean over j != i of  g(p_i, p_j) + g(p_i, b_j) - g(b_i, p_j) - g(b_i, b_j).

    The mean over i is the mean agreement within the prior less that within the baseline.
    Swapping the two trials of seed i changes the sign of d_i in that mean and nothing else, so
    that a sign-flip test of d is the exact test of exchanging the arms seed by seed.

    Args:
        agreement: (2n, 2n), symmetric: the baseline's n trials, then the prior's, seeds in the
            same order.

    Returns:
        (n,); NaN for fewer than two seeds.
    """
    n = len(agreement) // 2
    if n < 2:
        return np.full(n, np.nan)
    pool = agreement[:, :n] + agreement[:, n:]
    gained = pool[n:] - pool[:n]
    result: NDArray[np.float64] = (gained.sum(axis=1) - np.diag(gained)) / (n - 1)
    return result


def agreement_pseudo_values(agreement: NDArray[np.float64]) -> NDArray[np.float64]:
    """Jackknife pseudo-values of the difference in mean agreement, one a seed.

    n U - (n - 1) U_{-i}, with U the mean agreement within the prior less that within the baseline
    and U_{-i} the same without seed i (Arvesen 1969). Their mean is U. Unlike the differences of
    :func:`agreement_differences`, which are for testing that the arms can be exchanged, they have
    the right spread where the arms differ.

    Args:
        agreement: (2n, 2n) as above.

    Returns:
        (n,); NaN for fewer than three seeds.
    """
    n = len(agreement) // 2
    if n < 3:
        return np.full(n, np.nan)
    gained = leave_one_out(agreement[n:, n:]) - leave_one_out(agreement[:n, :n])
    centre = gained.mean()
    result: NDArray[np.float64] = centre + 2 * (n - 1) / (n - 2) * (gained - centre)
    return result
