"""Windows of a genome and its splits by region."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from fixtures.genomes import intervals, random_text, write_genome

from priorbench.data.codes import TEST, TRAIN, VALID
from priorbench.data.formats.genomes.genome import Genome
from priorbench.data.formats.notes import Notes
from priorbench.data.formats.regions import Region
from priorbench.data.readers.genome_splits import Segment, choose_chromosomes, split_segments
from priorbench.data.readers.genome_windows import (
    Screening,
    Windows,
    note_overlapping,
    place_windows,
    screen,
)
from priorbench.data.readers.notes import note_unusable
from priorbench.errors import UserError

TOML = Path("data.toml")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRIORBENCH_CACHE", str(tmp_path / "cache"))


def test_chromosome_names(tmp_path: Path) -> None:
    with Genome(write_genome(tmp_path / "g.fa", {"chr1": "ACGT", "2": "ACGT"})) as genome:
        genome.require("chr1", "here")
        with pytest.raises(UserError, match="here: chromosome '1' is called 'chr1'"):
            genome.require("1", "here")
        with pytest.raises(UserError, match="chromosome 'chr2' is called '2'"):
            genome.require("chr2", "here")
        with pytest.raises(UserError, match=r"'chrX' is not in .*g\.fa .it has chr1, 2."):
            genome.require("chrX", "here")


def test_windows_that_overlap_are_counted(tmp_path: Path) -> None:
    windows = Windows(
        np.array(["a", "a", "a", "b", "a", "a"]),
        np.array([0, 9, 19, 5, 100, 105]),
        np.zeros(6, dtype=np.uint8),
        np.array([False, False, False, False, False, True]),
    )
    notes = Notes()
    note_overlapping(notes, windows, 10, tmp_path / "x.bed")
    (note,) = notes.sentences
    assert note == "2 of 6 windows of x.bed overlap another one."
    note_overlapping(notes, windows, 1, tmp_path / "x.bed")
    assert len(notes.sentences) == 1


def test_placing_drops_and_counts(tmp_path: Path) -> None:
    text = "a\t0\t4\na\t10\t14\na\t11\t13\na\t45\t55\na\t90\t92\na\t98\t100\n"
    segments = [Segment("a", 0, 50, TRAIN), Segment("a", 50, 100, TEST)]
    with Genome(write_genome(tmp_path / "g.fa", {"a": random_text(100)})) as genome:
        placed, dropped = place_windows(intervals(tmp_path, text), genome, segments, 10)
    assert placed.start.tolist() == [7, 86]
    assert placed.split.tolist() == [TRAIN, TEST]
    assert list(dropped.values()) == [2, 1, 1]


def test_segments_cover_every_chromosome_once(tmp_path: Path) -> None:
    with Genome(write_genome(tmp_path / "g.fa", {"a": "A" * 100, "b": "C" * 50})) as genome:
        segments = split_segments(
            genome, [Region("a", 20, 30)], [Region("a", 30, 40), Region("b")], path=TOML
        )
        assert segments == [
            Segment("a", 0, 20, TRAIN),
            Segment("a", 20, 30, VALID),
            Segment("a", 30, 40, TEST),
            Segment("a", 40, 100, TRAIN),
            Segment("b", 0, 50, TEST),
        ]
        with pytest.raises(UserError, match=r"test_regions: a:5-101 ends behind a, .*100 bp"):
            split_segments(genome, [], [Region("a", 5, 101)], path=TOML)
        with pytest.raises(UserError, match="valid_regions: chromosome 'c'"):
            split_segments(genome, [Region("c")], [], path=TOML)


def test_chosen_chromosomes_come_close_to_the_shares() -> None:
    names = [f"c{number}" for number in range(20)]
    valid, test = choose_chromosomes(np.repeat(names, 10), path=TOML)
    assert (len(valid), len(test)) == (2, 4)
    assert not set(valid) & set(test)
    valid, test = choose_chromosomes(np.array(["a", "b", "b", "c"] * 3), path=TOML)
    assert (len(valid), len(test)) == (1, 1)
    with pytest.raises(UserError, match="set valid_regions and test_regions"):
        choose_chromosomes(np.array(["a", "b"]), path=TOML)


def screened(tmp_path: Path, text: str, start: list[int], split: list[int], *, both: bool):
    windows = Windows(
        np.full(len(start), "a"),
        np.array(start),
        np.array(split, dtype=np.uint8),
        np.zeros(len(start), dtype=bool),
    )
    with Genome(write_genome(tmp_path / "g.fa", {"a": text})) as genome:
        return screen(genome, windows, 20, both_strands=both)


def test_windows_of_more_than_a_tenth_n_cannot_be_used(tmp_path: Path) -> None:
    text = "N" * 2 + random_text(18) + "N" * 3 + random_text(17, seed=1)
    screening = screened(tmp_path, text, [0, 20], [TRAIN, TRAIN], both=True)
    assert screening.unknown.tolist() == [False, True]
    assert screening.usable.tolist() == [True, False]


def test_windows_whose_sequence_is_in_a_later_split_cannot_be_used(tmp_path: Path) -> None:
    one, other = random_text(20), random_text(20, seed=1)
    turned = one[::-1].translate(str.maketrans("ACGT", "TGCA"))
    text, start = one + other + one + turned, [0, 20, 40, 60]
    screening = screened(tmp_path, text, start, [TRAIN, TRAIN, VALID, TEST], both=True)
    assert screening.leaking.tolist() == [True, False, True, False]
    screening = screened(tmp_path, text, start, [TRAIN, TRAIN, VALID, TEST], both=False)
    assert screening.leaking.tolist() == [True, False, False, False]
    # a repeat of N is dropped as such, and does not count twice
    empty = screened(tmp_path, "N" * 40, [0, 20], [TRAIN, TEST], both=True)
    assert (empty.unknown.tolist(), empty.leaking.tolist()) == ([True, True], [False, False])


def test_without_windows_nothing_is_screened(tmp_path: Path) -> None:
    assert screened(tmp_path, "ACGT", [], [], both=True).usable.tolist() == []


def test_notes_say_how_many_windows_cannot_be_used_and_why() -> None:
    unknown, leaking = np.arange(6) < 2, np.arange(6) == 4
    screening, notes = (
        Screening(unknown, leaking, np.arange(len(unknown), dtype=np.uint64)),
        Notes(),
    )
    note_unusable(notes, "positives", screening)
    assert notes.sentences == [
        "Dropped 2 positives: more than 10% N.",
        "Dropped 1 positives from training and validation: the same sequence is in the test or "
        "validation regions.",
    ]
    assert "more than 10% N" in notes.dropped_so_far()
    note_unusable(notes, "negatives", screening.select(~unknown & ~leaking))
    assert len(notes.sentences) == 2
