from __future__ import annotations

import gzip
import hashlib
from pathlib import Path

import numpy as np
import pytest
from fixtures.damage import MANY, damaged, result_or_line
from fixtures.genomes import random_text, two_bit, write_genome
from hypothesis import given
from hypothesis import strategies as st

from priorbench.data.formats.genomes.genome import Genome, stretches
from priorbench.encoding import decode
from priorbench.errors import UserError


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PRIORBENCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.mark.parametrize("name", ["g.fa", "g.fa.gz"])
def test_windows_are_the_letters_of_the_file(tmp_path: Path, name: str) -> None:
    text = random_text(100)
    with Genome(write_genome(tmp_path / name, {"a": text, "b": "acgurykn"})) as genome:
        assert genome.lengths == {"a": 100, "b": 8}
        chrom, start = np.array(["a"] * 101), np.append(np.arange(96), [0] * 5)
        rows = genome.windows(chrom, start, 5)
        assert [decode(row) for row in rows[:96]] == [text[at : at + 5] for at in range(96)]
        assert decode(genome.fetch("b", 0, 8)) == "ACGTNNNN"
        assert decode(genome.fetch("a", 0, 100)) == text


def test_gzip_is_unpacked_once_and_said(tmp_path: Path, cache: Path) -> None:
    path = write_genome(tmp_path / "g.fa.gz", {"a": "ACGT"})
    with Genome(path) as genome:
        assert len(genome.notes.sentences) == 1
        assert "unpacked once" in genome.notes.sentences[0]
    with Genome(path) as genome:
        assert genome.notes.sentences == []
    write_genome(path, {"a": "ACGTTT"})
    with Genome(path) as genome:
        assert genome.lengths == {"a": 6}
    assert not list(cache.glob("**/tmp*"))


def test_nothing_is_written_beside_the_genome(tmp_path: Path) -> None:
    (tmp_path / "g").mkdir()
    with Genome(write_genome(tmp_path / "g" / "g.fa", {"a": "ACGT"})):
        pass
    assert [path.name for path in (tmp_path / "g").iterdir()] == ["g.fa"]


@pytest.mark.parametrize("contents", [b"hello\n", b">a\nAC\n>a\nAC\n", b">a\n\xff\n"])
def test_files_that_cannot_be_indexed(tmp_path: Path, contents: bytes) -> None:
    path = tmp_path / "g.fa"
    path.write_bytes(contents)
    with pytest.raises(UserError, match="not a FASTA that can be indexed") as caught:
        Genome(path)
    assert "\n" not in str(caught.value)


def test_truncated_gzip_and_missing_file(tmp_path: Path, cache: Path) -> None:
    path = write_genome(tmp_path / "g.fa.gz", {"a": random_text(1000)})
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(UserError, match="corrupted or truncated gzip"):
        Genome(path)
    assert [file for file in cache.glob("**/*") if file.is_file()] == []
    with pytest.raises(UserError, match="cannot be opened"):
        Genome(tmp_path / "gone.fa")


def test_illegal_letter_in_a_window(tmp_path: Path) -> None:
    path = write_genome(tmp_path / "g.fa", {"a": "ACGTACGTAC*T"})
    with Genome(path) as genome, pytest.raises(UserError, match=r"a, position 11: illegal .*'\*'"):
        genome.fetch("a", 8, 4)


def test_stretches_hold_every_row_once_and_stay_short() -> None:
    rng = np.random.default_rng(0)
    chrom = np.array(["a", "b"])[rng.integers(0, 2, 400)]
    start = np.where(
        rng.random(400) < 0.5, rng.integers(0, 50_000, 400), rng.integers(0, 9**8, 400)
    )
    parts = list(stretches(chrom, start, 100))
    assert sorted(np.concatenate(parts).tolist()) == list(range(400))
    for rows in parts:
        assert len(set(chrom[rows])) == 1
        assert np.ptp(start[rows]) < 1_000_000
        assert (np.diff(np.sort(start[rows])) <= 5_100).all()
    assert len(parts) < 260  # the half that lies together is read together
    assert list(stretches(chrom[:0], start[:0], 100)) == []
    long = np.arange(0, 3_000_000, 1000)
    assert len(list(stretches(np.full(3000, "a"), long, 100))) == 3


LAYOUTS = {
    "crlf": b">a d\r\nACGTA\r\nCGT\r\n>b\r\nTTTTT\r\nGG\r\n",
    "cr": b">a d\rACGTA\rCGT\r>b\rTTTTT\rGG\r",
    "cr-at-once": b">a\rACGTACGT\r>b\rTTTTTGG\r",
    "mark": b"\xef\xbb\xbf>a d\nACGTA\nCGT\n>b\nTTTTT\nGG\n",
    "uneven": b">a\nACG\nTACGT\n>b\nTTTTT\nGG\n",
    "mixed-ends": b">a\nACGTA\r\nCGT\n>b\nTTTTT\nGG",
    "blank-lines": b"\n>a\nACGTA\n\nCGT\n\n>b\nTTTTT\nGG\n\n\n",
    "comments": b"; made by hand\n>a\nACGTA\nCGT\n>b\nTTTTT\nGG",
    "lower": b">a\nacgta\ncgt\n>b\nuuTTT\nGG",
}


