"""Scores of four-base attributions: against the true matrices, and without any truth.

They need the hypothetical contributions of a trial, which are kept where they are asked for
(``--keep-hypothetical``); without them, and for attributions that have none, scores are NaN.
"""

from __future__ import annotations

import warnings
from functools import partial

import numpy as np
from numpy.typing import NDArray

from priorbench.components.metric import Metric, TrialArrays

from ..tools.definition import define
from ..tools.rankings import mean_of_defined

_QUANTILE = 0.9
"""share of a sequence's positions that are below the cutoff"""
_K = 6
"""length in bp of the words that are counted"""
_EXTENSION = 2
"""bases by which a run of kept positions is lengthened on its right"""

METRICS: list[Metric] = []
_metric = partial(
    define,
    METRICS,
    axis="localisation",
    higher_is_better=True,
    scope="trial",
    every_base=True,
    perfect=1.0,
)


def centred(every_base: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return (M, 4, L) attributions less each position's mean over bases (gradient correction)."""
    values = every_base.astype(np.float64)
    corrected: NDArray[np.float64] = values - values.mean(axis=1, keepdims=True)
    return corrected


def _cosine(every_base: NDArray[np.float64], arrays: TrialArrays) -> float:
    if arrays.matrices is None:
        return float("nan")
    wanted = arrays.matrices.astype(np.float64) - 0.25
    dot = (every_base * wanted).sum(axis=(1, 2))
    sizes = [np.sqrt((values**2).sum(axis=(1, 2))) for values in (every_base, wanted)]
    product = sizes[0] * sizes[1]
    # an attribution that is zero everywhere says nothing; a sequence without a motif asks nothing
    cosine = np.where(product == 0, 0.0, dot / np.where(product == 0, 1, product))
    if not np.isfinite(every_base).all():
        return float("nan")
    return mean_of_defined(np.where(sizes[1] > 0, cosine, np.nan))


@_metric(
    "matrix-cosine",
    "cosine of the four-base attribution with the true matrix less 1/4",
    published="Majdandzic et al., Genome Biology 2023",
)
def matrix_cosine(arrays: TrialArrays) -> float:
    """Mean over sequences of the cosine of h_ib and p_ib - 1/4 over all positions and bases.

    h is the attribution of all four bases and p the matrix that the sequence was drawn from, 1/4
    outside motifs. 0 for an attribution that is zero everywhere; sequences without a motif are left
    out.
    """
    if arrays.hypothetical is None:
        return float("nan")
    return _cosine(arrays.hypothetical.astype(np.float64), arrays)


@_metric(
    "matrix-cosine-centred",
    "the same after the gradient correction: less the mean over the four bases",
    published="Majdandzic et al., Genome Biology 2023",
)
def matrix_cosine_centred(arrays: TrialArrays) -> float:
    """Mean over sequences of the cosine of h_ib - mean_c h_ic and p_ib - 1/4.

    What all four bases of a position share says nothing about which of them is wanted.
    """
    if arrays.hypothetical is None:
        return float("nan")
    return _cosine(centred(arrays.hypothetical), arrays)


@_metric(
    "kmer-consistency",
    "how far the 6-mers at large attributions are from those of the whole sequences; no truth",
    unit="nats",
    perfect=None,
    published="Majdandzic et al., PMLR 200:131, 2022",
)
def kmer_consistency(arrays: TrialArrays) -> float:
    """Kullback-Leibler divergence of the 6-mers that attributions point at from all 6-mers.

    h is centred over bases and divided by its norm in each sequence. Positions are kept whose norm
    over bases exceeds the 90% quantile of their sequence; a run of them is lengthened by two bases
    on its right, runs that then share a position are one, and those of 6 bases or more count. The
    value is sum p ln(p / w), with p the frequencies of 6-mers in them and w those in all sequences.
    Higher is more consistent: the same words everywhere. Few 6-mers are far from w by chance, so
    that the random attribution, whose runs are short, may score above a network: values compare
    only where about as many 6-mers are kept. NaN where no run is long enough.
    """
    if arrays.hypothetical is None or arrays.codes is None:
        return float("nan")
    return kmer_divergence(arrays.hypothetical, arrays.codes, k=_K, quantile=_QUANTILE)


def kmer_divergence(
    every_base: NDArray[np.floating], codes: NDArray[np.uint8], *, k: int, quantile: float
) -> float:
    """Return the divergence in nats that ``kmer-consistency`` is.

    Args:
        every_base: (M, 4, L) attributions of A C G T.
        codes: (M, L) uint8 bases; k-mers with an N do not count.
        k: length of words.
        quantile: share of a sequence's positions that are not kept.
    """
    word, known = _words(codes, k)
    if not known.any():
        return float("nan")
    inside = _word_starts(kept_runs(every_base, codes < 4, quantile), word.shape, k) & known
    if not inside.any():
        return float("nan")
    p = np.bincount(word[inside], minlength=4**k) / inside.sum()
    w = np.bincount(word[known], minlength=4**k) / known.sum()
    there = p > 0
    return float((p[there] * np.log(p[there] / w[there])).sum())


def _words(codes: NDArray[np.uint8], k: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return the (M, L - k + 1) number of the word at each start, and whether it has no N."""
    places = max(codes.shape[1] - k + 1, 0)
    word = np.zeros((len(codes), places), dtype=np.int64)
    known = np.ones(word.shape, dtype=bool)
    for column in range(k):
        base = codes[:, column : column + places]
        known &= base < 4
        word = 4 * word + base
    return np.where(known, word, 0), known


def kept_runs(
    every_base: NDArray[np.floating], known: NDArray[np.bool_], quantile: float
) -> NDArray[np.int64]:
    """Return (R, 3) int64 rows, starts and ends of the runs of positions with large attributions.

    A sequence without attribution has none.

    Args:
        every_base: (M, 4, L) attributions of A C G T.
        known: (M, L) bool, where there is a base and not an N; others are not ranked.
        quantile: share of a sequence's known positions that are not kept.
    """
    size = np.sqrt((centred(every_base) ** 2).sum(axis=1))
    norm = np.sqrt((size**2).sum(axis=1, keepdims=True))
    size = size / np.where(norm > 0, norm, 1)
    size = np.where(known, size, np.nan)  # where there is no base nothing is attributed
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a sequence of N has no quantile
        cutoff = np.nanquantile(size, quantile, axis=1, keepdims=True)
    kept = size > cutoff
    edges = np.diff(np.pad(kept, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    row, start = np.nonzero(edges == 1)
    end = np.minimum(np.nonzero(edges == -1)[1] + _EXTENSION, kept.shape[1])
    first = np.ones(len(row), dtype=bool)
    first[1:] = (row[1:] != row[:-1]) | (start[1:] >= end[:-1])
    last = np.r_[np.flatnonzero(first)[1:] - 1, len(row) - 1][: first.sum()]
    return np.stack([row[first], start[first], end[last]], axis=1).astype(np.int64)


def _word_starts(runs: NDArray[np.int64], shape: tuple[int, ...], k: int) -> NDArray[np.bool_]:
    """Return bool of that shape: whether the word of k bases that starts there is in one run."""
    row, start, end = runs[runs[:, 2] - runs[:, 1] >= k].T
    borders = np.zeros((shape[0], shape[1] + 1), dtype=np.int32)
    np.add.at(borders, (row, start), 1)
    np.add.at(borders, (row, end - k + 1), -1)
    return borders.cumsum(axis=1)[:, :-1] > 0
