"""Genomic intervals: files of BED3 to narrowPeak, and the tables that MACS writes.

Coordinates are those of BED: counted from 0, the end excluded.
"""

from __future__ import annotations

import math
import re
import sys
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from priorbench.errors import UserError

from .bounded import LONGEST_NAME, is_number, lines
from .fasta import open_bytes
from .notes import Notes

_NARROWPEAK_COLUMNS = 10
_NAME, _SCORE, _SIGNAL = 3, 4, 6
"""columns, from 0, of a BED file's name and score, and of a narrowPeak's signal"""
_NO_COLOUR = ("0", ".")
"""what stands in column 9 of a BED file without colours"""
_LARGEST = 1 << 53
"""bp up to which a number with a decimal point or an exponent is exact; no genome is as long"""
_LARGEST_SCORE = 1e38
"""magnitude below which a number fits into 32 bits"""
_DISPLAY = re.compile(
    r"track(\s+\w+\s*=|\s+[A-Za-z]\w*$|$)"
    r"|browser(\s+(position|hide|dense|pack|squish|full|pix)(\s|$)|$)",
)
"""how lines for genome browsers begin; sequences may be called track or browser too"""
_COUNTED_FROM_ONE: dict[tuple[str, ...], str] = {
    ("chr", "start", "end", "length"): "a table of MACS, which counts",
    ("seqnames", "start", "end", "width"): "ranges of Bioconductor, which count",
}
"""first names of the columns of tables that count from 1, and what they are in a note"""
_MACS_SUMMIT, _MACS_OFFSET = "abs_summit", "summit"
_NO_VALUE = (".", "NA", "NaN", "nan", "")
"""what programs write for a value that there is none of"""


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
        name: (n,) str fourth column, "" where there is none, a dot, or names were not asked for.
        turned: (n,) bool, whether the strand in the file is "-", even where strands do not count.
    """

    path: Path
    chrom: NDArray[np.str_]
    start: NDArray[np.int64]
    end: NDArray[np.int64]
    center: NDArray[np.int64]
    strand: NDArray[np.str_]
    line: NDArray[np.int64]
    strength: NDArray[np.float64]
    name: NDArray[Any]
    turned: NDArray[np.bool_]

    def __len__(self) -> int:
        """Return the number of intervals."""
        return len(self.start)

    def select(self, index: NDArray[Any]) -> Intervals:
        """Return the intervals at ``index``: bool or int64."""
        names = [field.name for field in fields(self) if field.name != "path"]
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
            raise UserError(f"{self.path}: {where}, wanted + or -, as the task reads one strand")
        notes.say(
            f"Dropped {len(unstranded):,} intervals of {self.path.name} without a strand ({where})."
        )
        return self.select(np.delete(np.arange(len(self)), unstranded))


def read_bed(path: Path, notes: Notes, *, named: bool = False, scored: bool = False) -> Intervals:
    """Read BED3 to narrowPeak or a table of MACS, plain or gzip, columns split by tabs or blanks.

    Lines that are empty, start with ``#``, or tell a genome browser what to draw (``track`` and
    ``name=value``, ``browser`` and its words) are skipped, and a header before the first interval.
    A file of exactly ten columns, or one named narrowPeak of more, is read as narrowPeak, whose
    tenth column is the summit's offset; tables of MACS (.xls) and ranges of Bioconductor, which
    count from 1, are told by their header. Starts and ends may lie beyond the chromosome.

    Args:
        path: the file.
        notes: takes what was dropped or changed: a header, intervals of no base, and summits
            outside their peak, which are moved to its last base.
        named: whether names are kept; each peak has one of its own, which would take memory.
        scored: whether every interval must have a score, column 5, or 4 of a bedGraph, which has
            no more; it is then the ``strength``.

    Raises:
        UserError: a line has fewer than three columns, coordinates that are no integers or in the
            wrong order, or a summit that is none, or the file has no intervals or is too large;
            names file, line and value.
    """
    table = _Table(path, named, scored)
    with open_bytes(path) as stream:
        for number, raw in enumerate(lines(stream, path), start=1):
            if b"\0" in raw:
                raise UserError(f"{path}: not a text file; give BED, plain or gzip")
            line = raw.decode("utf-8", errors="replace").strip()
            if not line or line[0] == "#" or _DISPLAY.match(line):
                continue
            fields = line.split("\t") if "\t" in line else line.split()
            try:
                table.add(fields, number)
            except UserError as error:
                raise UserError(f"{path}: line {number}: {error}") from None
    if not table.chroms:
        empty = f" but {table.empty:,} of no base" if table.empty else ""
        raise UserError(f"{path}: no intervals{empty}; give a BED file with at least one line")
    table.report(notes)
    start, end, center, line_number = np.array(table.rows, dtype=np.int64).reshape(-1, 4).T
    strand = np.array(table.strands)
    return Intervals(
        path,
        np.array(table.chroms),
        start,
        end,
        center,
        strand,
        line_number,
        np.array(table.strengths),
        np.array(table.names, dtype=object),
        strand == "-",
    )


@dataclass
class _Table:
    """The intervals of a file so far, and the counts of what was dropped or changed.

    Attributes:
        path: the file.
        named: whether names are kept.
        scored: whether every interval must have a score.
        header: the fields of its header, empty before one is met.
        header_line: the header's line.
        empty: intervals of no base.
        moved: summits outside their peak.
        absolute: those among them that lie inside it as places on the chromosome.
        headers: lines that repeat the header, as in files that were put behind one another.
    """

    path: Path
    named: bool = False
    scored: bool = False
    chroms: list[str] = field(default_factory=list)
    strands: list[str] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    rows: array[int] = field(default_factory=lambda: array("q"))
    strengths: array[float] = field(default_factory=lambda: array("d"))
    header: list[str] = field(default_factory=list)
    header_line: int = 0
    empty: int = 0
    moved: int = 0
    absolute: int = 0
    headers: int = 0
    _kind: str = ""

    def __post_init__(self) -> None:
        """Look at the file's name."""
        self._named_narrowpeak = "narrowpeak" in self.path.name.lower()

    def add(self, fields: list[str], number: int) -> None:
        """Add the interval of one line, or take the line as the header.

        Raises:
            UserError: the line is wrong; says why, but not where.
        """
        if len(fields) < 3:
            raise UserError(
                f"{len(fields)} column(s), wanted at least 3 (chromosome, start, end), split by "
                "tabs or blanks"
            )
        first = not (self.chroms or self.header or self.empty)
        if first and not any(map(is_number, fields[1:3])) and not _columns_meant(fields):
            self.header, self.header_line = fields, number
            self._kind = _COUNTED_FROM_ONE.get(tuple(field.strip('"') for field in fields[:4]), "")
            return
        if fields == self.header:
            self.headers += 1
            return
        try:
            start, end = _integer(fields[1], "start"), _integer(fields[2], "end")
        except UserError as error:
            raise UserError(f"{error}{_columns_meant(fields)}") from None
        start -= bool(self._kind)  # counted from 1 there
        if start > end:
            raise UserError(f"start {start} is behind end {end}; swap the two")
        if start == end:
            self.empty += 1
            return
        if len(fields[0]) > LONGEST_NAME:
            raise UserError(
                f"the chromosome's name has more than {LONGEST_NAME} characters; give a BED file, "
                "with columns split by tabs or blanks"
            )
        with_signal = _has_signal(fields)
        summit = -1
        if self._kind:
            summit = self._summit_of_macs(fields, start)
        elif with_signal and (len(fields) == _NARROWPEAK_COLUMNS or self._named_narrowpeak):
            summit = _summit(fields)
        if summit < 0:
            summit = (end - start) // 2
        elif summit >= end - start:
            self.moved += 1
            self.absolute += start <= summit < end
            summit = end - start - 1
        # one text for each name, not one for each line; only + and - are a strand
        self.chroms.append(sys.intern(fields[0].strip()))
        column = self._strand_column()
        strand = fields[column] if 0 <= column < len(fields) else ""
        self.strands.append(sys.intern(strand[:LONGEST_NAME]))
        # ranges of Bioconductor have the width there, tables of MACS the length
        has_name = not self._kind and len(fields) > _NAME and fields[_NAME] not in _NO_VALUE
        named = self.named and has_name
        self.names.append(sys.intern(fields[_NAME].strip()[:LONGEST_NAME]) if named else "")
        self.rows.extend((start, end, start + summit, number))
        self.strengths.append(self._strength(fields, with_signal=with_signal))

    def _strength(self, fields: Sequence[str], *, with_signal: bool) -> float:
        """Return the strength of the interval in a line; UserError if a score must be there."""
        if not self.scored:
            with_signal = with_signal and is_number(fields[_SIGNAL])
            return _number(fields, _SIGNAL if with_signal else _SCORE)
        if self._kind:
            raise UserError(f"a score is needed, and this is {self._kind} from 1; write a BED file")
        column = _NAME if len(fields) == _NAME + 1 else _SCORE
        text = fields[column] if column < len(fields) else ""
        if not is_number(text) or not abs(float(text)) < _LARGEST_SCORE:  # NaN is not below either
            raise UserError(
                f"score (column {min(column, len(fields)) + 1}) is {text!r}, not a number; write "
                "one in column 5 of every line, or in column 4 of a bedGraph"
            )
        return float(text)

    def _strand_column(self) -> int:
        """Return the column of the strand, from 0, -1 where there is none."""
        if not self._kind:
            return 5
        return self.header.index("strand") if "strand" in self.header else -1

    def _summit_of_macs(self, fields: Sequence[str], start: int) -> int:
        """Return the offset of the summit in a line of MACS, -1 for none.

        Version 1.4 writes the offset itself, later ones the place on the chromosome, from 1.
        """
        header = self.header[: len(fields)]
        if _MACS_SUMMIT in header:
            return _integer(fields[header.index(_MACS_SUMMIT)], _MACS_SUMMIT) - 1 - start
        if _MACS_OFFSET in header:
            return _integer(fields[header.index(_MACS_OFFSET)], _MACS_OFFSET)
        return -1

    def report(self, notes: Notes) -> None:
        """Say what was dropped or changed; UserError if most summits are no offsets."""
        name = self.path.name
        if 2 * self.absolute > len(self.chroms):
            raise UserError(
                f"{self.path}: {self.absolute:,} of {len(self.chroms):,} summits (column 10) are "
                "places on the chromosome; write them counted from the start of their peak"
            )
        if self._kind:
            notes.say(f"Read {name} as {self._kind} from 1.")
        elif self.header:
            notes.say(f"Skipped line {self.header_line:,} of {name}, a header.")
        if self.headers:
            notes.say(f"Skipped {self.headers:,} further lines of {name} that repeat its header.")
        if self.empty:
            notes.say(f"Dropped {self.empty:,} intervals of {name} that have no base.")
        if self.moved:
            notes.say(
                f"Moved {self.moved:,} summits of {name} to the last base of their peak, which "
                "they were behind."
            )
        if 2 * self.moved > len(self.chroms):
            notes.warn(
                f"{self.moved:,} of {len(self.chroms):,} summits of {name} are outside their peak: "
                "is column 10 the offset of the summit?"
            )


