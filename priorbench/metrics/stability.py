"""Whether attributions stay the same when only what should not matter changes.

Across seeds: every function gives the agreement of every two trials' attributions of the same
sequences, and a trial's value is its mean agreement with the others. Of one model: under reverse
complement, and under mutations outside motifs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from priorbench.components.contracts import Metric

if TYPE_CHECKING:
    from priorbench.components.contracts import Probe

_CHUNK = 64
_TOP_SHARE = 0.05
Track = NDArray[np.float64]


def _agreement(
    attributions: Sequence[NDArray[np.float32]], prepare: Callable[[Track], Track]
) -> Track:
    """(S, S) mean over sequences of the scalar product of prepared attributions."""
    count = len(attributions)
    total = np.zeros((count, count))
    rows = len(attributions[0]) if count else 0
    for start in range(0, rows, _CHUNK):
        part = [prepare(a[start : start + _CHUNK].astype(np.float64)) for a in attributions]
        flat = np.stack(part).reshape(count, -1)
        total += flat @ flat.T
    return total / max(rows, 1)


def cosine(one: Track, other: Track) -> Track:
    """(k,) cosine of every two rows of (k, L); 0 where one is all zero."""
    found: Track = (_unit(one) * _unit(other)).sum(axis=1)
    return found


def _unit(track: Track) -> Track:
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
        attributions: S arrays (M, L), rows in the same order; gives (S, S).
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
        attributions: S arrays (M, L), rows in the same order; gives (S, S).
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
        attributions: S arrays (M, L), rows in the same order; gives (S, S).
    """
    return _jaccard(attributions, lambda track: np.abs(track).sum(axis=1, keepdims=True))


def published_jaccard_agreement(attributions: Sequence[NDArray[np.float32]]) -> Track:
    """Mean over sequences and positions of s_i min(|a_i|, |b_i|) / max(|a_i|, |b_i|), as published.

    The published form divides by each position's own sum of magnitudes first (Tseng, Shrikumar &
    Kundaje 2020), so that background weighs as much as motif: of one value per position what is
    left is the mean of s_i, 0 where either is 0.

    Args:
        attributions: S arrays (M, L), rows in the same order; gives (S, S).
    """
    return _agreement(attributions, lambda track: np.sign(track) / np.sqrt(track.shape[1]))


def _jaccard(attributions: Sequence[NDArray[np.float32]], mass: Callable[[Track], Track]) -> Track:
    count = len(attributions)
    total = np.zeros((count, count))
    rows = len(attributions[0]) if count else 0
    for start in range(0, rows, _CHUNK):
        part = []
        for attribution in attributions:
            track = attribution[start : start + _CHUNK].astype(np.float64)
            size = mass(track)
            part.append(np.divide(track, size, out=np.zeros_like(track), where=size > 0))
        for i in range(count):
            for j in range(i, count):
                total[i, j] += _jaccard_of(part[i], part[j]).sum()
    upper = np.triu(total, 1)
    found: Track = (upper + upper.T + np.diag(np.diag(total))) / max(rows, 1)
    return found


def _jaccard_of(one: Track, other: Track) -> Track:
    sizes = np.abs(one), np.abs(other)
    common = (np.minimum(*sizes) * np.sign(one) * np.sign(other)).sum(axis=1)
    union = np.maximum(*sizes).sum(axis=1)
    found: Track = common / np.where(union > 0, union, 1)
    return found


def reverse_complement_cosine(probe: Probe) -> float:
    """Mean over sequences of the cosine of a(x) and a(reverse complement of x), turned back.

    NaN where the reverse complement is another molecule (RNA).
    """
    if not probe.task.reverse_complement:
        return float("nan")
    return float(cosine(probe.own, probe.of_reverse_complement()).mean())


def mutation_cosine(probe: Probe) -> float:
    """Mean cosine of the attributions of x and of x with one base outside motifs changed.

    Four random substitutions per sequence, where the truth has background, or, where it is not
    known, among the half of the positions with the smallest |a|. The changed position itself is
    left out of the cosine.
    """
    found = []
    for positions, attribution in probe.of_mutations():
        rows = np.arange(len(positions))
        one, other = probe.own.copy(), attribution.copy()
        one[rows, positions] = other[rows, positions] = 0
        found.append(cosine(one, other))
    return float(np.mean(found))


def _seeds(
    name: str, summary: str, function: Callable[..., Track], *, main: bool = False
) -> Metric:
    return Metric(name, "stability", "", True, summary, "seeds", function, main=main)


METRICS = (
    _seeds(
        "seed-cosine",
        "cosine of attributions with those of the other seeds, mean over sequences",
        cosine_agreement,
        main=True,
    ),
    _seeds(
        "seed-spearman",
        "rank correlation of |attribution| with that of the other seeds",
        spearman_agreement,
    ),
    _seeds(
        "seed-top-overlap",
        "share of the top 5% of positions that the other seeds have too",
        top_overlap,
    ),
    _seeds(
        "seed-jaccard",
        "continuous Jaccard similarity with the other seeds, normalised by sequence",
        jaccard_agreement,
    ),
    _seeds(
        "seed-jaccard-published",
        "continuous Jaccard similarity as published, each position normalised by itself",
        published_jaccard_agreement,
    ),
    Metric(
        "strand-cosine",
        "stability",
        "",
        True,
        "cosine of attributions of a sequence and of its reverse complement",
        "model",
        reverse_complement_cosine,
        floor=0.0,
    ),
    Metric(
        "mutation-cosine",
        "stability",
        "",
        True,
        "cosine of attributions before and after one base outside motifs is changed",
        "model",
        mutation_cosine,
        floor=0.0,
    ),
)
