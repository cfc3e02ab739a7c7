"""Sequences shuffled so that each keeps its dinucleotides: negatives made of positives."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from priorbench.data.formats.notes import Notes
from priorbench.data.sequence_hashes import NO_DIGESTS, among, sequence_digests
from priorbench.encoding import N_CODE, one_hot

_TRIES = 10
"""shuffles of a sequence after which it counts as one that cannot become another"""
_BATCH_BASES = 4 << 20
"""bases that are one-hot encoded at once"""


class Shuffler:
    """Shuffles positives with tangermeme, by a walk over their dinucleotides (Altschul & Erikson).

    The first and the last known base stay where they are, and so does N before and behind them,
    by which padded sequences could be told from their shuffles.
    """

    def __init__(
        self,
        generator: np.random.Generator,
        given: NDArray[np.uint64] = NO_DIGESTS,
        *,
        both_strands: bool,
    ) -> None:
        """Draw from a generator.

        Args:
            generator: draws the shuffles.
            given: ascending hashes of the given sequences, which no shuffle may equal.
            both_strands: whether a reverse complement counts as the same sequence.
        """
        self._generator, self._given, self._both_strands = generator, given, both_strands
        self._drawn, self._split_of = NO_DIGESTS, np.empty(0, dtype=np.uint8)
        self._unchanged = self._repeated = 0

    def negatives(
        self, codes: NDArray[np.uint8], split: NDArray[np.uint8]
    ) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """Shuffle sequences.

        What comes out depends on the state of the generator, not on how many come at once.

        Args:
            codes: (k, L) uint8.
            split: (k,) uint8 split of each, for which its shuffle is.

        Returns:
            (k, L) uint8 shuffles, and (k,) bool: whether each is another sequence than all that
            were given and than all shuffles before it of another split; the others are counted.
        """
        seeds = self._generator.integers(2**31, size=(len(codes), _TRIES))
        before = sequence_digests(codes, both_strands=self._both_strands)
        after = before.copy()
        result = codes.copy()
        same = np.arange(len(codes))
        for column in seeds.T:
            if not len(same):
                break
            result[same] = _shuffle(codes[same], column[same])
            after[same] = sequence_digests(result[same], both_strands=self._both_strands)
            same = same[(after[same] == before[same]) | among(after[same], self._given)]
        changed = np.ones(len(codes), dtype=bool)
        changed[same] = False
        self._unchanged += len(same)
        fresh = self._of_their_split(after[changed], split[changed])
        self._repeated += int((~fresh).sum())
        changed[changed] = fresh
        return result, changed

    def _of_their_split(
        self, digests: NDArray[np.uint64], split: NDArray[np.uint8]
    ) -> NDArray[np.bool_]:
        """Return (k,) bool: whether the first shuffle that is the same was for the same split."""
        every = np.concatenate([self._drawn, digests])
        self._drawn, first, place = np.unique(every, return_index=True, return_inverse=True)
        self._split_of = np.concatenate([self._split_of, split])[first]
        fresh: NDArray[np.bool_] = self._split_of[place[len(every) - len(digests) :]] == split
        return fresh

    def tell(self, notes: Notes) -> None:
        """Add notes on where the negatives came from, and on those that there are none for."""
        notes.say(
            "Negatives are the positives with their bases shuffled, in the same split; each keeps "
            "the counts of its dinucleotides."
        )
        if self._unchanged:
            notes.say(
                f"Dropped {self._unchanged:,} negatives: shuffling the positive gives no sequence "
                "that is not among the given ones."
            )
        if self._repeated:
            notes.say(
                f"Dropped {self._repeated:,} negatives: another split has the same shuffled "
                "sequence."
            )


def _shuffle(codes: NDArray[np.uint8], seeds: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Return a shuffle of each of (k, L) sequences, by a seed of its own."""
    from tangermeme.ersatz import dinucleotide_shuffle

    known = codes != N_CODE
    first, last = known.argmax(axis=1), codes.shape[1] - known[:, ::-1].argmax(axis=1)
    extents, group = np.unique(np.stack([first, last]), axis=1, return_inverse=True)
    order = np.argsort(group.ravel(), kind="stable")
    members = np.split(order, np.cumsum(np.bincount(group.ravel()))[:-1])
    result = codes.copy()
    step = max(1, _BATCH_BASES // codes.shape[1])
    for (start, end), rows in zip(extents.T.tolist(), members, strict=True):
        for begin in range(0, len(rows), step):
            here = rows[begin : begin + step]
            sources = one_hot(codes[here, start:end], dtype=torch.int8)
            shuffles = dinucleotide_shuffle(
                sources, n=1, random_state=seeds[here].tolist(), allow_N=True
            )[:, 0].numpy()
            unknown = shuffles.max(axis=1) == 0
            result[here, start:end] = np.where(unknown, N_CODE, shuffles.argmax(axis=1))
    return result
