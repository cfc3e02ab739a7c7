from __future__ import annotations

import bz2
import gzip
import lzma
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fixtures.damage import MANY, damaged, result_or_line
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from priorbench.data.formats import fasta
from priorbench.data.formats.fasta import lengths_in, read_named
from priorbench.data.formats.notes import Notes
from priorbench.encoding import decode
from priorbench.errors import UserError


def chunks_of(path: Path, **options: Any) -> Iterator[NDArray[np.uint8]]:
    return (records.codes for records in read_named(path, **options))


def texts(path: Path, **options: int) -> list[str]:
    return [decode(row) for codes in chunks_of(path, **options) for row in codes]


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
        b">a\rACG\rTNA\r>b\rTTTTGG\r",
        b"\xef\xbb\xbf>a\r\nACGTNA\r\n>b\r\nTTTTGG",
        b"; made by hand\n#\n>a\n;comment > here\nACG\nTNA\n>b\nTTuUGG\n;\n",
        b">\nACGTnA\n>\nTTTTgg\n",
    ],
    ids=["plain", "wrapped", "crlf", "u", "blanks", "cr", "mark", "comments", "no-names"],
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
    chunks = list(chunks_of(path, chunk=chunk))
    assert [len(codes) for codes in chunks[:-1]] == [chunk] * (len(chunks) - 1)
    assert sum(map(len, chunks)) == 10
    assert chunks[0].dtype == np.uint8
    assert chunks[0].flags.c_contiguous


def test_long_sequences_come_in_smaller_chunks(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path.write_text("".join(f">r{number}\n{'A' * 100}\n" for number in range(6)))
    monkeypatch.setattr(fasta, "_CHUNK_BYTES", 200)
    assert [len(codes) for codes in chunks_of(path)] == [2, 2, 2]


@pytest.mark.parametrize(
    ("contents", "message"),
    [
        (
            b">a\nACGT\n>b two\nAC\n?T\n",
            r"x\.fa: record 'b', position 3: illegal letter '\?'.*ACGTU",
        ),
        (b">a\nMKEL\n", "position 3: illegal letter 'E', a letter of proteins; give DNA"),
        (b">a\nACGT*\n", r"illegal letter '\*', which ends a protein"),
        (b">a\nAC.T\n", r"illegal letter '\.', a gap of an alignment"),
        (b">a\n 1 acgtac\n", "illegal letter '1', a digit, as in GenBank"),
        (b">a\nACGT>b\nACGT\n", "illegal letter '>'; a line must end|'>', a line must end"),
        (b">\nACGT\n>\nAC?T\n", r"record 2 \(without a name\), position 3"),
        (b"@r1\nACGT\n+\nIIII\n", "FASTQ or SAM .* not FASTA; give FASTA"),
        (b"LOCUS  X 4 bp\n", "a GenBank file, not FASTA"),
        (b"<!DOCTYPE html>", "a web page or XML, not FASTA"),
        (">a\nACGT\n".encode("utf-16"), "UTF-16 text; save it as plain text"),
        (b"PK\x03\x04rest", "a zip archive; unpack it"),
        (bz2.compress(b">a\nACGT\n"), "packed with bzip2; unpack it"),
        (lzma.compress(b">a\nACGT\n"), "packed with xz; unpack it"),
        (b"\x28\xb5\x2f\xfdrest", "packed with zstd; unpack it"),
        (gzip.compress(gzip.compress(b">a\n", mtime=0), mtime=0), "packed with gzip twice"),
        (b"\x43\x27\x41\x1a" + bytes(12), "a 2bit genome, not FASTA"),
        (b"#\n; nothing\n", "no sequences"),
        (b">a\n>b\n", "no sequences"),
        (b">a\nACGT\n>b\nAC-TT\n", r"record 'b', position 3: illegal letter '-'"),
        (b"", "no sequences"),
        (b" \n\n", "no sequences"),
        (b">a\nACGT\n>b\nACG\n", r"record 'b' has 3 bases, wanted 4"),
        (b"hello\n>a\nACGT\n", "text before the first '>': 'hello'"),
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


@pytest.mark.parametrize("chunk", [1, 2, 8192])
def test_codes_of_several_bases_are_n_and_counted(path: Path, chunk: int) -> None:
    letters = "RYSWKMBDHVX"
    path.write_text(f">a\n{letters}ACGT\n>b\n{letters.lower()}NNNN\n>c\n{'A' * 15}\n>d\n")
    notes = Notes()
    rows = [row for codes in chunks_of(path, notes=notes, chunk=chunk) for row in codes]
    assert [decode(row) for row in rows] == ["N" * 11 + "ACGT", "N" * 15, "A" * 15]
    assert notes.sentences == [
        "Read 22 bases of 2 sequences of x.fa as N: IUPAC codes such as R for A or G.",
        "Dropped 1 records of x.fa: no sequence.",
    ]


def test_sequences_are_fitted_around_their_centre(path: Path) -> None:
    path.write_text(">a\nACGTA\n>b\nAC\n>c\nACGTAC\n>d\nC\n>e\nACGTACGT\n")
    notes = Notes()
    (records,) = read_named(path, length=5, fit=True, notes=notes)
    assert [decode(row) for row in records.codes] == ["ACGTA", "NACNN", "CGTAC", "NNCNN", "GTACG"]
    assert records.names.tolist() == list("abcde")
    assert records.lengths.tolist() == [5, 2, 6, 1, 8]
    written = path.read_text().split()[1::2]
    for text, first, row in zip(written, records.first, records.codes, strict=True):
        for place, letter in enumerate(text):
            inside = 0 <= place - first < 5
            assert not inside or decode(row)[place - first] == letter
    assert notes.sentences == [
        "Brought to 5 bases around the centre in x.fa: 2 sequences cropped, 2 padded with N."
    ]
    (even,) = read_named(path, length=4, fit=True)
    assert [decode(row) for row in even.codes] == ["ACGT", "NACN", "CGTA", "NNCN", "GTAC"]


def test_lengths_are_counted_with_the_first_name(path: Path) -> None:
    path.write_bytes(b">a x\rAC\rG\r>b\rAC GT\r>c\rA?C\r>d\r")
    assert lengths_in(path) == {3: (2, "a"), 4: (1, "b")}


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is a folder; give a file"):
        texts(tmp_path)


GOOD = b">one first\nACGTN\nacgtR\n>two\r\nTTTTTGGGGG\r\n>three\nUUUUUCCCCC\n"


@MANY
@given(contents=damaged(GOOD), packed=st.booleans(), fit=st.booleans())
def test_damage_gives_records_or_one_line(
    path: Path, contents: bytes, packed: bool, fit: bool
) -> None:
    path.write_bytes(gzip.compress(contents) if packed else contents)
    notes = Notes()
    length = 10 if fit else None
    parts = result_or_line(
        lambda: list(read_named(path, length=length, fit=fit, notes=notes)), path
    )
    if parts is None:
        return
    # line ends of any kind before '>' begin a record, and so does the file's beginning
    text = contents.removeprefix(b"\xef\xbb\xbf").replace(b"\r", b"\n")
    written = (b"\n" + text).count(b"\n>")
    dropped = sum(int(s.split()[1]) for s in notes.sentences if s.startswith("Dropped"))
    assert sum(map(len, parts)) + dropped == written


def test_missing_file_is_one_line(path: Path) -> None:
    with pytest.raises(UserError, match="cannot be read"):
        texts(path)
