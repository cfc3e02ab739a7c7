"""A channel whose values are digits, one in the place of every base of a FASTA file."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from priorbench.data.formats.fasta import read_letters
from priorbench.data.formats.notes import Notes
from priorbench.errors import UserError
from priorbench.storage.files import writing

from .channel_table import ChannelFile
from .row_places import RowPlaces, Sequences

_ZERO = ord("0")
_DIGITS = b"0123456789"


class MaskChannel:
    """The digit that stands for a base, 0 to 9; 0 in records without a mask.

    Attributes:
        path: the file.
    """

    def __init__(self, channel: ChannelFile) -> None:
        """Take the file, which is read when the sequences are known."""
        self.path = channel.file
        self._place: dict[str, tuple[int, int]] = {}

    @contextmanager
    def opened(self, sequences: Sequences, folder: Path, notes: Notes) -> Iterator[None]:
        """Read the file, and hold it ready for the block.

        Args:
            sequences: records that rows lie on.
            folder: place for a temporary file: masks are in another order than the rows.
            notes: takes the numbers of masks without a record, and of records without a mask.

        Raises:
            UserError: a mask holds other letters than digits, or has another length than its
                record; two have one name; or no record has a mask.
        """
        size, unused = 0, ""
        lengths = sequences.lengths
        with tempfile.TemporaryFile(dir=folder) as file:
            for name, digits in read_letters(self.path):
                if name in self._place:
                    raise UserError(
                        f"{self.path}: two masks are called {name[:40]!r}; names must differ"
                    )
                self._check(name, digits, lengths.get(name))
                unused = unused if name in lengths else name
                self._place[name] = size, len(digits)
                with writing(folder):
                    file.write(digits)
                size += len(digits)
            with_mask = self._place.keys() & lengths.keys()
            if not with_mask:
                raise UserError(
                    f"{self.path}: no record is called {unused[:40]!r}, and no other mask has the "
                    "name of one; write '>NAME' above each as above its sequence"
                )
            if len(with_mask) < len(self._place):
                lost = len(self._place) - len(with_mask)
                notes.say(f"{lost:,} masks of {self.path.name} are of no record that was kept.")
            if len(with_mask) < len(lengths):
                notes.say(
                    f"{len(lengths) - len(with_mask):,} of {len(lengths):,} records have no mask "
                    f"in {self.path.name}: they are read as 0."
                )
            with writing(folder):
                file.flush()
            self._digits = np.memmap(file, dtype=np.uint8, mode="r", shape=(size,))
            yield
            del self._digits

    def _check(self, name: str, digits: bytes, wanted: int | None) -> None:
        """Raise UserError for a mask of other letters, or of another length than its record."""
        if other := digits.translate(None, _DIGITS):
            place = digits.index(other[:1])
            raise UserError(
                f"{self.path}: record {name[:40]!r}, position {place + 1:,}: "
                f"{other[:1].decode('latin-1')!r} is no digit; write 0 or 1, or 0 to 9, for a base"
            )
        if not digits:
            raise UserError(f"{self.path}: mask {name[:40]!r} is empty; write a digit for a base")
        if wanted is not None and len(digits) != wanted:
            raise UserError(
                f"{self.path}: mask {name[:40]!r} has {len(digits):,} digits, and its record "
                f"{wanted:,} bases; write one digit for each base"
            )

    def names(self) -> set[str]:
        """Return the names of the sequences that have a value, once the file is read."""
        return set(self._place)

    def values(self, rows: RowPlaces, length: int) -> NDArray[np.float32]:
        """Return the (k, length) values of k rows along the plus strand."""
        known = [self._place.get(name, (0, 0)) for name in rows.name]
        first, size = np.array(known, dtype=np.int64).reshape(-1, 2).T[:, :, None]
        place = rows.positions(length)
        there = (place >= 0) & (place < size)
        digits = self._digits[np.where(there, first + place, 0)]
        return np.where(there, digits - np.float32(_ZERO), 0).astype(np.float32)
