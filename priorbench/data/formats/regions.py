"""Regions of a genome as they are written in a data file: ``chr8`` or ``chr8:1000-2000``."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from priorbench.errors import UserError

_REGION = re.compile(r"(?P<chrom>[^\s:]+)(:(?P<start>[\d,]{1,30})-(?P<end>[\d,]{1,30}))?")


@dataclass(frozen=True)
class Region:
    """A whole chromosome (``end`` is None) or a part of it.

    Attributes:
        chrom: name of the chromosome, as in the genome.
        start: first base, from 0.
        end: end, excluded; None for the chromosome's end.
    """

    chrom: str
    start: int = 0
    end: int | None = None

    def __str__(self) -> str:
        """Return the region as it is written in a data file."""
        return self.chrom if self.end is None else f"{self.chrom}:{self.start}-{self.end}"

    def overlaps(self, other: Region) -> bool:
        """Return whether the two share a base."""
        if self.chrom != other.chrom:
            return False
        before = self.end is not None and self.end <= other.start
        behind = other.end is not None and other.end <= self.start
        return not (before or behind)


def parse_regions(texts: Iterable[str], *, key: str, path: Path) -> tuple[Region, ...]:
    """Parse regions written as ``chr8`` or ``chr22:40500000-50818468``.

    Args:
        texts: the values of a key of a data file; commas in numbers are allowed.
        key: the key, for errors.
        path: the data file, for errors.

    Raises:
        UserError: a text is not a region, or regions overlap one another.
    """
    regions = tuple(_parse_region(text, f"{path}: {key}") for text in texts)
    for region, other in _overlaps(regions):
        raise UserError(f"{path}: {key}: {region} and {other} overlap; merge them")
    return regions


def _overlaps(regions: Sequence[Region]) -> Iterator[tuple[Region, Region]]:
    """Yield regions that share a base with one before them on the chromosome, and that one.

    Pairs are in the order of the regions that are given, of which there may be thousands.
    """
    order = sorted(range(len(regions)), key=lambda n: (regions[n].chrom, regions[n].start))
    furthest = None
    for number in order:
        here = regions[number]
        if furthest is not None and here.overlaps(regions[furthest]):
            first, second = sorted((furthest, number))
            yield regions[first], regions[second]
        if (
            furthest is None
            or here.chrom != regions[furthest].chrom
            or _end(here) > _end(regions[furthest])
        ):
            furthest = number


def _end(region: Region) -> float:
    """Return a region's end, infinity for that of the chromosome."""
    return math.inf if region.end is None else region.end


def _parse_region(text: str, where: str) -> Region:
    """Parse one region; errors begin with ``where``."""
    match = _REGION.fullmatch(text.strip())
    if match is None:
        raise UserError(f"{where}: {text!r} is not a region; write 'chr8' or 'chr8:1000-2000'")
    if match["end"] is None:
        return Region(match["chrom"])
    start, end = (int("0" + match[name].replace(",", "")) for name in ("start", "end"))
    if start >= end:
        raise UserError(f"{where}: {text!r}: start {start} is not before end {end}")
    return Region(match["chrom"], start, end)


def check_apart(valid: Sequence[Region], test: Sequence[Region], *, path: Path) -> None:
    """Raise UserError, naming the data file, if a validation and a test region share a base.

    The regions of either are apart from each other.
    """
    # those of one split are apart, so that each pair is of both
    for region, other in _overlaps([*valid, *test]):
        raise UserError(
            f"{path}: valid_regions {region} and test_regions {other} overlap; "
            "the splits must be apart"
        )
