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
from priorbench.data.formats.overlaps import on_one_line
from priorbench.data.instances import InstanceTable
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


@dataclass(frozen=True)
class SitesInWindows:
    """Pairs of a window and a site that share a base, in the order of the windows.

    Attributes:
        window: (K,) int64 number of the window.
        site: (K,) int64 number of the site.
        start: (K,) int64 first base of the site along the strand of the window; negative where it
            begins before the window.
        end: (K,) int64 end of the site, excluded; it may lie behind that of the window.
        strand: (K,) int64, 1 where the site is written on the strand of the window, else -1.
    """

    window: NDArray[np.int64]
    site: NDArray[np.int64]
    start: NDArray[np.int64]
    end: NDArray[np.int64]
    strand: NDArray[np.int64]


def find_sites(sites: Intervals, windows: Windows, length: int) -> SitesInWindows:
    """Find the known sites in genomic windows.

    Args:
        sites: known sites; those of strand "+" or "-" count on their own strand only.
        windows: (M,) windows.
        length: window in bp.
    """
    place, begin, end = on_one_line(windows.chrom, windows.start, length, sites)
    order = np.argsort(begin, kind="stable")
    widest = int((end - begin).max(initial=0))
    first = np.searchsorted(begin[order], place - widest, side="right")
    count = np.searchsorted(begin[order], place + length, side="left") - first
    window = np.repeat(np.arange(len(windows)), count)
    site = order[np.arange(len(window)) - np.repeat(np.cumsum(count) - count - first, count)]
    minus, strand = windows.minus[window], sites.strand[site]
    here = (end[site] > place[window]) & (strand != np.where(minus, "+", "-"))
    window, site, minus = window[here], site[here], minus[here]
    from_start, to_end = begin[site] - place[window], end[site] - place[window]
    return SitesInWindows(
        window,
        site,
        np.where(minus, length - to_end, from_start),
        np.where(minus, length - from_start, to_end),
        np.where(minus == sites.turned[site], 1, -1),
    )


def mark_sites(in_windows: SitesInWindows, count: int, length: int) -> NDArray[np.uint8]:
    """Return (count, length) uint8: ``MOTIF`` on a site, ``BACKGROUND`` elsewhere.

    Args:
        in_windows: the sites in the windows.
        count: number of windows.
        length: window in bp.
    """
    # 1 where a site begins, -1 behind its end: the running sum says where sites are
    borders = np.zeros((count, length + 1), dtype=np.int32)
    np.add.at(borders, (in_windows.window, np.maximum(in_windows.start, 0)), 1)
    np.add.at(borders, (in_windows.window, np.minimum(in_windows.end, length)), -1)
    covered = np.cumsum(borders[:, :length], axis=1) > 0
    return np.where(covered, MOTIF, BACKGROUND).astype(np.uint8)


def named_instances(
    sites: Intervals, in_windows: SitesInWindows, rows: NDArray[np.int64], notes: Notes
) -> InstanceTable | None:
    """Return the sites in windows as instances of the motifs that they are named by.

    A site that is listed twice, or on both strands as a palindrome is, is one instance. None if a
    site has no name, or names are of single sites rather than of motifs: of fewer than two sites
    each on average.

    Args:
        sites: known sites.
        in_windows: those in the windows.
        rows: (M,) int64 rows of the windows in the dataset.
        notes: take why there are none, and what was left out.
    """
    names, number = np.unique(sites.name, return_inverse=True)
    if "" in names:
        unnamed = int((sites.name == "").sum())
        if unnamed < len(sites):
            notes.say(
                f"{unnamed:,} of {len(sites):,} sites in {sites.path.name} have no name, so that "
                "none is taken for an instance of a motif: name all of them."
            )
        return None
    if 2 * len(names) > len(sites):
        notes.say(
            f"The {len(names):,} names in {sites.path.name} are those of single sites, so they "
            "are not taken for names of motifs."
        )
        return None
    of_found = number[in_windows.site]
    table = np.stack(
        [rows[in_windows.window], in_windows.start, in_windows.end, of_found, in_windows.strand],
        axis=1,
    )
    # the first of each, in the order of the windows
    _, first = np.unique(table[:, :4], axis=0, return_index=True)
    if len(first) < len(table):
        notes.say(
            f"{len(table) - len(first):,} sites of {sites.path.name} in windows are there twice, "
            "under one name; each counts once."
        )
    return InstanceTable(table[np.sort(first)].astype(np.int64), tuple(names.tolist()))
