"""Windows of a genome around intervals: placed, checked, and read chunk by chunk."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from priorbench.data.formats.bed import Intervals
from priorbench.data.formats.by_name import rows_by_name
from priorbench.data.formats.genomes.genome import Genome
from priorbench.data.formats.notes import Notes
from priorbench.data.sequence_hashes import NO_DIGESTS, in_later_split, sequence_digests
from priorbench.encoding import N_CODE, reverse_complement

from .genome_splits import Segment

MAX_N_SHARE = 0.1
"""windows with a larger share of N are dropped, as among the negatives that are drawn: the share of
N must not tell the classes apart"""
_CHUNK_BASES = 4 << 20


@dataclass(frozen=True)
class Windows:
    """Windows of one length on a genome.

    Attributes:
        chrom: (k,) str.
        start: (k,) int64 first base, from 0 on the plus strand.
        split: (k,) uint8.
        minus: (k,) bool, whether a window is read on the minus strand.
    """

    chrom: NDArray[np.str_]
    start: NDArray[np.int64]
    split: NDArray[np.uint8]
    minus: NDArray[np.bool_]

    def __len__(self) -> int:
        """Return the number of windows."""
        return len(self.start)

    def select(self, index: NDArray[Any] | slice) -> Windows:
        """Return the windows at ``index``: bool, int64 or a slice."""
        return Windows(self.chrom[index], self.start[index], self.split[index], self.minus[index])

    def moved(self, by: int) -> Windows:
        """Return the windows that start ``by`` bp further on."""
        return replace(self, start=self.start + by)


def concatenate(parts: Sequence[Windows]) -> Windows:
    """Return the windows of all parts, one part behind the other."""
    columns = [(part.chrom, part.start, part.split, part.minus) for part in parts]
    return Windows(*map(np.concatenate, zip(*columns, strict=True)))


def place_windows(
    intervals: Intervals, genome: Genome, segments: Sequence[Segment], length: int
) -> tuple[Windows, dict[str, int]]:
    """Place windows of ``length`` bp around the intervals' centres.

    Args:
        intervals: peaks or background on the genome; those of strand "-" give windows on the
            minus strand.
        genome: the genome they are on.
        segments: the genome's segments, each of one split.
        length: window in bp.

    Returns:
        the windows that can be used, in the order of the file, and how many were dropped, by
        reason.
    """
    minus = intervals.strand == "-"
    # the centre is as far from the first base on either strand
    start = intervals.center - np.where(minus, (length - 1) // 2, length // 2)
    names, inverse = np.unique(intervals.chrom, return_inverse=True)
    ends = np.array([genome.lengths[name] for name in names.tolist()], dtype=np.int64)[inverse]
    inside = (start >= 0) & (start + length <= ends)
    split = _splits_at(intervals.chrom, start, length, segments)
    first = np.zeros(len(start), dtype=bool)
    first[np.unique(np.stack([inverse, start, minus]), axis=1, return_index=True)[1]] = True
    dropped = {
        "running off the end of a chromosome": int((~inside).sum()),
        "straddling the border of two splits": int((inside & (split < 0)).sum()),
        "repeated": int((inside & (split >= 0) & ~first).sum()),
    }
    keep = inside & (split >= 0) & first
    kept_split = split[keep].astype(np.uint8)
    return Windows(intervals.chrom[keep], start[keep], kept_split, minus[keep]), dropped


def note_overlapping(
    notes: Notes, windows: Windows, length: int, path: Path, fix: str = ""
) -> None:
    """Append a note on the windows that share a base with another one of their strand, if any do.

    Args:
        notes: notes so far.
        windows: windows around the intervals of a file.
        length: window in bp.
        path: the file.
        fix: what to do about it, where there is something.
    """
    order = np.lexsort((windows.start, windows.minus, windows.chrom))
    ordered = windows.select(order)
    near = np.diff(ordered.start) < length
    near &= (ordered.chrom[1:] == ordered.chrom[:-1]) & (ordered.minus[1:] == ordered.minus[:-1])
    count = int((np.r_[near, False] | np.r_[False, near]).sum())
    if count:
        notes.say(
            f"{count:,} of {len(windows):,} windows of {path.name} overlap another one"
            f"{'; ' if fix else ''}{fix}."
        )


def _splits_at(
    chrom: NDArray[np.str_], start: NDArray[np.int64], length: int, segments: Sequence[Segment]
) -> NDArray[np.int8]:
    """Return the (k,) split of every window, -1 for one that lies in no single segment."""
    result = np.full(len(start), -1, dtype=np.int8)
    by_chrom: dict[str, list[Segment]] = {}
    for segment in segments:
        by_chrom.setdefault(segment.chrom, []).append(segment)
    for name, rows in rows_by_name(chrom).items():
        here = by_chrom.get(name, [])
        starts = np.array([segment.start for segment in here])
        ends = np.array([segment.end for segment in here])
        splits = np.array([segment.split for segment in here], dtype=np.int8)
        index = np.searchsorted(starts, start[rows], side="right") - 1
        fits = (index >= 0) & (start[rows] + length <= ends[index])
        result[rows[fits]] = splits[index[fits]]
    return result


def chunks(
    genome: Genome, windows: Windows, length: int
) -> Iterator[tuple[Windows, NDArray[np.uint8]]]:
    """Yield windows with their (k, length) uint8 codes, each read on its own strand."""
    step = max(1, _CHUNK_BASES // length)
    for begin in range(0, len(windows), step):
        part = windows.select(slice(begin, begin + step))
        codes = genome.windows(part.chrom, part.start, length)
        codes[part.minus] = reverse_complement(codes[part.minus])
        yield part, codes


@dataclass(frozen=True)
class Screening:
    """Which windows cannot be used, and why.

    Attributes:
        unknown: (k,) bool, whether more than a tenth of a window is N.
        leaking: (k,) bool, whether the sequence of a window is in a later split too; repeats in
            the genome put the same sequence into regions far apart.
        digest: (k,) uint64 hash of the sequence of every window.
    """

    unknown: NDArray[np.bool_]
    leaking: NDArray[np.bool_]
    digest: NDArray[np.uint64]

    def select(self, index: NDArray[np.bool_]) -> Screening:
        """Return the result for the windows at ``index``, (k,) bool."""
        return Screening(self.unknown[index], self.leaking[index], self.digest[index])

    @property
    def usable(self) -> NDArray[np.bool_]:
        """(k,) bool, whether a window can be used."""
        return ~(self.unknown | self.leaking)


def screen(genome: Genome, windows: Windows, length: int, *, both_strands: bool) -> Screening:
    """Read all windows once and say which of them cannot be used.

    Args:
        genome: the genome.
        windows: windows of all splits.
        length: window in bp.
        both_strands: whether a reverse complement counts as the same sequence.
    """
    digests, unknown = [NO_DIGESTS], [np.empty(0, dtype=bool)]
    for _, codes in chunks(genome, windows, length):
        digests.append(sequence_digests(codes, both_strands=both_strands))
        unknown.append((codes == N_CODE).mean(axis=1) > MAX_N_SHARE)
    too_many_n = np.concatenate(unknown)
    digest = np.concatenate(digests)
    leaking = in_later_split(digest, windows.split)
    return Screening(too_many_n, leaking & ~too_many_n, digest)
