from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from priorbench.data.codes import MOTIF, NEUTRAL
from priorbench.data.formats.bed import Intervals, read_bed
from priorbench.data.formats.notes import Notes
from priorbench.data.readers.genome_windows import Windows
from priorbench.data.readers.motif_sites import find_sites, mark_sites, named_instances, scan_motifs
from priorbench.encoding import encode, reverse_complement
from priorbench.errors import UserError

SITE = b"ACGTTGCAAG"
CONSENSUS, OTHER = 0.97, 0.01


def meme(site: bytes = SITE, name: str = "m") -> str:
    rows = "".join(
        " ".join(str(CONSENSUS if base == code else OTHER) for base in range(4)) + "\n"
        for code in encode(site)
    )
    head = f"MOTIF {name}\nletter-probability matrix: alength= 4 w= {len(site)}\n"
    return "MEME version 4\n\nALPHABET= ACGT\n\n" + head + rows


@pytest.fixture
def path(tmp_path: Path) -> Path:
    target = tmp_path / "m.meme"
    target.write_text(meme())
    return target


def planted() -> NDArray[np.uint8]:
    """Poly-A windows; a forward site in the first, a reverse one in the second."""
    codes = np.zeros((3, 40), dtype=np.uint8)
    codes[0, 20:30] = encode(SITE)
    codes[1, 5:15] = reverse_complement(encode(SITE))
    return codes


@pytest.mark.parametrize("packed", [False, True])
def test_exact_matches_on_both_strands(path: Path, packed: bool) -> None:
    if packed:
        path.write_bytes(gzip.compress(path.read_bytes()))
    known = scan_motifs(path, planted(), Notes(), both_strands=True)
    want = np.zeros((3, 40), dtype=np.uint8)
    want[0, 20:30] = want[1, 5:15] = MOTIF
    np.testing.assert_array_equal(known.truth, want)
    np.testing.assert_array_equal(known.oracle != 0, known.truth == MOTIF)
    np.testing.assert_allclose(known.oracle[want == MOTIF], np.log(CONSENSUS / 0.25), rtol=1e-3)


def test_columns_that_say_nothing_are_neutral(tmp_path: Path) -> None:
    path = tmp_path / "m.meme"
    lines = meme().splitlines()
    first = next(i for i, line in enumerate(lines) if line.startswith("letter")) + 1
    lines[first + 2] = lines[first + 3] = "0.25 0.25 0.25 0.25"
    path.write_text("\n".join(lines) + "\n")
    known = scan_motifs(path, planted(), Notes(), both_strands=True)
    want = np.zeros((3, 40), dtype=np.uint8)
    want[0, 20:30] = want[1, 5:15] = MOTIF
    want[0, [22, 23]] = want[1, [11, 12]] = NEUTRAL
    np.testing.assert_array_equal(known.truth, want)
    np.testing.assert_array_equal(known.oracle != 0, known.truth == MOTIF)


def test_motifs_too_short_to_match_are_refused_with_a_p_that_they_reach(tmp_path: Path) -> None:
    path = tmp_path / "m.meme"
    path.write_text(meme(b"ACTAAC"))
    codes = np.zeros((2, 30), dtype=np.uint8)
    codes[1, 10:16] = encode(b"ACTAAC")
    with pytest.raises(UserError, match=r"longest has 6 bp; set motif_p_value = 0\.0005"):
        scan_motifs(path, codes, Notes(), both_strands=False)
    known = scan_motifs(path, codes, Notes(), both_strands=False, threshold=5e-4)
    assert np.flatnonzero(known.truth[1]).tolist() == [*range(10, 16)]
    assert not known.truth[0].any()


def test_one_strand_only(path: Path) -> None:
    known = scan_motifs(path, planted(), Notes(), both_strands=False)
    assert known.truth.any(axis=1).tolist() == [True, False, False]


