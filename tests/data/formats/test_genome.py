from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from priorbench.data.codes import TEST, TRAIN, VALID
from priorbench.data.formats.bed import Intervals, Region, read_bed
from priorbench.data.formats.encoding import decode
from priorbench.data.formats.genome import Genome, cache_folder, stretches
from priorbench.data.readers import negatives
from priorbench.data.readers.genome_splits import Segment, choose_chromosomes, split_segments
from priorbench.data.readers.genome_windows import Windows, check_inside, place_windows
from priorbench.data.readers.negatives import draw_negatives, overlapping
from priorbench.errors import UserError

TOML = Path("data.toml")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PRIORBENCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def write_genome(path: Path, chromosomes: dict[str, str], width: int = 7) -> Path:
    lines = []
    for name, text in chromosomes.items():
        lines += [f">{name} described"]
        lines += [text[start : start + width] for start in range(0, len(text), width)]
    contents = ("\n".join(lines) + "\n").encode()
    path.write_bytes(gzip.compress(contents) if path.suffix == ".gz" else contents)
    return path


def random_text(length: int, seed: int = 0) -> str:
    return decode(np.random.default_rng(seed).integers(0, 4, length).astype(np.uint8))


def intervals(tmp_path: Path, text: str) -> Intervals:
    path = tmp_path / "x.bed"
    path.write_text(text)
    return read_bed(path)


def windows_of(pairs: list[tuple[str, int]], splits: list[int]) -> Windows:
    chrom, start = zip(*pairs, strict=True)
    return Windows(
        np.array(chrom),
        np.array(start),
        np.array(splits, dtype=np.uint8),
        np.zeros(len(start), dtype=bool),
    )


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
        assert len(genome.notes) == 1
        assert "unpacked once" in genome.notes[0]
    with Genome(path) as genome:
        assert genome.notes == []
    write_genome(path, {"a": "ACGTTT"})
    with Genome(path) as genome:
        assert genome.lengths == {"a": 6}
    assert not list(cache.glob("**/tmp*"))


def test_nothing_is_written_beside_the_genome(tmp_path: Path) -> None:
    (tmp_path / "g").mkdir()
    with Genome(write_genome(tmp_path / "g" / "g.fa", {"a": "ACGT"})):
        pass
    assert [path.name for path in (tmp_path / "g").iterdir()] == ["g.fa"]


def test_cache_folder_follows_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PRIORBENCH_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder() == tmp_path / "xdg" / "priorbench"
    (tmp_path / "file").touch()
    monkeypatch.setenv("PRIORBENCH_CACHE", str(tmp_path / "file" / "below"))
    with pytest.raises(UserError, match="set PRIORBENCH_CACHE to a writable folder"):
        cache_folder()


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


def test_chromosome_names(tmp_path: Path) -> None:
    with Genome(write_genome(tmp_path / "g.fa", {"chr1": "ACGT", "2": "ACGT"})) as genome:
        genome.require("chr1", "here")
        with pytest.raises(UserError, match="here: chromosome '1' is called 'chr1'"):
            genome.require("1", "here")
        with pytest.raises(UserError, match="chromosome 'chr2' is called '2'"):
            genome.require("chr2", "here")
        with pytest.raises(UserError, match=r"'chrX' is not in .*g\.fa .it has chr1, 2."):
            genome.require("chrX", "here")
        peaks = intervals(tmp_path, "chr1\t0\t2\n1\t0\t2\n")
        with pytest.raises(UserError, match=r"x\.bed: line 2: chromosome '1'"):
            check_inside(peaks, genome)


def test_peak_off_its_chromosome(tmp_path: Path) -> None:
    peaks = intervals(tmp_path, "a\t0\t10\na\t95\t101\n")
    with Genome(write_genome(tmp_path / "g.fa", {"a": random_text(100)})) as genome:
        message = r"x\.bed: line 2: a:95-101 ends behind a, which has 100 bp .*genome build"
        with pytest.raises(UserError, match=message):
            check_inside(peaks, genome)


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


def test_overlapping_is_half_open(tmp_path: Path) -> None:
    peaks = intervals(tmp_path, "a\t10\t20\na\t0\t100\nb\t10\t20\n")
    start = np.array([0, 1, 19, 20, 100])
    assert overlapping(np.array(["a"] * 5), start, 10, peaks).tolist() == [True] * 4 + [False]
    assert overlapping(np.array(["b"] * 5), start, 10, peaks).tolist() == [
        False, True, True, False, False,
    ]  # fmt: skip


def gc_rich_genome(tmp_path: Path) -> Path:
    """Tiles of 20 bp whose GC content runs over all values, on two chromosomes."""
    rng = np.random.default_rng(3)
    share = np.repeat(rng.random(2000), 20)
    codes = np.where(rng.random(40_000) < share, 1 + rng.integers(0, 2, 40_000), 0)
    text = decode(codes.astype(np.uint8))
    return write_genome(tmp_path / "g.fa", {"a": text[:30_000], "b": text[30_000:]}, width=60)


