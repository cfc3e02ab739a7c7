"""The header of a bigWig, checked before the C library opens the file.

The library ends the process for some damaged files, and prints lines of its own for others. Offsets
are those of the format (Kent et al. 2010, supplementary tables 5 and 8).
"""

from __future__ import annotations

import math
import struct
from pathlib import Path
from typing import BinaryIO

from priorbench.data.formats.bounded import LONGEST_NAME
from priorbench.data.formats.fasta import GZIP_MAGIC
from priorbench.errors import UserError

_MAGIC = bytes.fromhex("26fc8f88")  # of a little-endian bigWig
_BIGBED = bytes.fromhex("ebf28987")
_HEADER_BYTES = 64
_SUMMARY_BYTES = 40
_ZOOM_BYTES = 24
"""of each level of a summary, in a list behind the header"""
_NAMES = "4I2Q2BH"
"""magic, names in a block, bytes of a name and of its value, names in all, 0; then the first block:
whether it is a leaf, 0, and its names"""
_NAMES_MAGIC, _VALUE_BYTES = 0x78CA8C91, 8


def is_binary_track(head: bytes) -> bool:
    """Return whether the first bytes of a file are those of a bigWig, or of a bigBed."""
    return head.startswith((_MAGIC, _MAGIC[::-1], _BIGBED, _BIGBED[::-1]))


def check_header(path: Path) -> bool:
    """Check that a file is a whole bigWig as far as its header tells.

    Returns:
        whether an entry may be no number, by the sum of all entries in the file's summary.

    Raises:
        UserError: it is another file, or truncated or damaged.
    """
    try:
        with path.open("rb") as file:
            header = file.read(_HEADER_BYTES)
            if header[:4] not in (_MAGIC, _MAGIC[::-1]):
                raise UserError(f"{path}: not a bigWig{_what_it_is(header)}")
            order = "<" if header[:4] == _MAGIC else ">"
            if len(header) < _HEADER_BYTES:
                raise UserError(f"{path}: a truncated bigWig; fetch or write the file again")
            (zooms,) = struct.unpack_from(order + "H", header, 6)
            names, data, index = struct.unpack_from(order + "3Q", header, 8)
            (summary,) = struct.unpack_from(order + "Q", header, 44)
            if max(names, data, index, summary) >= path.stat().st_size:
                raise UserError(f"{path}: a truncated bigWig; fetch or write the file again")
            room = names >= _HEADER_BYTES + zooms * _ZOOM_BYTES
            if not room or not _has_names(file, names, order):
                raise UserError(f"{path}: a damaged bigWig; fetch or write the file again")
            return _may_hold_nan(file, summary, order)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None


def _what_it_is(header: bytes) -> str:
    """Return what a file is instead of a bigWig, and what to do about it."""
    if header.startswith(GZIP_MAGIC):
        return " but compressed; unpack it (of reads in BAM make bigWigs of counts)"
    if header.startswith((_BIGBED, _BIGBED[::-1])):
        return " but a bigBed; give bigWigs of reads"
    if header.strip() and all(byte in b"\t\r\n" or 32 <= byte < 127 for byte in header):
        return " but text; make one of bedGraph with bedGraphToBigWig, of wiggle with wigToBigWig"
    return " that can be read; give bigWig files of reads"


def _has_names(file: BinaryIO, offset: int, order: str) -> bool:
    """Return whether the list of chromosomes, which begins at an offset, can be one."""
    file.seek(offset)
    start = file.read(struct.calcsize("<" + _NAMES))
    if len(start) < struct.calcsize("<" + _NAMES):
        return False
    fields = struct.unpack(order + _NAMES, start)
    magic, in_block, name_bytes, value_bytes, total, _, is_leaf, _, here = fields
    known = (magic, value_bytes) == (_NAMES_MAGIC, _VALUE_BYTES) and here <= min(in_block, total)
    if not known or not 0 < name_bytes <= LONGEST_NAME:
        return False
    if not is_leaf:  # of thousands of names, which the library looks through itself
        return True
    item = struct.Struct(f"{order}{name_bytes}s2I")  # a name, its number and its length in bp
    block = file.read(here * item.size)
    if here != total or len(block) < total * item.size:
        return False
    return sorted(number for _, number, _ in item.iter_unpack(block)) == list(range(total))


def _may_hold_nan(file: BinaryIO, offset: int, order: str) -> bool:
    """Return whether the sum of all entries, in the summary at an offset, is none, or not known."""
    file.seek(offset)
    summary = file.read(_SUMMARY_BYTES) if offset else b""
    if len(summary) < _SUMMARY_BYTES:
        return True
    covered, _, _, total, _ = struct.unpack(order + "Q4d", summary)
    return not (covered and math.isfinite(total))
