"""Which windows and intervals share bases, on all chromosomes at once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .bed import Intervals


def within(
    chrom: NDArray[np.str_], start: NDArray[np.int64], length: int, intervals: Intervals
) -> NDArray[np.bool_]:
    """Return (k,) bool: whether each window of ``length`` bp lies within intervals, without a gap.

    Intervals that overlap or touch count as one.
    """
    place, begin, end = on_one_line(chrom, start, length, intervals)
    if not len(begin):
        return np.zeros(len(place), dtype=bool)
    begin, end = joined(begin, end)
    index = np.searchsorted(begin, place, side="right") - 1
    return (index >= 0) & (place + length <= end[index])


def on_one_line(
    chrom: NDArray[np.str_], start: NDArray[np.int64], length: int, intervals: Intervals
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Return places, and starts and ends of intervals, with all chromosomes put behind one another.

    One search then serves all chromosomes, of which a draft genome has thousands.

    Args:
        chrom: (k,) str.
        start: (k,) int64 first bases of windows on them.
        length: window in bp.
        intervals: n intervals.

    Returns:
        (k,), (n,) and (n,) int64; what overlaps or touches there does so on its chromosome.
    """
    _, number = np.unique(np.concatenate([chrom, intervals.chrom]), return_inverse=True)
    ends = np.concatenate([start, start + length, intervals.start, intervals.end, [0]])
    # places lie on either side of 0: a window may begin before the chromosome
    shift = number.astype(np.int64) * (2 * int(np.abs(ends).max()) + 2)
    here = shift[len(chrom) :]
    return start + shift[: len(chrom)], intervals.start + here, intervals.end + here


def joined(
    begin: NDArray[np.int64], end: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return ascending starts and ends of intervals; those that overlap or touch become one."""
    order = np.argsort(begin, kind="stable")
    begin, end = begin[order], np.maximum.accumulate(end[order])
    # a gap: the next begins behind the end of all before it
    first = np.flatnonzero(np.r_[True, begin[1:] > end[:-1]])
    return begin[first], end[np.r_[first[1:], len(end)] - 1]
