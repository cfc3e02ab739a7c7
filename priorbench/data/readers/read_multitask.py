"""Reads sequences with several labels each: a FASTA file and a table of 0 and 1."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from priorbench.data.codes import SPLITS, TEST, TRAIN, VALID
from priorbench.data.dataset_writer import DatasetWriter
from priorbench.data.formats.encoding import N_CODE
from priorbench.data.formats.fasta import open_bytes, read_named
from priorbench.errors import UserError

from .data_file import DataFile
from .motif_sites import read_known_motifs, scan_known_motifs
from .read_binary import note_truth
from .sequence_hashes import among, sequence_digests, split_by_digest

_SPLITS = {"train": TRAIN, "valid": VALID, "test": TEST}


@dataclass(frozen=True)
class LabelTable:
    """A table of labels.

    Attributes:
        row: row of every id.
        values: (n, K) float32, 0 or 1.
        split: (n,) uint8, or None if the table does not say.
        names: of the K outputs.
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
        UserError: naming the file, the line and the value.
    """
    with open_bytes(path) as stream:
        lines = stream.read().decode("utf-8-sig", errors="replace").splitlines()
    while lines and not lines[-1].strip():
        lines.pop()
    header = lines[0].split("\t") if lines else []
    if not header or header[0] != "id" or len(header) < 2:
        raise UserError(
            f"{path}: line 1 must name the columns, separated by tabs: id, split (optional), and "
            "one column per output"
        )
    first = 2 if header[1] == "split" else 1
    names = header[first:]
    if "split" in names:
        raise UserError(f"{path}: line 1: column split must be the second, behind id")
    if len(lines) < 2:
        raise UserError(f"{path}: no labels below the names of the columns; add a line a sequence")
    if not names or not all(names) or len(set(names)) < len(names):
        raise UserError(f"{path}: line 1: every output needs a column with a name of its own")
    row: dict[str, int] = {}
    values = np.empty((len(lines) - 1, len(names)), dtype=np.float32)
    split = np.empty(len(lines) - 1, dtype=np.uint8)
    for index, line in enumerate(lines[1:]):
        cells = line.split("\t")
        where = f"{path}: line {index + 2}"
        if len(cells) != len(header):
            raise UserError(f"{where} has {len(cells)} columns, wanted {len(header)}")
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


def read_labelled(
    writer: DatasetWriter,
    data: DataFile,
    generator: np.random.Generator,
    *,
    reverse_complement: bool,
    positive: Callable[[NDArray[np.float32]], NDArray[np.bool_]],
    attributed_at_most: int = 1000,
) -> None:
    """Write the dataset of a FASTA file (``positives``) and its table (``labels``).

    Without a column ``split`` sequences are split by a hash; with it, those whose sequence is
    also in a later split (validation, test) are dropped, with a count. So are those of N alone.

    Args:
        writer: takes sequences, (k, K) labels and splits.
        data: the data file.
        generator: draws the sequences to attribute.
        reverse_complement: whether the reverse complement is the same molecule.
        positive: (n, K) labels to (n,) bool, the examples that may be attributed.
        attributed_at_most: sequences of a split to attribute.

    Raises:
        UserError: for input that cannot be used, or that leaves a split empty.
    """
    if data.positives is None or data.labels is None:
        raise UserError(f"{data.source}: positives (a FASTA file) and labels are needed; add both")
    read_known_motifs(writer, data)  # an error in them should not wait for the sequences
    labels = read_labels(data.labels)
    index = _index(data.positives, data.labels, labels, reverse_complement)
    digests, split, rows = index.digests, index.split, index.rows
    later = {TRAIN: np.isin(split, (VALID, TEST)), VALID: split == TEST}
    leaks = np.zeros(len(split), dtype=bool)
    for number, held_out in later.items():
        leaks |= (split == number) & among(digests, np.unique(digests[held_out]))
    leaks &= index.known
    keep = index.known & ~leaks
    values = labels.values[rows]
    counts = [int(((split == number) & keep).sum()) for number in range(len(SPLITS))]
    for name, count in zip(SPLITS, counts, strict=True):
        if not count:
            raise UserError(f"{data.source}: no sequences left for {name}; check column split")
    candidates = np.flatnonzero((split == TEST) & keep & positive(values))
    if not len(candidates):
        raise UserError(f"{data.source}: no test sequence has a positive label to attribute")
    others = np.flatnonzero((split == VALID) & keep & positive(values))
    chosen = np.sort(
        np.concatenate(
            [generator.permutation(c)[:attributed_at_most] for c in (candidates, others)]
        )
    )
    kept = np.flatnonzero(keep)
    codes_of = _write(writer, data.positives, (values, split), keep=keep, chosen=chosen)
    attributed = np.searchsorted(kept, chosen)
    if data.motifs is None:
        writer.attribute(attributed)
    else:
        known = scan_known_motifs(data, codes_of, reverse_complement=reverse_complement)
        writer.attribute(attributed, known.truth, known.oracle)
        note_truth(writer, data.motifs, known.truth)
    writer.notes += [
        f"{len(labels.names)} outputs: {', '.join(labels.names)}.",
        "Windows of {:,} bp: training {:,}; validation {:,}; test {:,}.".format(
            codes_of.shape[1], *counts
        ),
        f"Share of positives: {values[keep].mean(axis=0).min():.1%} to "
        f"{values[keep].mean(axis=0).max():.1%} over outputs.",
    ]
    if leaks.any():
        writer.notes.append(
            f"Dropped {int(leaks.sum()):,} sequences that are in a later split too."
        )
    if not index.known.all():
        count = int((~index.known).sum())
        writer.notes.append(f"Dropped {count:,} sequences of {data.positives.name}: all N.")
    missing = len(labels.row) - len(rows)
    if missing:
        writer.notes.append(f"{missing:,} ids of {data.labels.name} have no sequence.")


@dataclass(frozen=True)
class _LabelRows:
    """What is known of the records, in the order of the file.

    Attributes:
        digests: (n,) uint64 hashes.
        split: (n,) uint8.
        rows: (n,) int64 rows of the table.
        known: (n,) bool, whether a record has a base other than N.
    """

    digests: NDArray[np.uint64]
    split: NDArray[np.uint8]
    rows: NDArray[np.int64]
    known: NDArray[np.bool_]


def _index(fasta: Path, table: Path, labels: LabelTable, both_strands: bool) -> _LabelRows:
    digests, rows, known, seen = [], [], [], set()
    for names, codes in read_named(fasta):
        for name in names:
            if name not in labels.row:
                raise UserError(f"{fasta}: record {name[:40]!r} has no line in {table}; add one")
            if name in seen:
                raise UserError(f"{fasta}: record {name[:40]!r} occurs twice; names must differ")
            seen.add(name)
            rows.append(labels.row[name])
        digests.append(sequence_digests(codes, both_strands=both_strands))
        known.append((codes != N_CODE).any(axis=1))
    found, row = np.concatenate(digests), np.array(rows, dtype=np.int64)
    split = split_by_digest(found, test=True) if labels.split is None else labels.split[row]
    return _LabelRows(found, split, row, np.concatenate(known))


def _write(
    writer: DatasetWriter,
    fasta: Path,
    columns: tuple[NDArray[np.float32], NDArray[np.uint8]],
    *,
    keep: NDArray[np.bool_],
    chosen: NDArray[np.int64],
) -> NDArray[np.uint8]:
    """Append the kept records with labels and split; the (M, L) codes of the chosen ones."""
    values, split = columns
    first, attributed = 0, []
    for names, codes in read_named(fasta):
        here = slice(first, first + len(names))
        kept = keep[here]
        writer.append(codes[kept], values[here][kept], split[here][kept])
        inside = chosen[(chosen >= first) & (chosen < here.stop)] - first
        attributed.append(codes[inside])
        first = here.stop
    return np.concatenate(attributed)
