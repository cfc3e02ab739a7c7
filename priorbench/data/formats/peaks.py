"""Intervals held against the genome they should be on, and peaks that belong together."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from priorbench.errors import UserError, first_names

from .bed import Intervals
from .genomes.genome import Genome
from .notes import Notes

_NEXT_TO_NONE = 0.001
"""share of intervals on the genome below which names must be wrong: chrY has more of all peaks"""
_DOUBTFUL = 0.01
"""share of intervals that end behind their chromosome above which the build is in doubt"""
_NAMES_SHOWN = 3
MERGED = "summits"
"""which peaks become one where a data file does not say"""
MERGE_WINDOWS = 'merge_peaks = "windows" keeps the strongest of them'
"""what to do about windows that overlap"""


def on_genome(intervals: Intervals, genome: Genome, notes: Notes) -> Intervals:
    """Return the intervals on the genome; others are dropped and counted.

    Intervals on chromosomes that the genome lacks are dropped: often one chromosome is at hand,
    and peaks are on all. A warning says so where they are most.

    Args:
        intervals: intervals of one file.
        genome: the genome.
        notes: takes the counts.

    Raises:
        UserError: hardly an interval, fewer than one in a thousand, is on a chromosome of the
            genome, or more would be if "chr" were written or left out; or most intervals end
            behind their chromosome.
    """
    names, number = np.unique(intervals.chrom, return_inverse=True)
    lengths = np.array([genome.lengths.get(name, -1) for name in names.tolist()], dtype=np.int64)
    there = (lengths >= 0)[number]
    _report_missing(intervals, genome, notes, there)
    inside = there & (intervals.start >= 0) & (intervals.end <= lengths[number])
    _report_beyond(intervals, genome, notes, there, inside)
    return intervals if inside.all() else intervals.select(inside)


def check_names(files: Sequence[Intervals | None], genome: Genome, notes: Notes) -> None:
    """Hold intervals that no window is placed around against the genome, file by file.

    What lies beyond a chromosome does no harm there, and is not dropped.

    Raises:
        UserError: hardly an interval of a file is on a chromosome of the genome.
    """
    for intervals in files:
        if intervals is not None:
            _report_missing(
                intervals, genome, notes, np.isin(intervals.chrom, list(genome.lengths))
            )


def _report_missing(
    intervals: Intervals, genome: Genome, notes: Notes, there: NDArray[np.bool_]
) -> None:
    """Note how many intervals are on chromosomes that are not there, or raise UserError."""
    missing = np.flatnonzero(~there)
    if not len(missing):
        return
    names, rows, counts = np.unique(intervals.chrom[missing], return_index=True, return_counts=True)
    called_otherwise = np.array([genome.other_name(name) is not None for name in names.tolist()])
    present = int(there.sum())
    if present < _NEXT_TO_NONE * len(intervals) or counts[called_otherwise].sum() > present:
        # a name that the genome has in another form tells most
        first = missing[rows[np.lexsort((rows, ~called_otherwise))[0]]]
        where = f"{intervals.path}: line {intervals.line[first]}"
        if len(missing) > 1:
            where += f" and {len(missing) - 1:,} others of {len(intervals):,}"
        genome.require(str(intervals.chrom[first]), where)
    shown = first_names(names[np.argsort(rows)].tolist(), _NAMES_SHOWN)
    sentence = (
        f"Dropped {len(missing):,} of {len(intervals):,} intervals of {intervals.path.name} on "
        f"{len(names):,} chromosomes that {genome.path.name} lacks ({shown})."
    )
    notes.say(sentence)
    if 2 * len(missing) > len(intervals):
        notes.warn(
            f"{present:,} of {len(intervals):,} intervals of {intervals.path.name} are on "
            f"chromosomes of {genome.path.name}; is this the whole genome they belong to?"
        )


def _report_beyond(
    intervals: Intervals,
    genome: Genome,
    notes: Notes,
    there: NDArray[np.bool_],
    inside: NDArray[np.bool_],
) -> None:
    """Note how many intervals reach beyond their chromosome, or raise UserError if most do."""
    beyond = np.flatnonzero(there & ~inside)
    if not len(beyond):
        return
    row, present = beyond[0], int(there.sum())
    chrom = str(intervals.chrom[row])
    side = "ends behind" if intervals.start[row] >= 0 else "begins before"
    example = (
        f"line {intervals.line[row]}: {chrom}:{intervals.start[row]}-{intervals.end[row]} {side} "
        f"{chrom}, which has {genome.lengths[chrom]} bp"
    )
    if 2 * len(beyond) > present:
        raise UserError(
            f"{intervals.path}: {example} in {genome.path}, as do {len(beyond):,} of {present:,} "
            f"intervals; is this the right genome build?"
        )
    count = f"{len(beyond):,} intervals of {intervals.path.name}"
    reach = f"reach beyond the end of a chromosome ({example})"
    notes.say(f"Dropped {count} that {reach}.")
    if len(beyond) > _DOUBTFUL * present:
        notes.warn(f"{count} {reach}; is this the right genome build?")


def merge_peaks(peaks: Intervals, how: str, length: int, notes: Notes) -> Intervals:
    """Return the peaks, of those that belong together the strongest, the first of equals.

    Args:
        peaks: peaks of one file.
        how: ``"none"``; ``"summits"``, the several summits of one peak, whose chromosome, start,
            end and strand are the same; or ``"windows"``, peaks whose windows overlap as well.
        length: window in bp.
        notes: takes the number of peaks that were left out.
    """
    if how == "none":
        return peaks
    order = np.lexsort((-peaks.strength, peaks.strand, peaks.end, peaks.start, peaks.chrom))
    ordered = peaks.select(order)
    keys = (ordered.chrom, ordered.strand, ordered.start, ordered.end)
    repeated = np.logical_and.reduce([key[1:] == key[:-1] for key in keys])
    kept = np.sort(order[np.r_[True, ~repeated]])
    if len(kept) < len(peaks):
        notes.say(
            f"Dropped {len(peaks) - len(kept):,} further summits or repeats of peaks of "
            f"{peaks.path.name}: the strongest of each peak is kept; "
            'merge_peaks = "none" keeps all.'
        )
    peaks = peaks.select(kept)
    if how == "windows":
        apart = _apart(peaks, length)
        if len(apart) < len(peaks):
            notes.say(
                f"Dropped {len(peaks) - len(apart):,} peaks of {peaks.path.name} whose window "
                "overlaps that of a stronger peak, as merge_peaks asks for."
            )
        peaks = peaks.select(apart)
    return peaks


def _apart(peaks: Intervals, length: int) -> NDArray[np.int64]:
    """Return the ascending rows of peaks whose centres are ``length`` bp apart, strongest first."""
    _, strand = np.unique(np.char.add(peaks.chrom, peaks.strand), return_inverse=True)
    kept: dict[tuple[int, int], int] = {}
    rows = []
    strongest = np.argsort(-peaks.strength, kind="stable")
    places = zip(strand[strongest].tolist(), peaks.center[strongest].tolist(), strict=True)
    for row, (number, center) in zip(strongest.tolist(), places, strict=True):
        # a stretch of one window holds one centre at most: neighbours are in three of them
        block = center // length
        near = (kept.get((number, other)) for other in (block - 1, block, block + 1))
        if all(other is None or abs(other - center) >= length for other in near):
            kept[number, block] = center
            rows.append(row)
    return np.sort(np.array(rows, dtype=np.int64))
