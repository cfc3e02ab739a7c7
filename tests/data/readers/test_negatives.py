"""Negatives drawn from a genome: matched in GC content, apart from peaks, within their split."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fixtures.genomes import intervals, random_text, write_genome

from priorbench.data.codes import TEST, TRAIN, VALID
from priorbench.data.formats.genomes.genome import Genome
from priorbench.data.formats.regions import Region
from priorbench.data.readers import negatives
from priorbench.data.readers.genome_splits import Segment, split_segments
from priorbench.data.readers.genome_windows import Windows
from priorbench.data.readers.negatives import draw_negatives, overlapping
from priorbench.encoding import decode

TOML = Path("data.toml")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRIORBENCH_CACHE", str(tmp_path / "cache"))


def windows_of(pairs: list[tuple[str, int]], splits: list[int]) -> Windows:
    chrom, start = zip(*pairs, strict=True)
    return Windows(
        np.array(chrom),
        np.array(start),
        np.array(splits, dtype=np.uint8),
        np.zeros(len(start), dtype=bool),
    )


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
        tiles = [
            (segment, at)
            for segment in segments
            for at in range(segment.start, segment.end - 20, 20)
        ]
        gc = np.array(
            [np.isin(genome.fetch(segment.chrom, at, 20), [1, 2]).mean() for segment, at in tiles]
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
            own = [segment for segment in segments if segment.split == split]
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


def test_scaffolds_share_records_and_are_told_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # tangermeme reads an index for every record: as many as there are scaffolds take long
    monkeypatch.setattr(negatives, "_BLOCK_BASES", 9_000)
    written: list[int] = []
    write_tiles = negatives._write_tiles

    def counting(stream: Any, genome: Any, positives: Any, names: Any, length: int) -> None:
        written.append(len(names))
        write_tiles(stream, genome, positives, names, length)

    monkeypatch.setattr(negatives, "_write_tiles", counting)
    texts = {f"s{n}": random_text(2_000, n) for n in range(40)}
    with Genome(write_genome(tmp_path / "g.fa", texts, width=60)) as genome:
        segments = split_segments(genome, (), (), path=tmp_path)
        chrom = np.repeat(list(texts), 2)
        start = np.tile([100, 900], 40)
        zeros = np.zeros(80, dtype=np.uint8)
        positives = Windows(chrom, start, zeros, zeros.astype(bool))
        peaks = intervals(
            tmp_path, "".join(f"{c}\t{s}\t{s + 50}\n" for c, s in zip(chrom, start, strict=True))
        )
        drawn = draw_negatives(
            genome,
            positives,
            peaks,
            segments,
            length=50,
            generator=np.random.default_rng(0),
        )
    assert len(drawn.windows) == 80
    assert 5 <= written[0] <= 10
    assert len(set(drawn.windows.chrom.tolist())) > 20
    assert (drawn.windows.start % 50 == 0).all()
    assert not overlapping(drawn.windows.chrom, drawn.windows.start, 50, peaks).any()
