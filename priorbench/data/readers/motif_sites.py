"""Known motif sites in windows, from matrices or from a BED file: what attributions should find."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from priorbench.data.codes import BACKGROUND, MOTIF, NEUTRAL
from priorbench.data.dataset_writer import DatasetWriter
from priorbench.data.formats.bed import Intervals
from priorbench.data.formats.bounded import LARGEST_MOTIFS, contents
from priorbench.data.formats.by_name import rows_by_name
from priorbench.data.formats.fasta import open_bytes
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
        UserError: a MEME file cannot be used.
    """
    if data.motifs is not None:
        writer.add_motifs(read_motifs(data.motifs))
    if data.database is not None:
        writer.add_motifs(read_motifs(data.database), as_database=True)


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
    path: Path, codes: NDArray[np.uint8], *, both_strands: bool, threshold: float = P_VALUE
) -> KnownSites:
    """Scan windows for the matrices of a MEME file, as FIMO does (Grant et al. 2011).

    The oracle is log(p(base) / 0.25), natural, of the observed base in the hit's matrix, on
    the hit's strand, with FIMO's pseudocount; where hits overlap, the largest. Magnitudes below
    0.001, an N among them, become 0.001, so that every position of a site has a value. Columns of
    less than 0.2 bits are neutral, unless another hit says more about the position.

    Args:
        path: the MEME file.
        codes: (M, L) uint8.
        both_strands: whether the other strand is scanned too.
        threshold: p-value of a hit.

    Raises:
        UserError: the MEME file cannot be used, no matrix fits into a window, or none is long
            enough to match at the threshold.
    """
    from memelite import fimo

    length = codes.shape[1]
    motifs = {name: m for name, m in read_motifs(path).items() if m.shape[1] <= length}
    if not motifs:
        raise UserError(f"{path}: every motif is longer than the windows of {length} bp")
    widest = max(matrix.shape[1] for matrix in motifs.values())
    if 0.25**widest >= threshold:
        raise UserError(
            f"{path}: no motif can match at p < {threshold:g}, the longest has {widest} bp; set "
            f"motif_p_value = {2 * 0.25**widest:.1g} in the data file, or more"
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
        bits = 2 + (matrix * np.log2(np.where(matrix > 0, matrix, 1))).sum(axis=0)
        known = bits >= NEUTRAL_BELOW
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


def read_motifs(path: Path) -> dict[str, NDArray[np.float64]]:
    """Read the probability matrices of a MEME file.

    Args:
        path: minimal or full MEME format, plain or gzip; alphabet ACGT or ACGU.

    Returns:
        (4, width) matrices by name, columns summing to one, rows A C G T.

    Raises:
        UserError: there are no matrices, or one cannot be read.
    """
    from memelite.io import read_meme

    with open_bytes(path) as stream:
        text = contents(stream, path, LARGEST_MOTIFS)
    announced = text.count(b"letter-probability matrix")
    if not announced:
        raise UserError(f"{path}: no matrices; give a MEME file with letter-probability matrices")
    with tempfile.TemporaryDirectory() as folder:
        plain = Path(folder) / "motifs.meme"
        plain.write_bytes(text)
        try:
            motifs: dict[str, NDArray[np.float64]] = read_meme(str(plain))
        except (ValueError, AttributeError, IndexError) as error:
            raise UserError(
                f"{path}: a matrix cannot be read ({error}); write one line of four "
                "probabilities a position, and w= in the line above"
            ) from None
    if len(motifs) != announced:
        raise UserError(
            f"{path}: {announced} matrices, but {len(motifs)} are complete and have a name of "
            "their own; check the last one and the names"
        )
    for name, matrix in motifs.items():
        total = matrix.sum(axis=0)
        if matrix.shape[1] == 0 or (matrix < 0).any() or not (np.abs(total - 1) < 0.05).all():
            raise UserError(
                f"{path}: the columns of motif {name!r} are no probabilities (they must sum to 1)"
            )
        motifs[name] = matrix / total
    return motifs


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
    truth = np.full((len(windows), length), BACKGROUND, dtype=np.uint8)
    own = rows_by_name(sites.chrom)
    for name, rows in rows_by_name(windows.chrom).items():
        on_it = sites.select(own.get(name, np.empty(0, dtype=np.int64)))
        for minus, other in ((False, "-"), (True, "+")):
            here = on_it.strand != other
            begin, end = on_it.start[here], on_it.end[here]
            for row in rows[windows.minus[rows] == minus].tolist():
                first = windows.start[row]
                inside = (begin < first + length) & (end > first)
                for start, stop in zip(begin[inside] - first, end[inside] - first, strict=True):
                    truth[row, max(start, 0) : stop] = MOTIF
    truth[windows.minus] = truth[windows.minus, ::-1]
    return truth
