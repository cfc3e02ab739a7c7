"""Reads the user's sequences for tasks that tell positives from negatives."""

from __future__ import annotations

import hashlib
from contextlib import closing
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .collector import Collector
from .datafile import DataFile
from .dataset import TEST, TRAIN, VALID, DatasetWriter
from .errors import UserError
from .fasta import read_fasta
from .genome import Genome
from .intervals import Intervals, check_apart, parse_regions, read_bed
from .negatives import draw_negatives, overlapping
from .sequences import N_CODE, reverse_complement
from .sites import mark_sites, scan_motifs
from .windows import (
    Segment,
    Windows,
    check_inside,
    choose_chromosomes,
    place_windows,
    split_segments,
)

_TEST_SHARE, _VALID_SHARE = 0.2, 0.1
_CHUNK = 8192
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
    splits; windows of a genome by region. Memory grows by a few bytes a sequence only.

    Args:
        writer: takes sequences, labels (1 for positives, 0 for negatives) and splits, the test
            positives to attribute with what is known about them, and notes.
        data: the data file.
        generator: draws negatives and the sequences to attribute.
        reverse_complement: whether the reverse complement is the same molecule.
        attributed_at_most: test positives to attribute.

    Raises:
        UserError: for input that cannot be used, or that leaves a class empty in a split.
    """
    collector = Collector(writer, generator, attributed_at_most)
    if data.genome is not None:
        placed = _read_genome(collector, data, generator)
    else:
        _read_fasta_files(collector, data, both_strands=reverse_complement)
        placed = None
    collector.check(data.source)
    writer.notes += collector.summary()
    rows, codes = collector.sample()
    if data.motifs is not None:
        known = scan_motifs(data.motifs, codes, reverse_complement=reverse_complement)
        writer.attribute(rows, known.truth, known.oracle)
        _note_truth(writer, data.motifs, known.truth)
    elif data.sites is not None and placed is not None:
        truth = mark_sites(
            read_bed(data.sites), placed.chrom[rows], placed.start[rows], codes.shape[1]
        )
        writer.attribute(rows, truth)
        _note_truth(writer, data.sites, truth)
    else:
        writer.attribute(rows)


def _note_truth(writer: DatasetWriter, path: Path, truth: NDArray[np.uint8]) -> None:
    with_site = int(truth.any(axis=1).sum())
    writer.notes.append(
        f"Known sites of {path.name} are in {with_site:,} of the {len(truth):,} attributed "
        f"sequences and cover {truth.astype(bool).mean():.1%} of their bases."
    )


def _read_fasta_files(collector: Collector, data: DataFile, *, both_strands: bool) -> None:
    pairs = [(data.test_positives, 1), (data.test_negatives, 0)]
    held_out = [(path, label) for path, label in pairs if path is not None]
    training = [(path, label) for path, label in ((data.positives, 1), (data.negatives, 0)) if path]
    if len(training) < 2:
        raise UserError(f"{data.source}: positives and negatives are needed; add both")
    length = _common_length([path for path, _ in training + held_out], data)
    tested: list[NDArray[np.uint64]] = []
    for path, label in held_out:
        for codes in read_fasta(path, length=length):
            tested.append(sequence_digests(codes, both_strands=both_strands))
            collector.add(codes, label, np.full(len(codes), TEST, dtype=np.uint8))
    forbidden = np.unique(np.concatenate(tested)) if held_out else None
    seen: dict[int, list[NDArray[np.uint64]]] = {0: [], 1: []}
    for path, label in training:
        leaked = 0
        for codes in read_fasta(path, length=length):
            digests = sequence_digests(codes, both_strands=both_strands)
            fresh = ~_among(digests, forbidden)
            leaked += int((~fresh).sum())
            split = _split_by_digest(digests[fresh], test=not held_out)
            collector.add(codes[fresh], label, split)
            seen[label].append(digests[fresh])
        if leaked:
            same = "same sequence or its reverse complement" if both_strands else "same sequence"
            collector.notes.append(
                f"Dropped {leaked:,} {_CLASSES[label]} of {path.name} from training: the {same} "
                "is in the test files."
            )
    _note_repeats(collector, np.concatenate(seen[1]), np.concatenate(seen[0]))


def _among(digests: NDArray[np.uint64], ascending: NDArray[np.uint64] | None) -> NDArray[np.bool_]:
    """np.isin for one large sorted array, which np.isin would sort again for every chunk."""
    if ascending is None:
        return np.zeros(len(digests), dtype=bool)
    place = np.searchsorted(ascending, digests)
    found: NDArray[np.bool_] = ascending[np.minimum(place, len(ascending) - 1)] == digests
    return found


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


def sequence_digests(codes: NDArray[np.uint8], *, both_strands: bool) -> NDArray[np.uint64]:
    """(k,) 64-bit hashes of (k, L) sequences.

    With ``both_strands``, a sequence and its reverse complement have the same hash.
    """
    if both_strands:
        other = reverse_complement(codes)
        differs = codes != other
        first = differs.argmax(axis=1)
        row = np.arange(len(codes))
        codes = np.where((other[row, first] < codes[row, first])[:, None], other, codes)
    hashes = b"".join(hashlib.blake2b(row, digest_size=8).digest() for row in codes)
    return np.frombuffer(hashes, dtype="<u8").astype(np.uint64)


def _split_by_digest(digests: NDArray[np.uint64], *, test: bool) -> NDArray[np.uint8]:
    """About a tenth validation and, if wanted, a fifth test."""
    place = digests / 2.0**64
    split = np.full(len(digests), TRAIN, dtype=np.uint8)
    split[place < _VALID_SHARE] = VALID
    if test:
        split[place >= 1 - _TEST_SHARE] = TEST
    return split


def _note_repeats(
    collector: Collector, positives: NDArray[np.uint64], negatives: NDArray[np.uint64]
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


def _read_genome(collector: Collector, data: DataFile, generator: np.random.Generator) -> Windows:
    """Returns the windows in the order of the dataset's rows."""
    if data.genome is None or data.peaks is None or data.length is None:
        raise UserError(f"{data.source}: genome, peaks and length are needed; add all three")
    peaks = read_bed(data.peaks)
    with Genome(data.genome) as genome:
        collector.notes += genome.notes
        check_inside(peaks, genome)
        segments = _segments(collector, data, genome, peaks)
        positives, dropped = place_windows(peaks, genome, segments, data.length)
        _note_dropped(collector, "peaks", data.peaks, dropped)
        if data.negatives is not None:
            negatives = _given_negatives(
                collector, data.negatives, genome, peaks, segments=segments, length=data.length
            )
        else:
            negatives = draw_negatives(
                genome, positives, peaks, segments, length=data.length, generator=generator
            )
            collector.notes.append(
                f"Drew {len(negatives):,} negatives for {len(positives):,} positives from the "
                "genome, outside the peaks, matched in GC content within each split."
            )
        written = [
            _write_windows(collector, genome, windows, label, data.length)
            for windows, label in ((positives, 1), (negatives, 0))
        ]
    return Windows(
        np.concatenate([one.chrom for one in written]),
        np.concatenate([one.start for one in written]),
        np.concatenate([one.split for one in written]),
    )


