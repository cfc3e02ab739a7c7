"""How alike the attributions of several trials are: of the same sequence, and of different ones.

Attributions of different sequences agree too, where a model attributes by position rather than by
sequence, or attributes with one sign. Agreement that is corrected for chance is agreement of the
same sequence less that of different sequences.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from priorbench.statistics.agreement import are_partners

Track = NDArray[np.float64]
"""(k, L) attributions of k sequences"""
Attributions = Sequence[NDArray[np.float32]]
"""S arrays (M, L), rows in the same order; their agreement is (S, S) float64, symmetric"""
_AddSimilarities = Callable[[Track, Track, NDArray[np.int64], Track], None]
_CHUNK = 64
_SHIFTS = 8
"""number of other sequences that each is compared with where not all of them can be"""


@dataclass(frozen=True)
class Similarity:
    """How alike two attributions of one sequence are.

    Attributes:
        prepare: changes (k, L) attributions row by row, before any two are compared.
        sums: (S, S) sum over rows of the similarity, by the prepared rows of S trials and of S
            trials, symmetric: i > j as j, i; those of partners are read. None for the scalar
            product, whose mean over all pairs of different sequences has a closed form.
    """

    prepare: Callable[[Track], Track]
    sums: Callable[[Sequence[Track], Sequence[Track]], Track] | None = None

    def prepared(self, attributions: Attributions, rows: NDArray[np.int64]) -> list[Track]:
        """Return some rows of every trial, prepared."""
        return [self.prepare(track[rows].astype(np.float64)) for track in attributions]

    def of_same(self, tracks: Sequence[Track]) -> Track:
        """Return the (S, S) sum over rows of the similarity of every two trials' prepared rows."""
        if self.sums is not None:
            return self.sums(tracks, tracks)
        flat = np.stack(tracks).reshape(len(tracks), -1)
        return flat @ flat.T


def agreement(attributions: Attributions, similarity: Similarity) -> Track:
    """Return the (S, S) mean over sequences of the similarity of every two partners."""
    total = np.zeros((len(attributions), len(attributions)))
    for rows in _chunks(attributions):
        part = similarity.prepared(attributions, rows)
        total += similarity.of_same(part)
    return total / max(_count(attributions), 1)


def corrected_agreement(attributions: Attributions, similarity: Similarity) -> Track:
    """Return the (S, S) agreement of the same sequences less that of different sequences.

    The similarity of sequence m under one trial and m' under another is averaged over all pairs of
    different sequences where it is a scalar product. Where it is not, each sequence is compared
    with 8 others (:func:`_shifts`). Attributions are prepared once for both terms.

    Returns:
        The differences, NaN for a single sequence, which has no other. Attributions that are zero
        everywhere agree with nothing, however few: 0.
    """
    count, trials = _count(attributions), len(attributions)
    if count < 2:
        known = any(track.any() for track in attributions)
        return np.full((trials, trials), np.nan if known else 0.0)
    same = np.zeros((trials, trials))
    if similarity.sums is None:
        sums = np.zeros((trials, attributions[0].shape[1]))
        for rows in _chunks(attributions):
            part = similarity.prepared(attributions, rows)
            same += similarity.of_same(part)
            sums += [track.sum(axis=0) for track in part]
        others = (sums @ sums.T - same) / (count - 1)
    else:
        others, shifts = np.zeros_like(same), _shifts(count)
        for rows in _chunks(attributions):
            part = similarity.prepared(attributions, rows)
            same += similarity.of_same(part)
            for shift in shifts:
                shifted = similarity.prepared(attributions, (rows + shift) % count)
                others += similarity.sums(part, shifted) / len(shifts)
    difference: Track = (same - others) / count
    return difference


def jaccard_sums(first: Sequence[Track], second: Sequence[Track]) -> Track:
    """Return the (S, S) sum over rows of the continuous Jaccard similarity; i > j as j, i.

    It has no form whose cost grows with the number of trials alone: for every two rows it is a
    ratio of two sums of its own. Those of trials that are no partners are NaN. Compiled, a pair
    costs about a nanosecond for three positions.
    """
    count = len(first)
    wanted = are_partners(count)
    np.fill_diagonal(wanted, True)
    pairs = np.argwhere(np.triu(wanted))
    total, add = np.zeros(len(pairs)), _compiled()
    # a sequence at a time, its trials one behind the other
    for of_sequence in zip(np.stack(first, axis=1), np.stack(second, axis=1), strict=True):
        add(*of_sequence, pairs, total)
    result = np.full((count, count), np.nan)
    result[pairs[:, 0], pairs[:, 1]] = result[pairs[:, 1], pairs[:, 0]] = total
    return result


@cache
def _compiled() -> _AddSimilarities:
    from numba import njit

    # sums may be taken in any order, several terms at once; nothing else is given up
    compiled = njit(cache=True, fastmath={"reassoc", "nsz", "contract"})
    add: _AddSimilarities = compiled(_add_jaccard)
    return add


def _add_jaccard(first: Track, second: Track, pairs: NDArray[np.int64], total: Track) -> None:
    """Add the similarity of row i of the first and row j of the second to ``total``, for each pair.

    |a + b| + |a - b| is twice the larger of |a| and |b|, and |a + b| - |a - b| twice the smaller,
    with the sign of a b.
    """
    for number in range(pairs.shape[0]):
        i, j = pairs[number, 0], pairs[number, 1]
        together, gap = 0.0, 0.0
        for k in range(first.shape[1]):
            together += abs(first[i, k] + second[j, k])
            gap += abs(first[i, k] - second[j, k])
        union = together + gap
        if union > 0:
            total[number] += (together - gap) / union
        else:
            total[number] += union  # 0, or not a number


def _count(attributions: Attributions) -> int:
    return len(attributions[0]) if attributions else 0


def _chunks(attributions: Attributions) -> Iterator[NDArray[np.int64]]:
    """Yield numbers of rows, few at a time: their copies in double precision take memory."""
    count = _count(attributions)
    for start in range(0, count, _CHUNK):
        yield np.arange(start, min(start + _CHUNK, count))


def _shifts(count: int) -> list[int]:
    """Return by how many rows each sequence is shifted, cyclically, to face others.

    They are evenly spread, since neighbours may overlap in the genome; all shifts there are up to 9
    sequences. With a shift there is its opposite, so that the sum over rows is symmetric in the two
    trials.
    """
    shifts = {round(step * count / (_SHIFTS + 1)) for step in range(1, _SHIFTS + 1)}
    return sorted(shifts - {0, count})
