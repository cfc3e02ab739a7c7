"""Hashes of sequences, which decide splits and find repeats without keeping the sequences."""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

from priorbench.data.codes import TEST, TRAIN, VALID
from priorbench.data.formats.encoding import reverse_complement

_TEST_SHARE, _VALID_SHARE = 0.2, 0.1


def sequence_digests(codes: NDArray[np.uint8], *, both_strands: bool) -> NDArray[np.uint64]:
    """(k,) 64-bit hashes of (k, L) sequences.

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


def among(digests: NDArray[np.uint64], ascending: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """(k,) whether each of k digests is in an ascending array."""
    # np.isin would sort the large array again for every chunk
    if not len(ascending):
        return np.zeros(len(digests), dtype=bool)
    place = np.searchsorted(ascending, digests)
    found: NDArray[np.bool_] = ascending[np.minimum(place, len(ascending) - 1)] == digests
    return found


def split_by_digest(digests: NDArray[np.uint64], *, test: bool) -> NDArray[np.uint8]:
    """(k,) uint8 splits: about a tenth validation and, if wanted, a fifth test."""
    place = digests / 2.0**64
    split = np.full(len(digests), TRAIN, dtype=np.uint8)
    split[place < _VALID_SHARE] = VALID
    if test:
        split[place >= 1 - _TEST_SHARE] = TEST
    return split
