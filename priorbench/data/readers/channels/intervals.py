"""A channel whose values are those of a BED file's intervals."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from priorbench.data.formats.bed import read_bed
from priorbench.data.formats.notes import Notes
from priorbench.data.formats.peaks import check_names
from priorbench.errors import UserError

from .channel_table import ChannelFile
from .row_places import RowPlaces, Sequences

_LONGEST = 1 << 38
"""bases to which intervals are cut: no sequence is as long, and all names fit behind one another"""


class IntervalChannel:
    """1 inside the intervals of a BED file, or their score, and 0 outside; the largest of several.

    Where the sequences have one strand, an interval of a strand belongs to rows that are read on
    it, and one without a strand to all.

    Attributes:
        path: the file.
    """

    def __init__(self, channel: ChannelFile, notes: Notes, *, both_strands: bool) -> None:
        """Read the file; UserError if it is no BED, or an interval lacks the score that counts."""
        self.path = channel.file
        scored = channel.value == "score"
        intervals = read_bed(self.path, notes, scored=scored)
        self._intervals = intervals.unstranded() if both_strands else intervals
        self._value = intervals.strength if scored else np.ones(len(intervals))
        names, self._number = np.unique(intervals.chrom, return_inverse=True)
        self._names = {name: number for number, name in enumerate(names.tolist())}
        self._steps: tuple[_Steps, ...] = ()

    @contextmanager
    def opened(self, sequences: Sequences, folder: Path, notes: Notes) -> Iterator[None]:
        """Hold the intervals against the sequences, and make them ready for the block.

        Args:
            sequences: records or chromosomes that rows lie on.
            folder: place for temporary files.
            notes: takes what lies on none of them, or beyond their ends.

        Raises:
            UserError: no interval lies on any of them.
        """
        if sequences.genome is not None:
            check_names([self._intervals], sequences.genome, notes)
        else:
            self._check_records(sequences.lengths, notes)
        start = np.clip(self._intervals.start, 0, _LONGEST)
        end = np.clip(self._intervals.end, 0, _LONGEST)
        strand = self._intervals.strand
        self._room = int(end.max()) + 1  # every name has as much, so that one search serves all
        shift = self._number.astype(np.int64) * self._room
        sides = [strand != "-", strand != "+"] if np.isin(strand, ("+", "-")).any() else [end > 0]
        self._steps = tuple(
            _Steps((start + shift)[keep], (end + shift)[keep], self._value[keep])
            for keep in (side & (end > start) for side in sides)
        )
        yield

    def _check_records(self, lengths: Mapping[str, int], notes: Notes) -> None:
        """Note intervals on no record, or beyond its end; UserError if none lies on one."""
        intervals = self._intervals
        known = np.array([lengths.get(name, -1) for name in self._names], dtype=np.int64)
        length = known[self._number]
        beyond = (length >= 0) & ((intervals.end > length) | (intervals.start < 0))
        outside = (length >= 0) & ((intervals.start >= length) | (intervals.end <= 0))
        if not ((length >= 0) & ~outside).any():
            row = int(np.argmax(beyond)) if beyond.any() else 0
            name = str(intervals.chrom[row])[:40]
            problem = (
                f"{intervals.start[row]}-{intervals.end[row]} is outside record {name!r}, which "
                f"has {length[row]:,} bases"
                if beyond.any()
                else f"no record is called {name!r}"
            )
            raise UserError(
                f"{self.path}: line {intervals.line[row]}: {problem}, and no other interval lies "
                "on a record; the first column must be names of records, positions count from "
                "their first base"
            )
        lost = int((length < 0).sum())
        if lost:
            notes.say(
                f"{lost:,} of {len(intervals):,} intervals of {self.path.name} are on no record "
                "that was kept."
            )
        if beyond.any():
            notes.warn(
                f"{int(beyond.sum()):,} of {len(intervals):,} intervals of {self.path.name} reach "
                f"beyond their record (line {intervals.line[int(np.argmax(beyond))]}): do "
                "positions count from its first base?"
            )

    def names(self) -> set[str]:
        """Return the names of the sequences that have a value."""
        return set(self._names)

    def values(self, rows: RowPlaces, length: int) -> NDArray[np.float32]:
        """Return the (k, length) values of k rows along the plus strand."""
        place = rows.positions(length)
        number = np.array([self._names.get(name, -1) for name in rows.name], dtype=np.int64)
        there = (place >= 0) & (place < self._room) & (number >= 0)[:, None]
        place = np.where(there, place + number[:, None] * self._room, -1)
        if len(self._steps) == 1:
            return self._steps[0].at(place)
        result = np.empty(place.shape, dtype=np.float32)
        for steps, mine in zip(self._steps, (~rows.minus, rows.minus), strict=True):
            result[mine] = steps.at(place[mine])
        return result


class _Steps:
    """The largest value of the intervals that cover a place, as a function of steps."""

    def __init__(
        self, start: NDArray[np.int64], end: NDArray[np.int64], value: NDArray[np.float64]
    ) -> None:
        """Take (n,) starts, ends and values, in any order; the intervals may overlap."""
        self._border = np.unique(np.concatenate([start, end, [-1]]))
        first, stop = (np.searchsorted(self._border, edge) for edge in (start, end))
        largest = np.full(len(self._border), -np.inf)
        # an interval of any number of steps is two blocks of a power of two, which may overlap
        level = np.log2(np.maximum(stop - first, 1)).astype(np.int64)
        for power in range(int(level.max(initial=0)), -1, -1):
            half = 1 << power  # a block of the level above is two of this one
            below = largest.copy()
            below[half:] = np.maximum(below[half:], largest[:-half])
            largest, mine = below, level == power
            np.maximum.at(largest, first[mine], value[mine])
            np.maximum.at(largest, stop[mine] - half, value[mine])
        self._value = np.where(np.isneginf(largest), 0, largest).astype(np.float32)

    def at(self, place: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the values at places of any shape, -1 or more; 0 where there is no interval."""
        values: NDArray[np.float32] = self._value[np.searchsorted(self._border, place, "right") - 1]
        return values
