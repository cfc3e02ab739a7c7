"""Reader for tasks that tell positives from negatives: FASTA pairs, or windows of a genome."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from priorbench.data.dataset_writer import MOST_ATTRIBUTED, DatasetWriter
from priorbench.data.doubts.labels import doubt_drawn_negatives
from priorbench.data.formats.bed import Intervals, read_bed
from priorbench.data.formats.genomes.genome import Genome
from priorbench.data.formats.notes import Notes
from priorbench.data.formats.overlaps import within
from priorbench.data.formats.peaks import MERGE_WINDOWS, MERGED, check_names, merge_peaks, on_genome

from .attributed_rows import attribute_rows
from .channels.row_places import RecordRows, on_chromosomes
from .channels.write_channels import Channels
from .class_writer import CLASSES, ClassWriter
from .data_file import SHUFFLE, DataFile
from .genome_splits import Segment, segments_of
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
from .sequences.shuffles import Shuffler
from .sequences.two_classes import read_fasta_files, read_simulated


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
    one, and windows of the minus strand are read on it. Of a sequence its name and its hashes are
    kept in memory.

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
    channels = Channels(data, writer.notes, both_strands=both_strands)
    class_writer.rows = RecordRows(wanted=bool(channels) and data.genome is None)
    sites = None if data.sites is None else read_bed(data.sites, writer.notes, named=True)
    if both_strands and sites is not None:
        sites = sites.unstranded()
    windows = decoys = None
    if data.genome is not None:
        windows = _read_genome(
            class_writer, data, generator, sites, channels, both_strands=both_strands
        )
        writer.locate(windows.chrom, windows.start, windows.minus)
    elif data.simdata is not None:
        sites, decoys = read_simulated(class_writer, data, data.simdata, both_strands=both_strands)
    else:
        sites = read_fasta_files(class_writer, data, generator, sites, both_strands=both_strands)
    class_writer.check(data.source)
    if channels and data.genome is None:
        channels.write(writer, class_writer.rows.places())
    writer.notes.say(*class_writer.summary())
    writer.notes.warn(*class_writer.notes.warnings)
    rows, codes = class_writer.sample()
    attributed = class_writer.sampled_windows() if windows is None else windows.select(rows)
    attribute_rows(
        writer,
        data,
        rows,
        codes,
        both_strands=both_strands,
        sites=sites,
        decoys=decoys,
        windows=attributed,
    )


def _read_genome(
    class_writer: ClassWriter,
    data: DataFile,
    generator: np.random.Generator,
    sites: Intervals | None,
    channels: Channels,
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
        place = _Place(genome, segments, all_peaks, covered, length)
        if data.negatives == SHUFFLE:
            negatives = positives
        elif isinstance(data.negatives, Path):
            background = _read_intervals(data.negatives, notes, both_strands=both_strands)
            negatives = _away_from_peaks(place, background, positives, notes)
        else:
            negatives = _drawn(class_writer, place, positives, generator, both_strands=both_strands)
        windows = concatenate([positives, negatives])
        label = np.repeat([1, 0], [len(positives), len(negatives)])
        screening = screen(genome, windows, length, both_strands=both_strands)
        usable = screening.usable
        if data.negatives is None:
            wanted, drawn = (windows.split[usable & (label == number)] for number in (1, 0))
            doubt_drawn_negatives(wanted, drawn, notes)
        given = np.unique(screening.digest)
        shuffler = Shuffler(generator, given, both_strands=both_strands)
        for number in (1, 0):
            mine = label == number
            here = mine & usable
            parts = chunks(genome, windows.select(here), length)
            change = shuffler if number == 0 and data.negatives == SHUFFLE else None
            usable[here] = _write(class_writer, parts, number, change)
            note_unusable(notes, CLASSES[number], screening.select(mine))
            if change is not None:
                change.tell(notes)
        windows, label = windows.select(usable), label[usable]
        known = (label == 1) | (data.negatives != SHUFFLE)
        channels.write(class_writer.writer, on_chromosomes(windows, genome, known), genome)
    return windows


@dataclass(frozen=True)
class _Place:
    """A genome with what limits the places of negatives on it.

    Attributes:
        genome: the genome.
        segments: its segments, each of one split.
        peaks: all peaks, also those that are not used.
        covered: intervals in which windows must lie; None for anywhere.
        length: window in bp.
    """

    genome: Genome
    segments: Sequence[Segment]
    peaks: Intervals
    covered: Intervals | None
    length: int


def _away_from_peaks(
    place: _Place, background: Intervals, positives: Windows, notes: Notes
) -> Windows:
    """Return the windows around background intervals that touch no peak."""
    length = place.length
    background = on_genome(background, place.genome, notes)
    negatives, dropped = place_windows(background, place.genome, place.segments, length)
    negatives = _inside(negatives, length, place.covered, dropped)
    where = (negatives.chrom, negatives.start, length)
    near = overlapping(*where, place.peaks) | overlapping(*where, positives)
    dropped["overlapping a peak"] = int(near.sum())
    note_dropped(notes, "negatives", background.path, dropped)
    negatives = negatives.select(~near)
    note_overlapping(notes, negatives, length, background.path)
    return negatives


def _drawn(
    class_writer: ClassWriter,
    place: _Place,
    positives: Windows,
    generator: np.random.Generator,
    *,
    both_strands: bool,
) -> Windows:
    """Return negatives that are drawn from the genome, and note them."""
    notes = class_writer.notes
    drawn = draw_negatives(
        place.genome,
        positives,
        place.peaks,
        place.segments,
        length=place.length,
        generator=generator,
        covered=place.covered,
    )
    negatives = drawn.windows
    class_writer.writer.negative_weights = drawn.weights
    notes.say(
        f"Drew {len(negatives):,} negatives for {len(positives):,} positives from the genome, "
        "outside the peaks, matched in GC content within each split."
    )
    if not both_strands:
        minus = generator.random(len(negatives)) < 0.5
        negatives = replace(negatives, minus=minus)
        notes.say(
            "They lie anywhere in the genome, on either strand; for a fairer contrast give "
            "negatives from transcripts, as BED with strands."
        )
    return negatives


def _write(
    class_writer: ClassWriter,
    parts: Iterator[tuple[Windows, NDArray[np.uint8]]],
    label: int,
    shuffler: Shuffler | None,
) -> NDArray[np.bool_]:
    """Write windows of one class, or shuffles of them; return (k,) bool, which were written."""
    written = [np.empty(0, dtype=bool)]
    for part, codes in parts:
        result, kept = codes, np.ones(len(part), dtype=bool)
        if shuffler is not None:
            result, kept = shuffler.negatives(codes, part.split)
        class_writer.add(result[kept], label, part.split[kept])
        written.append(kept)
    return np.concatenate(written)


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
