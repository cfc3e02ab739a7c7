"""Reader for tasks with several labels a sequence: a FASTA file and a table of 0 and 1."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from priorbench.data.codes import SPLITS, TEST, TRAIN, VALID
from priorbench.data.dataset_writer import MOST_ATTRIBUTED, DatasetWriter
from priorbench.data.doubts.grouped_splits import find_relatives
from priorbench.data.formats.bounded import lines
from priorbench.data.formats.fasta import open_bytes, read_named
from priorbench.data.sequence_hashes import in_later_split, sequence_digests, split_by_digest
from priorbench.encoding import N_CODE
from priorbench.errors import UserError

from .attributed_rows import attribute_rows, draw_attributed
from .data_file import DataFile
from .motif_sites import record_motifs

_SPLITS = {"train": TRAIN, "valid": VALID, "test": TEST}


def read_multitask(
    writer: DatasetWriter,
    data: DataFile,
    generator: np.random.Generator,
    *,
    both_strands: bool,
    positive: Callable[[NDArray[np.float32]], NDArray[np.bool_]],
    attributed_at_most: int = MOST_ATTRIBUTED,
) -> None:
    """Write the dataset of a data file with several labels a sequence.

    Without a column ``split``, sequences are split by a hash; with it, those whose sequence is
    also in a later split (validation, test) are dropped, with a count. So are those of N alone.

    Args:
        writer: takes sequences, (k, K) labels and splits, the sequences to attribute with what is
            known about them, and notes.
        data: the data file.
        generator: draws the sequences to attribute.
        both_strands: whether the reverse complement is the same molecule.
        positive: function of (n, K) labels that gives (n,) bool, the sequences that may be
            attributed.
        attributed_at_most: sequences to attribute of the test and of the validation split.

    Raises:
        UserError: the input cannot be used, or leaves a split empty.
    """
    if data.positives is None or data.labels is None:
        raise UserError(f"{data.source}: positives (a FASTA file) and labels are needed; add both")
    record_motifs(writer, data)
    table = read_labels(data.labels)
    digest, row, known = _match_records(
        data.positives, data.labels, table, both_strands=both_strands
    )
    if table.split is None:
        relatives = find_relatives(
            read_named(data.positives), data.source, both_strands=both_strands
        )
        writer.notes.say(*relatives.sentences)
        split = split_by_digest(relatives.decide(digest), test=True)
    else:
        split = table.split[row]
    values = table.values[row]
    repeated = in_later_split(digest, split) & known
    keep = known & ~repeated
    counts = [int(((split == number) & keep).sum()) for number in range(len(SPLITS))]
    for name, count in zip(SPLITS, counts, strict=True):
        if not count:
            raise UserError(f"{data.source}: no sequences left for {name}; check column split")
    eligible = keep & positive(values)
    if not (eligible & (split == TEST)).any():
        raise UserError(f"{data.source}: no test sequence has a positive label to attribute")
    chosen = draw_attributed(split, eligible, generator, attributed_at_most)
    codes = _write(writer, data.positives, values, split, keep=keep, chosen=chosen)
    rows = np.searchsorted(np.flatnonzero(keep), chosen)
    attribute_rows(writer, data, rows, codes, both_strands=both_strands)
    writer.notes.say(
        f"{len(table.names)} outputs: {', '.join(table.names)}.",
        "Windows of {:,} bp: training {:,}; validation {:,}; test {:,}.".format(
            codes.shape[1], *counts
        ),
        f"Share of positives: {values[keep].mean(axis=0).min():.1%} to "
        f"{values[keep].mean(axis=0).max():.1%} over outputs.",
    )
    if repeated.any():
        writer.notes.say(
            f"Dropped {int(repeated.sum()):,} sequences that are in a later split too."
        )
    unknown = int((~known).sum())
    if unknown:
        writer.notes.say(f"Dropped {unknown:,} sequences of {data.positives.name}: all N.")
    missing = len(table.row) - len(split)
    if missing:
        writer.notes.say(f"{missing:,} ids of {data.labels.name} have no sequence.")


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
    table = _rows(path)
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
        cells = line.split("\t")
        where = f"{path}: line {index + 2}"
        if cells[0] in row:
            raise UserError(f"{where}: id {cells[0]!r} occurs twice; give every sequence one line")
        row[cells[0]] = index
        if first == 2:
            if cells[1] not in _SPLITS:
                raise UserError(f"{where}: split {cells[1]!r} is not train, valid or test")
            split[index] = _SPLITS[cells[1]]
        for column, cell in enumerate(cells[first:]):
            if cell not in ("0", "1"):
                raise UserError(f"{where}: {names[column]} = {cell!r} is neither 0 nor 1")
            values[index, column] = cell == "1"
    return LabelTable(row, values, split if first == 2 else None, names)


def _rows(path: Path) -> list[str]:
    """Return the lines of a table, all with as many tabs as the first, less empty ones at its end.

    That comes before anything is made of them: one line of many columns and many lines of few
    would stand for more labels than there is memory.
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


def _match_records(
    fasta: Path, labels: Path, table: LabelTable, *, both_strands: bool
) -> tuple[NDArray[np.uint64], NDArray[np.int64], NDArray[np.bool_]]:
    """Return (n,) hashes of the records, rows of the table, and whether a base is other than N."""
    digests, rows, known = [], [], []
    names_so_far: set[str] = set()
    for names, codes in read_named(fasta):
        for name in names:
            if name not in table.row:
                raise UserError(f"{fasta}: record {name[:40]!r} has no line in {labels}; add one")
            if name in names_so_far:
                raise UserError(f"{fasta}: record {name[:40]!r} occurs twice; names must differ")
            names_so_far.add(name)
            rows.append(table.row[name])
        digests.append(sequence_digests(codes, both_strands=both_strands))
        known.append((codes != N_CODE).any(axis=1))
    return np.concatenate(digests), np.array(rows, dtype=np.int64), np.concatenate(known)


def _write(
    writer: DatasetWriter,
    fasta: Path,
    values: NDArray[np.float32],
    split: NDArray[np.uint8],
    *,
    keep: NDArray[np.bool_],
    chosen: NDArray[np.int64],
) -> NDArray[np.uint8]:
    """Append the records to keep with labels and split; return the (M, L) codes of the chosen."""
    first, attributed = 0, []
    for names, codes in read_named(fasta):
        here = slice(first, first + len(names))
        kept = keep[here]
        writer.append(codes[kept], values[here][kept], split[here][kept])
        inside = chosen[(chosen >= first) & (chosen < here.stop)] - first
        attributed.append(codes[inside])
        first = here.stop
    return np.concatenate(attributed)
