"""Regions of a genome as they are written in a data file: ``chr8`` or ``chr8:1000-2000``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
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
    for position, region in enumerate(regions):
        for other in regions[:position]:
            if region.overlaps(other):
                raise UserError(f"{path}: {key}: {other} and {region} overlap; merge them")
    return regions


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
    """Raise UserError, naming the data file, if a validation and a test region share a base."""
    for region in valid:
        for other in test:
            if region.overlaps(other):
                raise UserError(
                    f"{path}: valid_regions {region} and test_regions {other} overlap; "
                    "the splits must be apart"
                )