def _segments(
    collector: Collector, data: DataFile, genome: Genome, peaks: Intervals
) -> list[Segment]:
    valid = parse_regions(data.valid_regions or (), key="valid_regions", path=data.source)
    test = parse_regions(data.test_regions or (), key="test_regions", path=data.source)
    if not valid and not test:
        valid, test = choose_chromosomes(peaks.chrom, path=data.source)
        collector.notes.append(
            f"No regions given: validation on {', '.join(map(str, valid))}, test on "
            f"{', '.join(map(str, test))}, training on the other chromosomes."
        )
    check_apart(valid, test, path=data.source)
    return split_segments(genome, valid, test, path=data.source)


def _given_negatives(
    collector: Collector,
    path: Path,
    genome: Genome,
    peaks: Intervals,
    *,
    segments: list[Segment],
    length: int,
) -> Windows:
    windows, dropped = place_windows(read_bed(path), genome, segments, length)
    touching = overlapping(windows.chrom, windows.start, length, peaks)
    dropped["overlapping a peak"] = int(touching.sum())
    _note_dropped(collector, "negatives", path, dropped)
    return windows.select(~touching)


def _note_dropped(collector: Collector, kind: str, path: Path, dropped: dict[str, int]) -> None:
    for reason, count in dropped.items():
        if count:
            collector.notes.append(f"Dropped {count:,} {kind} of {path.name}: window {reason}.")


def _write_windows(
    collector: Collector, genome: Genome, windows: Windows, label: int, length: int
) -> Windows:
    """Write windows, those that are all N aside; returns what was written."""
    known = np.zeros(len(windows), dtype=bool)
    for begin in range(0, len(windows), _CHUNK):
        part = windows.select(slice(begin, begin + _CHUNK))
        codes = genome.windows(part.chrom, part.start, length)
        keep = (codes != N_CODE).any(axis=1)
        known[begin : begin + _CHUNK] = keep
        collector.add(codes[keep], label, part.split[keep])
    if not known.all():
        collector.notes.append(f"Dropped {(~known).sum():,} {_CLASSES[label]}: window all N.")
    return windows.select(known)
