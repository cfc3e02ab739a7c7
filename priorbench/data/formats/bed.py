"""Genomic intervals: files of BED3 to narrowPeak, and the tables that MACS writes.

Coordinates are those of BED: counted from 0, the end excluded.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from priorbench.errors import UserError

from .bounded import LONGEST_NAME, lines
from .fasta import open_bytes
from .notes import Notes

_NARROWPEAK_COLUMNS = 10
_SCORE, _SIGNAL = 4, 6
"""columns, from 0, of a BED file's score and of a narrowPeak's signal"""
_LARGEST = 1 << 53
"""bp up to which a number with a decimal point or an exponent is exact; no genome is as long"""
_MACS_HEADER = ["chr", "start", "end", "length"]
_MACS_SUMMIT = "abs_summit"


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
        strength: (n,) float64 signal of a narrowPeak, else the score, 0 where there is none.
    """

    path: Path
    chrom: NDArray[np.str_]
    start: NDArray[np.int64]
    end: NDArray[np.int64]
    center: NDArray[np.int64]
    strand: NDArray[np.str_]
    line: NDArray[np.int64]
    strength: NDArray[np.float64]

    def __len__(self) -> int:
        """Return the number of intervals."""
        return len(self.start)

    def select(self, index: NDArray[Any]) -> Intervals:
        """Return the intervals at ``index``: bool or int64."""
        names = ("chrom", "start", "end", "center", "strand", "line", "strength")
        return replace(self, **{name: getattr(self, name)[index] for name in names})

    def unstranded(self) -> Intervals:
        """Return the same intervals without their strands."""
        return replace(self, strand=np.full(len(self), ""))

    def stranded(self, notes: Notes) -> Intervals:
        """Return the intervals that have a strand; UserError if most have none."""
        unstranded = np.flatnonzero(~np.isin(self.strand, ("+", "-")))
        if not len(unstranded):
            return self
        row = unstranded[0]
        strand = repr(str(self.strand[row])) if self.strand[row] else "missing"
        where = f"line {self.line[row]}: the strand (column 6) is {strand}"
        if 2 * len(unstranded) > len(self):
            raise UserError(f"{self.path}: {where}, wanted + or -; RNA has one strand")
        notes.say(
            f"Dropped {len(unstranded):,} intervals of {self.path.name} without a strand ({where})."
        )
        return self.select(np.delete(np.arange(len(self)), unstranded))


def read_bed(path: Path, notes: Notes) -> Intervals:
    """Read BED3 to narrowPeak or a table of MACS, plain or gzip, columns split by tabs or blanks.

    Lines that are empty or start with ``#``, ``track`` or ``browser`` are skipped, and a header
    before the first interval. A file of exactly ten columns, or one named narrowPeak of more, is
    read as narrowPeak, whose tenth column is the summit's offset; a table of MACS (.xls), which
    counts from 1, is told by its header. Starts and ends may lie beyond the chromosome.

    Args:
        path: the file.
        notes: takes what was dropped or changed: a header, intervals of no base, and summits
            outside their peak, which are moved to its last base.

    Raises:
        UserError: a line has fewer than three columns, coordinates that are no integers or in the
            wrong order, or a summit that is none, or the file has no intervals or is too large;
            names file, line and value.
    """
    table = _Table(path)
    with open_bytes(path) as stream:
        for number, raw in enumerate(lines(stream, path), start=1):
            if b"\0" in raw:
                raise UserError(f"{path}: not a text file; give BED, plain or gzip")
            line = raw.decode("utf-8", errors="replace").strip()
            fields = line.split("\t") if "\t" in line else line.split()
            if line and line[0] != "#" and fields[0].split(" ")[0] not in ("track", "browser"):
                table.add(fields, number)
    if not table.chroms:
        empty = f" but {table.empty:,} of no base" if table.empty else ""
        raise UserError(f"{path}: no intervals{empty}; give a BED file with at least one line")
    table.report(notes)
    start, end, center, line_number = np.array(table.rows, dtype=np.int64).reshape(-1, 4).T
    return Intervals(
        path,
        np.array(table.chroms),
        start,
        end,
        center,
        np.array(table.strands),
        line_number,
        np.array(table.strengths),
    )