def test_a_mismatch_has_the_odds_of_its_strand(path: Path) -> None:
    codes = planted()
    codes[0, 29] = codes[1, 14] = 0  # last base of the motif, first base of the motif
    known = scan_motifs(path, codes, Notes(), both_strands=True)
    assert known.oracle[0, 29] == pytest.approx(np.log(OTHER / 0.25), abs=0.02)
    assert known.oracle[1, 14] == pytest.approx(np.log(OTHER / 0.25), abs=0.02)


def test_n_inside_a_site_keeps_a_small_value(tmp_path: Path) -> None:
    path = tmp_path / "m.meme"
    path.write_text(meme(SITE * 2))
    codes = np.zeros((1, 40), dtype=np.uint8)
    codes[0, 10:30] = encode(SITE * 2)
    codes[0, 12] = 4
    known = scan_motifs(path, codes, Notes(), both_strands=True)
    assert known.truth[0, 12] == MOTIF
    assert 0 < known.oracle[0, 12] < 0.01


def test_overlapping_hits_keep_the_largest(tmp_path: Path) -> None:
    path = tmp_path / "m.meme"
    weak = meme(name="weak").replace(str(CONSENSUS), "0.85").replace(" 0.01", " 0.05")
    path.write_text(meme() + "\n" + weak.replace("0.01 ", "0.05 ").partition("ACGT\n\n")[2])
    known = scan_motifs(path, planted(), Notes(), both_strands=True)
    assert known.oracle[0, 25] == pytest.approx(np.log(CONSENSUS / 0.25), rel=1e-3)


def test_no_hits(path: Path) -> None:
    known = scan_motifs(path, np.zeros((2, 30), dtype=np.uint8), Notes(), both_strands=True)
    assert not known.truth.any()
    assert not known.oracle.any()


def test_motif_longer_than_the_window(path: Path) -> None:
    with pytest.raises(UserError, match="longer than the windows of 9 bp"):
        scan_motifs(path, np.zeros((1, 9), dtype=np.uint8), Notes(), both_strands=True)


def marked(sites: Intervals, windows: Windows, length: int) -> NDArray[np.uint8]:
    return mark_sites(find_sites(sites, windows, length), len(windows), length)


def test_bed_sites_inside_windows(tmp_path: Path) -> None:
    bed = tmp_path / "s.bed"
    bed.write_text("c1\t8\t12\nc1\t18\t25\nc2\t0\t100\nc1\t30\t40\n")
    windows = _windows(["c1", "c1", "c3"], [10, 40, 0])
    truth = marked(read_bed(bed, Notes()), windows, 10)
    assert np.flatnonzero(truth[0]).tolist() == [0, 1, 8, 9]
    assert not truth[1:].any()


