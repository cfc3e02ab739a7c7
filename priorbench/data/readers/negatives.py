"""Negatives drawn from a genome, matched to the positives in GC content, split by split."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import numpy as np
from numpy.typing import NDArray

from priorbench.data.codes import SPLITS, TEST, VALID
from priorbench.data.formats.bed import Intervals
from priorbench.data.formats.by_name import rows_by_name
from priorbench.data.formats.genomes.genome import Genome
from priorbench.data.formats.overlaps import within
from priorbench.encoding import decode
from priorbench.machine.caches import cache_folder

from .genome_splits import Segment
from .genome_windows import Windows, concatenate

_MAX_CANDIDATES = 3_000_000
_BLOCK_BASES = 10_000_000
_SCAFFOLD_BASES = 1_000_000
"""bp of a segment below which its tiles share a record with those of others"""
_POSITIVES = "positives"


@dataclass(frozen=True)
class DrawnNegatives:
    """Negatives drawn from a genome.

    Attributes:
        windows: the negatives, on the plus strand, ordered by split and position; fewer than the
            positives where the genome has too few tiles left.
        candidates: number of tiles that they were drawn from, by split.
    """

    windows: Windows
    candidates: Mapping[int, int]

    @property
    def weights(self) -> dict[str, float]:
        """How many tiles each negative stands for, by name of the validation and test split."""
        weights = {}
        for split in (VALID, TEST):
            possible = self.candidates.get(split, 0)
            drawn = int((self.windows.split == split).sum())
            if possible > drawn > 0:
                weights[SPLITS[split]] = possible / drawn
        return weights


def draw_negatives(
    genome: Genome,
    positives: Windows,
    peaks: Intervals,
    segments: Sequence[Segment],
    *,
    length: int,
    generator: np.random.Generator,
    covered: Intervals | None = None,
) -> DrawnNegatives:
    """Draw as many windows as there are positives in each split, with the same GC content.

    Candidates are the tiles of ``length`` bp of the split's own segments, on chromosomes with
    positives, that share no base with a peak or with a positive window; at most 3,000,000 of
    them, drawn at random. ``tangermeme`` matches them in bins of 2% GC, and leaves out
    windows of which a tenth or more is N. It sees the tiles of one split as a small genome of
    its own, so that neither region borders nor peaks can be crossed.

    Args:
        genome: the genome.
        positives: the positive windows of all splits.
        peaks: everything that a negative must not touch.
        segments: the genome's segments, each of one split.
        length: window in bp.
        generator: draws which of the matching tiles are taken.
        covered: intervals within which tiles must lie; anywhere by default.
    """

    groups = [(others, rows_by_name(others.chrom)) for others in (peaks, positives)]
    inside = {} if covered is None else rows_by_name(covered.chrom)
    nowhere = np.empty(0, dtype=np.int64)

    def free(name: str, start: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return which tiles of a chromosome may be drawn, by what lies on it."""
        chrom = np.full(len(start), name)
        taken = np.zeros(len(start), dtype=bool)
        for others, rows in groups:
            taken |= overlapping(chrom, start, length, others.select(rows.get(name, nowhere)))
        if covered is not None:
            here = covered.select(inside.get(name, nowhere))
            taken |= ~within(chrom, start, length, here)
        return ~taken

    drawn, candidates = [positives.select(slice(0))], {}
    for split in np.unique(positives.split).tolist():
        mine = positives.select(positives.split == split)
        chroms = set(mine.chrom.tolist())
        own = [s for s in segments if s.split == split and s.chrom in chroms]
        blocks, candidates[split] = _candidates(own, free, length, generator)
        drawn.append(_match(genome, mine, blocks, length=length, generator=generator))
    return DrawnNegatives(concatenate(drawn), candidates)


def overlapping(
    chrom: NDArray[np.str_], start: NDArray[np.int64], length: int, others: Intervals | Windows
) -> NDArray[np.bool_]:
    """Return (k,) bool: whether each window of ``length`` bp shares a base with one of the others.

    The others are intervals, or windows of ``length`` bp too.
    """
    ends = others.end if isinstance(others, Intervals) else others.start + length
    result = np.zeros(len(start), dtype=bool)
    theirs = rows_by_name(others.chrom)
    for name, rows in rows_by_name(chrom).items():
        here = theirs.get(name, np.empty(0, dtype=np.int64))
        # begun before the window's end, less ended at or before its start: those that overlap
        begun = np.searchsorted(np.sort(others.start[here]), start[rows] + length, side="left")
        ended = np.searchsorted(np.sort(ends[here]), start[rows], side="right")
        result[rows] = begun > ended
    return result


