"""Reader for tasks that tell positives from negatives: FASTA pairs, or windows of a genome."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from priorbench.data.codes import TEST
from priorbench.data.dataset_writer import MOST_ATTRIBUTED, DatasetWriter
from priorbench.data.doubts.grouped_splits import find_relatives
from priorbench.data.doubts.labels import doubt_drawn_negatives
from priorbench.data.formats.bed import Intervals, read_bed, within
from priorbench.data.formats.fasta import read_fasta, read_named
from priorbench.data.formats.genome import Genome
from priorbench.data.formats.notes import Notes
from priorbench.data.formats.peaks import MERGE_WINDOWS, MERGED, check_names, merge_peaks, on_genome
from priorbench.data.sequence_hashes import NO_DIGESTS, among, sequence_digests, split_by_digest
from priorbench.encoding import N_CODE
from priorbench.errors import UserError

from .attributed_rows import attribute_rows
from .class_writer import CLASSES, ClassWriter
from .data_file import DataFile
from .genome_splits import segments_of
from .genome_windows import (
    Windows,
    chunks,
    concatenate,
    note_overlapping,
    place_windows,
    screen,
)
from .motif_sites import record_motifs
from .negatives import draw_negatives, overlapping
from .notes import note_dropped, note_unusable


def read_binary(
    writer: DatasetWriter,
    data: DataFile,
    generator: np.random.Generator,
    *,
    both_strands: bool,
    attributed_at_most: int = MOST_ATTRIBUTED,
) -> None:
    """Write the dataset of a data file with two classes.

    Records of FASTA files are split by a hash of the sequence, so that repeats never straddle
    splits; windows of a genome by region. Where there is one strand only, intervals must have
    one, and windows of the minus strand are read on it. Memory grows by a few bytes a sequence
    only.

    Args:
        writer: takes sequences, labels (1 for positives, 0 for negatives) and splits, the
            positives to attribute with what is known about them, and notes.
        data: the data file.
        generator: draws negatives and the sequences to attribute.
        both_strands: whether the reverse complement is the same molecule.
        attributed_at_most: positives to attribute of the test and of the validation split.

    Raises:
        UserError: the input cannot be used, or leaves a class empty in a split.
    """
    class_writer = ClassWriter(writer, generator, attributed_at_most)
    record_motifs(writer, data)
    sites = None if data.sites is None else read_bed(data.sites, writer.notes)
    if data.genome is None:
        windows = None
        _read_fasta_files(class_writer, data, both_strands=both_strands)
    else:
        if both_strands and sites is not None:
            sites = sites.unstranded()
        windows = _read_genome(class_writer, data, generator, sites, both_strands=both_strands)
        writer.locate(windows.chrom, windows.start, windows.minus)
    class_writer.check(data.source)
    writer.notes.say(*class_writer.summary())
    writer.notes.warn(*class_writer.notes.warnings)
    rows, codes = class_writer.sample()
    windows = None if windows is None else windows.select(rows)
    attribute_rows(
        writer, data, rows, codes, both_strands=both_strands, sites=sites, windows=windows
    )


def _read_fasta_files(class_writer: ClassWriter, data: DataFile, *, both_strands: bool) -> None:
    """Write the records of the FASTA files, test files first, and note what was dropped."""
    if data.positives is None or data.negatives is None:
        raise UserError(f"{data.source}: positives and negatives are needed; add both")
    training = [(data.positives, 1), (data.negatives, 0)]
    tests = ((data.test_positives, 1), (data.test_negatives, 0))
    held_out = [(path, label) for path, label in tests if path is not None]
    length = _common_length([path for path, _ in training + held_out], data)
    tested = [NO_DIGESTS]
    for path, label in held_out:
        for codes in _with_known_bases(path, length, class_writer.notes):
            tested.append(sequence_digests(codes, both_strands=both_strands))
            class_writer.add(codes, label, np.full(len(codes), TEST, dtype=np.uint8))
    forbidden = np.unique(np.concatenate(tested))
    # those of the test files too: two training sequences may be relatives through one of them
    files = (path for path, _ in training + held_out)
    records = (chunk for path in files for chunk in read_named(path, length=length))
    relatives = find_relatives(records, data.source, both_strands=both_strands)
    class_writer.notes.say(*relatives.sentences)
    kept: dict[int, list[NDArray[np.uint64]]] = {0: [NO_DIGESTS], 1: [NO_DIGESTS]}
    for path, label in training:
        leaked = 0
        for codes in _with_known_bases(path, length, class_writer.notes):
            digests = sequence_digests(codes, both_strands=both_strands)
            fresh = ~among(digests, forbidden)
            leaked += int((~fresh).sum())
            split = split_by_digest(relatives.decide(digests[fresh]), test=not held_out)
            class_writer.add(codes[fresh], label, split)
            kept[label].append(digests[fresh])
        if leaked:
            same = "same sequence or its reverse complement" if both_strands else "same sequence"
            class_writer.notes.say(
                f"Dropped {leaked:,} {CLASSES[label]} of {path.name} from training: the {same} "
                "is in the test files."
            )
    _note_repeats(class_writer.notes, np.concatenate(kept[1]), np.concatenate(kept[0]))


def _common_length(paths: list[Path], data: DataFile) -> int:
    """Return the length of each file's first record, checked to be one and the same."""
    lengths: list[int] = []
    for path in paths:
        with closing(read_fasta(path, chunk=1)) as records:
            lengths.append(next(records).shape[1])
        if lengths[-1] != lengths[0]:
            raise UserError(
                f"{path}: sequences of {lengths[-1]} bases, but {paths[0]} has {lengths[0]}; "
                "all files must have one length"
            )
    if data.length not in (None, lengths[0]):
        raise UserError(
            f"{data.source}: length = {data.length}, but the sequences of {paths[0]} have "
            f"{lengths[0]} bases; remove the key or give sequences of that length"
        )
    return lengths[0]