@pytest.mark.parametrize("name", LAYOUTS)
@pytest.mark.parametrize("packed", [False, True])
def test_lines_of_any_layout_give_the_letters_of_the_file(
    tmp_path: Path, name: str, packed: bool
) -> None:
    path = tmp_path / "g.fa"
    path.write_bytes(gzip.compress(LAYOUTS[name]) if packed else LAYOUTS[name])
    for time in range(2):  # the second time, from the cache
        with Genome(path) as genome:
            assert genome.lengths == {"a": 8, "b": 7}
            for chrom, text in (("a", "ACGTACGT"), ("b", "TTTTTGG")):
                for start in range(len(text)):
                    for length in range(1, len(text) - start + 1):
                        wanted = text[start : start + length]
                        assert decode(genome.fetch(chrom, start, length)) == wanted
            notes = " ".join(genome.notes.sentences)
            copied = "not all of one length; copied once to" in notes
            uneven = name in ("cr", "cr-at-once", "mark", "uneven", "blank-lines")
            assert copied == (uneven and time == 0)


SEQUENCES = {"chr1": "NNN" + "ACGTacgtN" * 30 + "n", "chr2": "ACGGT" * 30, "e": "T"}


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("version", [0, 1])
@pytest.mark.parametrize("name", ["g.2bit", "g.fa", "g.2bit.gz"])
def test_a_2bit_genome_is_told_by_its_contents(
    tmp_path: Path, name: str, version: int, order: str
) -> None:
    path = tmp_path / name
    contents = two_bit(SEQUENCES, version=version, order=order)
    path.write_bytes(gzip.compress(contents) if name.endswith("gz") else contents)
    with Genome(path) as genome:
        assert genome.lengths == {chrom: len(text) for chrom, text in SEQUENCES.items()}
        for chrom, text in SEQUENCES.items():
            for start in range(0, len(text), 7):
                for length in (1, 2, 3, 4, 50):
                    wanted = text[start : start + length].upper()
                    assert decode(genome.fetch(chrom, start, len(wanted))) == wanted
        chrom, start = np.array(["chr1", "chr2", "chr1"]), np.array([5, 0, 100])
        rows = genome.windows(chrom, start, 20)
        assert [decode(row) for row in rows] == [
            SEQUENCES[c][s : s + 20].upper() for c, s in zip(chrom.tolist(), start, strict=True)
        ]
        with pytest.raises(UserError, match="chromosome 'chr3' is not in"):
            genome.require("chr3", "x.bed: line 1")


@pytest.mark.parametrize(
    ("contents", "message"),
    [
        (two_bit(SEQUENCES)[:-3], "truncated or damaged 2bit file; fetch it again"),
        (two_bit(SEQUENCES)[:9], "truncated or damaged 2bit file"),
        (two_bit(SEQUENCES, version=7), "version 7 of 2bit is not known"),
        (b"", "the file is empty; give a FASTA or 2bit file"),
        (b"@r\nACGT\n+\nIIII\n", "FASTQ or SAM .* not FASTA"),
        (">a\nACGT\n".encode("utf-16"), "UTF-16 text"),
        (b"PK\x03\x04rest", "a zip archive; unpack it"),
        (b"\x26\xfc\x8f\x88rest", "a bigWig file, not FASTA"),
        (b">\nACGT\n", "not a FASTA that can be indexed"),
    ],
)
def test_foreign_and_damaged_genomes_are_one_line(
    tmp_path: Path, contents: bytes, message: str
) -> None:
    path = tmp_path / "g.fa"
    path.write_bytes(contents)
    with pytest.raises(UserError, match=message) as caught:
        Genome(path)
    assert "\n" not in str(caught.value)
    with pytest.raises(UserError, match="is a folder; give a FASTA or 2bit file"):
        Genome(tmp_path)


GENOME = b">a first\nACGTN\nacgtR\nAC\n>b\nTTTTT\nGGGGG\n"
GENOMES = {"fasta": GENOME, "2bit": two_bit(SEQUENCES)}


@pytest.mark.parametrize("kind", GENOMES)
@MANY
@given(data=st.data())
def test_damage_gives_windows_or_one_line(tmp_path: Path, kind: str, data: st.DataObject) -> None:
    contents = data.draw(damaged(GENOMES[kind]))
    path = tmp_path / f"{hashlib.sha256(contents).hexdigest()}.fa"
    path.write_bytes(contents)

    def read() -> dict[str, str]:
        with Genome(path) as genome:
            return {
                name: decode(genome.fetch(name, 0, length))
                for name, length in genome.lengths.items()
                if length < 10_000_000
            }

    texts = result_or_line(read, path)
    if texts is None or kind == "2bit":
        return
    lines = contents.removeprefix(b"\xef\xbb\xbf").replace(b"\r", b"\n").split(b"\n")
    assert len(texts) == sum(line.startswith(b">") for line in lines)
    letters = b"".join(line for line in lines if line[:1] not in (b">", b";"))
    assert sum(map(len, texts.values())) == len(letters.translate(None, b" \t\v\f"))
