"""Places on a genome that the names of FASTA records give."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_INTERVAL = re.compile(
    r"(?:.*::)?(?P<chrom>[^\s:]+):(?P<start>\d[\d,]*)(?:-|\.\.)(?P<end>\d[\d,]*)(?:\([+\-.]\))?"
)
"""the names of bedtools (with and without those of a BED file), samtools and browsers"""
_COLUMNS = re.compile(
    r"(?P<chrom>\S+?)(?P<cut>[_,\-])(?:[+\-],)?(?P<start>\d+)(?P=cut)(?P<end>\d+)[;,]?"
)
"""three columns of a BED file in one word, such as chr1_100_200; other names look alike, so that
the length has to agree"""
_LARGEST = 2**62


def overlapping_names(names: Sequence[str], length: int) -> NDArray[np.int64]:
    """Return (2, k) pairs of records that overlap by their names; they chain all that overlap.

    A name such as ``chr1:100-200``, ``peak::chr1:100-200(+)`` or ``chr1_100_200`` is a place,
    counted from 0 or from 1. Strands do not matter: both have one locus.

    Args:
        names: first words of the headers.
        length: bases of every sequence.
    """
    places = [(row, place) for row, name in enumerate(names) if (place := _place(name, length))]
    if not places:
        return np.empty((2, 0), dtype=np.int64)
    rows = np.array([row for row, _ in places], dtype=np.int64)
    chrom = np.unique([place[0] for _, place in places], return_inverse=True)[1]
    start = np.array([place[1] for _, place in places], dtype=np.int64)
    end = np.array([place[2] for _, place in places], dtype=np.int64)
    order = np.lexsort((end, start, chrom))
    rows, chrom, start, end = rows[order], chrom[order], start[order], end[order]
    joined = [np.empty((2, 0), dtype=np.int64)]
    for number in np.unique(chrom).tolist():
        here = slice(*np.searchsorted(chrom, (number, number + 1)))
        # an interval joins the one before it if any earlier one reaches into it
        reach = np.maximum.accumulate(end[here])
        joins = start[here][1:] < reach[:-1]
        joined.append(np.stack([rows[here][:-1][joins], rows[here][1:][joins]]))
    return np.concatenate(joined, axis=1)


def _place(name: str, length: int) -> tuple[str, int, int] | None:
    """Return chromosome, start and end that a name gives, or None."""
    exact = _INTERVAL.fullmatch(name)
    match = exact or _COLUMNS.fullmatch(name)
    if match is None:
        return None
    start, end = (int(match[key].replace(",", "")) for key in ("start", "end"))
    size = end - start
    # from 1 with the end included, or from 0 with the end excluded
    plausible = size >= 0 if exact else size in (length - 1, length)
    if not plausible or end > _LARGEST:
        return None
    return match["chrom"], start, max(end, start + 1)
