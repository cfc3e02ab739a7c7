"""Reader for tasks of base-resolution profiles: windows around peaks, with bigWigs of reads."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack, closing

import numpy as np

from priorbench.data.codes import SPLITS
from priorbench.data.dataset_writer import MOST_ATTRIBUTED, DatasetWriter
from priorbench.data.formats.bed import read_bed
from priorbench.data.formats.genomes.genome import Genome
from priorbench.data.formats.notes import Notes
from priorbench.data.formats.overlaps import within
from priorbench.data.formats.peaks import MERGE_WINDOWS, MERGED, check_names, merge_peaks, on_genome
from priorbench.data.formats.tracks.signal import Signal
from priorbench.data.mean_profile import MeanProfile
from priorbench.errors import UserError

from .attributed_rows import attribute_rows, draw_attributed
from .channels.row_places import on_chromosomes
from .channels.write_channels import Channels
from .data_file import DataFile
from .genome_splits import segments_of
from .genome_windows import Windows, chunks, note_overlapping, place_windows, screen
from .motif_sites import record_motifs
from .notes import note_dropped, note_unusable

_PROFILE_SHARE = 1000 / 1346
"""length of the profile over that of the window, as published (Tseng, Shrikumar & Kundaje 2020)"""


def read_profiles(
    writer: DatasetWriter,
    data: DataFile,
    generator: np.random.Generator,
    *,
    margin: int,
    attributed_at_most: int = MOST_ATTRIBUTED,
) -> MeanProfile:
    """Write the dataset of a data file with base-resolution profiles.

    Windows are in the order of the genome. The dataset's tracks are ``reads`` (N, strands,
    profile + 2 margin) and, where there are controls, ``controls``; labels are log(1 + reads in
    the middle) of every strand. The profile is as long as 1,000 of 1,346 bp of the window.

    Args:
        writer: takes the windows, with ``margin`` bases more at either end, and their tracks, the
            windows to attribute with what is known about them, and notes.
        data: the data file.
        generator: draws the windows to attribute.
        margin: largest shift of a window in training, in bp.
        attributed_at_most: windows to attribute of the test and of the validation split.

    Returns:
        the mean profile of the training windows, margins included.

    Raises:
        UserError: the input cannot be used, or leaves a split empty.
    """
    genome_path, peaks_path, length = data.genome_peaks_length()
    strands = [path for path in (data.plus, data.minus, data.signal) if path is not None]
    if not strands or (data.signal is not None and len(strands) > 1):
        raise UserError(
            f"{data.source}: give plus and minus, or signal for reads without strand, as bigWigs"
        )
    controls = [path for path in (data.control_plus, data.control_minus) if path is not None]
    record_motifs(writer, data)
    notes = writer.notes
    channels = Channels(data, notes, both_strands=True)
    sites = None if data.sites is None else read_bed(data.sites, notes, named=True).unstranded()
    covered = None if data.covered is None else read_bed(data.covered, notes)
    peaks = read_bed(peaks_path, notes).unstranded()
    profile = round(length * _PROFILE_SHARE)
    profile += (length - profile) % 2  # as far from either end, on either strand
    with ExitStack() as stack:
        genome = stack.enter_context(Genome(genome_path))
        notes.add(genome.notes)
        writer.chromosome_sizes = dict(genome.lengths)
        check_names([covered, sites], genome, notes)
        peaks = merge_peaks(
            on_genome(peaks, genome, notes), data.merge_peaks or MERGED, length, notes
        )
        chroms = list(dict.fromkeys(peaks.chrom.tolist()))
        tracks = {"reads": stack.enter_context(closing(Signal(strands, genome, chroms, notes)))}
        if controls:
            of_controls = closing(Signal(controls, genome, chroms, notes))
            tracks["controls"] = stack.enter_context(of_controls)
        segments = segments_of(data, genome, peaks, notes)
        windows, dropped = place_windows(peaks, genome, segments, length + 2 * margin)
        if covered is not None:
            middle = windows.moved((length - profile) // 2)
            inside = within(middle.chrom, middle.start, profile + 2 * margin, covered)
            dropped["with reads that are not covered"] = int((~inside).sum())
            windows = windows.select(inside)
        note_dropped(notes, "peaks", peaks_path, dropped)
        screening = screen(genome, windows, length + 2 * margin, both_strands=True)
        note_unusable(notes, "windows", screening)
        windows = windows.select(screening.usable)
        # neighbours are read at once
        windows = windows.select(np.lexsort((windows.start, windows.chrom)))
        _require_windows(windows, data, notes)
        note_overlapping(notes, windows.moved(margin), length, peaks_path, MERGE_WINDOWS)
        sizes = (length, profile, margin)
        _fit_scales(notes, tracks, windows, sizes, data.signal_scale)
        mean = _write(writer, genome, tracks, windows, sizes)
        channels.write(writer, on_chromosomes(windows, genome), genome)
        windows = windows.moved(margin)
        writer.locate(windows.chrom, windows.start, windows.minus)
        every = np.ones(len(windows), dtype=bool)
        rows = draw_attributed(windows.split, every, generator, attributed_at_most)
        attributed = windows.select(rows)
        codes = genome.windows(attributed.chrom, attributed.start, length)
    attribute_rows(writer, data, rows, codes, both_strands=True, sites=sites, windows=attributed)
    return mean


def _require_windows(windows: Windows, data: DataFile, notes: Notes) -> None:
    """Raise UserError, naming the data file, if a split has no window."""
    for number, name in enumerate(SPLITS):
        if not (windows.split == number).any():
            raise UserError(
                f"{data.source}: no windows left for {name}; give more peaks, or other regions"
                f"{notes.dropped_so_far()}"
            )


def _fit_scales(
    notes: Notes,
    tracks: Mapping[str, Signal],
    windows: Windows,
    sizes: tuple[int, int, int],
    scale: float | None,
) -> None:
    """Choose how values are read as counts, and note which are none; the scale is of reads alone.

    The windows include their margins; the sizes are those of window, profile and margin in bp.
    """
    length, profile, margin = sizes
    reach = windows.moved((length - profile) // 2)
    for name, signal in tracks.items():
        factor = scale if name == "reads" else None
        doubtful = signal.fit_scale(reach.chrom, reach.start, profile + 2 * margin, factor)
        if name == "reads" and doubtful:
            notes.warn(
                *(
                    f"{words}; loss and weights were made for counts: give them, or set "
                    "signal_scale, the reads that a value of 1 stands for."
                    for words in doubtful
                )
            )
        else:
            notes.say(*(f"{words}; controls are read as they are." for words in doubtful))


def _write(
    writer: DatasetWriter,
    genome: Genome,
    tracks: Mapping[str, Signal],
    windows: Windows,
    sizes: tuple[int, int, int],
) -> MeanProfile:
    """Append the windows with their tracks and labels, and note how many reads they have.

    The windows include their margins; the sizes are those of window, profile and margin in bp.
    """
    length, profile, margin = sizes
    inset = (length - profile) // 2
    total, empty, mean = 0.0, 0, MeanProfile()
    for part, codes in chunks(genome, windows, length + 2 * margin):
        arrays = {
            name: signal.windows(part.chrom, part.start + inset, profile + 2 * margin)
            for name, signal in tracks.items()
        }
        middle = arrays["reads"][:, :, margin : margin + profile].sum(axis=2)
        writer.append(codes, np.log1p(middle).astype(np.float32), part.split, **arrays)
        mean.add(arrays["reads"], part.split)
        total += float(middle.sum())
        empty += int((middle.sum(axis=1) == 0).sum())
    counts = [f"{name} {int((windows.split == i).sum()):,}" for i, name in enumerate(SPLITS)]
    writer.notes.say(
        f"Windows of {length:,} bp with profiles of {profile:,} bp: {'; '.join(counts)}.",
        f"Reads in a window: {total / len(windows):,.1f} on average; none in {empty:,} windows.",
    )
    return mean
