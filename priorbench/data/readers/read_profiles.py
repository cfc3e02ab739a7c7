"""Base-resolution profiles: reads the user's peaks and signal, and scores predictions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from typing import Any

import numpy as np
from numpy.typing import NDArray

from priorbench.data.codes import SPLITS, TEST, TRAIN, VALID
from priorbench.data.dataset_writer import DatasetWriter
from priorbench.data.formats.bed import read_bed, within
from priorbench.data.formats.bigwig import Signal
from priorbench.data.formats.encoding import N_CODE
from priorbench.data.formats.genome import Genome
from priorbench.errors import UserError

from .class_writer import dropped_so_far
from .data_file import DataFile
from .genome_windows import Windows, check_inside, place_windows
from .motif_sites import mark_sites, read_known_motifs, scan_known_motifs
from .read_binary import note_dropped, note_truth, segments_of
from .sequence_hashes import among, sequence_digests

_CHUNK = 2048
_MAX_N_SHARE = 0.1
_PROFILE_SHARE = 1000 / 1346
"""of the window, as published (Tseng, Shrikumar & Kundaje 2020)"""


def read_profiles(
    writer: DatasetWriter,
    data: DataFile,
    generator: np.random.Generator,
    *,
    margin: int,
    attributed_at_most: int = 1000,
) -> MeanProfile:
    """Write windows around peaks with the reads on their middle, as they are read.

    Windows are in the order of the genome. The dataset's tracks are ``reads`` (N, strands,
    profile + 2 margin) and, where there are controls, ``controls``; labels are log(1 + reads in
    the middle) of every strand. The profile is as long as 1,000 of 1,346 bp of the window.

    Args:
        writer: takes the windows, with ``margin`` bases more at either end.
        data: the data file.
        generator: draws the windows to attribute, of the test and of the validation split.
        margin: by how many bp windows are shifted in training at most.
        attributed_at_most: windows of a split to attribute.

    Returns:
        the mean profile of the training windows, margins included.

    Raises:
        UserError: for input that cannot be used, or that leaves a split empty.
    """
    if data.genome is None or data.peaks is None or data.length is None:
        raise UserError(f"{data.source}: genome, peaks and length are needed; add all three")
    strands = [path for path in (data.plus, data.minus, data.signal) if path is not None]
    if not strands or (data.signal is not None and len(strands) > 1):
        raise UserError(
            f"{data.source}: give plus and minus, or signal for reads without strand, as bigWigs"
        )
    controls = [path for path in (data.control_plus, data.control_minus) if path is not None]
    read_known_motifs(writer, data)  # an error in them should not wait for the sequences
    peaks = read_bed(data.peaks).unstranded()
    profile = round(data.length * _PROFILE_SHARE)
    profile += (data.length - profile) % 2  # as far from either end, on either strand
    with ExitStack() as stack:
        genome = stack.enter_context(Genome(data.genome))
        writer.notes += genome.notes
        writer.chromosome_sizes = dict(genome.lengths)
        check_inside(peaks, genome)
        chroms = list(dict.fromkeys(peaks.chrom.tolist()))
        tracks = {"reads": stack.enter_context(closing(Signal(strands, genome, chroms)))}
        if controls:
            tracks["controls"] = stack.enter_context(closing(Signal(controls, genome, chroms)))
        segments = segments_of(data, genome, peaks, writer.notes)
        windows, dropped = place_windows(peaks, genome, segments, data.length + 2 * margin)
        if data.covered is not None:
            inset = (data.length - profile) // 2
            middle = windows.moved(inset)
            covered = read_bed(data.covered)
            inside = within(middle.chrom, middle.start, profile + 2 * margin, covered)
            dropped["with reads that are not covered"] = int((~inside).sum())
            windows = windows.select(inside)
        note_dropped(writer.notes, "peaks", data.peaks, dropped)
        kept = _usable(genome, windows, data.length + 2 * margin, writer.notes)
        # neighbours are read at once
        kept = kept.select(np.lexsort((kept.start, kept.chrom)))
        _check_splits(kept, data, writer.notes)
        mean = _write(writer, genome, tracks, kept, (data.length, profile, margin))
        inner = kept.moved(margin)
        writer.locate(inner.chrom, inner.start, inner.minus)
        candidates = [np.flatnonzero(kept.split == split) for split in (TEST, VALID)]
        rows = np.sort(
            np.concatenate([generator.permutation(c)[:attributed_at_most] for c in candidates])
        )
        codes = genome.windows(kept.chrom[rows], kept.start[rows] + margin, data.length)
    _attribute(writer, data, kept.select(rows), rows=rows, codes=codes, margin=margin)
    return mean


def _usable(genome: Genome, windows: Windows, length: int, notes: list[str]) -> Windows:
    """Without windows of N, and without those that stand in a later split too."""
    digests, unknown = [], []
    for part in _chunks(windows):
        codes = genome.windows(part.chrom, part.start, length)
        unknown.append((codes == N_CODE).mean(axis=1) > _MAX_N_SHARE)
        digests.append(sequence_digests(codes, both_strands=True))
    if not digests:
        return windows
    empty, found = np.concatenate(unknown), np.concatenate(digests)
    leaks = np.zeros(len(windows), dtype=bool)
    for split, later in ((TRAIN, (VALID, TEST)), (VALID, (TEST,))):
        held_out = np.unique(found[np.isin(windows.split, later)])
        leaks |= (windows.split == split) & among(found, held_out)
    if empty.any():
        notes.append(f"Dropped {int(empty.sum()):,} windows with more than {_MAX_N_SHARE:.0%} N.")
    if (leaks & ~empty).any():
        count = int((leaks & ~empty).sum())
        notes.append(f"Dropped {count:,} windows whose sequence is in a later split too.")
    return windows.select(~(empty | leaks))


def _chunks(windows: Windows) -> Iterator[Windows]:
    for begin in range(0, len(windows), _CHUNK):
        yield windows.select(slice(begin, begin + _CHUNK))


def _check_splits(windows: Windows, data: DataFile, notes: Sequence[str]) -> None:
    for number, name in enumerate(SPLITS):
        if not (windows.split == number).any():
            raise UserError(
                f"{data.source}: no windows left for {name}; give more peaks, or other regions"
                f"{dropped_so_far(notes)}"
            )


def _write(
    writer: DatasetWriter,
    genome: Genome,
    tracks: Mapping[str, Signal],
    windows: Windows,
    sizes: tuple[int, int, int],
) -> MeanProfile:
    length, profile, margin = sizes
    inset = (length - profile) // 2
    reads, mean = np.zeros(2), MeanProfile()
    for part in _chunks(windows):
        codes = genome.windows(part.chrom, part.start, length + 2 * margin)
        arrays = {
            name: signal.windows(part.chrom, part.start + inset, profile + 2 * margin)
            for name, signal in tracks.items()
        }
        middle = arrays["reads"][:, :, margin : margin + profile].sum(axis=2)
        writer.append(codes, np.log1p(middle).astype(np.float32), part.split, **arrays)
        mean.add(arrays["reads"], part.split)
        reads += [middle.sum(), (middle.sum(axis=1) == 0).sum()]
    counts = [f"{name} {int((windows.split == i).sum()):,}" for i, name in enumerate(SPLITS)]
    writer.notes += [
        f"Windows of {length:,} bp with profiles of {profile:,} bp: {'; '.join(counts)}.",
        f"Reads in a window: {reads[0] / len(windows):,.1f} on average; none in "
        f"{int(reads[1]):,} windows.",
    ]
    return mean


def _attribute(
    writer: DatasetWriter,
    data: DataFile,
    windows: Windows,
    *,
    rows: NDArray[np.int64],
    codes: NDArray[np.uint8],
    margin: int,
) -> None:
    if data.motifs is not None:
        known = scan_known_motifs(data, codes, reverse_complement=True)
        writer.attribute(rows, known.truth, known.oracle)
        note_truth(writer, data.motifs, known.truth)
    elif data.sites is not None:
        sites = read_bed(data.sites).unstranded()
        truth = mark_sites(sites, windows.moved(margin), codes.shape[1])
        writer.attribute(rows, truth)
        note_truth(writer, data.sites, truth)
    else:
        writer.attribute(rows)


class MeanProfile:
    """The mean profile of the training windows, summed up chunk by chunk."""

    def __init__(self) -> None:
        """Start with no windows."""
        self._total: NDArray[np.float64] | None = None

    def add(self, reads: NDArray[Any], split: NDArray[np.uint8] | None = None) -> None:
        """Add (k, strands, L) reads; of the training rows alone, where (k,) splits are given."""
        total = (reads if split is None else reads[split == TRAIN]).sum(axis=0, dtype=np.float64)
        self._total = total if self._total is None else self._total + total

    @property
    def logits(self) -> NDArray[np.float64]:
        """(strands, L) log probabilities, as if there were a read more at every position.

        So no position is impossible. ValueError before any windows were added.
        """
        if self._total is None:
            raise ValueError("no windows were added")
        more = self._total + 1
        logits: NDArray[np.float64] = np.log(more / more.sum(axis=1, keepdims=True))
        return logits
