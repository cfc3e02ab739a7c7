"""Whether attributions stay the same when only what should not matter changes.

Across seeds: a function gives the agreement of every two trials' attributions of the same
sequences, and a trial's value is its mean agreement with the others. Within one model: under
reverse complement, and under mutations outside motifs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import combinations_with_replacement
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from priorbench.components.metric import Metric

from .definition import define

if TYPE_CHECKING:
    from priorbench.components.metric import Probe

_CHUNK = 64
_TOP_SHARE = 0.05
Track = NDArray[np.float64]
"""(k, L) attributions of k sequences"""
Attributions = Sequence[NDArray[np.float32]]
"""S arrays (M, L), rows in the same order; their agreement is (S, S) float64, symmetric"""

METRICS: list[Metric] = []
_seeds = partial(define, METRICS, axis="stability", higher_is_better=True, scope="seeds")
_model = partial(_seeds, scope="model", floor=0.0)


def _products(tracks: Sequence[Track]) -> Track:
    """Return the (S, S) scalar products of every two tracks."""
    flat = np.stack(tracks).reshape(len(tracks), -1)
    return flat @ flat.T


def _agreement(
    attributions: Attributions,
    prepare: Callable[[Track], Track],
    similarity: Callable[[Sequence[Track]], Track] = _products,
) -> Track:
    """Return the (S, S) mean over sequences of the similarity of prepared attributions."""
    total = np.zeros((len(attributions), len(attributions)))
    rows = len(attributions[0]) if attributions else 0
    for start in range(0, rows, _CHUNK):
        part = [prepare(a[start : start + _CHUNK].astype(np.float64)) for a in attributions]
        total += similarity(part)
    return total / max(rows, 1)


def cosine(first: Track, second: Track) -> Track:
    """Return the (k,) cosine of every two rows of (k, L); 0 where one is all zero."""
    product: Track = (_unit(first) * _unit(second)).sum(axis=1)
    return product


def _unit(track: Track) -> Track:
    """Return (k, L) rows over their norms; rows of zeros stay as they are."""
    norm = np.linalg.norm(track, axis=1, keepdims=True)
    unit: Track = np.divide(track, norm, out=np.zeros_like(track), where=norm > 0)
    return unit


@_seeds(
    "seed-cosine",
    "cosine of attributions with those of the other seeds, mean over sequences",
    main=True,
)
def cosine_agreement(attributions: Attributions) -> Track:
    """Mean over sequences of a . b / (|a| |b|), for the attributions a and b of two seeds.

    A sequence whose attribution is all zero agrees with nothing: cosine 0.

    Args:
        attributions: S arrays (M, L), rows in the same order.

    Returns:
        (S, S) float64, symmetric.
    """
    return _agreement(attributions, _unit)


@_seeds("seed-spearman", "rank correlation of |attribution| with that of the other seeds")
def spearman_agreement(attributions: Attributions) -> Track:
    """Mean over sequences of Spearman's correlation of |a| and |b| over positions.

    0 for a constant attribution.

    Args:
        attributions: S arrays (M, L), rows in the same order.

    Returns:
        (S, S) float64, symmetric.
    """

    def prepare(track: Track) -> Track:
        ranks = rankdata(np.abs(track), axis=1)
        return _unit(ranks - ranks.mean(axis=1, keepdims=True))

    return _agreement(attributions, prepare)


@_seeds("seed-top-overlap", "share of the top 5% of positions that the other seeds have too")
def top_overlap(attributions: Attributions) -> Track:
    """Share of the positions with the largest |a| that are among those of |b| too.

    The k = 5% of positions, at least one; positions that tie at the border count in part, so
    that a constant attribution has the k / L of chance. Mean over sequences.

    Args:
        attributions: S arrays (M, L), rows in the same order.

    Returns:
        (S, S) float64, symmetric.
    """

    def prepare(track: Track) -> Track:
        size = np.abs(track)
        count = max(1, round(_TOP_SHARE * size.shape[1]))
        cut = -np.partition(-size, count - 1, axis=1)[:, count - 1 : count]
        above, tied = size > cut, size == cut
        left = count - above.sum(axis=1, keepdims=True)
        share = above + tied * left / tied.sum(axis=1, keepdims=True)
        member: Track = share / np.sqrt(count)
        return member

    return _agreement(attributions, prepare)


@_seeds(
    "seed-jaccard", "continuous Jaccard similarity with the other seeds, normalised by sequence"
)
def jaccard_agreement(attributions: Attributions) -> Track:
    """Mean over sequences of sum_i s_i min(|a_i|, |b_i|) / sum_i max(|a_i|, |b_i|).

    s_i is 1 where the signs agree and -1 where they do not; a and b are divided by their sums
    of magnitudes first, so that motif weighs more than background: the continuous Jaccard
    similarity of Tseng, Shrikumar & Kundaje (2020), normalised by sequence.

    Args:
        attributions: S arrays (M, L), rows in the same order.

    Returns:
        (S, S) float64, symmetric.
    """

    def prepare(track: Track) -> Track:
        mass = np.abs(track).sum(axis=1, keepdims=True)
        share: Track = np.divide(track, mass, out=np.zeros_like(track), where=mass > 0)
        return share

    def similarity(tracks: Sequence[Track]) -> Track:
        total = np.zeros((len(tracks), len(tracks)))
        for i, j in combinations_with_replacement(range(len(tracks)), 2):
            total[i, j] = total[j, i] = _jaccard(tracks[i], tracks[j]).sum()
        return total

    return _agreement(attributions, prepare, similarity)


def _jaccard(first: Track, second: Track) -> Track:
    """Return the (k,) continuous Jaccard similarity of every two rows of (k, L)."""
    sizes = np.abs(first), np.abs(second)
    common = (np.minimum(*sizes) * np.sign(first) * np.sign(second)).sum(axis=1)
    union = np.maximum(*sizes).sum(axis=1)
    similarity: Track = common / np.where(union > 0, union, 1)
    return similarity


@_seeds(
    "seed-jaccard-published",
    "continuous Jaccard similarity as published, each position normalised by itself",
)
def published_jaccard_agreement(attributions: Attributions) -> Track:
    """Mean over sequences and positions of s_i min(|a_i|, |b_i|) / max(|a_i|, |b_i|), as published.

    The published form divides by each position's own sum of magnitudes first (Tseng, Shrikumar &
    Kundaje 2020), so that background weighs as much as motif. With one value per position, what is
    left is the mean of s_i, 0 where either is 0.

    Args:
        attributions: S arrays (M, L), rows in the same order.

    Returns:
        (S, S) float64, symmetric.
    """
    return _agreement(attributions, lambda track: np.sign(track) / np.sqrt(track.shape[1]))


@_model("strand-cosine", "cosine of attributions of a sequence and of its reverse complement")
def reverse_complement_cosine(probe: Probe) -> float:
    """Mean over sequences of the cosine of a(x) and a(reverse complement of x), turned back.

    NaN where the reverse complement is another molecule (RNA).
    """
    if not probe.task.reverse_complement:
        return float("nan")
    return float(cosine(probe.own, probe.of_reverse_complement()).mean())


@_model(
    "mutation-cosine", "cosine of attributions before and after one base outside motifs is changed"
)
def mutation_cosine(probe: Probe) -> float:
    """Mean cosine of the attributions of x and of x with one base outside motifs changed.

    Each sequence has four random substitutions, where the truth has background, or, where it is
    unknown, among the half of the positions with the smallest |a|. The changed position itself is
    left out of the cosine.
    """
    cosines = []
    for positions, mutated in probe.of_mutations():
        rows = np.arange(len(positions))
        before, after = probe.own.copy(), mutated.copy()
        before[rows, positions] = after[rows, positions] = 0
        cosines.append(cosine(before, after))
    return float(np.mean(cosines))
