"""Sequences of two classes as files of FASTA or of simdna have them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from priorbench.data.codes import SPLITS, TEST
from priorbench.data.doubts.grouped_splits import Relatives, find_relatives
from priorbench.data.formats.bed import Intervals
from priorbench.data.formats.fasta import lengths_in, read_named
from priorbench.data.formats.notes import Notes
from priorbench.data.formats.sequences.encoder import LengthsDifferError, Records
from priorbench.data.formats.sequences.lengths import lengths_error
from priorbench.data.formats.sequences.simdata import chosen_motifs, read_simdata
from priorbench.data.sequence_hashes import NO_DIGESTS, among, sequence_digests, split_by_digest
from priorbench.encoding import N_CODE
from priorbench.errors import UserError, unknown

from ..attributed_rows import RecordSites
from ..class_writer import CLASSES, ClassWriter
from ..data_file import SHUFFLE, DataFile
from .shuffles import Shuffler


def read_fasta_files(
    class_writer: ClassWriter,
    data: DataFile,
    generator: np.random.Generator,
    sites: Intervals | None,
    *,
    both_strands: bool,
) -> Intervals | None:
    """Write the records of the FASTA files, test files first, and note what was dropped.

    Args:
        class_writer: takes the sequences.
        data: the data file.
        generator: draws shuffles, where these are the negatives.
        sites: known sites, whose first column names records of the positives.
        both_strands: whether the reverse complement is the same molecule.

    Returns:
        the sites that lie on records.

    Raises:
        UserError: a file cannot be used, lengths differ, or repeats leave a split without a class.
    """
    if data.positives is None or data.negatives is None:
        raise UserError(f"{data.source}: positives and negatives are needed; add both")
    named = None if sites is None else RecordSites(sites)
    files = _PairReader(class_writer, data, generator, named, both_strands=both_strands)
    try:
        files.read()
    except LengthsDifferError:
        lengths = {path: lengths_in(path) for path in files.paths()}
        raise lengths_error(lengths, data.length, data.source) from None
    return None if named is None else named.found(class_writer.notes)


def read_simulated(
    class_writer: ClassWriter, data: DataFile, simdata: Path, *, both_strands: bool
) -> tuple[Intervals | None, Intervals | None]:
    """Write the sequences of a table of simdna and return its true motifs and the others.

    Args:
        class_writer: takes the sequences.
        data: the data file, which may name the column of labels.
        simdata: the table.
        both_strands: whether the reverse complement is the same molecule.

    Raises:
        UserError: the table cannot be used, or it is not clear which column is meant.
    """
    notes, fit = class_writer.notes, data.fit is not None
    simulated = read_simdata(simdata, length=data.length, fit=fit, notes=notes, source=data.source)
    outputs = simulated.outputs
    if data.label is None and len(outputs) != 1:
        raise UserError(
            f"{data.source}: label is missing; name one of the columns of {simdata.name} "
            f"({', '.join(outputs) or 'it has no column of labels'})"
        )
    if data.label is not None and data.label not in outputs:
        raise UserError(f"{data.source}: {unknown('label', data.label, outputs)}")
    label = simulated.labels[:, outputs.index(data.label or outputs[0])]
    everything = simulated.records
    chunks = [(everything.names.tolist(), everything.codes)]
    relatives = find_relatives(chunks, data.source, both_strands=both_strands)
    notes.say(*relatives.sentences)
    kept: list[NDArray[np.uint64]] = []
    for number in (1, 0):
        records = everything.select(label == number)
        known = (records.codes != N_CODE).any(axis=1)
        if not known.all():
            notes.say(f"Dropped {int((~known).sum()):,} sequences of {simdata.name}: all N.")
        records = records.select(known)
        digests = sequence_digests(records.codes, both_strands=both_strands)
        kept.append(digests)
        _check_variety(simdata, digests, relatives, test=True)
        split = split_by_digest(relatives.decide(digests), test=True)
        class_writer.add(records.codes, number, split, records)
    _note_repeats(notes, *kept)
    return chosen_motifs(simulated, data.embedded)


class _PairReader:
    """Reads the FASTA files of a data file, the test files first.

    Attributes:
        length: bases of every sequence; None until the first is read.
    """

    def __init__(
        self,
        class_writer: ClassWriter,
        data: DataFile,
        generator: np.random.Generator,
        sites: RecordSites | None,
        *,
        both_strands: bool,
    ) -> None:
        self._writer, self._data, self._sites = class_writer, data, sites
        self._both, self._generator = both_strands, generator
        self.length = data.length
        self._kept: dict[int, list[NDArray[np.uint64]]] = {0: [NO_DIGESTS], 1: [NO_DIGESTS]}

    def _files(self, *, held_out: bool) -> list[tuple[Path, int]]:
        """Return the files of the training or of the test pair, with their labels."""
        data = self._data
        pair = (data.positives, data.negatives)
        if held_out:
            pair = (data.test_positives, data.test_negatives)
        return [(p, label) for p, label in zip(pair, (1, 0), strict=True) if isinstance(p, Path)]

    def paths(self) -> list[Path]:
        """Return all files, those of the training pair first."""
        return [path for held in (False, True) for path, _ in self._files(held_out=held)]

    def read(self) -> None:
        """Write all sequences and note what was dropped."""
        notes, held_out = self._writer.notes, self._files(held_out=True)
        relatives = self._relatives()
        shuffler = Shuffler(self._generator, relatives.every, both_strands=self._both)
        tested = [NO_DIGESTS]
        for path, label in held_out:
            for records in self._records(path, label):
                digests = sequence_digests(records.codes, both_strands=self._both)
                tested.append(digests)
                split = np.full(len(records), TEST, dtype=np.uint8)
                self._writer.add(records.codes, label, split, records)
                if label == 1 and self._data.test_negatives is None:
                    self._add_shuffled(shuffler, records.codes, split)
        forbidden = np.unique(np.concatenate(tested))
        for path, label in self._files(held_out=False):
            leaked = 0
            for records in self._records(path, label):
                digests = sequence_digests(records.codes, both_strands=self._both)
                fresh = ~among(digests, forbidden)
                leaked += int((~fresh).sum())
                split = split_by_digest(relatives.decide(digests[fresh]), test=not held_out)
                kept = records.select(fresh)
                self._writer.add(kept.codes, label, split, kept)
                self._kept[label].append(digests[fresh])
                if label == 1 and self._data.negatives == SHUFFLE:
                    self._add_shuffled(shuffler, kept.codes, split)
            if leaked:
                same = "same sequence or its reverse complement" if self._both else "same sequence"
                notes.say(
                    f"Dropped {leaked:,} {CLASSES[label]} of {path.name} from training: the {same} "
                    "is in the test files."
                )
        if self._data.negatives == SHUFFLE:
            shuffler.tell(notes)
        _note_repeats(notes, *(np.concatenate(self._kept[label]) for label in (1, 0)))
        for path, label in self._files(held_out=False):
            _check_variety(path, np.concatenate(self._kept[label]), relatives, test=not held_out)

    def _relatives(self) -> Relatives:
        """Return the sequences that must stay together, and note them.

        Those of the test files are looked at too: two training sequences may be relatives through
        one of them.
        """

        def chunks() -> Iterator[tuple[list[str], NDArray[np.uint8]]]:
            fit = self._data.fit is not None
            for path in self.paths():
                for records in read_named(path, length=self.length, fit=fit):
                    self.length = records.codes.shape[1]
                    yield records.names.tolist(), records.codes

        relatives = find_relatives(chunks(), self._data.source, both_strands=self._both)
        self._writer.notes.say(*relatives.sentences)
        return relatives

    def _records(self, path: Path, label: int) -> Iterator[Records]:
        """Yield a file's records but those of N alone, which are noted once all are read."""
        unknown, notes = 0, self._writer.notes
        fit = self._data.fit is not None
        with closing(read_named(path, length=self.length, fit=fit, notes=notes)) as chunks:
            for records in chunks:
                self.length = records.codes.shape[1]
                if self._sites is not None and label == 1:
                    self._sites.see(path, records)
                known = (records.codes != N_CODE).any(axis=1)
                unknown += int((~known).sum())
                if known.any():
                    yield records.select(known)
        if unknown:
            notes.say(f"Dropped {unknown:,} sequences of {path.name}: all N.")

    def _add_shuffled(
        self, shuffler: Shuffler, codes: NDArray[np.uint8], split: NDArray[np.uint8]
    ) -> None:
        """Write a shuffle of each positive as a negative of the same split."""
        negatives, changed = shuffler.negatives(codes, split)
        self._writer.add(negatives[changed], 0, split[changed])


