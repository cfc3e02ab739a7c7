"""One bigWig, opened with checks; the C library's own lines about damaged files are kept quiet."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from priorbench.data.formats.notes import Notes
from priorbench.errors import UserError, first_names

from .bigwig_header import check_header

_STDERR = 2
_NAMES_SHOWN = 3


class SequenceLengths(Protocol):
    """A genome, or other named sequences, with their lengths."""

    @property
    def path(self) -> Path:
        """The file."""

    @property
    def lengths(self) -> Mapping[str, int]:
        """Bases of every sequence by name."""


class BigWigFile:
    """A bigWig of one track, opened for random access.

    Attributes:
        path: the file.
        lengths: bases of every chromosome that it lists, by name.
    """

    def __init__(
        self,
        path: Path,
        genome: SequenceLengths,
        chroms: list[str],
        notes: Notes,
        *,
        counts: bool = True,
    ) -> None:
        """Open and check the file.

        Args:
            path: the file.
            genome: the genome it belongs to.
            chroms: chromosomes that will be read.
            notes: takes the chromosomes that the file does not list, which are read as 0.
            counts: whether values are counts of reads, which are numbers; an entry of other values
                that is no number is read as 0, like a gap.

        Raises:
            UserError: the file is no bigWig, has none of the chromosomes, has them under another
                name or has one in another length.
        """
        self.path = path
        self._counts = counts
        self._may_hold_nan = check_header(path) and counts
        self._file, self.lengths = _open(path)
        for chrom in chroms:
            if self.lengths.get(chrom, genome.lengths[chrom]) != genome.lengths[chrom]:
                raise UserError(
                    f"{path}: {chrom} has {self.lengths[chrom]} bp there and "
                    f"{genome.lengths[chrom]} in {genome.path}; is this the right genome build?"
                )
        self._report_missing([chrom for chrom in chroms if chrom not in self.lengths], notes)
        if not any(chrom in self.lengths for chrom in chroms):
            raise UserError(
                f"{path}: has none of the chromosomes with windows, such as {chroms[0]!r} (it has "
                f"{', '.join(list(self.lengths)[:5]) or 'none at all'}); give the track that "
                "belongs to the sequences"
            )

    def _report_missing(self, missing: list[str], notes: Notes) -> None:
        """Note chromosomes without data; UserError if one of them has another name there."""
        for chrom in missing:
            other = chrom.removeprefix("chr") if chrom.startswith("chr") else f"chr{chrom}"
            if other in self.lengths:
                raise UserError(
                    f"{self.path}: chromosome {chrom!r} is called {other!r} there; write the names "
                    "of the genome"
                )
        if missing:
            notes.say(
                f"{self.path.name} has no data on {len(missing):,} chromosomes with windows "
                f"({first_names(missing, _NAMES_SHOWN)}): they are read as 0."
            )

    def values(self, chrom: str, begin: int, end: int) -> NDArray[np.float32]:
        """Return (end - begin,) values, 0 where there is no entry.

        Raises:
            UserError: a value is infinite or not a number, or the file is damaged there.
        """
        if chrom not in self.lengths:
            return np.zeros(end - begin, dtype=np.float32)
        try:
            with _quiet():
                values = self._file.values(chrom, begin, end, numpy=True)
                missing = np.isnan(values)
                if self._may_hold_nan and missing.any():
                    self._check_entries(chrom, begin, end)
        except RuntimeError:
            raise UserError(
                f"{self.path}: damaged or truncated: {chrom}:{begin}-{end} cannot be read; fetch "
                "or write the file again"
            ) from None
        infinite = np.flatnonzero(np.isinf(values))
        if len(infinite):
            raise UserError(
                f"{self.path}: {chrom}:{begin + infinite[0]} holds an infinite value; write "
                f"{'counts of reads' if self._counts else 'finite values'}"
            )
        if not len(values):  # of a file without an entry
            return np.zeros(end - begin, dtype=np.float32)
        known: NDArray[np.float32] = np.where(missing, np.float32(0), values)
        return known

    def _check_entries(self, chrom: str, begin: int, end: int) -> None:
        """Raise UserError for an entry that is no number; only their list tells it from a gap."""
        for place, _, value in self._file.intervals(chrom, begin, end) or ():
            if math.isnan(value):
                raise UserError(
                    f"{self.path}: {chrom}:{place} holds a value that is not a number; write "
                    "counts of reads"
                )

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _open(path: Path) -> tuple[Any, dict[str, int]]:
    """Open a bigWig, and return it with its chromosomes' lengths; UserError if it is damaged."""
    import pyBigWig

    lengths = None
    with suppress(RuntimeError, UnicodeError), _quiet():
        file = pyBigWig.open(str(path))
        lengths = file.chroms()
    if lengths is None:
        raise UserError(f"{path}: a damaged bigWig; fetch or write the file again")
    return file, lengths


@contextmanager
def _quiet() -> Iterator[None]:
    """Send what C prints to the stream of errors nowhere: one line of our own says it."""
    try:
        kept = os.dup(_STDERR)
    except OSError:  # a process without that stream
        yield
        return
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), _STDERR)
        yield
    finally:
        with suppress(OSError):
            os.dup2(kept, _STDERR)
        os.close(kept)
