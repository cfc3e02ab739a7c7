from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from fixtures.genomes import random_text, write_genome

from priorbench.data.formats.genome import Genome, stretches
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


@pytest.mark.parametrize(
    "contents", [b"", b"hello\n", b">a\nACGT\nAC\nACGT\n", b">a\nAC\n>a\nAC\n", b">a\n\xff\n"]
)
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