def _check_variety(
    path: Path, digests: NDArray[np.uint64], relatives: Relatives, *, test: bool
) -> None:
    """Raise UserError if a file has so few different sequences that a split gets none of them."""
    different = np.unique(digests)
    if len(different) == len(digests):
        return
    splits = set(split_by_digest(relatives.decide(different), test=test).tolist())
    missing = [name for number, name in enumerate(SPLITS[: 2 + test]) if number not in splits]
    if missing:
        how = "all the same" if len(different) == 1 else f"{len(different):,} different ones"
        raise UserError(
            f"{path}: its {len(digests):,} sequences are {how}, which leaves none for "
            f"{missing[0]} as repeats stay in one split; give more that differ"
        )


def _note_repeats(
    notes: Notes, positives: NDArray[np.uint64], negatives: NDArray[np.uint64]
) -> None:
    """Append notes on repeats within a class and between the two, by the hashes of sequences."""
    for name, digests in (("positives", positives), ("negatives", negatives)):
        repeats = len(digests) - len(np.unique(digests))
        if repeats:
            notes.say(
                f"{repeats:,} {name} repeat another one; repeats are kept, in the same split."
            )
    shared = len(np.intersect1d(positives, negatives))
    if shared:
        notes.say(f"{shared:,} sequences are in both classes; they are kept, with both labels.")
