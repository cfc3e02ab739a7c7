from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from priorbench.data.formats import fasta
from priorbench.data.formats.fasta import read_fasta
from priorbench.encoding import decode
from priorbench.errors import UserError


def texts(path: Path, **options: int) -> list[str]:
    return [decode(row) for codes in read_fasta(path, **options) for row in codes]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "x.fa"


@pytest.mark.parametrize(
    "contents",
    [
        b">a first\nACGTNA\n>b\nTTTTGG\n",
        b">a\nACG\nTNA\n>b\nTTTTG\nG",
        b">a\r\nACG\r\nTNA\r\n>b\r\nTTTTGG\r\n",
        b"\n\n>a\nacg\n\nunA\n\n>b\nuuuugg\n\n",
        b">a\nACG TNA\n>b>c\nTTTTGG\n",
    ],
    ids=["plain", "wrapped", "crlf", "lower-and-u", "blanks"],
)
@pytest.mark.parametrize("packed", [False, True])
def test_reads_every_layout(path: Path, contents: bytes, packed: bool) -> None:
    path.write_bytes(gzip.compress(contents) if packed else contents)
    assert texts(path) == ["ACGTNA", "TTTTGG"]


def test_gzip_of_several_members_is_read_whole(path: Path) -> None:
    path.write_bytes(gzip.compress(b">a\nAC", mtime=0) + gzip.compress(b"GT\n>b\nTTTT\n"))
    assert texts(path) == ["ACGT", "TTTT"]


@pytest.mark.parametrize("block", [1, 2, 3, 5, 7, 64])
def test_block_borders_do_not_matter(
    path: Path, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    path.write_bytes(b"".join(b">r%d\nAC\nGT\n" % number for number in range(11)))
    monkeypatch.setattr(fasta, "_BLOCK_BYTES", block)
    assert texts(path) == ["ACGT"] * 11


@pytest.mark.parametrize("chunk", [1, 3, 10, 11])
def test_chunks_are_of_the_wanted_size(path: Path, chunk: int) -> None:
    path.write_text("".join(f">r{number}\nACGT\n" for number in range(10)))
    chunks = list(read_fasta(path, chunk=chunk))
    assert [len(codes) for codes in chunks[:-1]] == [chunk] * (len(chunks) - 1)
    assert sum(map(len, chunks)) == 10
    assert chunks[0].dtype == np.uint8
    assert chunks[0].flags.c_contiguous


def test_long_sequences_come_in_smaller_chunks(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path.write_text("".join(f">r{number}\n{'A' * 100}\n" for number in range(6)))
    monkeypatch.setattr(fasta, "_CHUNK_BYTES", 200)
    assert [len(codes) for codes in read_fasta(path)] == [2, 2, 2]


@pytest.mark.parametrize(
    ("contents", "message"),
    [
        (
            b">a\nACGT\n>b two\nAC\nXT\n",
            r"x\.fa: record 'b', position 3: illegal letter 'X'.*ACGTU",
        ),
        (b">a\nACGT\n>b\nAC-TT\n", r"record 'b', position 3: illegal letter '-'"),
        (b"", "no sequences"),
        (b" \n\n", "no sequences"),
        (b">a\nACGT\n>b\nACG\n", r"record 'b' has 3 bases, wanted 4"),
        (b"hello\n>a\nACGT\n", "text before the first '>': 'hello'"),
        (b">a\n>b\nACGT\n", "record 'a' has no sequence"),
        (b">a\nACGT\n>b\n", "record 'b' has no sequence"),
        (b">a\nACGT\n>", "record '' has no sequence"),
        (b">a\nAC\0GT\n", "not a text file"),
        (gzip.compress(b">a\nACGT\n" * 99, mtime=0)[:-12], "corrupted or truncated gzip"),
        (b"\x1f\x8b" + b"junk" * 9, "corrupted or truncated gzip"),
    ],
)
def test_errors_name_file_place_and_value(path: Path, contents: bytes, message: str) -> None:
    path.write_bytes(contents)
    with pytest.raises(UserError, match=message) as caught:
        texts(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


def test_wanted_length_is_checked_in_the_first_record(path: Path) -> None:
    path.write_text(">a\nACGT\n")
    with pytest.raises(UserError, match="'a' has 4 bases, wanted 5"):
        texts(path, length=5)


def test_illegal_letters_are_told_before_the_length(path: Path) -> None:
    path.write_text(">a\nACGT*\n")
    with pytest.raises(UserError, match="position 5: illegal letter"):
        texts(path, length=4)


def test_missing_file_is_one_line(path: Path) -> None:
    with pytest.raises(UserError, match="cannot be read"):
        texts(path)
