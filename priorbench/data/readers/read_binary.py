"""Reads the user's sequences for tasks that tell positives from negatives."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from priorbench.data.codes import TEST, TRAIN, VALID
from priorbench.data.dataset_writer import DatasetWriter
from priorbench.data.formats import encoding
from priorbench.data.formats.bed import Intervals, check_apart, parse_regions, read_bed, within
from priorbench.data.formats.encoding import N_CODE
from priorbench.data.formats.fasta import read_fasta
from priorbench.data.formats.genome import Genome
from priorbench.errors import UserError

from .class_writer import ClassWriter
from .data_file import DataFile
from .genome_windows import (
    Segment,
    Windows,
    check_inside,
    choose_chromosomes,
    concatenate,
    place_windows,
    split_segments,
)
from .motif_sites import mark_sites, read_known_motifs, scan_known_motifs
from .negatives import draw_negatives, overlapping, touching
from .sequence_hashes import among, sequence_digests, split_by_digest

_CHUNK_BYTES = 8 << 20
_MAX_N_SHARE = 0.1
_NO_DIGESTS = np.empty(0, dtype=np.uint64)
_CLASSES = ("negatives", "positives")


def read_classification(
    writer: DatasetWriter,
    data: DataFile,
    generator: np.random.Generator,
    *,
    reverse_complement: bool,
    attributed_at_most: int = 1000,
) -> None:
    """Write the dataset of a data file: FASTA pairs, or windows of a genome.

    Records of FASTA files are split by a hash of the sequence, so that repeats never straddle
    splits; windows of a genome by region. Where there is one strand only, intervals must have
    one, and windows of the minus strand are read on it. Memory grows by a few bytes a sequence
    only.

    Args:
        writer: takes sequences, labels (1 for positives, 0 for negatives) and splits, the
            positives to attribute (of the test and of the validation split) with what is known
            about them, and notes.
        data: the data file.
        generator: draws negatives and the sequences to attribute.
        reverse_complement: whether the reverse complement is the same molecule.
        attributed_at_most: positives of a split to attribute.

    Raises:
        UserError: for input that cannot be used, or that leaves a class empty in a split.
    """
    collector = ClassWriter(writer, generator, attributed_at_most)
    read_known_motifs(writer, data)  # an error in them should not wait for the sequences
    sites = None if data.sites is None else read_bed(data.sites)
    if data.genome is not None:
        if reverse_complement:
            sites = None if sites is None else sites.unstranded()
        placed = _read_genome(collector, data, generator, sites, both_strands=reverse_complement)
        writer.locate(placed.chrom, placed.start, placed.minus)
    else:
        _read_fasta_files(collector, data, both_strands=reverse_complement)
        placed = None
    collector.check(data.source)
    writer.notes += collector.summary()
    rows, codes = collector.sample()
    if data.motifs is not None:
        known = scan_known_motifs(data, codes, reverse_complement=reverse_complement)
        writer.attribute(rows, known.truth, known.oracle)
        note_truth(writer, data.motifs, known.truth)
    elif sites is not None and placed is not None:
        truth = mark_sites(sites, placed.select(rows), codes.shape[1])
        writer.attribute(rows, truth)
        note_truth(writer, sites.path, truth)
    else:
        writer.attribute(rows)


def note_truth(writer: DatasetWriter, path: Path, truth: NDArray[np.uint8]) -> None:
    """Say in how many sequences known sites are, and how much of them they cover."""
    with_site = int(truth.any(axis=1).sum())
    writer.notes.append(
        f"Known sites of {path.name} are in {with_site:,} of the {len(truth):,} attributed "
        f"sequences and cover {truth.astype(bool).mean():.1%} of their bases."
    )


def _read_fasta_files(collector: ClassWriter, data: DataFile, *, both_strands: bool) -> None:
    pairs = [(data.test_positives, 1), (data.test_negatives, 0)]
    held_out = [(path, label) for path, label in pairs if path is not None]
    training = [(path, label) for path, label in ((data.positives, 1), (data.negatives, 0)) if path]
    if len(training) < 2:
        raise UserError(f"{data.source}: positives and negatives are needed; add both")
    length = _common_length([path for path, _ in training + held_out], data)
    tested = [_NO_DIGESTS]
    for path, label in held_out:
        for codes in _known(read_fasta(path, length=length), path, collector.notes):
            tested.append(sequence_digests(codes, both_strands=both_strands))
            collector.add(codes, label, np.full(len(codes), TEST, dtype=np.uint8))
    forbidden = np.unique(np.concatenate(tested))
    seen: dict[int, list[NDArray[np.uint64]]] = {0: [_NO_DIGESTS], 1: [_NO_DIGESTS]}
    for path, label in training:
        leaked = 0
        for codes in _known(read_fasta(path, length=length), path, collector.notes):
            digests = sequence_digests(codes, both_strands=both_strands)
            fresh = ~among(digests, forbidden)
            leaked += int((~fresh).sum())
            split = split_by_digest(digests[fresh], test=not held_out)
            collector.add(codes[fresh], label, split)
            seen[label].append(digests[fresh])
        if leaked:
            same = "same sequence or its reverse complement" if both_strands else "same sequence"
            collector.notes.append(
                f"Dropped {leaked:,} {_CLASSES[label]} of {path.name} from training: the {same} "
                "is in the test files."
            )
    _note_repeats(collector, np.concatenate(seen[1]), np.concatenate(seen[0]))


def _known(
    chunks: Iterator[NDArray[np.uint8]], path: Path, notes: list[str]
) -> Iterator[NDArray[np.uint8]]:
    """Chunks without the sequences of N alone, which are counted once all are read."""
    unknown = 0
    for codes in chunks:
        known = (codes != N_CODE).any(axis=1)
        unknown += int((~known).sum())
        if known.any():
            yield codes[known]
    if unknown:
        notes.append(f"Dropped {unknown:,} sequences of {path.name}: all N.")


def _common_length(paths: list[Path], data: DataFile) -> int:
    """The length of each file's first record, checked to be one and the same."""
    lengths: list[int] = []
    for path in paths:
        with closing(read_fasta(path, chunk=1)) as chunks:
            lengths.append(next(chunks).shape[1])
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


