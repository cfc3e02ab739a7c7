"""Hashes of sequences, which decide splits and find repeats without keeping the sequences."""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

from priorbench.encoding import reverse_complement

from .codes import TEST, TRAIN, VALID

TEST_SHARE, VALID_SHARE = 0.2, 0.1
"""shares of the data that are held out where the user does not say which"""
NO_DIGESTS = np.empty(0, dtype=np.uint64)


def sequence_digests(codes: NDArray[np.uint8], *, both_strands: bool) -> NDArray[np.uint64]:
    """Return (k,) 64-bit hashes of (k, L) sequences.

    With ``both_strands``, a sequence and its reverse complement have the same hash.
    """
    if both_strands:
        other = reverse_complement(codes)
        differs = codes != other
        first = differs.argmax(axis=1)
        row = np.arange(len(codes))
        codes = np.where((other[row, first] < codes[row, first])[:, None], other, codes)
    hashes = b"".join(hashlib.blake2b(row, digest_size=8).digest() for row in codes)
    return np.frombuffer(hashes, dtype="<u8").astype(np.uint64)


def split_by_digest(digests: NDArray[np.uint64], *, test: bool) -> NDArray[np.uint8]:
    """Return (k,) uint8 splits: about a tenth validation and, if ``test``, a fifth test."""
    place = digests / 2.0**64
    split = np.full(len(digests), TRAIN, dtype=np.uint8)
    split[place < VALID_SHARE] = VALID
    if test:
        split[place >= 1 - TEST_SHARE] = TEST
    return split


def in_later_split(digests: NDArray[np.uint64], split: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return (k,) bool: whether each sequence is in a later split too.

    Validation and test are later than training, test is later than validation.
    """
    repeated = np.zeros(len(digests), dtype=bool)
    for number, later in ((TRAIN, (VALID, TEST)), (VALID, (TEST,))):
        held_out = np.unique(digests[np.isin(split, later)])
        repeated |= (split == number) & among(digests, held_out)
    return repeated


def among(digests: NDArray[np.uint64], ascending: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """Return (k,) bool: whether each of k digests is in an ascending array."""
    # np.isin would sort the large array again for every chunk
    if not len(ascending):
        return np.zeros(len(digests), dtype=bool)
    place = np.searchsorted(ascending, digests)
    member: NDArray[np.bool_] = ascending[np.minimum(place, len(ascending) - 1)] == digests
    return member
