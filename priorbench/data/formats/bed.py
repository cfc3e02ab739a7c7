"""Genomic intervals: BED3 to narrowPeak files, and regions given in a data file.

Coordinates are those of BED: counted from 0, the end excluded.
"""

from __future__ import annotations

import re
import sys
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from priorbench.errors import UserError

from .bounded import LONGEST_NAME, lines
from .by_name import rows_by_name
from .fasta import open_bytes

_NARROWPEAK_COLUMNS = 10
_REGION = re.compile(r"(?P<chrom>[^\s:]+)(:(?P<start>[\d,]+)-(?P<end>[\d,]+))?")


@dataclass(frozen=True)
class Intervals:
    """Intervals of a BED file, in the order of the file.

    Attributes:
        path: the file.
        chrom: (n,) str.
        start: (n,) int64.
        end: (n,) int64, excluded.
        center: (n,) int64 summit of a narrowPeak where it has one, else the midpoint.
        strand: (n,) str sixth column, "" where there is none.
        line: (n,) int64 line numbers, from 1.
    """

    path: Path
    chrom: NDArray[np.str_]
    start: NDArray[np.int64]
    end: NDArray[np.int64]
    center: NDArray[np.int64]
    strand: NDArray[np.str_]
    line: NDArray[np.int64]

    def __len__(self) -> int:
        """Return the number of intervals."""
        return len(self.start)

    def select(self, index: NDArray[Any]) -> Intervals:
        """Return the intervals at ``index``: bool or int64."""
        columns = ("chrom", "start", "end", "center", "strand", "line")
        return replace(self, **{name: getattr(self, name)[index] for name in columns})

    def unstranded(self) -> Intervals:
        """Return the same intervals without their strands."""
        return replace(self, strand=np.full(len(self), ""))

    def stranded(self) -> Intervals:
        """Return the intervals themselves; UserError if one of them has no strand."""
        unstranded = np.flatnonzero(~np.isin(self.strand, ("+", "-")))
        if len(unstranded):
            row = unstranded[0]
            strand = repr(str(self.strand[row])) if self.strand[row] else "missing"
            raise UserError(
                f"{self.path}: line {self.line[row]}: the strand (column 6) is {strand}, wanted + "
                "or -; RNA has one strand"
            )
        return self


def read_bed(path: Path) -> Intervals:
    """Read BED3 to narrowPeak, plain or gzip, columns split by tabs or blanks.

    Lines that are empty or start with ``#``, ``track`` or ``browser`` are skipped. A file of
    exactly ten columns is read as narrowPeak, whose last column is the summit's offset.

    Raises:
        UserError: a line has fewer than three columns, coordinates that are no integers, negative
            or in the wrong order, or a summit outside its peak, or the file has no intervals or is
            too large; names file, line and value.
    """
    chroms: list[str] = []
    strands: list[str] = []
    rows = array("q")
    with open_bytes(path) as stream:
        for number, raw in enumerate(lines(stream, path), start=1):
            if b"\0" in raw:
                raise UserError(f"{path}: not a text file; give BED, plain or gzip")
            line = raw.decode("utf-8", errors="replace").strip()
            fields = line.split("\t") if "\t" in line else line.split()
            if not line or line[0] == "#" or fields[0].split(" ")[0] in ("track", "browser"):
                continue
            if len(fields[0]) > LONGEST_NAME:
                raise UserError(
                    f"{path}: line {number}: the chromosome's name has more than {LONGEST_NAME} "
                    "characters; give a BED file, with columns split by tabs or blanks"
                )
            # one text for each name, not one for each line; only + and - are a strand
            chroms.append(sys.intern(fields[0]))
            strands.append(sys.intern(fields[5][:LONGEST_NAME]) if len(fields) > 5 else "")
            rows.extend((*_coordinates(fields, f"{path}: line {number}"), number))
    if not rows:
        raise UserError(f"{path}: no intervals; give a BED file with at least one line")
    start, end, center, line_number = np.array(rows, dtype=np.int64).reshape(-1, 4).T
    return Intervals(path, np.array(chroms), start, end, center, np.array(strands), line_number)


def _coordinates(fields: Sequence[str], where: str) -> tuple[int, int, int]:
    """Return start, end and centre of one line."""
    if len(fields) < 3:
        raise UserError(
            f"{where}: {len(fields)} column(s), wanted at least 3 (chromosome, start, end)"
        )
    start = _integer(fields[1], "start", where)
    end = _integer(fields[2], "end", where)
    if start < 0:
        raise UserError(f"{where}: start {start} is negative; BED counts from 0")
    if start >= end:
        raise UserError(f"{where}: start {start} is not before end {end}; BED excludes the end")
    # other tables have ten columns too; only narrowPeak has numbers in the seventh to the tenth
    if len(fields) != _NARROWPEAK_COLUMNS or not _is_number(fields[8]):
        return start, end, (start + end) // 2
    summit = _integer(fields[9], "summit (column 10)", where)
    if summit >= end - start:
        raise UserError(
            f"{where}: summit {summit} is outside the peak of {end - start} bp; "
            "it is counted from the start, -1 means none"
        )
    return start, end, start + summit if summit >= 0 else (start + end) // 2


def _is_number(text: str) -> bool:
    """Return whether a text is a number."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def _integer(text: str, column: str, where: str) -> int:
    """Return a text as an integer; UserError, naming the place and the column, if it is none."""
    try:
        return int(np.int64(int(text)))
    except (ValueError, OverflowError):
        raise UserError(
            f"{where}: {column} {text!r} is not an integer; write digits only, remove header lines"
        ) from None


def within(
    chrom: NDArray[np.str_], start: NDArray[np.int64], length: int, intervals: Intervals
) -> NDArray[np.bool_]:
    """Return (k,) bool: whether each window of ``length`` bp lies within intervals, without a gap.

    Intervals that overlap or touch count as one.
    """
    inside = np.zeros(len(start), dtype=bool)
    known = rows_by_name(intervals.chrom)
    for name, rows in rows_by_name(chrom).items():
        here = known.get(name)
        if here is None:
            continue
        order = np.argsort(intervals.start[here], kind="stable")
        begin = intervals.start[here][order]
        end = np.maximum.accumulate(intervals.end[here][order])
        # a gap: the next begins behind the end of all before it
        first = np.flatnonzero(np.r_[True, begin[1:] > end[:-1]])
        begin, end = begin[first], end[np.r_[first[1:], len(end)] - 1]
        index = np.searchsorted(begin, start[rows], side="right") - 1
        fits = index >= 0
        fits[fits] = start[rows][fits] + length <= end[index[fits]]
        inside[rows] = fits
    return inside


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
    earlier: dict[str, list[Region]] = {}
    for region in regions:
        same = earlier.setdefault(region.chrom, [])
        for other in same:
            if region.overlaps(other):
                raise UserError(f"{path}: {key}: {other} and {region} overlap; merge them")
        same.append(region)
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
    tested: dict[str, list[Region]] = {}
    for region in test:
        tested.setdefault(region.chrom, []).append(region)
    for region in valid:
        for other in tested.get(region.chrom, ()):
            if region.overlaps(other):
                raise UserError(
                    f"{path}: valid_regions {region} and test_regions {other} overlap; "
                    "the splits must be apart"
                )
