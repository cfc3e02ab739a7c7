"""Tables of labels: a line a sequence, a column an output."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from priorbench.data.codes import TEST, TRAIN, VALID
from priorbench.data.formats.bounded import lines
from priorbench.data.formats.fasta import open_bytes
from priorbench.data.formats.sequences.simdata import BINARY_LABELS
from priorbench.errors import UserError

_SPLITS = {"train": TRAIN, "valid": VALID, "test": TEST}


@dataclass(frozen=True)
class LabelTable:
    """A table of labels.

    Attributes:
        row: row of every id.
        values: (n, K) float32, 0 or 1.
        split: (n,) uint8, or None if the table does not say.
        names: names of the K outputs.
    """

    row: dict[str, int]
    values: NDArray[np.float32]
    split: NDArray[np.uint8] | None
    names: list[str]


def read_labels(path: Path) -> LabelTable:
    """Read a tab-separated table: ``id``, perhaps ``split``, then one column of 0 and 1 an output.

    Args:
        path: plain or gzip.

    Raises:
        UserError: the table cannot be used; names the file, the line and the value.
    """
    table = table_rows(path)
    header = table[0].removeprefix("\ufeff").split("\t") if table else []
    if not header or header[0] != "id" or len(header) < 2:
        raise UserError(
            f"{path}: line 1 must name the columns, separated by tabs: id, split (optional), and "
            "one column per output"
        )
    first = 2 if header[1] == "split" else 1
    names = header[first:]
    if "split" in names:
        raise UserError(f"{path}: line 1: column split must be the second, behind id")
    if len(table) < 2:
        raise UserError(f"{path}: no labels below the names of the columns; add a line a sequence")
    if not names or not all(names) or len(set(names)) < len(names):
        raise UserError(f"{path}: line 1: every output needs a column with a name of its own")
    row: dict[str, int] = {}
    values = np.empty((len(table) - 1, len(names)), dtype=np.float32)
    split = np.empty(len(table) - 1, dtype=np.uint8)
    for index, line in enumerate(table[1:]):
        cells = [cell.strip() for cell in line.split("\t")]
        where = f"{path}: line {index + 2}"
        if cells[0] in row:
            raise UserError(f"{where}: id {cells[0]!r} occurs twice; give every sequence one line")
        row[cells[0]] = index
        if first == 2:
            if cells[1] not in _SPLITS:
                raise UserError(f"{where}: split {cells[1]!r} is not train, valid or test")
            split[index] = _SPLITS[cells[1]]
        for column, cell in enumerate(cells[first:]):
            if cell not in BINARY_LABELS:
                raise UserError(f"{where}: {names[column]} = {cell[:40]!r} is neither 0 nor 1")
            values[index, column] = BINARY_LABELS[cell]
    return LabelTable(row, values, split if first == 2 else None, names)


def table_rows(path: Path) -> list[str]:
    """Return the lines of a table, all with as many tabs as the first, less empty ones at its end.

    That comes before anything is made of them: one line of many columns and many lines of few
    would stand for more labels than there is memory.

    Raises:
        UserError: the file cannot be read, or a line has another number of columns than the first.
    """
    with open_bytes(path) as stream:
        rows = [
            line.decode("utf-8", errors="replace").rstrip("\r\n") for line in lines(stream, path)
        ]
    while rows and not rows[-1].strip():
        rows.pop()
    for number, row in enumerate(rows, start=1):
        wanted, columns = (text.count("\t") + 1 for text in (rows[0], row))
        if columns != wanted:
            raise UserError(
                f"{path}: line {number} has {columns} columns, wanted {wanted}; separate them "
                "by tabs"
            )
    return rows
