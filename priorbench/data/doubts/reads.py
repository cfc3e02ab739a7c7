"""Tracks of reads that are empty, or that are the same track given twice."""

from __future__ import annotations

from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from priorbench.data.codes import SPLITS
from priorbench.data.formats.notes import Notes

_CHUNK_VALUES = 4 << 20
_STRANDS = ("plus", "minus")
_READS = "reads"


def doubt_reads(
    tracks: dict[str, NDArray[np.float32]], split: NDArray[np.uint8], notes: Notes
) -> None:
    """Warn of tracks without reads, and of tracks that are the same in every window.

    Args:
        tracks: (n, strands, bp) by name, in memory or mapped.
        split: (n,) uint8.
        notes: take warnings.
    """
    named = [(name, strand) for name, track in tracks.items() for strand in range(track.shape[1])]
    totals = {key: np.zeros(len(SPLITS)) for key in named}
    same = set(combinations(named, 2))
    without = 0
    bases = sum(int(np.prod(track.shape[1:])) for track in tracks.values())
    step = max(1, _CHUNK_VALUES // max(bases, 1))
    for begin in range(0, len(split), step):
        here = split[begin : begin + step]
        part = {name: np.asarray(track[begin : begin + step]) for name, track in tracks.items()}
        for name, strand in named:
            reads = part[name][:, strand].sum(axis=1, dtype=np.float64)
            totals[name, strand] += np.bincount(here, weights=reads, minlength=len(SPLITS))
        same = {
            (this, other)
            for this, other in same
            if np.array_equal(part[this[0]][:, this[1]], part[other[0]][:, other[1]])
        }
        if _READS in part:
            without += int((part[_READS].sum(axis=(1, 2)) == 0).sum())
    empty = _doubt_empty(totals, tracks, notes)
    for this, other in sorted(same):
        if this not in empty and other not in empty:
            notes.warn(
                f"{_title(*this, tracks)} and {_title(*other, tracks).lower()} are the same in "
                "every window: is one file given twice?"
            )
    if without > len(split) / 2 and not empty:
        notes.warn(f"{without:,} of {len(split):,} windows have no read: do peaks and reads match?")


def _doubt_empty(
    totals: dict[tuple[str, int], NDArray[np.float64]],
    tracks: dict[str, NDArray[np.float32]],
    notes: Notes,
) -> set[tuple[str, int]]:
    """Warn of tracks without a read, everywhere or in a split; return those without any."""
    empty = {key for key, total in totals.items() if not total.any()}
    for key, total in totals.items():
        if key in empty:
            notes.warn(f"{_title(*key, tracks)} have no read in any window: is it the right file?")
        elif (total == 0).any():
            where = ", ".join(np.array(SPLITS)[total == 0].tolist())
            notes.warn(f"{_title(*key, tracks)} have no read in any window for {where}.")
    return empty


def _title(name: str, strand: int, tracks: dict[str, NDArray[np.float32]]) -> str:
    """Return what a track is called in a sentence."""
    many = tracks[name].shape[1] > 1
    return f"{name.capitalize()}{f' of the {_STRANDS[strand]} strand' if many else ''}"
