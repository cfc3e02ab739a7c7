"""Reads per base from bigWig files, strand by strand."""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from priorbench.errors import UserError

from .genome import Genome, stretches

_MAGIC = bytes.fromhex("26fc8f88")  # of a little-endian bigWig
_MAGICS = (_MAGIC, _MAGIC[::-1])
_HEADER_BYTES = 64


class Signal:
    """Tracks of one experiment, opened for random access; bases without an entry count zero.

    Attributes:
        paths: one bigWig a track, plus before minus.
    """

    def __init__(self, paths: Sequence[Path], genome: Genome, chroms: Sequence[str]) -> None:
        """Open and check the files.

        Args:
            paths: bigWig files.
            genome: the genome they belong to.
            chroms: chromosomes that will be read.

        Raises:
            UserError: a file is no bigWig, lacks a chromosome or has it in another length.
        """
        self.paths = list(paths)
        self._files = [_open(path) for path in paths]
        self._may_hold_nan = [_may_hold_nan(path) for path in paths]
        for path, file in zip(self.paths, self._files, strict=True):
            _check(path, file, genome, chroms)

    def windows(
        self, chrom: NDArray[np.str_], start: NDArray[np.int64], length: int
    ) -> NDArray[np.float32]:
        """Return (k, tracks, length) values of k windows that lie inside their chromosomes.

        Raises:
            UserError: a value in a window or nearby is negative, infinite or not a number.
        """
        result = np.empty((len(start), len(self._files), length), dtype=np.float32)
        for rows in stretches(chrom, start, length):
            name, first = str(chrom[rows[0]]), int(start[rows].min())
            end = int(start[rows].max()) + length
            for track, file in enumerate(self._files):
                values = file.values(name, first, end, numpy=True)
                known = self._checked(values, track, (name, first))
                for row, offset in zip(rows.tolist(), (start[rows] - first).tolist(), strict=True):
                    result[row, track] = known[offset : offset + length]
        return result

    def _checked(
        self, values: NDArray[np.float32], track: int, at: tuple[str, int]
    ) -> NDArray[np.float32]:
        """Return the values of a stretch that begins ``at`` a place, 0 where there is no entry."""
        chrom, begin = at
        missing = np.isnan(values)
        path = self.paths[track]
        if self._may_hold_nan[track] and missing.any():
            # only the list of entries tells a gap from an entry that is not a number
            for place, _, value in (
                self._files[track].intervals(chrom, begin, begin + len(values)) or ()
            ):
                if math.isnan(value):
                    raise UserError(
                        f"{path}: {chrom}:{place} holds a value that is not a number; write counts "
                        "of reads"
                    )
        negative = np.flatnonzero(values < 0)
        if len(negative):
            place = negative[0]
            raise UserError(
                f"{path}: {chrom}:{begin + place} holds a negative value ({values[place]:g}); "
                "write reads of the minus strand as positive numbers"
            )
        infinite = np.flatnonzero(np.isposinf(values))
        if len(infinite):
            raise UserError(
                f"{path}: {chrom}:{begin + infinite[0]} holds an infinite value; write counts of "
                "reads"
            )
        return np.where(missing, np.float32(0), values)

    def close(self) -> None:
        """Close the files."""
        for file in self._files:
            file.close()


def _open(path: Path) -> Any:
    """Open a bigWig; UserError if it is none."""
    import pyBigWig

    with path.open("rb") as stream:  # on other files pyBigWig prints a line of its own
        header = stream.read(_HEADER_BYTES)
    known = header[:4] in _MAGICS and len(header) == _HEADER_BYTES
    try:
        file = pyBigWig.open(str(path)) if known else None
    except RuntimeError:
        file = None
    if file is None or not file.isBigWig():
        raise UserError(f"{path}: not a bigWig that can be read; give bigWig files of reads")
    return file


def _may_hold_nan(path: Path) -> bool:
    """Return whether an entry may be no number, by the sum of all entries in the file's summary.

    Offsets are those of the format's header (Kent et al. 2010, supplementary table 5).
    """
    with path.open("rb") as file:
        header = file.read(_HEADER_BYTES)
        order = "<" if header[:4] == _MAGIC else ">"
        (offset,) = struct.unpack_from(order + "Q", header, 44)
        file.seek(offset)
        summary = file.read(40) if offset else b""
    if len(summary) < 40:
        return True
    covered, _, _, total, _ = struct.unpack(order + "Q4d", summary)
    return not (covered and math.isfinite(total))


def _check(path: Path, file: Any, genome: Genome, chroms: Sequence[str]) -> None:
    """Raise UserError if the file lacks a chromosome, or has it in another length."""
    known = file.chroms()
    for chrom in chroms:
        if chrom not in known:
            raise UserError(
                f"{path}: has no chromosome {chrom!r} (it has {', '.join(list(known)[:5])}); give "
                "the signal that belongs to the genome, or remove its peaks"
            )
        if known[chrom] != genome.lengths[chrom]:
            raise UserError(
                f"{path}: {chrom} has {known[chrom]} bp there and {genome.lengths[chrom]} in "
                f"{genome.path}; is this the right genome build?"
            )
