"""Splits by a hash of the sequence that keep relatives together."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from priorbench.data.sequence_hashes import (
    NO_DIGESTS,
    among,
    sequence_digests,
)
from priorbench.errors import UserError
from priorbench.machine.caches import cache_folder

from .places import overlapping_names
from .relatives import families, mixed, neighbours, united

LARGEST_SHARE = 0.05
"""share of all sequences up to which a group's split is drawn; a larger one is for training, since
it would decide how large the other splits are"""
_FOR_TRAINING = np.uint64(2**63)
"""a hash whose split is training, whether or not a test split is made"""


@dataclass(frozen=True)
class Relatives:
    """Sequences that must stay in one split, by their hashes.

    Attributes:
        every: (n,) uint64 ascending hashes of all sequences that were looked at.
        known: (k,) uint64 ascending hashes of the sequences that have relatives.
        deciding: (k,) uint64 hash that decides the split of each, one for a group.
        for_training: number of sequences whose groups are too large for another split.
        sentences: notes on them.
    """

    every: NDArray[np.uint64]
    known: NDArray[np.uint64]
    deciding: NDArray[np.uint64]
    for_training: int
    sentences: Sequence[str]

    def decide(self, digests: NDArray[np.uint64]) -> NDArray[np.uint64]:
        """Return the (k,) hashes that decide the splits: a sequence's own if it has no relative."""
        member = among(digests, self.known)
        result = digests.copy()
        result[member] = self.deciding[np.searchsorted(self.known, digests[member])]
        return result


def find_relatives(
    chunks: Iterable[tuple[list[str], NDArray[np.uint8]]], source: Path, *, both_strands: bool
) -> Relatives:
    """Find the sequences that are near-identical or overlap by their names.

    Args:
        chunks: names of records with their (k, L) codes, one length L; they are kept on the disk.
        source: the data file.
        both_strands: whether a reverse complement counts as the same sequence.

    Raises:
        UserError: most sequences are of one group or of few, so that no split keeps them apart.
    """
    names: list[str] = []
    digests, length = [NO_DIGESTS], 0
    with tempfile.TemporaryFile(dir=cache_folder()) as stream:
        for part, codes in chunks:
            names += part
            length = codes.shape[1]
            digests.append(sequence_digests(codes, both_strands=both_strands))
            stream.write(np.ascontiguousarray(codes).data)
        stream.flush()
        if len(names) < 2:
            return Relatives(np.concatenate(digests), NO_DIGESTS, NO_DIGESTS, 0, [])
        stored = np.memmap(stream, dtype=np.uint8, mode="r", shape=(len(names), length))
        near = families(stored, both_strands=both_strands)
        del stored
    relatives = _grouped(np.concatenate(digests), near, overlapping_names(names, length))
    if 2 * relatives.for_training > len(names):
        raise UserError(
            f"{source}: {relatives.for_training:,} of {len(names):,} sequences are near-identical "
            f"or overlap in groups of more than {LARGEST_SHARE:.0%} of all, which is too many for "
            "splits that are apart; give more groups, fewer of each, or windows that overlap less"
        )
    return relatives


def _grouped(
    digests: NDArray[np.uint64], near: NDArray[np.int64], overlaps: NDArray[np.int64]
) -> Relatives:
    """Return relatives, given (n,) hashes, (n,) families and (2, k) pairs that overlap by name."""
    every = np.unique(digests)
    same = [neighbours(column) for column in (digests, near)]
    pairs = np.concatenate([*same, overlaps], axis=1)
    group = united(len(digests), *pairs)
    order = np.lexsort((digests, group))
    digests, group = digests[order], group[order]
    first = np.flatnonzero(np.append(True, group[1:] != group[:-1]))
    sizes = np.diff(np.append(first, len(group)))
    fresh = np.append(True, (group[1:] != group[:-1]) | (digests[1:] != digests[:-1]))
    related = np.add.reduceat(fresh.astype(np.int64), first) > 1  # repeats are no relatives
    large = related & (sizes > LARGEST_SHARE * len(digests))
    # the least of several hashes is small: hashed again, so that splits keep their shares
    deciding = np.where(large, _FOR_TRAINING, mixed(digests[first]))
    member = np.repeat(related, sizes)
    known, index = np.unique(digests[member], return_index=True)
    sentences = _sentences(sizes[related], sizes[large], bool(overlaps.shape[1]))
    decided = np.repeat(deciding, sizes)[member][index]
    return Relatives(every, known, decided, int(sizes[large].sum()), sentences)


def _sentences(sizes: NDArray[np.int64], large: NDArray[np.int64], named: bool) -> list[str]:
    """Return notes on groups, given the sizes of all and of those that are for training."""
    if not len(sizes):
        return []
    how = (
        "near-identical to another one or overlap it by their names"
        if named
        else ("near-identical to another one")
    )
    sentences = [
        f"{int(sizes.sum()):,} sequences are {how}; they form {len(sizes):,} groups, and what is "
        "split stays together by group."
    ]
    if len(large):
        sentences.append(
            f"Kept for training: {len(large):,} groups of such sequences, {int(large.sum()):,} in "
            f"all, as each has more than {LARGEST_SHARE:.0%} of the data."
        )
    return sentences
