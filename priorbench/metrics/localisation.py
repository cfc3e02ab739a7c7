"""Whether attribution lies where the motifs are."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..contracts import Metric, TrialArrays
from ..dataset import MOTIF, NEUTRAL, SUBOPTIMAL

MOTIFS = (MOTIF, SUBOPTIMAL)
"""position codes that an attribution should find"""


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

    Positions of decoys count as background; neutral ones are left out of the ranking. Sequences
    without a motif are left out; NaN if the truth is not known.
    """
    if arrays.truth is None:
        return float("nan")
    relevant = np.isin(arrays.truth, MOTIFS)
    known = relevant.any(axis=1)
    if not known.any():
        return float("nan")
    # what comes last in the ranking has no part in the precision of what comes before
    score = np.where(arrays.truth == NEUTRAL, -1.0, np.abs(arrays.attribution))
    return float(average_precision(score[known], relevant[known]).mean())


def suboptimal_sign(arrays: TrialArrays) -> float:
    """Share of the mutated motif positions whose attribution is negative; NaN if there are none.

    Chance is one half; a zero attribution counts as not negative.
    """
    if arrays.truth is None or not (arrays.truth == SUBOPTIMAL).any():
        return float("nan")
    return float((arrays.attribution[arrays.truth == SUBOPTIMAL] < 0).mean())


def suboptimal_error(arrays: TrialArrays) -> float:
    """Mean over sequences of |s - s*|, with s the mutated position's share of its motif.

    s = a_mutated / sum_{i in motif} |a_i|, between -1 and 1, of the attribution a, and s* the
    same of the oracle. Where the motif has no attribution at all, s is 0. NaN if no sequence has
    a mutated motif and an oracle.
    """
    if arrays.truth is None or arrays.oracle is None:
        return float("nan")
    mutated = arrays.truth == SUBOPTIMAL
    rows = mutated.sum(axis=1) == 1
    if not rows.any():
        return float("nan")
    within = np.isin(arrays.truth[rows], MOTIFS)
    shares = [
        _share(track[rows].astype(np.float64), within, mutated[rows])
        for track in (arrays.attribution, arrays.oracle)
    ]
    return float(np.abs(shares[0] - shares[1]).mean())


def _share(
    track: NDArray[np.float64], within: NDArray[np.bool_], mutated: NDArray[np.bool_]
) -> NDArray[np.float64]:
    mass = (np.abs(track) * within).sum(axis=1)
    at: NDArray[np.float64] = (track * mutated).sum(axis=1) / np.where(mass > 0, mass, 1)
    return at


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
    Metric(
        "suboptimal-sign",
        "localisation",
        "",
        True,
        "share of mutated motif positions with a negative attribution",
        "trial",
        suboptimal_sign,
    ),
    Metric(
        "suboptimal-error",
        "localisation",
        "",
        False,
        "error of the mutated position's share of its motif's attribution, against the log-odds",
        "trial",
        suboptimal_error,
    ),
)
