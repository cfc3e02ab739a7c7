"""Letters of sequences made into codes, and what was changed on the way counted for the user."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from priorbench.encoding import ILLEGAL, N_CODE, encode
from priorbench.errors import UserError

from ..notes import Notes

AMBIGUOUS_LETTERS = b"RYSWKMBDHVXryswkmbdhvx"
"""IUPAC codes of several bases, and the X of programs that mask: all are read as N"""
_AMBIGUOUS = N_CODE + 1
_TABLE = encode(bytes(range(256)))
_TABLE[np.frombuffer(AMBIGUOUS_LETTERS, dtype=np.uint8)] = _AMBIGUOUS
_CODES = _TABLE.tobytes()
_BLANKS = b" \t\r\n\v\f"
_SHOWN = 40
"""characters of a name in a message"""
_REASONS = {
    "*": "which ends a protein; give DNA or RNA, or remove it",
    **dict.fromkeys("-.~", "a gap of an alignment; give sequences that are not aligned"),
    **dict.fromkeys("EFIJLOPQZ", "a letter of proteins; give DNA or RNA"),
    **dict.fromkeys("0123456789", "a digit, as in GenBank files; write letters only"),
    ">": "a line must end before it",
}
_ADVICE = "use ACGTU, N or an IUPAC code"


class LengthsDifferError(UserError):
    """A sequence has another length than those before it, or than is wanted."""


def illegal_letter(where: str, position: int, letter: str) -> UserError:
    """Return the error for a letter that is no base.

    Args:
        where: file and record.
        position: place of the letter in the record, from 0.
        letter: the letter.
    """
    reason = _REASONS.get(letter.upper())
    advice = f", {reason}" if reason else f"; {_ADVICE}"
    return UserError(f"{where}, position {position + 1:,}: illegal letter {letter!r}{advice}")


@dataclass(frozen=True)
class Records:
    """Named sequences, which were cropped or padded to one length.

    Attributes:
        names: (k,) object, the name of each record, "" where it has none.
        codes: (k, L) uint8.
        lengths: (k,) int64 bases of each record before it was cropped or padded.
    """

    names: NDArray[np.object_]
    codes: NDArray[np.uint8]
    lengths: NDArray[np.int64]

    def __len__(self) -> int:
        """Return the number of records."""
        return len(self.lengths)

    @property
    def first(self) -> NDArray[np.int64]:
        """(k,) int64 place in the record of the first base of its codes, negative if padded."""
        first: NDArray[np.int64] = _first(self.lengths, self.codes.shape[1])
        return first

    def select(self, index: NDArray[Any] | slice) -> Records:
        """Return the records at ``index``: bool, int64 or a slice."""
        return Records(self.names[index], self.codes[index], self.lengths[index])


def concatenated(parts: Sequence[Records]) -> Records:
    """Return the records of all parts, one part behind the other."""
    columns = [(part.names, part.codes, part.lengths) for part in parts]
    return Records(*map(np.concatenate, zip(*columns, strict=True)))


def _first(size: Any, length: int) -> Any:
    """Return where a window of ``length`` around the centre begins, as around a peak's centre."""
    return size // 2 - length // 2


