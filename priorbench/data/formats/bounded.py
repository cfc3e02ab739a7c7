"""Reads of text whose size a compressed file does not tell: up to limits that messages name.

A few megabytes of gzip can unpack to a gigabyte. Each limit is far above what the kind of file
needs, and low enough that reading up to it takes little memory.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from contextlib import suppress
from io import TextIOWrapper
from pathlib import Path
from typing import BinaryIO

from priorbench.errors import UserError

MEGABYTE = 1 << 20
LONGEST_LINE = MEGABYTE
"""bytes of a line of a table: ten thousand columns take a tenth"""
LARGEST_TEXT = 256 * MEGABYTE
"""bytes of a table, unpacked"""
MOST_LINES = 10_000_000
"""lines of a table: all accessible regions of ENCODE are a third"""
LARGEST_MOTIFS = 64 * MEGABYTE
"""bytes of a file of motifs, unpacked: the largest databases have a tenth"""
LONGEST_RECORD = 64 * MEGABYTE
"""bytes of a record of FASTA that networks are trained on, unpacked"""
LONGEST_NAME = 255
"""characters of a chromosome's name"""
LARGEST_GENOME = 1024 * MEGABYTE
"""bytes that a compressed genome may unpack to in any case"""
UNPACKED_SHARE = 50
"""the size beyond it, in sizes of the compressed genome: letters take a quarter, runs of N less"""


def lines(stream: BinaryIO, path: Path) -> Iterator[bytes]:
    r"""Yield the lines of a table, each with ``\n`` at its end.

    Lines end in LF, CR LF or CR alone; a byte order mark of UTF-8 is left out.

    Raises:
        UserError: a line is longer than LONGEST_LINE, or the table larger than LARGEST_TEXT or
            MOST_LINES.
    """
    number, size = 0, 0
    # every byte is one character of Latin-1; what is wanted of the wrapper are its line ends
    text = TextIOWrapper(stream, encoding="latin-1", newline=None)
    try:
        while characters := text.readline(LONGEST_LINE + 1):
            line = characters.encode("latin-1")
            number, size = number + 1, size + len(line)
            if len(line) > LONGEST_LINE:
                raise too_large(f"{path}: line {number}", LONGEST_LINE, "is this the right file?")
            if size > LARGEST_TEXT:
                raise too_large(str(path), LARGEST_TEXT, "give the part of it that is needed")
            if number > MOST_LINES:
                raise UserError(
                    f"{path}: more than {MOST_LINES:,} lines, the most that are read; give the "
                    "part of it that is needed"
                )
            yield line.removeprefix(codecs.BOM_UTF8) if number == 1 else line
    finally:
        with suppress(ValueError):  # the stream was closed before
            text.detach()


def contents(stream: BinaryIO, path: Path, limit: int) -> bytes:
    """Return all that is left of a file; UserError if that is more than the limit."""
    text = stream.read(limit + 1)
    if len(text) > limit:
        raise too_large(str(path), limit, "give the part of it that is needed")
    return text


def is_number(text: str) -> bool:
    """Return whether a text is a number; NaN and inf are, as programs write them for a p of 0."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def too_large(what: str, limit: int, fix: str) -> UserError:
    """Return the error for something that is larger than its limit."""
    return UserError(
        f"{what} has more than {limit // MEGABYTE:,} MiB, the most that is read; {fix}"
    )