_Part = tuple[str, NDArray[np.int64]]
"""neighbouring tiles of one chromosome that may become negatives: its name, and their (k,) first
bases, ascending"""
_Block = list[_Part]
"""tiles that tangermeme sees as one record: it reads an index for each of them"""


def _candidates(
    segments: Sequence[Segment],
    free: Callable[[str, NDArray[np.int64]], NDArray[np.bool_]],
    length: int,
    generator: np.random.Generator,
) -> tuple[list[_Block], int]:
    """Return blocks of tiles, thinned if there are too many, and how many tiles there were."""
    tiles = []
    for segment in segments:
        start = np.arange(segment.start, segment.end - length + 1, length, dtype=np.int64)
        tiles.append(start[free(segment.chrom, start)])
    total = sum(len(start) for start in tiles)
    share = min(1.0, _MAX_CANDIDATES / max(total, 1))
    blocks: list[_Block] = []
    size = 0  # bases of the last block, if it is of scaffolds: chromosomes have their own
    for segment, start in zip(segments, tiles, strict=True):
        kept = start if share == 1.0 else start[generator.random(len(start)) < share]
        block = kept // _BLOCK_BASES
        borders = np.flatnonzero(np.diff(block)) + 1
        parts = [(segment.chrom, part) for part in np.split(kept, borders) if len(part)]
        if segment.end - segment.start >= _SCAFFOLD_BASES:
            blocks += [[part] for part in parts]
            size = 0
        elif 0 < size < _BLOCK_BASES:
            blocks[-1] += parts
            size += len(kept) * length
        elif parts:
            blocks.append(parts)
            size = len(kept) * length
    return blocks, total


def _match(
    genome: Genome,
    positives: Windows,
    blocks: Sequence[_Block],
    *,
    length: int,
    generator: np.random.Generator,
) -> Windows:
    """Return tiles matched in GC content to the positives, which are of one split."""
    from pandas import DataFrame
    from tangermeme.match import extract_matching_loci

    place = np.arange(len(positives)) * length
    loci = DataFrame({"chrom": _POSITIVES, "start": place, "end": place + length})
    names = {f"block{number}": block for number, block in enumerate(blocks)}
    with tempfile.TemporaryDirectory(dir=cache_folder()) as folder, warnings.catch_warnings():
        # the FASTA that tangermeme opens is closed by reference counting only
        warnings.simplefilter("ignore", ResourceWarning)
        fasta = Path(folder) / "tiles.fa"
        with fasta.open("w") as stream:
            _write_tiles(stream, genome, positives, names, length)
        matched = extract_matching_loci(
            loci,
            str(fasta),
            in_window=length,
            out_window=length,
            chroms=[_POSITIVES, *names],
            random_state=int(generator.integers(2**31)),
        )
    tile = matched["start"].to_numpy(dtype=np.int64) // length
    chrom, start = np.empty(len(tile), dtype=object), np.empty(len(tile), dtype=np.int64)
    for name, rows in rows_by_name(matched["chrom"].to_numpy(dtype=np.str_)).items():
        block = names[name]
        sizes = [len(part) for _, part in block]
        chrom[rows] = np.repeat([own for own, _ in block], sizes)[tile[rows]]
        start[rows] = np.concatenate([part for _, part in block])[tile[rows]]
    chrom = chrom.astype(np.str_)
    order = np.lexsort((start, chrom))
    split = np.full(len(start), positives.split[0])
    return Windows(chrom[order], start[order], split, np.zeros(len(start), dtype=bool))


def _write_tiles(
    stream: TextIO, genome: Genome, positives: Windows, names: dict[str, _Block], length: int
) -> None:
    """Write a FASTA of one record for the positives and one a block, tile behind tile."""
    stream.write(f">{_POSITIVES}\n")
    step = max(1, _BLOCK_BASES // length)
    for begin in range(0, len(positives), step):
        part = positives.select(slice(begin, begin + step))
        stream.write(decode(genome.windows(part.chrom, part.start, length).ravel()))
    for name, block in names.items():
        stream.write(f"\n>{name}\n")
        for chrom, start in block:
            # tiles are cut from one stretch: a fetch for each would be slow
            first = int(start[0])
            stretch = genome.fetch(chrom, first, int(start[-1]) + length - first)
            tiles = stretch.reshape(-1, length)[(start - first) // length]
            stream.write(decode(tiles.ravel()))
    stream.write("\n")