def test_many_sites_and_windows_agree_with_a_plain_loop(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    chrom = generator.choice(["a", "b", "c"], 300)
    start = generator.integers(-5, 60, 300)
    end = start + generator.integers(1, 12, 300)
    strand = generator.choice(["+", "-", "."], 300)
    lines = [
        f"{c}\t{s}\t{e}\tx\t0\t{t}\n" for c, s, e, t in zip(chrom, start, end, strand, strict=True)
    ]
    (tmp_path / "s.bed").write_text("".join(lines))
    windows = _windows(
        generator.choice(["a", "b", "d"], 80).tolist(),
        generator.integers(0, 60, 80).tolist(),
        generator.choice([True, False], 80).tolist(),
    )
    for some in (slice(None), slice(6), slice(0)):
        mine = np.arange(300)[some]
        expected = np.zeros((80, 100), dtype=bool)
        for row in range(80):
            for site in mine:
                if (
                    chrom[site] == windows.chrom[row]
                    and strand[site] != "+-"[int(not windows.minus[row])]
                ):
                    first, last = start[site] - windows.start[row], end[site] - windows.start[row]
                    expected[row, max(first, 0) : max(last, 0)] = True
        expected[windows.minus] = expected[windows.minus, ::-1]
        truth = marked(read_bed(tmp_path / "s.bed", Notes()).select(mine), windows, 100)
        np.testing.assert_array_equal(truth == MOTIF, expected)


def test_motifs_that_cannot_match_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "m.meme"
    path.write_text(meme() + meme(b"ACTA", "short") + meme(SITE * 5, "long"))
    notes = Notes()
    scan_motifs(path, planted(), notes, both_strands=True)
    (note,) = notes.sentences
    assert note.startswith("2 motifs of m.meme cannot match")


def _windows(chrom: list[str], start: list[int], minus: list[bool] | None = None) -> Windows:
    count = len(chrom)
    strands = np.array(minus or [False] * count)
    return Windows(np.array(chrom), np.array(start), np.zeros(count, dtype=np.uint8), strands)


def test_sites_of_a_strand_count_in_windows_of_that_strand(tmp_path: Path) -> None:
    bed = tmp_path / "s.bed"
    bed.write_text("c\t11\t13\ta\t0\t+\nc\t14\t15\tb\t0\t-\nc\t16\t17\td\t0\t.\n")
    windows = _windows(["c", "c"], [10, 10], [False, True])
    truth = marked(read_bed(bed, Notes()), windows, 10)
    assert np.flatnonzero(truth[0]).tolist() == [1, 2, 6]
    assert np.flatnonzero(truth[1]).tolist() == [3, 5]  # from the other end
    both = marked(read_bed(bed, Notes()).unstranded(), windows, 10)
    assert np.flatnonzero(both[0]).tolist() == [1, 2, 4, 6]


def test_named_sites_become_instances_along_the_strand_of_the_window(tmp_path: Path) -> None:
    bed = tmp_path / "s.bed"
    bed.write_text("c\t8\t12\tM\t0\t+\nc\t14\t17\tK\t0\t-\nc\t15\t19\tM\t0\t-\nd\t1\t2\tK\n")
    sites = read_bed(bed, Notes(), named=True).unstranded()
    windows = _windows(["c", "x", "c"], [10, 10, 10], [False, False, True])
    found = find_sites(sites, windows, 10)
    table = named_instances(sites, found, np.array([4, 5, 9]), Notes())
    assert table is not None
    assert table.motifs == ("K", "M")
    assert sorted(table.rows.tolist()) == [
        [4, -2, 2, 1, 1],
        [4, 4, 7, 0, -1],
        [4, 5, 9, 1, -1],
        [9, 1, 5, 1, 1],
        [9, 3, 6, 0, 1],
        [9, 8, 12, 1, -1],
    ]


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("c\t1\t5\tx1\nc\t7\t9\tx2\nc\t8\t9\tx2\n", "names of single sites"),
        ("c\t1\t5\tM\nc\t7\t9\n", "1 of 2 sites in s.bed have no name"),
        ("c\t1\t5\nc\t7\t9\n", ""),
    ],
)
def test_names_of_single_sites_and_sites_without_a_name_are_no_motifs(
    tmp_path: Path, lines: str, said: str
) -> None:
    (tmp_path / "s.bed").write_text(lines)
    sites, notes = read_bed(tmp_path / "s.bed", Notes(), named=True), Notes()
    found = find_sites(sites, _windows(["c"], [0]), 10)
    assert named_instances(sites, found, np.array([0]), notes) is None
    assert bool(notes.sentences) == bool(said)
    assert said.removeprefix("names ") in " ".join(notes.sentences)


def test_a_site_that_is_listed_twice_or_on_both_strands_is_one_instance(tmp_path: Path) -> None:
    (tmp_path / "s.bed").write_text(
        "c\t1\t5\tM\t0\t+\nc\t1\t5\tM\t0\t-\nc\t1\t5\tM\t0\t+\nc\t7\t9\tM\t0\t+\nc\t1\t5\tK\nc\t6\t9\tK\n"
    )
    sites, notes = read_bed(tmp_path / "s.bed", Notes(), named=True), Notes()
    table = named_instances(
        sites, find_sites(sites, _windows(["c"], [0]), 10), np.array([0]), notes
    )
    assert table is not None
    places = sorted((table.motifs[row[3]], row[1], row[2]) for row in table.rows.tolist())
    assert places == [("K", 1, 5), ("K", 6, 9), ("M", 1, 5), ("M", 7, 9)]
    assert "are there twice" in notes.sentences[0]
