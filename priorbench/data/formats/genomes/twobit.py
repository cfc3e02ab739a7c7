"""Genomes in UCSC's 2bit format, opened for random access.

Every number of the file is checked before it is used. Libraries were tried: py2bit 1.0.1 ends the
program (SIGBUS) on a file whose end is missing, and twobitreader 4.0.2 decodes base by base.
"""

from __future__ import annotations

import mmap
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from priorbench.encoding import N_CODE
from priorbench.errors import UserError

from ..foreign import TWOBIT_MAGIC

_HEADER_BYTES = 16
_NEWEST_VERSION = 1
"""the version whose offsets have 64 bits"""
# two bits a base, the first in the highest: T C A G are 0 1 2 3 there
_FOUR_BASES = np.array(
    [[(3, 1, 0, 2)[byte >> shift & 3] for shift in (6, 4, 2, 0)] for byte in range(256)],
    dtype=np.uint8,
)


class TwoBit:
    """A 2bit file; soft masks are not looked at.

    Attributes:
        lengths: bp of every chromosome, in the order of the file.
    """

    def __init__(self, path: Path, named: Path) -> None:
        """Open ``path`` and read where its chromosomes lie; errors name ``named``.

        Raises:
            UserError: the file is damaged, or of a version that is not known.
        """
        self._named = named
        with path.open("rb") as stream:
            self._bytes = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
        self._order = "<" if self._bytes[:4] == TWOBIT_MAGIC[0] else ">"
        version, count, _ = self._integers(4, 3).tolist()
        if version > _NEWEST_VERSION:
            raise UserError(f"{named}: version {version} of 2bit is not known; write it anew")
        self.lengths: dict[str, int] = {}
        self._packed: dict[str, int] = {}
        self._unknown: dict[str, tuple[NDArray[np.int64], NDArray[np.int64]]] = {}
        place = _HEADER_BYTES
        for _ in range(count):
            size = self._piece(place, 1)[0]
            name = self._piece(place + 1, size).decode("utf-8", errors="replace")
            place += 1 + size
            wide = version == 1
            offset = int(self._integers(place, 1, "u8" if wide else "u4")[0])
            place += 8 if wide else 4
            if name in self.lengths:
                raise UserError(f"{named}: chromosome {name[:40]!r} occurs twice; rename one")
            self._index(name, offset)

    def _index(self, name: str, offset: int) -> None:
        """Read the beginning of a chromosome's record, and check that the file holds all of it."""
        length, count = self._integers(offset, 2).tolist()
        start, size = self._integers(offset + 8, 2 * count).reshape(2, -1)
        place = offset + 8 + 8 * count
        masks = int(self._integers(place, 1)[0])
        packed = place + 4 + 8 * masks + 4
        if packed + (length + 3) // 4 > len(self._bytes) or (start + size > length).any():
            raise self._damaged()
        order = np.argsort(start, kind="stable")
        # ends ascend with the starts, whether or not blocks overlap
        end = np.maximum.accumulate((start + size)[order])
        self.lengths[name], self._packed[name] = length, packed
        self._unknown[name] = start[order], end

    def _piece(self, place: int, size: int) -> bytes:
        """Return bytes of the file, which must hold them."""
        if place + size > len(self._bytes):
            raise self._damaged()
        return self._bytes[place : place + size]

    def _integers(self, place: int, count: int, kind: str = "u4") -> NDArray[np.int64]:
        """Return (count,) int64 of the file's unsigned integers."""
        size = np.dtype(kind).itemsize * count
        return np.frombuffer(self._piece(place, size), dtype=self._order + kind).astype(np.int64)

    def _damaged(self) -> UserError:
        """Return the error for a file that does not hold what it announces."""
        return UserError(f"{self._named}: truncated or damaged 2bit file; fetch it again")

    def codes(self, chrom: str, start: int, length: int) -> NDArray[np.uint8]:
        """Return the (length,) uint8 codes of a window that lies inside the chromosome."""
        first = start // 4
        place, size = self._packed[chrom] + first, (start + length + 3) // 4 - first
        packed = np.frombuffer(self._bytes[place : place + size], dtype=np.uint8)
        inset = start - 4 * first
        codes: NDArray[np.uint8] = _FOUR_BASES[packed].ravel()[inset : inset + length]
        begin, end = self._unknown[chrom]
        for block in range(
            int(np.searchsorted(end, start, side="right")),
            int(np.searchsorted(begin, start + length, side="left")),
        ):
            codes[max(0, begin[block] - start) : max(0, end[block] - start)] = N_CODE
        return codes

    def close(self) -> None:
        """Close the file."""
        self._bytes.close()