def _note_repeats(
    collector: ClassWriter, positives: NDArray[np.uint64], negatives: NDArray[np.uint64]
) -> None:
    for name, digests in (("positives", positives), ("negatives", negatives)):
        repeats = len(digests) - len(np.unique(digests))
        if repeats:
            collector.notes.append(
                f"{repeats:,} {name} repeat another one; repeats are kept, in the same split."
            )
    shared = len(np.intersect1d(positives, negatives))
    if shared:
        collector.notes.append(
            f"{shared:,} sequences are in both classes; they are kept, with both labels."
        )


def _read_genome(
    collector: ClassWriter,
    data: DataFile,
    generator: np.random.Generator,
    sites: Intervals | None,
    *,
    both_strands: bool,
) -> Windows:
    """Returns the windows in the order of the dataset's rows."""
    if data.genome is None or data.peaks is None or data.length is None:
        raise UserError(f"{data.source}: genome, peaks and length are needed; add all three")
    stranded = Intervals.unstranded if both_strands else Intervals.stranded
    peaks = stranded(read_bed(data.peaks))
    with Genome(data.genome) as genome:
        collector.notes += genome.notes
        collector.located(genome.lengths)
        check_inside(peaks, genome)
        if sites is not None and not set(sites.chrom) & set(genome.lengths):
            genome.require(str(sites.chrom[0]), f"{sites.path}: line {sites.line[0]}")
        segments = segments_of(data, genome, peaks, collector.notes)
        covered = None if data.covered is None else read_bed(data.covered)
        positives, dropped = place_windows(peaks, genome, segments, data.length)
        positives = _covered(positives, data.length, covered, dropped)
        note_dropped(collector.notes, "peaks", data.peaks, dropped)
        if data.negatives is not None:
            given, dropped = place_windows(
                stranded(read_bed(data.negatives)), genome, segments, data.length
            )
            given = _covered(given, data.length, covered, dropped)
            where = (given.chrom, given.start, data.length)
            near = overlapping(*where, peaks) | touching(*where, positives)
            dropped["overlapping a peak"] = int(near.sum())
            note_dropped(collector.notes, "negatives", data.negatives, dropped)
            negatives = given.select(~near)
        else:
            drawn = draw_negatives(
                genome,
                positives,
                peaks,
                segments,
                length=data.length,
                generator=generator,
                covered=covered,
            )
            negatives = drawn.windows
            for split in (VALID, TEST):
                count = int((negatives.split == split).sum())
                collector.sampled(split, drawn.candidates.get(split, 0), count)
            collector.notes.append(
                f"Drew {len(negatives):,} negatives for {len(positives):,} positives from the "
                "genome, outside the peaks, matched in GC content within each split."
            )
            if not both_strands:
                negatives = _on_random_strands(negatives, generator)
                collector.notes.append(
                    "They lie anywhere in the genome, on either strand; for a fairer contrast give "
                    "negatives from transcripts, as BED with strands."
                )
        both = [positives, negatives]
        held_out = _held_out(genome, both, data.length, both_strands=both_strands)
        written = [
            _write_windows(collector, genome, both[1 - label], label, held_out=held_out)
            for label in (1, 0)
        ]
    return concatenate(written)