def test_negatives_match_in_gc_and_keep_to_their_split(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    with Genome(gc_rich_genome(tmp_path)) as genome:
        segments = split_segments(genome, [Region("b")], [Region("a", 20_000, 30_000)], path=TOML)
        tiles = [(one, at) for one in segments for at in range(one.start, one.end - 20, 20)]
        gc = np.array(
            [np.isin(genome.fetch(one.chrom, at, 20), [1, 2]).mean() for one, at in tiles]
        )
        rich = rng.permutation(np.flatnonzero(gc > 0.6))[:120]
        chosen = [tiles[index] for index in rich]
        peaks = intervals(tmp_path, "".join(f"{s.chrom}\t{at}\t{at + 20}\n" for s, at in chosen))
        positives = windows_of([(s.chrom, at) for s, at in chosen], [s.split for s, _ in chosen])
        drawn = [
            draw_negatives(
                genome, positives, peaks, segments, length=20, generator=np.random.default_rng(seed)
            ).windows
            for seed in (1, 1, 2)
        ]
        assert len(drawn[0]) == 120
        assert not overlapping(drawn[0].chrom, drawn[0].start, 20, peaks).any()
        assert len({*zip(drawn[0].chrom, drawn[0].start, strict=True)}) == 120
        for split in (TRAIN, VALID, TEST):
            mine = drawn[0].select(drawn[0].split == split)
            assert len(mine) == (positives.split == split).sum()
            own = [one for one in segments if one.split == split]
            assert all(
                any(s.chrom == c and s.start <= at and at + 20 <= s.end for s in own)
                for c, at in zip(mine.chrom, mine.start, strict=True)
            )
            want = gc[rich][positives.split == split].mean()
            codes = genome.windows(mine.chrom, mine.start, 20)
            assert np.isin(codes, [1, 2]).mean() == pytest.approx(want, abs=0.02)
    np.testing.assert_array_equal(drawn[0].start, drawn[1].start)
    assert drawn[0].start.tolist() != drawn[2].start.tolist()


def test_negatives_avoid_wide_peaks_and_unknown_bases(tmp_path: Path) -> None:
    text = random_text(400) + "N" * 400 + random_text(200, seed=1)
    peaks = intervals(tmp_path, "a\t100\t390\n")
    segments = [Segment("a", 0, 1000, TRAIN)]
    positives = windows_of([("a", 240)] * 50, [TRAIN] * 50)
    with Genome(write_genome(tmp_path / "g.fa", {"a": text})) as genome:
        drawn = draw_negatives(
            genome, positives, peaks, segments, length=10, generator=np.random.default_rng(0)
        )
    assert drawn.candidates == {TRAIN: 71}
    drawn = drawn.windows
    # ten tiles before the peak, one behind it, twenty behind the unknown bases
    assert sorted(drawn.start) == [*range(0, 100, 10), 390, *range(800, 1000, 10)]


def test_many_candidates_are_thinned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(negatives, "_MAX_CANDIDATES", 50)
    positives = windows_of([("a", 0)] * 200, [TRAIN] * 200)
    peaks = intervals(tmp_path, "a\t0\t10\n")
    with Genome(write_genome(tmp_path / "g.fa", {"a": random_text(10_000)})) as genome:
        drawn = draw_negatives(
            genome,
            positives,
            peaks,
            [Segment("a", 0, 10_000, TRAIN)],
            length=10,
            generator=np.random.default_rng(0),
        )
    assert drawn.candidates == {TRAIN: 999}
    assert 25 < len(drawn.windows) < 80


def test_no_room_for_negatives(tmp_path: Path) -> None:
    peaks = intervals(tmp_path, "a\t0\t100\n")
    with Genome(write_genome(tmp_path / "g.fa", {"a": random_text(100)})) as genome:
        drawn = draw_negatives(
            genome,
            windows_of([("a", 40)], [TRAIN]),
            peaks,
            [Segment("a", 0, 100, TRAIN)],
            length=20,
            generator=np.random.default_rng(0),
        )
    assert len(drawn.windows) == 0


def test_stretches_hold_every_row_once_and_stay_short() -> None:
    rng = np.random.default_rng(0)
    chrom = np.array(["a", "b"])[rng.integers(0, 2, 400)]
    start = np.where(
        rng.random(400) < 0.5, rng.integers(0, 50_000, 400), rng.integers(0, 9**8, 400)
    )
    found = list(stretches(chrom, start, 100))
    assert sorted(np.concatenate(found).tolist()) == list(range(400))
    for rows in found:
        assert len(set(chrom[rows])) == 1
        assert np.ptp(start[rows]) < 1_000_000
        assert (np.diff(np.sort(start[rows])) <= 5_100).all()
    assert len(found) < 260  # the half that lies together is read together
    assert list(stretches(chrom[:0], start[:0], 100)) == []
    long = np.arange(0, 3_000_000, 1000)
    assert len(list(stretches(np.full(3000, "a"), long, 100))) == 3
