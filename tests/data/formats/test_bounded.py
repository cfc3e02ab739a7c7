"""Files that unpack to more than anybody means to give: refused by a limit that is named."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from priorbench.data.formats import bounded, fasta, motifs
from priorbench.data.formats.bed import read_bed
from priorbench.data.formats.genomes import genome
from priorbench.data.formats.genomes.genome import Genome
from priorbench.data.formats.motifs import read_motifs
from priorbench.data.formats.notes import Notes
from priorbench.data.readers.sequences.label_table import read_labels
from priorbench.errors import UserError

MIB = bounded.MEGABYTE
READERS: dict[str, Callable[[Path], Any]] = {
    "fasta": lambda path: list(fasta.read_named(path)),
    "bed": lambda path: read_bed(path, Notes()),
    "labels": read_labels,
    "motifs": lambda path: read_motifs(path, Notes()),
    "genome": Genome,
}


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Make every limit a megabyte or two, and ten lines."""
    monkeypatch.setenv("PRIORBENCH_CACHE", str(tmp_path / "cache"))
    for module in (bounded, fasta, genome, motifs):
        for name in vars(module):
            if name.startswith(("LONGEST_", "LARGEST_")) and name != "LONGEST_NAME":
                monkeypatch.setattr(module, name, 2 * MIB if name == "LARGEST_TEXT" else MIB)
    monkeypatch.setattr(fasta, "_BLOCK_BYTES", MIB // 4)
    monkeypatch.setattr(bounded, "MOST_LINES", 10)
    monkeypatch.setattr(genome, "UNPACKED_SHARE", 1)


def packed(folder: Path, contents: bytes) -> Path:
    path = folder / "x.gz"
    path.write_bytes(gzip.compress(contents, 1))
    return path


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("first", [b">x\n", b""])
def test_a_line_that_does_not_end(tmp_path: Path, reader: str, first: bytes) -> None:
    path = packed(tmp_path, first + b"A" * (4 * MIB))
    with pytest.raises(UserError) as caught:
        READERS[reader](path)
    message = str(caught.value)
    assert message.startswith(str(path))
    assert len(message) < 300
    if first and reader not in ("bed", "labels"):  # their first line is wrong anyway
        assert "MiB, the most that is read; " in message
    assert not list(tmp_path.glob("cache/genomes/*/*"))


@pytest.mark.parametrize("reader", ["bed", "labels"])
@pytest.mark.parametrize(
    ("contents", "message"),
    [
        (b"chr1\t1\t2" + b"\t" * (2 * MIB), "line 1 has more than 1 MiB, the most that is read"),
        ((b"chr1\t1\t2" + b"\t" * (MIB - 10) + b"\n") * 4, "has more than 2 MiB"),
        (b"chr1\t1\t2\n" * 11, "more than 10 lines, the most that are read"),
    ],
)
def test_a_table_that_does_not_end(
    tmp_path: Path, reader: str, contents: bytes, message: str
) -> None:
    with pytest.raises(UserError, match=message):
        READERS[reader](packed(tmp_path, contents))


def test_a_name_that_does_not_end(tmp_path: Path) -> None:
    path = packed(tmp_path, b"c" * 256 + b"\t1\t2\n")
    with pytest.raises(UserError, match=r"line 1: the chromosome's name has more than 255"):
        read_bed(path, Notes())


def test_labels_of_many_columns_and_short_lines(tmp_path: Path) -> None:
    names = "\t".join(f"o{number}" for number in range(1000))
    path = packed(tmp_path, f"id\t{names}\na\t0\n".encode())
    with pytest.raises(UserError, match=r"line 2 has 2 columns, wanted 1001; "):
        read_labels(path)
