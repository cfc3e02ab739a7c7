"""Intervals held against a genome, and peaks that belong together."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from fixtures.genomes import intervals, write_genome

from priorbench.data.formats.bed import Intervals
from priorbench.data.formats.genomes.genome import Genome
from priorbench.data.formats.notes import Notes
from priorbench.data.formats.peaks import check_names, merge_peaks, on_genome
from priorbench.errors import UserError


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRIORBENCH_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def genome(tmp_path: Path):
    names = {"chr1": "ACGT" * 25, "2": "ACGT" * 25}
    with Genome(write_genome(tmp_path / "g.fa", names)) as opened:
        yield opened


def bed(folder: Path, **counts: int) -> Intervals:
    lines = [f"{chrom}\t{n % 90}\t{n % 90 + 5}\n" for chrom, k in counts.items() for n in range(k)]
    return intervals(folder, "".join(lines))


def test_peaks_on_missing_chromosomes_are_dropped_and_counted(tmp_path: Path, genome) -> None:
    peaks, notes = bed(tmp_path, chrX=2, chr1=20, chrY=3, c3=1, c4=1), Notes()
    assert set(on_genome(peaks, genome, notes).chrom.tolist()) == {"chr1"}
    assert notes.sentences == [
        "Dropped 7 of 27 intervals of x.bed on 4 chromosomes that g.fa lacks "
        "(chrX, chrY, c3 and 1 more)."
    ]
    assert not notes.warnings


def test_a_genome_of_one_chromosome_of_many_is_warned_of(tmp_path: Path, genome) -> None:
    peaks, notes = bed(tmp_path, chr1=20, **{f"chr{n}": 30 for n in range(3, 23)}), Notes()
    assert len(on_genome(peaks, genome, notes)) == 20
    assert notes.warnings == [
        "20 of 620 intervals of x.bed are on chromosomes of g.fa; is this the whole genome they "
        "belong to?"
    ]


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ({"chrX": 3}, r"x\.bed: line 1 and 2 others of 3: chromosome 'chrX' is not in"),
        ({"chrX": 2000, "chr1": 1}, r"line 1 and 1,999 others of 2,001: chromosome 'chrX'"),
        ({"chrX": 1, "1": 4}, r"line 2 and 4 others of 5: chromosome '1' is called 'chr1'"),
        ({"1": 30, "2": 20}, r"chromosome '1' is called 'chr1'"),
        ({"chr2": 1}, r"x\.bed: line 1: chromosome 'chr2' is called '2'"),
    ],
)
def test_wrong_names_are_refused(tmp_path: Path, genome, counts, message) -> None:
    peaks = bed(tmp_path, **counts)
    for check in (on_genome, lambda p, g, n: check_names([None, p], g, n)):
        with pytest.raises(UserError, match=message):
            check(peaks, genome, Notes())


def test_a_few_names_in_another_form_are_dropped(tmp_path: Path, genome) -> None:
    notes = Notes()
    assert len(on_genome(bed(tmp_path, **{"chr1": 20, "1": 2}), genome, notes)) == 20
    assert len(notes.sentences) == 1


def test_intervals_beyond_a_chromosome_are_dropped_and_counted(tmp_path: Path, genome) -> None:
    text = "chr1\t90\t100\nchr1\t95\t101\n2\t-1\t5\n2\t0\t5\n"
    peaks, notes = intervals(tmp_path, text), Notes()
    assert on_genome(peaks, genome, notes).line.tolist() == [1, 4]
    example = "(line 2: chr1:95-101 ends behind chr1, which has 100 bp)"
    reach = f"reach beyond the end of a chromosome {example}"
    assert notes.sentences == [f"Dropped 2 intervals of x.bed that {reach}."]
    assert notes.warnings == [f"2 intervals of x.bed {reach}; is this the right genome build?"]
    check_names([peaks], genome, notes)
    assert len(notes.sentences) == 1
    few = intervals(tmp_path, text + "chr1\t0\t9\n" * 200)
    notes = Notes()
    assert len(on_genome(few, genome, notes)) == 202
    assert not notes.warnings


def test_most_intervals_beyond_their_chromosome_are_another_build(tmp_path: Path, genome) -> None:
    peaks = intervals(tmp_path, "2\t0\t5\nchr1\t95\t101\n2\t-1\t5\n")
    message = r"x\.bed: line 2: chr1:95-101 ends behind chr1, .* 2 of 3 intervals; .*genome build"
    with pytest.raises(UserError, match=message):
        on_genome(peaks, genome, Notes())


SUMMITS = [(0, 100, 10, 3), (0, 100, 60, 9), (0, 100, 80, 9), (90, 130, 5, 1), (300, 350, 5, 2)]


def summits(folder: Path) -> Intervals:
    lines = [f"a\t{s}\t{e}\t.\t0\t.\t{v}\t1\t1\t{c}\n" for s, e, c, v in SUMMITS]
    return intervals(folder, "".join(lines))


@pytest.mark.parametrize(
    ("how", "lines", "dropped"),
    [("none", [1, 2, 3, 4, 5], []), ("summits", [2, 4, 5], [2]), ("windows", [2, 5], [2, 1])],
)
def test_the_strongest_of_peaks_that_belong_together_is_kept(
    tmp_path: Path, how: str, lines: list[int], dropped: list[int]
) -> None:
    notes = Notes()
    assert merge_peaks(summits(tmp_path), how, 40, notes).line.tolist() == lines
    assert [note.split()[1] for note in notes.sentences] == list(map(str, dropped))
    assert all("merge_peaks" in note for note in notes.sentences)


def test_windows_that_are_kept_are_apart_and_the_others_overlap_a_stronger_one(
    tmp_path: Path,
) -> None:
    generator = np.random.default_rng(0)
    start, strength = generator.integers(0, 3000, 200), generator.integers(0, 99, 200)
    lines = [f"a\t{s}\t{s + 2}\tx\t{v}\n" for s, v in zip(start, strength, strict=True)]
    peaks = intervals(tmp_path, "".join(lines))
    kept = merge_peaks(peaks, "windows", 20, Notes())
    assert (np.diff(np.sort(kept.center)) >= 20).all()
    for center, value in zip(peaks.center, peaks.strength, strict=True):
        near = np.abs(kept.center - center) < 20
        assert (kept.strength[near] >= value).any()
