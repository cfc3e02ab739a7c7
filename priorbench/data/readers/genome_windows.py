"""Windows of a genome around intervals, and its splits by region."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from priorbench.data.codes import TEST, TRAIN, VALID
from priorbench.data.formats.bed import Intervals, Region
from priorbench.data.formats.genome import Genome
from priorbench.errors import UserError

_TEST_SHARE, _VALID_SHARE = 0.2, 0.1


@dataclass(frozen=True)
class Segment:
    """A stretch of one chromosome that belongs to one split; ends are excluded."""

    chrom: str
    start: int
    end: int
    split: int


def split_segments(
    genome: Genome, valid: Sequence[Region], test: Sequence[Region], *, path: Path
) -> list[Segment]:
    """Cut every chromosome into segments of one split each; what is in no region is training.

    Args:
        genome: the genome.
        valid: regions for validation.
        test: regions for testing, apart from the former.
        path: the data file, for errors.

    Raises:
        UserError: for a region on a chromosome that does not exist, or off its end.
    """
    cuts: dict[str, list[Segment]] = {chrom: [] for chrom in genome.lengths}
    for key, regions, split in (("valid_regions", valid, VALID), ("test_regions", test, TEST)):
        for region in regions:
            genome.require(region.chrom, f"{path}: {key}")
            length = genome.lengths[region.chrom]
            end = length if region.end is None else region.end
            if end > length:
                raise UserError(
                    f"{path}: {key}: {region} ends behind {region.chrom}, which has {length} bp; "
                    "shorten it"
                )
            cuts[region.chrom].append(Segment(region.chrom, region.start, end, split))
    segments: list[Segment] = []
    for chrom, held_out in cuts.items():
        segments += _fill_gaps(chrom, genome.lengths[chrom], held_out)
    return segments


def _fill_gaps(chrom: str, length: int, held_out: list[Segment]) -> list[Segment]:
    """The held-out segments of a chromosome in order, with training between them."""
    result: list[Segment] = []
    place = 0
    for segment in [
        *sorted(held_out, key=lambda one: one.start),
        Segment(chrom, length, length, TRAIN),
    ]:
        if segment.start > place:
            result.append(Segment(chrom, place, segment.start, TRAIN))
        if segment.end > segment.start:
            result.append(segment)
        place = segment.end
    return result


def choose_chromosomes(
    chrom: NDArray[np.str_], *, path: Path
) -> tuple[tuple[Region, ...], tuple[Region, ...]]:
    """Whole chromosomes for validation (about 10% of the peaks) and testing (about 20%).

    Args:
        chrom: (n,) chromosome of every peak.
        path: the data file, for errors.

    Returns:
        validation and test regions; at least one chromosome is left for training.

    Raises:
        UserError: if fewer than three chromosomes have peaks.
    """
    names, numbers = np.unique(chrom, return_counts=True)
    if len(names) < 3:
        raise UserError(
            f"{path}: peaks on {len(names)} chromosome(s) are too few to split by chromosome; "
            'set valid_regions and test_regions, such as ["chr22:40500000-50818468"]'
        )
    left = dict(zip(names.tolist(), numbers.tolist(), strict=True))
    test = _closest(left, _TEST_SHARE * len(chrom), keep=2)
    valid = _closest(left, _VALID_SHARE * len(chrom), keep=1)
    return tuple(map(Region, valid)), tuple(map(Region, test))


def _closest(left: dict[str, int], target: float, keep: int) -> list[str]:
    """Take chromosomes out of ``left`` greedily while their peaks come closer to ``target``."""
    chosen: list[str] = []
    total = 0
    while len(left) > keep:
        best = min(left, key=lambda name: (abs(total + left[name] - target), name))
        if chosen and abs(total + left[best] - target) >= abs(total - target):
            break
        total += left.pop(best)
        chosen.append(best)
    return sorted(chosen)


@dataclass(frozen=True)
class Windows:
    """Windows of one length on a genome.

    Attributes:
        chrom: (k,) str.
        start: (k,) int64.
        split: (k,) uint8.
        minus: (k,) bool, whether a window is read on the minus strand.
    """

    chrom: NDArray[np.str_]
    start: NDArray[np.int64]
    split: NDArray[np.uint8]
    minus: NDArray[np.bool_]

    def __len__(self) -> int:
        """The number of windows."""
        return len(self.start)

    def select(self, index: NDArray[Any] | slice) -> Windows:
        """The windows at ``index``: bool, int64 or a slice."""
        return Windows(self.chrom[index], self.start[index], self.split[index], self.minus[index])

    def moved(self, by: int) -> Windows:
        """The windows that start ``by`` bp further on."""
        return replace(self, start=self.start + by)


def concatenate(parts: Sequence[Windows]) -> Windows:
    """The windows of all parts, one part behind the other."""
    return Windows(
        np.concatenate([one.chrom for one in parts]),
        np.concatenate([one.start for one in parts]),
        np.concatenate([one.split for one in parts]),
        np.concatenate([one.minus for one in parts]),
    )


def check_inside(intervals: Intervals, genome: Genome) -> None:
    """Raise UserError for the first interval that is not on the genome."""
    for chrom in dict.fromkeys(intervals.chrom.tolist()):
        rows = np.flatnonzero(intervals.chrom == chrom)
        genome.require(chrom, f"{intervals.path}: line {intervals.line[rows[0]]}")
        length = genome.lengths[chrom]
        beyond = rows[intervals.end[rows] > length]
        if len(beyond):
            row = beyond[0]
            raise UserError(
                f"{intervals.path}: line {intervals.line[row]}: {chrom}:{intervals.start[row]}-"
                f"{intervals.end[row]} ends behind {chrom}, which has {length} bp in "
                f"{genome.path}; is this the right genome build?"
            )


def place_windows(
    intervals: Intervals, genome: Genome, segments: Sequence[Segment], length: int
) -> tuple[Windows, dict[str, int]]:
    """Windows of ``length`` bp around the intervals' centres.

    Args:
        intervals: peaks or background; those of strand "-" give windows on the minus strand.
        genome: the genome they are on.
        segments: from :func:`split_segments`.
        length: bp.

    Returns:
        the windows that can be used, in the order of the file, and how many were dropped, by
        reason.

    Raises:
        UserError: if an interval is not on the genome.
    """
    check_inside(intervals, genome)
    minus = intervals.strand == "-"
    # the centre is as far from the first base on either strand
    start = intervals.center - np.where(minus, (length - 1) // 2, length // 2)
    names, inverse = np.unique(intervals.chrom, return_inverse=True)
    ends = np.array([genome.lengths[name] for name in names.tolist()], dtype=np.int64)[inverse]
    inside = (start >= 0) & (start + length <= ends)
    split = _assign(intervals.chrom, start, length, segments)
    first = np.zeros(len(start), dtype=bool)
    first[np.unique(np.stack([inverse, start, minus]), axis=1, return_index=True)[1]] = True
    dropped = {
        "running off the end of a chromosome": int((~inside).sum()),
        "straddling the border of two splits": int((inside & (split < 0)).sum()),
        "repeated": int((inside & (split >= 0) & ~first).sum()),
    }
    keep = inside & (split >= 0) & first
    split_of = split[keep].astype(np.uint8)
    return Windows(intervals.chrom[keep], start[keep], split_of, minus[keep]), dropped


def _assign(
    chrom: NDArray[np.str_], start: NDArray[np.int64], length: int, segments: Sequence[Segment]
) -> NDArray[np.int8]:
    """(k,) split of every window, -1 for one that lies in no single segment."""
    result = np.full(len(start), -1, dtype=np.int8)
    for name in np.unique(chrom).tolist():
        rows = np.flatnonzero(chrom == name)
        here = [segment for segment in segments if segment.chrom == name]
        starts = np.array([segment.start for segment in here])
        ends = np.array([segment.end for segment in here])
        splits = np.array([segment.split for segment in here], dtype=np.int8)
        index = np.searchsorted(starts, start[rows], side="right") - 1
        fits = (index >= 0) & (start[rows] + length <= ends[index])
        result[rows[fits]] = splits[index[fits]]
    return result