@dataclass
class _Table:
    """The intervals of a file so far, and the counts of what was dropped or changed.

    Attributes:
        path: the file.
        header: the fields of its header, empty before one is met.
        header_line: the header's line.
        empty: intervals of no base.
        moved: summits outside their peak.
    """

    path: Path
    chroms: list[str] = field(default_factory=list)
    strands: list[str] = field(default_factory=list)
    rows: array[int] = field(default_factory=lambda: array("q"))
    strengths: array[float] = field(default_factory=lambda: array("d"))
    header: list[str] = field(default_factory=list)
    header_line: int = 0
    empty: int = 0
    moved: int = 0

    def add(self, fields: list[str], number: int) -> None:
        """Add the interval of one line, or take the line as the header."""
        where = f"{self.path}: line {number}"
        if len(fields[0]) > LONGEST_NAME:
            raise UserError(
                f"{where}: the chromosome's name has more than {LONGEST_NAME} "
                "characters; give a BED file, with columns split by tabs or blanks"
            )
        if len(fields) < 3:
            raise UserError(
                f"{where}: {len(fields)} column(s), wanted at least 3 (chromosome, start, end), "
                "split by tabs or blanks"
            )
        first = not self.chroms and not self.header and not self.empty
        if first and not _is_number(fields[1]) and not _is_number(fields[2]):
            self.header, self.header_line = fields, number
            return
        of_macs = self.header[:4] == _MACS_HEADER
        start, end = _integer(fields[1], "start", where), _integer(fields[2], "end", where)
        start -= of_macs  # counted from 1 there
        if start > end:
            raise UserError(f"{where}: start {start} is behind end {end}; swap the two")
        if start == end:
            self.empty += 1
            return
        summit = self._of_macs(fields, where) - start if of_macs else self._summit(fields, where)
        if summit < 0:
            summit = (end - start) // 2
        elif summit >= end - start:
            self.moved += 1
            summit = end - start - 1
        # one text for each name, not one for each line; only + and - are a strand
        self.chroms.append(sys.intern(fields[0].strip()))
        stranded = len(fields) > 5 and not of_macs
        self.strands.append(sys.intern(fields[5][:LONGEST_NAME]) if stranded else "")
        self.rows.extend((start, end, start + summit, number))
        self.strengths.append(_strength(fields))

    def _summit(self, fields: Sequence[str], where: str) -> int:
        """Return the offset of a narrowPeak's summit, -1 for none."""
        named = "narrowpeak" in self.path.name.lower()
        if len(fields) != _NARROWPEAK_COLUMNS and not (named and len(fields) > _NARROWPEAK_COLUMNS):
            return -1
        if not _has_signal(fields) or fields[9] == ".":
            return -1
        summit = _integer(fields[9], "summit (column 10)", where)
        if summit < -1:
            raise UserError(
                f"{where}: summit {summit} is negative; it is counted from the start, -1 means none"
            )
        return summit

    def _of_macs(self, fields: Sequence[str], where: str) -> int:
        """Return the summit of a line of MACS, from 0 on the chromosome, -1 for none."""
        if _MACS_SUMMIT not in self.header[: len(fields)]:
            return -1
        return _integer(fields[self.header.index(_MACS_SUMMIT)], _MACS_SUMMIT, where) - 1

    def report(self, notes: Notes) -> None:
        """Say what was dropped or changed."""
        name = self.path.name
        if self.header[:4] == _MACS_HEADER:
            notes.say(f"Read {name} as a table of MACS, which counts from 1.")
        elif self.header:
            notes.say(f"Skipped line {self.header_line:,} of {name}, a header.")
        if self.empty:
            notes.say(f"Dropped {self.empty:,} intervals of {name} that have no base.")
        if self.moved:
            notes.say(
                f"Moved {self.moved:,} summits of {name} to the last base of their peak, which they "
                "were behind."
            )


def _has_signal(fields: Sequence[str]) -> bool:
    """Return whether columns 7 to 9 are those of narrowPeak and broadPeak: signal, p and q.

    Tables of BED have the thick part of a drawing and a colour there.
    """
    if len(fields) < _NARROWPEAK_COLUMNS - 1:
        return False
    thick = fields[6] == fields[1] and fields[7] in fields[1:3]
    return not thick and all(map(_is_number, fields[6:9]))


def _strength(fields: Sequence[str]) -> float:
    """Return what a peak is chosen by among others: a narrowPeak's signal, else the score."""
    column = _SIGNAL if _has_signal(fields) else _SCORE
    value = float(fields[column]) if len(fields) > column and _is_number(fields[column]) else 0.0
    return 0.0 if np.isnan(value) else value


def _is_number(text: str) -> bool:
    """Return whether a text is a number; programs write inf for a p that is too small for them."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def _integer(text: str, column: str, where: str) -> int:
    """Return a text as an integer; UserError, naming the place and the column, if it is none.

    Tables that went through other programs have 1e6 or 100.0.
    """
    text = text.strip()
    if text.isdecimal() and len(text) < 16:
        return int(text)
    if _is_number(text) and "_" not in text:
        number = float(text)
        if number.is_integer() and abs(number) < _LARGEST:
            return int(number)
        fix = "it is larger than any genome" if number.is_integer() else "write digits only"
    else:
        fix = "write digits only"
    if "," in text and text.replace(",", "").isdecimal():
        fix = f"write {text.replace(',', '')}, without separators"
    raise UserError(f"{where}: {column} {text!r} is not an integer; {fix}")


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
    """Return ascending starts and ends of intervals, of which those that overlap or touch are one."""
    order = np.argsort(begin, kind="stable")
    begin, end = begin[order], np.maximum.accumulate(end[order])
    # a gap: the next begins behind the end of all before it
    first = np.flatnonzero(np.r_[True, begin[1:] > end[:-1]])
    return begin[first], end[np.r_[first[1:], len(end)] - 1]
