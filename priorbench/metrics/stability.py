"""Whether attributions stay the same when only what should not matter changes.

Across seeds: a function gives the agreement of every two trials' attributions of the same
sequences, and a trial's value is its mean agreement with the others. Within one model: under
reverse complement, and under mutations outside motifs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from priorbench.components.metric import Metric

if TYPE_CHECKING:
    from priorbench.components.metric import Probe

_CHUNK = 64
_TOP_SHARE = 0.05
Track = NDArray[np.float64]
"""(k, L) attributions of k sequences"""


def _agreement(
    attributions: Sequence[NDArray[np.float32]], prepare: Callable[[Track], Track]
) -> Track:
    """Return the (S, S) mean over sequences of the scalar product of prepared attributions."""
    count = len(attributions)
    total = np.zeros((count, count))
    rows = len(attributions[0]) if count else 0
    for start in range(0, rows, _CHUNK):
        part = [prepare(a[start : start + _CHUNK].astype(np.float64)) for a in attributions]
        flat = np.stack(part).reshape(count, -1)
        total += flat @ flat.T
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


def cosine_agreement(attributions: Sequence[NDArray[np.float32]]) -> Track:
    """Mean over sequences of a . b / (|a| |b|), for the attributions a and b of two seeds.

    A sequence whose attribution is all zero agrees with nothing: cosine 0.

    Args:
        attributions: S arrays (M, L), rows in the same order.

    Returns:
        (S, S) float64, symmetric.
    """
    return _agreement(attributions, _unit)


def spearman_agreement(attributions: Sequence[NDArray[np.float32]]) -> Track:
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


def top_overlap(attributions: Sequence[NDArray[np.float32]]) -> Track:
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


def jaccard_agreement(attributions: Sequence[NDArray[np.float32]]) -> Track:
    """Mean over sequences of sum_i s_i min(|a_i|, |b_i|) / sum_i max(|a_i|, |b_i|).

    s_i is 1 where the signs agree and -1 where they do not; a and b are divided by their sums
    of magnitudes first, so that motif weighs more than background: the continuous Jaccard
    similarity of Tseng, Shrikumar & Kundaje (2020), normalised by sequence.

    Args:
        attributions: S arrays (M, L), rows in the same order.

    Returns:
        (S, S) float64, symmetric.
    """
    count = len(attributions)
    total = np.zeros((count, count))
    rows = len(attributions[0]) if count else 0
    for start in range(0, rows, _CHUNK):
        part = []
        for attribution in attributions:
            track = attribution[start : start + _CHUNK].astype(np.float64)
            mass = np.abs(track).sum(axis=1, keepdims=True)
            part.append(np.divide(track, mass, out=np.zeros_like(track), where=mass > 0))
        for i in range(count):
            for j in range(i, count):
                total[i, j] += _jaccard(part[i], part[j]).sum()
                total[j, i] = total[i, j]
    return total / max(rows, 1)


def _jaccard(first: Track, second: Track) -> Track:
    """Return the (k,) continuous Jaccard similarity of every two rows of (k, L)."""
    sizes = np.abs(first), np.abs(second)
    common = (np.minimum(*sizes) * np.sign(first) * np.sign(second)).sum(axis=1)
    union = np.maximum(*sizes).sum(axis=1)
    similarity: Track = common / np.where(union > 0, union, 1)
    return similarity


def published_jaccard_agreement(attributions: Sequence[NDArray[np.float32]]) -> Track:
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


def reverse_complement_cosine(probe: Probe) -> float:
    """Mean over sequences of the cosine of a(x) and a(reverse complement of x), turned back.

    NaN where the reverse complement is another molecule (RNA).
    """
    if not probe.task.reverse_complement:
        return float("nan")
    return float(cosine(probe.own, probe.of_reverse_complement()).mean())


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


_seeds = partial(Metric, axis="stability", unit="", higher_is_better=True, scope="seeds")
_model = partial(_seeds, scope="model", floor=0.0)
METRICS = (
    _seeds(
        name="seed-cosine",
        summary="cosine of attributions with those of the other seeds, mean over sequences",
        function=cosine_agreement,
        main=True,
    ),
    _seeds(
        name="seed-spearman",
        summary="rank correlation of |attribution| with that of the other seeds",
        function=spearman_agreement,
    ),
    _seeds(
        name="seed-top-overlap",
        summary="share of the top 5% of positions that the other seeds have too",
        function=top_overlap,
    ),
    _seeds(
        name="seed-jaccard",
        summary="continuous Jaccard similarity with the other seeds, normalised by sequence",
        function=jaccard_agreement,
    ),
    _seeds(
        name="seed-jaccard-published",
        summary="continuous Jaccard similarity as published, each position normalised by itself",
        function=published_jaccard_agreement,
    ),
    _model(
        name="strand-cosine",
        summary="cosine of attributions of a sequence and of its reverse complement",
        function=reverse_complement_cosine,
    ),
    _model(
        name="mutation-cosine",
        summary="cosine of attributions before and after one base outside motifs is changed",
        function=mutation_cosine,
    ),
)
