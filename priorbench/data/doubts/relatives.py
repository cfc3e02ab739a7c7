"""Near-identical sequences, found in time and memory linear in their number.

Two sequences are near-identical if, moved along each other without gaps, they agree in stretches
of at least 8 bases that together hold half of the telling bases of one of them, and at least 20.
A base is telling unless it is N, part of a simple repeat (a period of up to 4 bp), or in a column
where nine tenths of all sequences have the same base, such as the constant ends of a library.

Candidates share a seed: a 16-mer with the smallest hash around it (Roberts et al. 2004). A seed is
compared in its next few holders only, so that one that thousands of sequences share costs no more.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from priorbench.encoding import N_CODE, reverse_complement

LEAST_SHARED = 20
"""telling bases that near-identical sequences share at least: shorter sequences have no relatives,
and repeats are found by their hashes"""
_SEED = 16
_STRETCH = 8
_SEEDS_OF_A_SEQUENCE = 16
"""about; two windows that overlap by half share several"""
_NEXT_HOLDERS = 3
_LONGEST_PERIOD = 4
_REPEATED = 8
"""bases that continue a period before they count as a simple repeat"""
_CONSTANT_SHARE, _CONSTANT_FROM = 0.9, 50
"""share of sequences with one base that makes a column constant, where there are as many"""
_CHUNK_BASES, _CHUNK_PAIRS = 2 << 20, 1 << 18
_NONE = np.uint64(2**64 - 1)

_Bools = NDArray[np.bool_]
_Codes = NDArray[np.uint8]
_Rows = NDArray[np.int64]


def families(codes: _Codes, *, both_strands: bool) -> _Rows:
    """Return the (n,) number of each sequence's family; near-identical sequences share one.

    Relatives of relatives belong to the same family.

    Args:
        codes: (n, L) uint8, in memory or mapped.
        both_strands: whether a reverse complement counts as the same sequence.
    """
    count, length = codes.shape
    if count < 2 or length < LEAST_SHARED:
        return np.arange(count, dtype=np.int64)
    variable = ~constant_columns(codes)
    seeds, rows = _seeds(codes, variable, both_strands=both_strands)
    family = np.arange(count, dtype=np.int64)
    for candidates in _candidates(seeds, rows, length):
        # most pairs of a large family are told before their turn
        apart = family[candidates[0]] != family[candidates[1]]
        pairs = np.unique(candidates[:, apart], axis=1)
        first, second = _near_identical(codes, variable, pairs)
        if len(first):
            family = united(count, family[first], family[second])[family]
    return family


def united(count: int, first: _Rows, second: _Rows) -> _Rows:
    """Return the (count,) number of the group of each item, given pairs that belong together."""
    pairs = coo_array((np.ones(len(first), dtype=bool), (first, second)), shape=(count, count))
    return np.asarray(connected_components(pairs, directed=False)[1], dtype=np.int64)


def neighbours(column: NDArray[np.uint64] | NDArray[np.int64]) -> NDArray[np.int64]:
    """Return (2, k) pairs that chain the rows of equal values."""
    order = np.argsort(column, kind="stable")
    same = column[order[:-1]] == column[order[1:]]
    return np.stack([order[:-1][same], order[1:][same]]).astype(np.int64)


def constant_columns(codes: _Codes) -> _Bools:
    """Return (L,) bool: the positions at which nine tenths of the sequences have one base.

    It is nowhere so where there are fewer than 50 sequences.
    """
    count, length = codes.shape
    if count < _CONSTANT_FROM:
        return np.zeros(length, dtype=bool)
    totals = np.zeros((4, length), dtype=np.int64)
    for _, part in row_chunks(codes):
        totals += [(part == base).sum(axis=0) for base in range(4)]
    result: _Bools = totals.max(axis=0) >= _CONSTANT_SHARE * count
    return result


def row_chunks(codes: _Codes) -> Iterator[tuple[int, _Codes]]:
    """Yield the first row of each chunk of sequences with their codes, in memory."""
    step = max(1, _CHUNK_BASES // codes.shape[1])
    for begin in range(0, len(codes), step):
        yield begin, np.asarray(codes[begin : begin + step])


def _telling(codes: _Codes, variable: _Bools) -> _Bools:
    """Return (k, L) bool: bases that are known, in no simple repeat and in no constant column."""
    simple = np.zeros(codes.shape, dtype=bool)
    for period in range(1, _LONGEST_PERIOD + 1):
        same = codes[:, period:] == codes[:, :-period]
        # the run, and the period that it continues
        runs = _in_runs(same, _REPEATED)
        for shift in (0, period):
            simple[:, shift : shift + same.shape[1]] |= runs
    result: _Bools = (codes != N_CODE) & ~simple & variable
    return result


def _in_runs(flags: _Bools, size: int) -> _Bools:
    """Return (k, L) bool: the flags that are set in a run of at least ``size``."""
    width = flags.shape[1] - size + 1
    result = np.zeros_like(flags)
    if width < 1:
        return result
    whole = np.ones((len(flags), width), dtype=bool)
    for shift in range(size):
        whole &= flags[:, shift : shift + width]
    for shift in range(size):
        result[:, shift : shift + width] |= whole
    return result


def _seeds(
    codes: _Codes, variable: _Bools, *, both_strands: bool
) -> tuple[NDArray[np.uint64], _Rows]:
    """Return all seeds with the rows that they are in.

    The lower bits of a seed are its place and whether it was turned, as :func:`_place_bits` says;
    the others are a hash of its bases.
    """
    length = codes.shape[1]
    bits = _place_bits(length)
    window = max(1, (length - _SEED + 1) * 2 // _SEEDS_OF_A_SEQUENCE)
    place = np.arange(length - _SEED + 1, dtype=np.uint64) << np.uint64(1)
    seeds, rows = [np.empty(0, np.uint64)], [np.empty(0, np.int64)]
    for begin, part in row_chunks(codes):
        telling = _telling(part, variable)
        bases = np.where(telling, part, 0).astype(np.uint64)
        forward = np.zeros((len(part), len(place)), dtype=np.uint64)
        backward, valid = forward.copy(), np.ones(forward.shape, dtype=bool)
        for shift in range(_SEED):
            here = slice(shift, shift + len(place))
            forward |= bases[:, here] << np.uint64(2 * (_SEED - 1 - shift))
            backward |= (np.uint64(3) - bases[:, here]) << np.uint64(2 * shift)
            valid &= telling[:, here]
        turned = (backward < forward) & both_strands
        value = mixed(np.where(turned, backward, forward)) >> bits << bits
        value = np.where(valid, value | place | turned.astype(np.uint64), _NONE)
        least = _sliding_least(value, window)
        fresh = least != _NONE
        fresh[:, 1:] &= least[:, 1:] != least[:, :-1]
        seeds.append(least[fresh])
        rows.append(begin + np.nonzero(fresh)[0])
    return np.concatenate(seeds), np.concatenate(rows)


def _place_bits(length: int) -> np.uint64:
    """Return how many lower bits of a seed hold its place, and in the last its strand."""
    return np.uint64(length.bit_length() + 1)


def mixed(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return hashes of (...) 64-bit numbers, one to one (splitmix64, Steele et al. 2014)."""
    with np.errstate(over="ignore"):
        values = values + np.uint64(0x9E3779B97F4A7C15)
        values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def _sliding_least(values: NDArray[np.uint64], window: int) -> NDArray[np.uint64]:
    """Return the least of every ``window`` neighbours along a row, by doubling."""
    size = 1
    while 2 * size <= window:
        values = np.minimum(values[:, :-size], values[:, size:])
        size *= 2
    rest = window - size
    return values if rest == 0 else np.minimum(values[:, :-rest], values[:, rest:])


