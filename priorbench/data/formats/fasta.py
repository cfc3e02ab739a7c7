"""FASTA files, plain, gzip or bgzip, read as a stream of encoded sequences."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

from priorbench.encoding import ILLEGAL, encode
from priorbench.errors import UserError
from priorbench.storage.files import DiskError

from .bounded import LONGEST_RECORD, too_large

_BLOCK_BYTES = 4 << 20
_CHUNK_BYTES = 64 << 20
GZIP_MAGIC = b"\x1f\x8b"
"""first bytes of a gzip or bgzip file"""
_WHITESPACE = b" \t\r\n\v\f"
_CODES = encode(bytes(range(256))).tobytes()
_ILLEGAL_BYTE = bytes([ILLEGAL])


@contextmanager
def open_bytes(path: Path) -> Iterator[BinaryIO]:
    """Open a file for reading, decompressing gzip and bgzip by content, not by name.

    Raises:
        UserError: the file cannot be read, or its gzip data is corrupted or ends early; raised on
            opening, or while reading inside the ``with``.
    """
    try:
        with path.open("rb") as raw:
            magic = raw.read(len(GZIP_MAGIC))
            raw.seek(0)
            if magic != GZIP_MAGIC:
                yield raw
                return
            with gzip.open(raw) as unpacked:
                yield cast(BinaryIO, unpacked)
    except DiskError:  # of what is written in the block
        raise
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise UserError(
            f"{path}: corrupted or truncated gzip ({error}); fetch or write the file again"
        ) from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror or error})") from None


def read_fasta(
    path: Path, *, length: int | None = None, chunk: int = 8192
) -> Generator[NDArray[np.uint8], None, None]:
    """Yield the encoded sequences of a FASTA file, chunk by chunk, in the order of the file.

    Lines may be wrapped, end in LF or CRLF, and be in either case; U is read as T, and blanks
    inside a sequence are ignored. Memory does not grow with the number of records.

    Args:
        path: plain, gzip or bgzip.
        length: length that every sequence must have, in bases; by default that of the first.
        chunk: records in an array; fewer where they are long, and in the last array.

    Yields:
        (k, length) uint8 codes, 1 <= k <= chunk, C-contiguous.

    Raises:
        UserError: the file is not FASTA, is empty or damaged, or holds a letter other than ACGTUN,
            sequences whose lengths differ or a record that is longer than LONGEST_RECORD.
    """
    with closing(read_named(path, length=length, chunk=chunk)) as chunks:
        for _, codes in chunks:
            yield codes


def read_named(
    path: Path, *, length: int | None = None, chunk: int = 8192
) -> Generator[tuple[list[str], NDArray[np.uint8]], None, None]:
    """Yield the sequences of a FASTA file with the names of their records, chunk by chunk.

    Arguments and errors are those of :func:`read_fasta`.

    Yields:
        k names, each the first word behind '>' ("" where there is none), and (k, length) uint8
        codes.
    """
    records: list[bytes] = []
    size = 0
    with open_bytes(path) as stream:
        for record in _split_records(stream, path):
            records.append(record)
            size += len(record)
            if len(records) == chunk or size >= _CHUNK_BYTES:
                codes = _encode_records(records, path, length)
                length = codes.shape[1]
                names = [_name(record) for record in records]
                records, size = [], 0
                yield names, codes
    if records:
        yield [_name(record) for record in records], _encode_records(records, path, length)


def _split_records(stream: BinaryIO, path: Path) -> Iterator[bytes]:
    """Yield records without their leading '>'; a record may span any number of blocks."""
    pending = _start(stream, path)
    searched = 0
    while True:
        last = pending.rfind(b"\n>", searched)
        if last >= 0:
            yield from pending[:last].split(b"\n>")
            pending = pending[last + 2 :]
        if len(pending) > LONGEST_RECORD:
            raise too_large(
                f"{path}: record {_label(pending[:_BLOCK_BYTES])!r}",
                LONGEST_RECORD,
                "give windows, or a genome under the key genome",
            )
        # a border may be cut in two by the next block
        searched = max(0, len(pending) - 1)
        block = stream.read(_BLOCK_BYTES)
        if not block:
            break
        pending += block
    yield pending


def _start(stream: BinaryIO, path: Path) -> bytes:
    """Return the first block, from behind the first '>'."""
    block = b""
    for _ in range(LONGEST_RECORD // _BLOCK_BYTES):
        block = stream.read(_BLOCK_BYTES)
        if not block:
            raise UserError(f"{path}: no sequences (the file is empty); give a FASTA file")
        if block.lstrip(_WHITESPACE):
            break
    if b"\0" in block:
        raise UserError(f"{path}: not a text file; give FASTA, plain or compressed with gzip")
    text = block.lstrip(_WHITESPACE)
    if not text.startswith(b">"):
        first = _show(text.partition(b"\n")[0])
        raise UserError(
            f"{path}: text before the first '>': {first!r}; a FASTA record starts with '>name'"
        )
    return text[1:]


def _encode_records(records: list[bytes], path: Path, length: int | None) -> NDArray[np.uint8]:
    """Return the (k, length) codes of records; a length of None becomes that of the first."""
    sequences = []
    for record in records:
        # translate() encodes and drops line ends in one pass over the bytes
        codes = record.partition(b"\n")[2].translate(_CODES, _WHITESPACE)
        if len(codes) != length:
            if not codes:
                raise UserError(
                    f"{path}: record {_label(record)!r} has no sequence; add it or remove it"
                )
            if length is not None:
                _check_letters(record, codes, path)
                raise UserError(
                    f"{path}: record {_label(record)!r} has {len(codes)} bases, wanted {length}; "
                    "all sequences must have one length"
                )
            length = len(codes)
        sequences.append(codes)
    joined = bytearray().join(sequences)
    if _ILLEGAL_BYTE in joined:
        for record, codes in zip(records, sequences, strict=True):
            _check_letters(record, codes, path)
    return np.frombuffer(joined, dtype=np.uint8).reshape(len(records), -1)


def _check_letters(record: bytes, codes: bytes, path: Path) -> None:
    """Raise UserError for the first letter of a record that is no base."""
    place = codes.find(_ILLEGAL_BYTE)
    if place < 0:
        return
    letter = _show(record.partition(b"\n")[2].translate(None, _WHITESPACE)[place : place + 1])
    raise UserError(
        f"{path}: record {_label(record)!r}, position {place + 1}: illegal letter {letter!r}; "
        "use ACGTU or N"
    )


def _name(record: bytes) -> str:
    """Return the first word of a record's header."""
    words = record.partition(b"\n")[0].split()
    return words[0].decode("latin-1") if words else ""


def _label(record: bytes) -> str:
    """Return a record's name, shortened for an error message."""
    return _name(record)[:40]


def _show(text: bytes) -> str:
    """Return the beginning of a piece of a file, for an error message."""
    return text[:40].decode("latin-1").strip()
