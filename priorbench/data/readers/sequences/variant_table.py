"""Reader of measured effects of variants: a table of them, and the FASTA of their elements."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from priorbench.data.dataset_writer import DatasetWriter
from priorbench.data.formats.fasta import lengths_in, read_named
from priorbench.data.formats.notes import Notes
from priorbench.data.formats.sequences.encoder import concatenated
from priorbench.data.variants import CONFIDENT, VariantTable
from priorbench.encoding import BASES, N_CODE
from priorbench.errors import UserError, first_names

from ..data_file import DataFile
from .label_table import table_rows

_ELEMENT = ("element", "record")
"""names of the column of elements, of which a table has one"""
_NEEDED = ("position", "ref", "alt", "effect")
_OPTIONAL = ("weight", "confidence", "disregard")
_YES, _NO = ("1", "true"), ("0", "false", "")
_SHOWN = 40
"""characters of a value in a message"""
_FEWEST = 3
"""variants of an element without which no correlation is defined"""


@dataclass(frozen=True)
class _Elements:
    """Elements: number by name, and (E, W) codes with N behind those that are (E,) shorter."""

    path: Path
    number: Mapping[str, int]
    codes: NDArray[np.uint8]
    lengths: NDArray[np.int64]


@dataclass(frozen=True)
class _Line:
    """A line of the table: where it is, for messages, and its cells by column."""

    where: str
    cells: Mapping[str, str]

    def problem(self, text: str) -> UserError:
        """Return the error that says what is wrong with the line."""
        return UserError(f"{self.where}: {text}")

    def number(self, column: str, least: float, most: float, wanted: str) -> float:
        """Return the number in a column; UserError if it is none, or out of range."""
        text = self.cells[column]
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not (math.isfinite(value) and least <= value <= most):
            raise self.problem(
                f"{column} = {text[:_SHOWN]!r} is not {wanted}; mend it or remove the line"
            )
        return value

    def base(self, column: str) -> int:
        """Return the code of the base in a column; UserError if it is not one known base."""
        text = self.cells[column].upper().replace("U", "T")
        if len(text) != 1 or text not in BASES:
            raise self.problem(
                f"{column} = {self.cells[column][:_SHOWN]!r} is not one base of ACGT; only "
                "substitutions of one base are read: remove the line"
            )
        return BASES.index(text)


def read_variants(writer: DatasetWriter, data: DataFile) -> None:
    """Store the variants of a data file in its dataset, with notes; nothing where it names none.

    Raises:
        UserError: the table or the FASTA cannot be used; names the file, the line and the fix.
    """
    if data.variants is None or data.elements is None:
        return
    elements = _read_elements(data.elements, writer.notes)
    lines = _read_lines(data.variants)
    kept = [line for line in lines if not _is_disregarded(line)]
    place, measured = _read_effects(kept, elements)
    if len(place) < _FEWEST:
        raise UserError(
            f"{data.variants}: {len(place)} variants to score by; give {_FEWEST} or more"
        )
    order = np.lexsort(place.T[::-1])
    table = VariantTable(
        tuple(elements.number), elements.lengths, elements.codes, place[order], measured[order]
    )
    writer.add_variants(table)
    _tell(writer.notes, table, len(lines) - len(kept), data.variants.name)


def _read_elements(path: Path, notes: Notes) -> _Elements:
    """Read the elements, of any length each."""
    longest = max(lengths_in(path), default=0)
    of_file = Notes()
    # around the centre is how sequences are brought to one length; here they begin at 0 instead
    parts = read_named(path, length=longest or None, fit=True, notes=of_file)
    records = concatenated(list(parts))
    notes.say(*(text for text in of_file.sentences if not text.startswith("Brought to")))
    codes = np.full_like(records.codes, N_CODE)
    number: dict[str, int] = {}
    for row, (name, first, size) in enumerate(
        zip(records.names.tolist(), records.first.tolist(), records.lengths.tolist(), strict=True)
    ):
        if not name:
            raise UserError(f"{path}: record {row + 1} has no name; give every element one")
        if name in number:
            raise UserError(
                f"{path}: record {name[:_SHOWN]!r} occurs twice; give every element its own name"
            )
        number[name] = row
        codes[row, :size] = records.codes[row, -first : -first + size]
    return _Elements(path, number, codes, records.lengths)


def _read_lines(path: Path) -> list[_Line]:
    """Return the lines of the table below its header, which names the columns."""
    rows = [[cell.strip() for cell in row.split("\t")] for row in table_rows(path)]
    header = rows[0] if rows else []
    there = [name for name in _ELEMENT if name in header]
    missing = [name for name in _NEEDED if name not in header]
    if not there or missing:
        names = ", ".join([*([] if there else ["element"]), *missing])
        raise UserError(
            f"{path}: line 1 has no column {names}; it must name the columns, separated by tabs: "
            f"element (or record), {', '.join(_NEEDED)}, and perhaps {', '.join(_OPTIONAL)}"
        )
    for name in (*_ELEMENT, *_NEEDED, *_OPTIONAL):
        if header.count(name) > 1:
            raise UserError(f"{path}: line 1: column {name} occurs twice; keep one of them")
    if len(there) > 1:
        raise UserError(f"{path}: line 1: element and record are both there; keep one of them")
    read = {header.index(name): name for name in (*_NEEDED, *_OPTIONAL) if name in header}
    read[header.index(there[0])] = "element"
    return [
        _Line(f"{path}: line {index}", {name: cells[place] for place, name in read.items()})
        for index, cells in enumerate(rows[1:], start=2)
    ]


def _is_disregarded(line: _Line) -> bool:
    """Return whether a line says that its variant is to be left out."""
    text = line.cells.get("disregard", "").lower()
    if text in _YES or text in _NO:
        return text in _YES
    raise line.problem(f"disregard = {text[:_SHOWN]!r} is neither 0 nor 1; give one of them")


def _read_effects(
    lines: Sequence[_Line], elements: _Elements
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the ``place`` and ``measured`` of a table of variants, in the order of the lines."""
    place = np.empty((len(lines), 4), dtype=np.int64)
    measured = np.empty((len(lines), 3))
    first: dict[tuple[int, ...], str] = {}
    for row, line in enumerate(lines):
        variant = _variant(line, elements)
        if variant in first:
            raise line.problem(
                f"the variant is also on {first[variant].rpartition(': ')[2]}; give its effect once"
            )
        first[variant] = line.where
        place[row] = variant
        measured[row] = (
            line.number("effect", -math.inf, math.inf, "a finite number"),
            line.number("weight", 0, math.inf, "a number that is at least 0")
            if "weight" in line.cells
            else 1.0,
            line.number("confidence", 0, 1, "a number from 0 to 1")
            if "confidence" in line.cells
            else math.nan,
        )
    return place, measured


