"""Signed attributions against the information of the matrices that sequences were drawn from.

The information of a position is 2 + sum_b p_b log2(p_b + 1e-10) of the true matrix, which is 1/4
outside motifs. Two protocols are in use. That of 2021 calls a position relevant where it exceeds
0.01, and all others count against it. That of 2023 wants more than 0.1, and leaves out positions
whose information is neither that large nor the least of the sequence. Areas are those of the
curves through all distinct scores, by the trapezoid for precision and recall. Attributions keep
their sign: a strong negative value ranks last. An attribution that is the same everywhere scores .5
under the ROC curve, and by the trapezoid (1 + s) / 2 under the other, with s the share of relevant
positions: more than noise, whose score is near s. A perfect one follows the information itself; the
right contribution of a base that a motif does not want is negative, so that an oracle of
contributions scores below 1. Sequences without a relevant position are left out; NaN where the
matrices are unknown.
"""

from __future__ import annotations

from functools import partial

import numpy as np
from numpy.typing import NDArray

from priorbench.components.metric import Metric, TrialArrays

from ..tools.definition import define
from ..tools.rankings import PooledRanking, average_precision, mean_of_defined, roc_area

_CUT_2021, _CUT_2023 = 0.01, 0.1
"""bits above which a position is relevant"""
_SMALLEST = 1e-10
"""what is added to a probability before its logarithm is taken"""
_PAPER_2021 = "Koo & Ploenzke, Nature Machine Intelligence 2021"
_PAPER_2023 = "Majdandzic et al., Genome Biology 2023"
_POOLED = "{}, pooled here".format

METRICS: list[Metric] = []
_metric = partial(
    define, METRICS, axis="localisation", higher_is_better=True, scope="trial", perfect=1.0
)
_Ranked = tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_]]
"""(M, L) scores, relevant positions, and positions that count"""


def information(matrices: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the (M, L) information in bits of (M, 4, L) probabilities."""
    p = matrices.astype(np.float64)
    bits: NDArray[np.float64] = 2 + (p * np.log2(p + _SMALLEST)).sum(axis=1)
    return bits


def _of_2021(arrays: TrialArrays) -> _Ranked | None:
    """Return what the protocol of 2021 ranks, None where the true matrices are unknown."""
    if arrays.matrices is None:
        return None
    relevant = information(arrays.matrices) > _CUT_2021
    return arrays.attribution.astype(np.float64), relevant, np.ones_like(relevant)


def _of_2023(arrays: TrialArrays) -> _Ranked | None:
    """Return what the protocol of 2023 ranks, None where the true matrices are unknown."""
    if arrays.matrices is None:
        return None
    bits = information(arrays.matrices)
    relevant = bits > _CUT_2023
    counted = relevant | (bits == bits.min(axis=1, keepdims=True, initial=np.inf))
    return arrays.attribution.astype(np.float64), relevant, counted


def _pooled(ranked: _Ranked | None) -> PooledRanking | None:
    """Return the ranking of the positions that count of all sequences together."""
    if ranked is None:
        return None
    score, relevant, counted = ranked
    counted = counted & relevant.any(axis=1, keepdims=True)
    return PooledRanking(score[relevant], score[counted & ~relevant])


def _roc(ranked: _Ranked | None) -> float:
    return float("nan") if ranked is None else mean_of_defined(roc_area(*ranked))


def _precision_recall(ranked: _Ranked | None) -> float:
    if ranked is None:
        return float("nan")
    score, relevant, counted = ranked
    # what does not count comes last, where it moves no point of the curve
    score = np.where(counted, score, -np.inf)
    return mean_of_defined(average_precision(score, relevant, trapezoid=True))


@_metric(
    "signed-auroc-2021",
    "area under the ROC curve of the attribution against informative positions, all counting",
    published=_PAPER_2021,
)
def signed_auroc_2021(arrays: TrialArrays) -> float:
    """Mean over sequences of the area under the ROC curve of a against information > 0.01 bits."""
    return _roc(_of_2021(arrays))


@_metric(
    "signed-auprc-2021",
    "area under the precision-recall curve of the same",
    published=_PAPER_2021,
)
def signed_auprc_2021(arrays: TrialArrays) -> float:
    """Mean over sequences of the area under precision against recall, information > 0.01 bits.

    By the trapezoid: the sum over distinct values t of a of (R_t - R_{t+}) (P_t + P_{t+}) / 2, with
    P = 1 at R = 0. It is not the average precision.
    """
    return _precision_recall(_of_2021(arrays))


@_metric(
    "pooled-auroc-2021",
    "signed-auroc-2021 of the positions of all sequences in one list",
    published=_POOLED(_PAPER_2021),
)
def pooled_auroc_2021(arrays: TrialArrays) -> float:
    """Area under the ROC curve of a over all positions of all sequences, not a mean over them.

    Sequences with larger attributions count for more.
    """
    ranking = _pooled(_of_2021(arrays))
    return float("nan") if ranking is None else ranking.roc_area()


@_metric(
    "pooled-auprc-2021",
    "signed-auprc-2021 of the positions of all sequences in one list",
    published=_POOLED(_PAPER_2021),
)
def pooled_auprc_2021(arrays: TrialArrays) -> float:
    """Area under precision against recall over all positions of all sequences, by the trapezoid."""
    ranking = _pooled(_of_2021(arrays))
    return float("nan") if ranking is None else ranking.average_precision(trapezoid=True)


@_metric(
    "signed-auroc-2023",
    "area under the ROC curve of the attribution, informative positions against background",
    published=_PAPER_2023,
)
def signed_auroc_2023(arrays: TrialArrays) -> float:
    """Mean over sequences of the area under the ROC curve of a against information > 0.1 bits.

    Positions of lower information count only where it is the least of the sequence.
    """
    return _roc(_of_2023(arrays))


@_metric(
    "signed-auprc-2023",
    "area under the precision-recall curve of the same",
    published=_PAPER_2023,
)
def signed_auprc_2023(arrays: TrialArrays) -> float:
    """Mean over sequences of the area under precision against recall, information > 0.1 bits.

    By the trapezoid, as in ``signed-auprc-2021``. Positions of lower information count only where
    it is the least of the sequence.
    """
    return _precision_recall(_of_2023(arrays))


@_metric(
    "pooled-auroc-2023",
    "signed-auroc-2023 of the positions of all sequences in one list",
    published=_POOLED(_PAPER_2023),
)
def pooled_auroc_2023(arrays: TrialArrays) -> float:
    """Area under the ROC curve of a over the positions that count of all sequences."""
    ranking = _pooled(_of_2023(arrays))
    return float("nan") if ranking is None else ranking.roc_area()


@_metric(
    "pooled-auprc-2023",
    "signed-auprc-2023 of the positions of all sequences in one list",
    published=_POOLED(_PAPER_2023),
)
def pooled_auprc_2023(arrays: TrialArrays) -> float:
    """Area under precision against recall over the positions that count, by the trapezoid."""
    ranking = _pooled(_of_2023(arrays))
    return float("nan") if ranking is None else ranking.average_precision(trapezoid=True)
