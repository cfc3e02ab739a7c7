"""Instances of motifs against all windows that are free of motifs (gkmexplain's TAL-GATA).

For each motif, the positives are its planted instances in all sequences, and the negatives are all
windows of the same width that share no base with an instance of any motif, a decoy or a neutral
position, and hold no N. A window's score is the sum of its signed attribution. All windows of all
sequences are in one list for each motif; the value is the mean over motifs. Instances of another
width than most of the motif's, or that reach beyond the window, are neither. NaN where instances
are unknown.
"""

from __future__ import annotations

from functools import partial

import numpy as np
from numpy.typing import NDArray

from priorbench.components.metric import Metric, TrialArrays
from priorbench.data.codes import BACKGROUND
from priorbench.data.instances import END, NUMBER, ROW, START

from ..tools.definition import define
from ..tools.rankings import PooledRanking, mean_of_defined

_PAPER = "Shrikumar, Prakash & Kundaje, Bioinformatics 2019"

METRICS: list[Metric] = []
_metric = partial(
    define,
    METRICS,
    axis="localisation",
    higher_is_better=True,
    scope="trial",
    published=_PAPER,
)


def window_scores(
    attribution: NDArray[np.float64],
    free: NDArray[np.bool_],
    instances: NDArray[np.int64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the scores of one motif's instances and those of windows without a motif.

    Args:
        attribution: (M, L) signed.
        free: (M, L) bool, positions that belong to no motif.
        instances: (K, 2 or more) rows, starts and ends of the motif's instances.

    Returns:
        (k,) and (n,) float64.
    """
    widths = instances[:, END] - instances[:, START]
    width = int(np.bincount(widths).argmax())
    places = attribution.shape[1] - width + 1
    if places < 1:
        return np.empty(0), np.empty(0)
    total, empty = np.zeros((len(attribution), places)), np.ones((len(attribution), places), bool)
    for column in range(width):
        total += attribution[:, column : column + places]
        empty &= free[:, column : column + places]
    row, start = instances[:, ROW], instances[:, START]
    whole = (widths == width) & (start >= 0) & (start < places)
    return total[row[whole], start[whole]], total[empty]


def _by_motif(arrays: TrialArrays) -> list[PooledRanking]:
    """Return the ranking of each motif's instances among windows without a motif."""
    if arrays.instances is None or arrays.truth is None:
        return []
    attribution, table = arrays.attribution.astype(np.float64), arrays.instances
    free = arrays.truth == BACKGROUND
    if arrays.codes is not None:
        free &= arrays.codes < 4  # what was padded is no sequence without a motif
    length = free.shape[1]
    # a motif's positions may be neutral, and a site may have been written over
    for row, start, end in table[:, [ROW, START, END]].tolist():
        free[row, max(start, 0) : min(end, length)] = False
    return [
        PooledRanking(*window_scores(attribution, free, table[table[:, NUMBER] == number]))
        for number in np.unique(table[:, NUMBER])
    ]


@_metric(
    "instance-auroc",
    "area under the ROC curve of the attribution in motif instances and in windows without a motif",
)
def instance_auroc(arrays: TrialArrays) -> float:
    """Mean over motifs of the area under the ROC curve of window sums of a, ties counting half."""
    return mean_of_defined(np.array([ranking.roc_area() for ranking in _by_motif(arrays)]))


@_metric("instance-auprc", "average precision of the same")
def instance_auprc(arrays: TrialArrays) -> float:
    """Mean over motifs of the average precision of window sums of a.

    The sum over distinct sums t of (R_t - R_{t+}) P_t, without interpolation.
    """
    return mean_of_defined(np.array([ranking.average_precision() for ranking in _by_motif(arrays)]))