def _with_known_bases(path: Path, length: int, notes: Notes) -> Iterator[NDArray[np.uint8]]:
    """Yield a file's sequences but those of N alone, which are noted once all are read."""
    unknown = 0
    for codes in read_fasta(path, length=length):
        known = (codes != N_CODE).any(axis=1)
        unknown += int((~known).sum())
        if known.any():
            yield codes[known]
    if unknown:
        notes.say(f"Dropped {unknown:,} sequences of {path.name}: all N.")


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


def _read_genome(
    class_writer: ClassWriter,
    data: DataFile,
    generator: np.random.Generator,
    sites: Intervals | None,
    *,
    both_strands: bool,
) -> Windows:
    """Write windows around peaks and negatives; return them in the order of the dataset's rows."""
    genome_path, peaks_path, length = data.genome_peaks_length()
    notes = class_writer.notes
    all_peaks = _read_intervals(peaks_path, notes, both_strands=both_strands)
    covered = None if data.covered is None else read_bed(data.covered, notes)
    with Genome(genome_path) as genome:
        notes.add(genome.notes)
        class_writer.writer.chromosome_sizes = dict(genome.lengths)
        check_names([covered, sites], genome, notes)
        peaks = on_genome(all_peaks, genome, notes)
        peaks = merge_peaks(peaks, data.merge_peaks or MERGED, length, notes)
        segments = segments_of(data, genome, peaks, notes)
        positives, dropped = place_windows(peaks, genome, segments, length)
        positives = _inside(positives, length, covered, dropped)
        note_dropped(notes, "peaks", peaks_path, dropped)
        note_overlapping(notes, positives, length, peaks_path, MERGE_WINDOWS)
        if data.negatives is not None:
            background = _read_intervals(data.negatives, notes, both_strands=both_strands)
            background = on_genome(background, genome, notes)
            negatives, dropped = place_windows(background, genome, segments, length)
            negatives = _inside(negatives, length, covered, dropped)
            where = (negatives.chrom, negatives.start, length)
            near = overlapping(*where, all_peaks) | overlapping(*where, positives)
            dropped["overlapping a peak"] = int(near.sum())
            note_dropped(notes, "negatives", data.negatives, dropped)
            negatives = negatives.select(~near)
            note_overlapping(notes, negatives, length, data.negatives)
        else:
            drawn = draw_negatives(
                genome,
                positives,
                all_peaks,
                segments,
                length=length,
                generator=generator,
                covered=covered,
            )
            negatives = drawn.windows
            doubt_drawn_negatives(positives.split, negatives.split, notes)
            class_writer.writer.negative_weights = drawn.weights
            notes.say(
                f"Drew {len(negatives):,} negatives for {len(positives):,} positives from the "
                "genome, outside the peaks, matched in GC content within each split."
            )
            if not both_strands:
                minus = generator.random(len(negatives)) < 0.5
                negatives = replace(negatives, minus=minus)
                notes.say(
                    "They lie anywhere in the genome, on either strand; for a fairer contrast give "
                    "negatives from transcripts, as BED with strands."
                )
        windows = concatenate([positives, negatives])
        label = np.repeat([1, 0], [len(positives), len(negatives)])
        screening = screen(genome, windows, length, both_strands=both_strands)
        for number in (1, 0):
            mine = label == number
            for part, codes in chunks(genome, windows.select(mine & screening.usable), length):
                class_writer.add(codes, number, part.split)
            note_unusable(notes, CLASSES[number], screening.select(mine))
    return windows.select(screening.usable)


def _read_intervals(path: Path, notes: Notes, *, both_strands: bool) -> Intervals:
    """Read a BED file; where there is one strand only, intervals without a strand are dropped."""
    intervals = read_bed(path, notes)
    return intervals.unstranded() if both_strands else intervals.stranded(notes)


def _inside(
    windows: Windows, length: int, covered: Intervals | None, dropped: dict[str, int]
) -> Windows:
    """Return the windows that are covered; the number of the others is added to ``dropped``."""
    if covered is None:
        return windows
    inside = within(windows.chrom, windows.start, length, covered)
    dropped["that is not covered"] = int((~inside).sum())
    return windows.select(inside)
