"""Known motif sites in windows, from matrices or from a BED file: what attributions should find."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from priorbench.data.codes import BACKGROUND, MOTIF, NEUTRAL
from priorbench.data.dataset_writer import DatasetWriter
from priorbench.data.formats.bed import Intervals
from priorbench.data.formats.motifs import bits, read_motifs
from priorbench.data.formats.notes import Notes
from priorbench.data.formats.overlaps import joined, on_one_line
from priorbench.data.simulation import NEUTRAL_BELOW
from priorbench.errors import UserError

from .data_file import DataFile
from .genome_windows import Windows

P_VALUE = 1e-4
"""a match is a site if a random sequence scores as well with less than this probability"""
_PSEUDOCOUNT = 1e-4
_SMALLEST = 1e-3


def record_motifs(writer: DatasetWriter, data: DataFile) -> None:
    """Store the matrices that a data file names in its dataset.

    Readers call this first: an error in the matrices should not wait for the sequences.

    Raises:
        UserError: a file of motifs cannot be used.
    """
    if data.motifs is not None:
        writer.add_motifs(read_motifs(data.motifs, writer.notes))
    if data.database is not None:
        writer.add_motifs(read_motifs(data.database, writer.notes), as_database=True)


@dataclass(frozen=True)
class KnownSites:
    """What matrices say about windows.

    Attributes:
        truth: (M, L) uint8: ``MOTIF`` on a site, ``NEUTRAL`` on those of its positions that say
            next to nothing, and ``BACKGROUND`` elsewhere.
        oracle: (M, L) float32 attribution that an oracle would give, non-zero exactly where
            ``truth`` is ``MOTIF``.
    """

    truth: NDArray[np.uint8]
    oracle: NDArray[np.float32]


def scan_motifs(
    path: Path,
    codes: NDArray[np.uint8],
    notes: Notes,
    *,
    both_strands: bool,
    threshold: float = P_VALUE,
) -> KnownSites:
    """Scan windows for the matrices of a file of motifs, as FIMO does (Grant et al. 2011).

    The oracle is log(p(base) / 0.25), natural, of the observed base in the hit's matrix, on
    the hit's strand, with FIMO's pseudocount; where hits overlap, the largest. Magnitudes below
    0.001, an N among them, become 0.001, so that every position of a site has a value. Columns of
    less than 0.2 bits are neutral, unless another hit says more about the position.

    Args:
        path: the file of motifs.
        codes: (M, L) uint8.
        notes: takes motifs that cannot match.
        both_strands: whether the other strand is scanned too.
        threshold: p-value of a hit.

    Raises:
        UserError: the file cannot be used, no matrix fits into a window, or none is long
            enough to match at the threshold.
    """
    from memelite import fimo

    length = codes.shape[1]
    # what was skipped has been said when the motifs were recorded
    known_motifs = read_motifs(path, Notes())
    motifs = {name: m for name, m in known_motifs.items() if m.shape[1] <= length}
    if not motifs:
        raise UserError(f"{path}: every motif is longer than the windows of {length} bp")
    widest = max(matrix.shape[1] for matrix in motifs.values())
    if 0.25**widest >= threshold:
        raise UserError(
            f"{path}: no motif can match at p < {threshold:g}, the longest has {widest} bp; set "
            f"motif_p_value = {2 * 0.25**widest:.1g} in the data file, or more"
        )
    short = sum(0.25 ** matrix.shape[1] >= threshold for matrix in motifs.values())
    if short or len(motifs) < len(known_motifs):
        notes.say(
            f"{short + len(known_motifs) - len(motifs):,} motifs of {path.name} cannot match: too "
            f"short for p < {threshold:g}, or longer than the windows of {length} bp."
        )
    score = np.full(codes.shape, -np.inf, dtype=np.float32)
    informative = np.zeros(codes.shape, dtype=bool)
    one_hot = (codes[:, None, :] == np.arange(4, dtype=np.uint8)[None, :, None]).astype(np.int8)
    # one table a motif, in their order; ends are excluded on both strands
    tables = fimo(
        motifs, one_hot, eps=_PSEUDOCOUNT, threshold=threshold, reverse_complement=both_strands
    )
    for matrix, hits in zip(motifs.values(), tables, strict=True):
        # N has no column of its own: its row is log(1) = 0
        odds = np.log(np.vstack([matrix + _PSEUDOCOUNT, np.full(matrix.shape[1], 0.25)]) / 0.25)
        reverse = odds[[3, 2, 1, 0, 4], ::-1]
        known = bits(matrix) >= NEUTRAL_BELOW
        for strand, weights, tells in (("+", odds, known), ("-", reverse, known[::-1])):
            mine = hits[hits["strand"] == strand]
            row = mine["sequence_name"].to_numpy(dtype=np.int64)[:, None]
            offset = np.arange(matrix.shape[1])
            column = mine["start"].to_numpy(dtype=np.int64)[:, None] + offset
            np.maximum.at(score, (row, column), weights[codes[row, column], offset])
            np.logical_or.at(informative, (row, column), tells[offset])
    neutral = np.isfinite(score) & ~informative
    score[neutral] = -np.inf
    hit = np.isfinite(score)
    small = hit & (np.abs(score) < _SMALLEST)
    score[small] = np.where(score[small] < 0, -_SMALLEST, _SMALLEST)
    score[~hit] = 0
    truth = np.where(hit, MOTIF, np.where(neutral, NEUTRAL, BACKGROUND))
    return KnownSites(truth.astype(np.uint8), score)


def mark_sites(sites: Intervals, windows: Windows, length: int) -> NDArray[np.uint8]:
    """Mark where known sites lie in genomic windows.

    Args:
        sites: known sites; those of strand "+" or "-" count on their own strand only.
        windows: (M,) windows.
        length: window in bp.

    Returns:
        (M, length) uint8 along the strand of the window, ``MOTIF`` on a site and ``BACKGROUND``
        elsewhere.
    """
    # 1 where a site begins, -1 behind its end: the running sum says where sites are
    borders = np.zeros((len(windows), length + 1), dtype=np.int32)
    for minus, other in ((False, "-"), (True, "+")):
        rows = np.flatnonzero(windows.minus == minus)
        here = sites.select(sites.strand != other)
        place, begin, end = on_one_line(windows.chrom[rows], windows.start[rows], length, here)
        if not len(begin):
            continue
        begin, end = joined(begin, end)
        first = np.searchsorted(end, place, side="right")
        count = np.maximum(np.searchsorted(begin, place + length, side="left") - first, 0)
        window = np.repeat(np.arange(len(rows)), count)
        site = np.arange(len(window)) - np.repeat(np.cumsum(count) - count - first, count)
        where = (rows[window], np.maximum(begin[site] - place[window], 0))
        np.add.at(borders, where, 1)
        np.add.at(borders, (rows[window], np.minimum(end[site] - place[window], length)), -1)
    covered = np.cumsum(borders[:, :length], axis=1) > 0
    truth = np.where(covered, MOTIF, BACKGROUND).astype(np.uint8)
    truth[windows.minus] = truth[windows.minus, ::-1]
    return truth