class SequenceEncoder:
    """Makes codes of letters, all of one length, and counts what it changes.

    Attributes:
        length: bases of every sequence; None until the first is known.
    """

    def __init__(self, path: Path, length: int | None, *, fit: bool = False) -> None:
        """Prepare to encode the sequences of a file.

        Args:
            path: the file, for messages.
            length: length in bases; that of the first sequence if None.
            fit: whether other lengths are cropped or padded around the centre.
        """
        self.length = length
        self._path, self._fit = path, fit
        self._seen, self._cropped, self._padded, self._empty = 0, 0, 0, 0
        self._ambiguous = np.zeros(2, dtype=np.int64)

    def encode(self, names: Sequence[str], texts: Sequence[bytes]) -> Records:
        """Return the records of k names and their letters; empty ones are left out and counted.

        Raises:
            UserError: a letter is no base.
            LengthsDifferError: lengths differ, and are not to be fitted.
        """
        # translate() encodes and drops line ends in one pass over the bytes
        sequences = [text.translate(_CODES, _BLANKS) for text in texts]
        joined = bytearray().join(sequences)
        if bytes([ILLEGAL]) in joined:
            raise self._illegal(names, texts, sequences)
        first, self._seen = self._seen, self._seen + len(names)
        if not all(sequences):
            kept = [row for row, codes in enumerate(sequences) if codes]
            self._empty += len(sequences) - len(kept)
            names, sequences = [names[row] for row in kept], [sequences[row] for row in kept]
        sizes = np.fromiter(map(len, sequences), dtype=np.int64, count=len(sequences))
        if bytes([_AMBIGUOUS]) in joined:
            self._make_unknown(joined, sizes)
        if self.length is None and len(sizes):
            self.length = int(sizes[0])
        length = self.length or 0
        if (sizes != length).any():
            if not self._fit:
                row = int(np.argmax(sizes != length))
                raise LengthsDifferError(
                    f"{self._path}: {_record(names[row], first + row)} has {sizes[row]:,} bases, "
                    f"wanted {length:,}; all sequences must have one length"
                )
            joined = self._fitted(joined, sizes, length)
        codes = np.frombuffer(joined, dtype=np.uint8).reshape(len(sizes), length)
        return Records(np.array(names, dtype=object), codes, sizes)

    def _illegal(
        self, names: Sequence[str], texts: Sequence[bytes], sequences: Sequence[bytes]
    ) -> UserError:
        """Return the error for the first letter that is no base; there is one."""
        row, place = next(
            (row, codes.find(ILLEGAL)) for row, codes in enumerate(sequences) if ILLEGAL in codes
        )
        letter = texts[row].translate(None, _BLANKS)[place : place + 1].decode("latin-1")
        return illegal_letter(
            f"{self._path}: {_record(names[row], self._seen + row)}", place, letter
        )

    def _make_unknown(self, joined: bytearray, sizes: NDArray[np.int64]) -> None:
        """Replace the codes of letters that stand for several bases by N, and count them."""
        codes = np.frombuffer(joined, dtype=np.uint8)
        ambiguous = codes == _AMBIGUOUS
        starts = np.cumsum(sizes) - sizes
        self._ambiguous += ambiguous.sum(), np.logical_or.reduceat(ambiguous, starts).sum()
        codes[ambiguous] = N_CODE

    def _fitted(self, joined: bytearray, sizes: NDArray[np.int64], length: int) -> bytearray:
        """Return the sequences cropped or padded with N, which are counted."""
        self._cropped += int((sizes > length).sum())
        self._padded += int((sizes < length).sum())
        ends = np.cumsum(sizes).tolist()
        pieces = []
        unknown = bytes([N_CODE])
        for end, size in zip(ends, sizes.tolist(), strict=True):
            place = _first(size, length)
            before = max(0, -place)
            piece = joined[end - size + max(0, place) : end][: length - before]
            pieces.append((unknown * before + piece).ljust(length, unknown))
        return bytearray().join(pieces)

    def tell(self, notes: Notes) -> None:
        """Add notes on what was changed or left out in the file, which was read to its end."""
        name = self._path.name
        bases, records = self._ambiguous.tolist()
        if bases:
            notes.say(
                f"Read {bases:,} bases of {records:,} sequences of {name} as N: IUPAC codes such "
                "as R for A or G."
            )
        if self._empty:
            notes.say(f"Dropped {self._empty:,} records of {name}: no sequence.")
        if self._cropped or self._padded:
            notes.say(
                f"Brought to {self.length:,} bases around the centre in {name}: {self._cropped:,} "
                f"sequences cropped, {self._padded:,} padded with N."
            )


def _record(name: str, number: int) -> str:
    """Return a record as messages call it; the number counts from 0."""
    return f"record {name[:_SHOWN]!r}" if name else f"record {number + 1:,} (without a name)"
