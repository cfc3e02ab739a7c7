"""Whether attribution lies where the motifs are."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..contracts import Metric, TrialArrays
from ..dataset import MOTIF


def average_precision(
    score: NDArray[np.floating], relevant: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Average precision of every row, tied scores taken together.

    sum over distinct scores t of (R_t - R_{t+}) P_t, as scikit-learn defines it; a constant
    score gets the share of relevant positions.

    Args:
        score: (M, L), higher means more relevant.
        relevant: (M, L) bool.

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
    total = relevant.sum(axis=1)
    with np.errstate(invalid="ignore"):
        result: NDArray[np.float64] = (gained * precision).sum(axis=1) / np.where(
            total > 0, total, np.nan
        )
    return result


def motif_auprc(arrays: TrialArrays) -> float:
    """Mean over sequences of the average precision of |attribution| against motif positions.

    Positions of decoys count as background. Sequences without a motif are left out; NaN if the
    truth is not known.
    """
    if arrays.truth is None:
        return float("nan")
    relevant = arrays.truth == MOTIF
    known = relevant.any(axis=1)
    if not known.any():
        return float("nan")
    return float(average_precision(np.abs(arrays.attribution[known]), relevant[known]).mean())


METRICS = (
    Metric(
        "motif-auprc",
        "localisation",
        "",
        True,
        "average precision of |attribution| against motif positions, mean over sequences",
        "trial",
        motif_auprc,
    ),
)