def _has_signal(fields: Sequence[str]) -> bool:
    """Return whether columns 7 to 9 are those of narrowPeak and broadPeak: signal, p and q.

    Tables of BED have the thick part of a drawing and a colour there.
    """
    if len(fields) < _NARROWPEAK_COLUMNS - 1:
        return False
    start, end, thick_start, thick_end = (fields[column] for column in (1, 2, 6, 7))
    if all(map(str.isdecimal, (start, end, thick_start, thick_end))):
        inside = int(start) <= int(thick_start) <= int(thick_end) <= int(end)
        if inside and (thick_start == start or fields[8] in _NO_COLOUR):
            return False
    return all(field in _NO_VALUE or is_number(field) for field in fields[6:9])


def _columns_meant(fields: Sequence[str]) -> str:
    """Return which columns of a line look like start and end, where these are not the usual ones.

    HOMER has a name before the chromosome, GFF two columns behind it.
    """
    whole = [field.isdecimal() for field in fields]
    for column in range(2, len(fields) - 1):
        if whole[column] and whole[column + 1]:
            return (
                f"; columns {column + 1} and {column + 2} look like start and end: write a BED "
                "file, chromosome, start and end first, counted from 0"
            )
    return ""


def _summit(fields: Sequence[str]) -> int:
    """Return the offset of the summit in a line of narrowPeak, -1 for none."""
    if len(fields) < _NARROWPEAK_COLUMNS or fields[9] == ".":
        return -1
    summit = _integer(fields[9], "summit (column 10)")
    if summit < -1:
        raise UserError(f"summit {summit} is negative; it is counted from the start, -1 means none")
    return summit


def _number(fields: Sequence[str], column: int) -> float:
    """Return the number in a column, 0 where there is none."""
    value = float(fields[column]) if len(fields) > column and is_number(fields[column]) else 0.0
    return 0.0 if math.isnan(value) else value


def _integer(text: str, column: str) -> int:
    """Return a text as an integer; UserError, naming the column, if it is none.

    Tables that went through other programs have 1e6 or 100.0.
    """
    if text.isdecimal() and len(text) < 16:
        return int(text)
    text, fix = text.strip(), "write digits only"
    if is_number(text) and "_" not in text:
        number = float(text)
        if number.is_integer() and abs(number) < _LARGEST:
            return int(number)
        fix = "it is larger than any genome" if number.is_integer() else fix
    if "," in text and text.replace(",", "").isdecimal():
        fix = f"write {text.replace(',', '')}, without separators"
    raise UserError(f"{column} {text!r} is not an integer; {fix}")
