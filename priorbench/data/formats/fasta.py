"""FASTA files, plain, gzip or bgzip, read as a stream of encoded sequences."""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from priorbench.errors import UserError
from priorbench.storage.files import DiskError

from .bounded import LONGEST_RECORD, too_large
from .foreign import HEAD_BYTES, refuse_other_than_fasta, refuse_packed
from .notes import Notes
from .sequences.encoder import Records, SequenceEncoder

_BLOCK_BYTES = 4 << 20
_CHUNK_BYTES = 64 << 20
GZIP_MAGIC = b"\x1f\x8b"
"""first bytes of a gzip or bgzip file"""
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_WHITESPACE = b" \t\r\n\v\f"
_COMMENT = re.compile(rb"^;.*$", re.MULTILINE)


@contextmanager
def open_bytes(path: Path) -> Iterator[BinaryIO]:
    """Open a file for reading, decompressing gzip and bgzip by content, not by name.

    Raises:
        UserError: the file cannot be read, is a folder, an archive or text of 16-bit characters,
            or its gzip data is corrupted or ends early; raised on opening, or while reading inside
            the ``with``.
    """
    try:
        with path.open("rb") as raw:
            magic = raw.read(HEAD_BYTES)
            raw.seek(0)
            if not magic.startswith(GZIP_MAGIC):
                refuse_packed(magic, path)
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
    except IsADirectoryError:
        raise UserError(f"{path}: is a folder; give a file") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror or error})") from None


def read_named(
    path: Path,
    *,
    length: int | None = None,
    fit: bool = False,
    notes: Notes | None = None,
    chunk: int = 8192,
) -> Generator[Records, None, None]:
    """Yield the records of a FASTA file, chunk by chunk, in the order of the file.

    Lines may be wrapped, end in LF, CRLF or CR, and be in either case; U is read as T, IUPAC codes
    as N; blanks inside a sequence and lines that begin with ';' are ignored. A record without a
    sequence is left out. Memory does not grow with the number of records.

    Args:
        path: plain, gzip or bgzip.
        length: length that every sequence must have, in bases; by default that of the first.
        fit: whether sequences of another length are cropped or padded with N around the centre.
        notes: takes what was changed or left out, once the file was read to its end; None where
            the file is read a second time.
        chunk: records at once; fewer where they are long, and in the last chunk.

    Yields:
        records whose name is the first word behind '>' ("" where there is none).

    Raises:
        UserError: the file is not FASTA, is empty or damaged, or holds a letter that is no base,
            sequences whose lengths differ or a record that is longer than LONGEST_RECORD.
    """
    encoder = SequenceEncoder(path, length, fit=fit)
    some = False
    with open_bytes(path) as stream:
        for batch in _batches(_split_records(stream, path), chunk):
            names = [_name(record) for record in batch]
            records = encoder.encode(names, [_letters(record) for record in batch])
            if len(records):
                some = True
                yield records
    if not some:
        raise UserError(f"{path}: no sequences below its names; give a FASTA file")
    if notes is not None:
        encoder.tell(notes)


def lengths_in(path: Path) -> dict[int, tuple[int, str]]:
    """Return the number of records of each length in a FASTA file, with the name of the first.

    Arguments and errors are those of :func:`read_named`; letters are not looked at.
    """
    lengths: dict[int, tuple[int, str]] = {}
    for name, letters in read_letters(path):
        count, first = lengths.get(len(letters), (0, name))
        lengths[len(letters)] = count + 1, first
    lengths.pop(0, None)  # left out by all who read
    return lengths


def read_letters(path: Path) -> Generator[tuple[str, bytes], None, None]:
    """Yield the name and the letters of every record of a FASTA file, whatever letters these are.

    Layout and errors are those of :func:`read_named`; letters are not looked at.
    """
    with open_bytes(path) as stream:
        for record in _split_records(stream, path):
            yield _name(record), _letters(record).translate(None, _WHITESPACE)


def _batches(records: Iterator[bytes], most: int) -> Iterator[list[bytes]]:
    """Yield lists of at most ``most`` records, fewer where they are long."""
    batch: list[bytes] = []
    size = 0
    for record in records:
        batch.append(record)
        size += len(record)
        if len(batch) == most or size >= _CHUNK_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


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
                f"{path}: record {_name(pending[:_BLOCK_BYTES])[:40]!r}",
                LONGEST_RECORD,
                "give windows, or a genome under the key genome",
            )
        # a border may be cut in two by the next block
        searched = max(0, len(pending) - 1)
        block = _read_block(stream)
        if not block:
            break
        pending += block
    yield pending


def _read_block(stream: BinaryIO) -> bytes:
    """Return the next block with line ends of any kind as LF, of which there may be more."""
    return stream.read(_BLOCK_BYTES).replace(b"\r", b"\n")


def _start(stream: BinaryIO, path: Path) -> bytes:
    """Return the first block, from behind the first '>'; blank and comment lines may precede it."""
    head = stream.read(max(_BLOCK_BYTES, HEAD_BYTES)).removeprefix(_BYTE_ORDER_MARK)
    refuse_other_than_fasta(head[:HEAD_BYTES], path)
    text = head.replace(b"\r", b"\n").lstrip(_WHITESPACE)
    size = len(head)
    while not text or text[:1] in b";#":
        comment, end, text = text.partition(b"\n")
        if not end:
            block = _read_block(stream)
            size += len(block)
            if not block or size > LONGEST_RECORD:
                raise UserError(f"{path}: no sequences (the file is empty); give a FASTA file")
            text = comment + block
        text = text.lstrip(_WHITESPACE)
    if not text.startswith(b">"):
        first = text.partition(b"\n")[0][:40].decode("utf-8", errors="replace").strip()
        raise UserError(
            f"{path}: text before the first '>': {first!r}; a FASTA record starts with '>name'"
        )
    return text[1:]


def _letters(record: bytes) -> bytes:
    """Return what stands below a record's header, without comments."""
    text = record.partition(b"\n")[2]
    return _COMMENT.sub(b"", text) if b";" in text else text


def _name(record: bytes) -> str:
    """Return the first word of a record's header."""
    words = record.partition(b"\n")[0].split(None, 1)
    return words[0].decode("utf-8", errors="replace") if words else ""