def _candidates(seeds: NDArray[np.uint64], rows: _Rows, length: int) -> Iterator[_Rows]:
    """Yield chunks of pairs that share a seed, (4, k).

    They are the rows of the first and of the second, the shift of the second, and whether it is
    turned: base i of the first stands beside base i - shift of the second.
    """
    order = np.argsort(seeds, kind="stable")
    seeds, rows = seeds[order], rows[order]
    bits = _place_bits(length)
    low = (np.uint64(1) << bits) - np.uint64(1)
    for ahead in range(1, _NEXT_HOLDERS + 1):
        same = np.flatnonzero(seeds[:-ahead] >> bits == seeds[ahead:] >> bits)
        same = same[rows[same] != rows[same + ahead]]
        for begin in range(0, len(same), _CHUNK_PAIRS):
            here = same[begin : begin + _CHUNK_PAIRS]
            ours, other = (seeds[index] & low for index in (here, here + ahead))
            opposite = (ours ^ other) & np.uint64(1)
            place, there = ((seed >> np.uint64(1)).astype(np.int64) for seed in (ours, other))
            there = np.where(opposite, length - _SEED - there, there)
            pairs = np.stack([rows[here], rows[here + ahead], place - there, opposite])
            yield pairs.astype(np.int64)


def _near_identical(codes: _Codes, variable: _Bools, pairs: _Rows) -> _Rows:
    """Return (2, m) rows of the pairs, of (4, k), that are near-identical as they stand."""
    step = max(1, _CHUNK_BASES // codes.shape[1])
    chunks = [pairs[:, begin : begin + step] for begin in range(0, pairs.shape[1], step)]
    related = [part[:2, _related(codes, variable, part)] for part in chunks]
    return np.concatenate([pairs[:2, :0], *related], axis=1)


def _related(codes: _Codes, variable: _Bools, pairs: _Rows) -> _Bools:
    """Return (k,) bool: which pairs, of (4, k), are near-identical as they stand."""
    first, second, shift = pairs[:3]
    opposite = pairs[3].astype(bool)
    ours, other = np.asarray(codes[first]), np.array(codes[second])
    known, known_of_other = _telling(ours, variable), _telling(other, variable)
    other[opposite] = reverse_complement(other[opposite])
    known_of_other[opposite] = known_of_other[opposite, ::-1]
    beside = np.arange(codes.shape[1]) - shift[:, None]
    inside = (beside >= 0) & (beside < codes.shape[1])
    beside = np.where(inside, beside, 0)
    agree = inside & known & np.take_along_axis(known_of_other, beside, axis=1)
    agree &= ours == np.take_along_axis(other, beside, axis=1)
    shared = _in_runs(agree, _STRETCH).sum(axis=1)
    telling = np.minimum(known.sum(axis=1), known_of_other.sum(axis=1))
    related: _Bools = (shared >= LEAST_SHARED) & (2 * shared >= telling)
    return related
