"""How well a score ranks positions: areas under curves and shares at the top, row by row."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata


def roc_area(
    score: NDArray[np.floating], relevant: NDArray[np.bool_], counted: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Return the area under the ROC curve of every row, ties counting one half.

    The probability that a relevant position has a larger score than another that counts (Mann &
    Whitney 1947).

    Args:
        score: (M, L), higher means more relevant.
        relevant: (M, L) bool.
        counted: (M, L) bool, positions that count; all relevant ones must.

    Returns:
        (M,) float64; NaN where all positions that count are relevant, or none is.
    """
    # what does not count gets the lowest ranks, so that it shifts all other ranks alike
    ranks = rankdata(np.where(counted, score, -np.inf), axis=1)
    inside, outside = relevant.sum(axis=1), (counted & ~relevant).sum(axis=1)
    least = inside * (~counted).sum(axis=1) + inside * (inside + 1) / 2
    pairs = np.where((inside > 0) & (outside > 0), inside * outside, np.nan)
    area: NDArray[np.float64] = ((ranks * relevant).sum(axis=1) - least) / pairs
    return area


def average_precision(
    score: NDArray[np.floating], relevant: NDArray[np.bool_], *, trapezoid: bool = False
) -> NDArray[np.float64]:
    """Return the average precision of every row, tied scores taken together.

    It is the sum over distinct scores t of (R_t - R_{t+}) P_t, as scikit-learn defines it; a
    constant score gets the share of relevant positions.

    Args:
        score: (M, L), higher means more relevant.
        relevant: (M, L) bool.
        trapezoid: whether (P_t + P_{t+}) / 2 stands for P_t, precision being 1 before the first:
            the area under the line through all points, which is larger where precision falls.

    Returns:
        (M,) float64; NaN where a row has nothing relevant.
    """
    order = np.argsort(-score, axis=1, kind="stable")
    ranked = np.take_along_axis(score, order, axis=1)
    hits = np.take_along_axis(relevant, order, axis=1).cumsum(axis=1)
    length = score.shape[1]
    last_of_tie = np.ones(score.shape, dtype=bool)
    last_of_tie[:, :-1] = ranked[:, :-1] != ranked[:, 1:]
    precision = hits / np.arange(1, length + 1)
    at_ends = np.where(last_of_tie, hits, 0)
    before = np.zeros_like(at_ends)
    before[:, 1:] = np.maximum.accumulate(at_ends, axis=1)[:, :-1]
    gained = np.where(last_of_tie, hits - before, 0)
    if trapezoid:
        precision = (precision + _precision_before(precision, last_of_tie)) / 2
    total = relevant.sum(axis=1)
    with np.errstate(invalid="ignore"):
        result: NDArray[np.float64] = (gained * precision).sum(axis=1) / np.where(
            total > 0, total, np.nan
        )
    return result


def share_at_top(
    score: NDArray[np.floating], relevant: NDArray[np.bool_], count: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return the share of relevant positions among the top ones of every row.

    Where scores are tied, it is the mean over all orders of them.

    Args:
        score: (M, L), higher means more relevant.
        relevant: (M, L) bool.
        count: (M,) number of the top positions, at least 1.

    Returns:
        (M,) float64.
    """
    rows = np.arange(len(score))
    cut = -np.sort(-score, axis=1)[rows, count - 1][:, None]
    above, tied = score > cut, score == cut
    left = count - above.sum(axis=1)
    share = (tied & relevant).sum(axis=1) / tied.sum(axis=1)
    top: NDArray[np.float64] = ((above & relevant).sum(axis=1) + left * share) / count
    return top


def _precision_before(
    precision: NDArray[np.float64], last_of_tie: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Return the (M, L) precision at the last distinct score before each; 1 before the first."""
    place = np.where(last_of_tie, np.arange(precision.shape[1]), -1)
    last = np.full_like(place, -1)
    last[:, 1:] = np.maximum.accumulate(place, axis=1)[:, :-1]
    known = np.take_along_axis(precision, np.maximum(last, 0), axis=1)
    return np.where(last >= 0, known, 1.0)


class PooledRanking:
    """Areas under the curves of one list of scores, of which few are of what is looked for.

    Only the scores are sorted, not their places, so that a list may have millions.
    """

    def __init__(self, relevant: NDArray[np.floating], others: NDArray[np.floating]) -> None:
        """Sort the (k,) scores of what is looked for and the (n,) scores of all else."""
        ours, theirs = np.sort(relevant), np.sort(others)
        self._score, self._count = np.unique(ours, return_counts=True)
        self._sizes = len(ours), len(theirs)
        # how many are above each distinct relevant score, and how many as high at least
        self._above = [len(x) - np.searchsorted(x, self._score, "right") for x in (ours, theirs)]
        self._at_least = [len(x) - np.searchsorted(x, self._score, "left") for x in (ours, theirs)]

    def roc_area(self) -> float:
        """Return the area under the ROC curve, ties counting one half; NaN if a class is empty."""
        if not all(self._sizes):
            return float("nan")
        larger = (self._above[1] + self._at_least[1]) / 2
        return float(1 - (self._count * larger).sum() / (self._sizes[0] * self._sizes[1]))

    def average_precision(self, *, trapezoid: bool = False) -> float:
        """Return the average precision, or the area by the trapezoid; NaN without a relevant one.

        Both are those of the function :func:`average_precision`.
        """
        if not self._sizes[0]:
            return float("nan")
        precision = self._at_least[0] / (self._at_least[0] + self._at_least[1])
        if trapezoid:
            before = self._above[0] + self._above[1]
            earlier = np.where(before > 0, self._above[0] / np.maximum(before, 1), 1.0)
            precision = (precision + earlier) / 2
        return float((self._count * precision).sum() / self._sizes[0])


def mean_of_defined(scores: NDArray[np.float64]) -> float:
    """Return the mean of the scores that are defined; NaN if there are none."""
    return float(np.nanmean(scores)) if np.isfinite(scores).any() else float("nan")
