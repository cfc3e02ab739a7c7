"""A genome cut into training, validation and test by region."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from priorbench.data.codes import TEST, TRAIN, VALID
from priorbench.data.formats.bed import Intervals
from priorbench.data.formats.genomes.genome import Genome
from priorbench.data.formats.notes import Notes
from priorbench.data.formats.regions import Region, check_apart, parse_regions
from priorbench.data.sequence_hashes import TEST_SHARE, VALID_SHARE
from priorbench.errors import UserError, first_names

from .data_file import DataFile

_SHOWN = 10
"""chromosomes that a note names; genomes may have thousands of scaffolds"""


@dataclass(frozen=True)
class Segment:
    """A stretch of one chromosome that belongs to one split.

    Attributes:
        chrom: name of the chromosome.
        start: first base, from 0.
        end: end, excluded.
        split: ``TRAIN``, ``VALID`` or ``TEST``.
    """

    chrom: str
    start: int
    end: int
    split: int


def segments_of(data: DataFile, genome: Genome, peaks: Intervals, notes: Notes) -> list[Segment]:
    """Return the genome cut into splits, by the data file's regions or by whole chromosomes.

    Args:
        data: the data file.
        genome: its genome.
        peaks: its peaks, which chromosomes are chosen by where there are no regions.
        notes: notes for the user; a choice of chromosomes is appended.

    Raises:
        UserError: regions overlap or are not on the genome, or chromosomes cannot be chosen.
    """
    valid = parse_regions(data.valid_regions or (), key="valid_regions", path=data.source)
    test = parse_regions(data.test_regions or (), key="test_regions", path=data.source)
    if not valid and not test:
        valid, test = choose_chromosomes(peaks.chrom, path=data.source)
        on_valid, on_test = (first_names([*map(str, chosen)], _SHOWN) for chosen in (valid, test))
        notes.say(
            f"No regions given: validation on {on_valid}, test on {on_test}, training on the other "
            "chromosomes."
        )
    check_apart(valid, test, path=data.source)
    return split_segments(genome, valid, test, path=data.source)


def choose_chromosomes(
    chrom: NDArray[np.str_], *, path: Path
) -> tuple[tuple[Region, ...], tuple[Region, ...]]:
    """Choose chromosomes for validation (about 10% of the peaks) and testing (about 20%).

    Args:
        chrom: (n,) chromosome of every peak.
        path: the data file, for errors.

    Returns:
        validation and test regions; at least one chromosome is left for training.

    Raises:
        UserError: fewer than three chromosomes have peaks.
    """
    names, numbers = np.unique(chrom, return_counts=True)
    if len(names) < 3:
        raise UserError(
            f"{path}: peaks on {len(names)} chromosome(s) are too few to split by chromosome; "
            'set valid_regions and test_regions, such as ["chr22:40500000-50818468"]'
        )
    left = dict(zip(names.tolist(), numbers.tolist(), strict=True))
    test = _take_closest(left, TEST_SHARE * len(chrom), keep=2)
    valid = _take_closest(left, VALID_SHARE * len(chrom), keep=1)
    return tuple(map(Region, valid)), tuple(map(Region, test))


def _take_closest(left: dict[str, int], target: float, keep: int) -> list[str]:
    """Take chromosomes out of ``left`` greedily while their peaks come closer to ``target``."""
    chosen: list[str] = []
    total = 0
    # thousands of scaffolds have few different numbers of peaks
    by_number: dict[int, list[str]] = {}
    for name in sorted(left, reverse=True):
        by_number.setdefault(left[name], []).append(name)
    while len(left) > keep:
        # of chromosomes that come equally close, the first by name
        number = min(by_number, key=lambda n: (abs(total + n - target), by_number[n][-1]))
        if chosen and abs(total + number - target) >= abs(total - target):
            break
        chosen.append(by_number[number].pop())
        total += left.pop(chosen[-1])
        if not by_number[number]:
            del by_number[number]
    return sorted(chosen)


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
        UserError: a region is on a chromosome that does not exist, or runs off its end.
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
    """Return the held-out segments of a chromosome in order, with training between them."""
    segments: list[Segment] = []
    place = 0
    ordered = sorted(held_out, key=lambda segment: segment.start)
    for segment in [*ordered, Segment(chrom, length, length, TRAIN)]:
        if segment.start > place:
            segments.append(Segment(chrom, place, segment.start, TRAIN))
        if segment.end > segment.start:
            segments.append(segment)
        place = segment.end
    return segments
