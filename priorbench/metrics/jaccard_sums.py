"""Sums of continuous Jaccard similarities over rows, for every two trials, in compiled code.

They have no form in which the cost grows with the number of trials alone, as scalar products have:
the similarity is a ratio of two sums of its own for every two rows. What is left is a small price
of each pair, about a nanosecond for every three positions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.float64]
"""(k, L) attributions of k sequences"""


def jaccard_sums(first: Sequence[Rows], second: Sequence[Rows]) -> Rows:
    """Return the (S, S) sum over rows of the similarity, first trial by second; i > j as j, i."""
    total = np.zeros((len(first), len(second)))
    for row in range(len(first[0])):
        _compiled()(
            np.stack([track[row] for track in first]),
            np.stack([track[row] for track in second]),
            total,
        )
    below = np.tril_indices(len(total), -1)
    total[below] = total.T[below]
    return total


@cache
def _compiled() -> Callable[[Rows, Rows, Rows], None]:
    from numba import njit

    # sums may be taken in any order, several terms at once; nothing else is given up
    compiled = njit(cache=True, fastmath={"reassoc", "nsz", "contract"})
    add: Callable[[Rows, Rows, Rows], None] = compiled(_add_similarities)
    return add


def _add_similarities(first: Rows, second: Rows, total: Rows) -> None:
    """Add the similarity of row i of the first and row j of the second to ``total``, for i <= j.

    |a + b| + |a - b| is twice the larger of |a| and |b|, and |a + b| - |a - b| twice the smaller,
    with the sign of a b.
    """
    for i in range(first.shape[0]):
        for j in range(i, second.shape[0]):
            together, gap = 0.0, 0.0
            for k in range(first.shape[1]):
                together += abs(first[i, k] + second[j, k])
                gap += abs(first[i, k] - second[j, k])
            union = together + gap
            if union > 0:
                total[i, j] += (together - gap) / union
            else:
                total[i, j] += union  # 0, or not a number
