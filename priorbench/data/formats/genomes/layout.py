"""How the lines of a genome's FASTA lie: an index is right only where all are of one length."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

_BLOCK_BYTES = 4 << 20
_BLANKS = b" \t\v\f"
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_HEADER = re.compile(rb"(\s*;[^\r\n]*\r?\n)*\s*>[^\r\n]*(\r?\n)?")
"""what stands between two sequences: comments, and a line that begins with '>'"""


def is_even(index: Mapping[str, Any], path: Path) -> bool:
    """Return whether every record is followed by the next where its index says that it ends.

    Line ends that are not all the same, or are those of old Macs, are found by that; pyfaidx looks
    at the lengths of lines only, and would give other bases than the file has.

    Args:
        index: pyfaidx's records of an index by name, in the order of the file.
        path: the file.
    """
    end = 0
    with path.open("rb") as stream:
        for entry in index.values():
            stream.seek(end)
            between = stream.read(entry.offset - end)
            if not _HEADER.fullmatch(between) or (end and between[:1] not in b"\r\n"):
                return False
            lines, rest = divmod(entry.rlen, entry.lenc) if entry.rlen else (0, 0)
            end = entry.offset + lines * entry.lenb + rest
            if lines and not rest:
                end -= entry.lenb - entry.lenc  # the last line end may be missing
        stream.seek(end)
        rest_of_file = stream.read(_BLOCK_BYTES)
        return not rest_of_file.strip() and rest_of_file[:1] in b"\r\n"


def write_evenly(source: BinaryIO, target: BinaryIO) -> None:
    """Copy FASTA with one line for each sequence; blanks and comments (';') are left out."""
    begun = False
    for line in _lines(source):
        if line.startswith(b">"):
            target.write(b"\n" + line + b"\n" if begun else line + b"\n")
            begun = True
        elif not line.startswith(b";"):
            target.write(line.translate(None, _BLANKS))
    target.write(b"\n")


def _lines(source: BinaryIO) -> Iterator[bytes]:
    """Yield lines without their ends, which are LF, CRLF or CR."""
    pending = source.read(len(_BYTE_ORDER_MARK)).removeprefix(_BYTE_ORDER_MARK)
    while block := source.read(_BLOCK_BYTES):
        *whole, pending = (pending + block).replace(b"\r", b"\n").split(b"\n")
        yield from whole
    yield pending