def _covered(
    windows: Windows, length: int, covered: Intervals | None, dropped: dict[str, int]
) -> Windows:
    """The windows that are covered; how many are not is added to ``dropped``."""
    if covered is None:
        return windows
    inside = within(windows.chrom, windows.start, length, covered)
    dropped["that is not covered"] = int((~inside).sum())
    return windows.select(inside)


def _on_random_strands(windows: Windows, generator: np.random.Generator) -> Windows:
    return replace(windows, minus=generator.random(len(windows)) < 0.5)


def segments_of(
    data: DataFile, genome: Genome, peaks: Intervals, notes: list[str]
) -> list[Segment]:
    """The genome cut into splits, as the data file says or by whole chromosomes.

    Raises:
        UserError: for regions that overlap, are not on the genome, or cannot be chosen.
    """
    valid = parse_regions(data.valid_regions or (), key="valid_regions", path=data.source)
    test = parse_regions(data.test_regions or (), key="test_regions", path=data.source)
    if not valid and not test:
        valid, test = choose_chromosomes(peaks.chrom, path=data.source)
        notes.append(
            f"No regions given: validation on {', '.join(map(str, valid))}, test on "
            f"{', '.join(map(str, test))}, training on the other chromosomes."
        )
    check_apart(valid, test, path=data.source)
    return split_segments(genome, valid, test, path=data.source)


def note_dropped(notes: list[str], kind: str, path: Path, dropped: dict[str, int]) -> None:
    """Say how many windows were dropped, reason by reason."""
    for reason, count in dropped.items():
        if count:
            notes.append(f"Dropped {count:,} {kind} of {path.name}: window {reason}.")


@dataclass(frozen=True)
class _HeldOut:
    """Hashes of the windows that must not be in earlier splits, ascending.

    Attributes:
        by_split: what training must not hold (validation and test), and validation (test).
        length: window in bp.
        both_strands: whether reverse complements count as the same sequence.
    """

    by_split: dict[int, NDArray[np.uint64]]
    length: int
    both_strands: bool

    def leaks(self, codes: NDArray[np.uint8], split: NDArray[np.uint8]) -> NDArray[np.bool_]:
        """(k,) whether a window of a split stands in a later split too."""
        digests = sequence_digests(codes, both_strands=self.both_strands)
        result = np.zeros(len(split), dtype=bool)
        for number, held_out in self.by_split.items():
            result |= (split == number) & among(digests, held_out)
        return result


def _chunks(
    genome: Genome, windows: Windows, length: int
) -> Iterator[tuple[Windows, NDArray[np.uint8]]]:
    step = max(1, _CHUNK_BYTES // length)
    for begin in range(0, len(windows), step):
        part = windows.select(slice(begin, begin + step))
        codes = genome.windows(part.chrom, part.start, length)
        codes[part.minus] = encoding.reverse_complement(codes[part.minus])
        yield part, codes


def _held_out(
    genome: Genome, windows: list[Windows], length: int, *, both_strands: bool
) -> _HeldOut:
    def digests(*splits: int) -> NDArray[np.uint64]:
        chosen = concatenate([one.select(np.isin(one.split, splits)) for one in windows])
        found = [
            sequence_digests(codes, both_strands=both_strands)
            for _, codes in _chunks(genome, chosen, length)
        ]
        return np.unique(np.concatenate([_NO_DIGESTS, *found]))

    return _HeldOut({TRAIN: digests(VALID, TEST), VALID: digests(TEST)}, length, both_strands)


def _write_windows(
    collector: ClassWriter, genome: Genome, windows: Windows, label: int, *, held_out: _HeldOut
) -> Windows:
    """Write windows, apart from those that are all N or would leak; returns what was written."""
    written = [windows.select(slice(0))]
    unknown = leaked = 0
    for part, codes in _chunks(genome, windows, held_out.length):
        # as for negatives that are drawn: a share of N must not tell the classes apart
        empty = (codes == N_CODE).mean(axis=1) > _MAX_N_SHARE
        # repeats in the genome put the same sequence into regions far apart
        leaks = ~empty & held_out.leaks(codes, part.split)
        keep = ~(empty | leaks)
        collector.add(codes[keep], label, part.split[keep])
        written.append(part.select(keep))
        unknown += int(empty.sum())
        leaked += int(leaks.sum())
    if unknown:
        collector.notes.append(
            f"Dropped {unknown:,} {_CLASSES[label]}: window more than {_MAX_N_SHARE:.0%} N."
        )
    if leaked:
        collector.notes.append(
            f"Dropped {leaked:,} {_CLASSES[label]} from training and validation: the same "
            "sequence is in the test or validation regions."
        )
    return concatenate(written)