def _variant(line: _Line, elements: _Elements) -> tuple[int, int, int, int]:
    """Return the number of a line's element, its position and the codes of its two bases."""
    name, text = line.cells["element"], line.cells["position"]
    if name not in elements.number:
        raise line.problem(
            f"element {name[:_SHOWN]!r} is not in {elements.path}; add its sequence, or remove the "
            "line"
        )
    number = elements.number[name]
    size = int(elements.lengths[number])
    position = int(text) if text.isascii() and text.isdigit() and len(text) < 10 else -1
    if not 0 <= position < size:
        raise line.problem(
            f"position = {text[:_SHOWN]!r} is not in element {name[:_SHOWN]!r}, whose {size:,} "
            f"bases are 0 to {size - 1}; count from 0"
        )
    ref, alt = line.base("ref"), line.base("alt")
    there = int(elements.codes[number, position])
    if there != ref:
        raise line.problem(
            f"ref is {BASES[ref]}, but base {position} of {name[:_SHOWN]!r} is "
            f"{(BASES + 'N')[there]} in {elements.path}; count positions from 0, or give the "
            "sequence that was measured"
        )
    if ref == alt:
        raise line.problem(f"ref and alt are both {BASES[ref]}; remove the line")
    return number, position, ref, alt


def _tell(notes: Notes, table: VariantTable, disregarded: int, name: str) -> None:
    """Add notes on the variants that were read."""
    counts = np.bincount(table.element, minlength=len(table.names))
    known = bool(np.isfinite(table.measured[:, 2]).all())
    rule = (
        f"the largest, as many as have a confidence of {CONFIDENT:g} or more"
        if known
        else "the largest tenth of each element"
    )
    notes.say(
        f"{name}: measured effects of {len(table.place):,} variants of "
        f"{int((counts > 0).sum()):,} elements of {table.lengths[counts > 0].min():,} to "
        f"{table.lengths[counts > 0].max():,} bp; {int(table.strong.sum()):,} are strong ({rule})."
    )
    if disregarded:
        notes.say(f"Dropped {disregarded:,} variants of {name}: to be disregarded.")
    few = [n for n, c in zip(table.names, counts, strict=True) if c < _FEWEST]
    if few:
        notes.say(
            f"Elements of {name} with fewer than {_FEWEST} variants ({len(few):,}): "
            f"{first_names(few, _FEWEST)}; scores of single elements leave them out."
        )
