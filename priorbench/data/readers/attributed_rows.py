"""The rows of a user's data that are attributed: which they are, and what is known about them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from priorbench.data.codes import TEST, VALID
from priorbench.data.dataset_writer import DatasetWriter
from priorbench.data.doubts.truth import chance_of_site, doubt_motifs, doubt_truth
from priorbench.data.formats.bed import Intervals

from .data_file import DataFile
from .genome_windows import Windows
from .motif_sites import P_VALUE, mark_sites, scan_motifs


def draw_attributed(
    split: NDArray[np.uint8],
    eligible: NDArray[np.bool_],
    generator: np.random.Generator,
    at_most: int,
) -> NDArray[np.int64]:
    """Draw the rows to attribute, ascending: some of the test and some of the validation split.

    Args:
        split: (N,) uint8.
        eligible: (N,) bool, rows that may be drawn.
        generator: draws the rows.
        at_most: rows of each of the two splits.
    """
    candidates = [np.flatnonzero(eligible & (split == number)) for number in (TEST, VALID)]
    return np.sort(np.concatenate([generator.permutation(c)[:at_most] for c in candidates]))


def attribute_rows(
    writer: DatasetWriter,
    data: DataFile,
    rows: NDArray[np.int64],
    codes: NDArray[np.uint8],
    *,
    both_strands: bool,
    sites: Intervals | None = None,
    windows: Windows | None = None,
) -> None:
    """Name the rows to attribute, with the truth about them where the data file has a source of it.

    Args:
        writer: takes rows, truth and a note.
        data: the data file, whose ``motifs`` are scanned for.
        rows: (M,) int64.
        codes: (M, L) uint8 sequences of these rows.
        both_strands: whether motifs may lie on the other strand.
        sites: known sites, which are looked up where there are no motifs.
        windows: (M,) windows of these rows on the genome of the sites.
    """
    by_chance = 0.0
    if data.motifs is not None:
        threshold = P_VALUE if data.motif_p_value is None else data.motif_p_value
        known = scan_motifs(
            data.motifs, codes, writer.notes, both_strands=both_strands, threshold=threshold
        )
        source, truth, oracle = data.motifs, known.truth, known.oracle
        length = codes.shape[1]
        widths = {name: matrix.shape[1] for name, matrix in writer.motifs.items()}
        doubt_motifs(widths, length, threshold, writer.notes)
        by_chance = chance_of_site(widths.values(), length, threshold, both_strands=both_strands)
    elif sites is not None and windows is not None:
        source, truth, oracle = sites.path, mark_sites(sites, windows, codes.shape[1]), None
    else:
        writer.attribute(rows)
        return
    writer.attribute(rows, truth, oracle)
    doubt_truth(truth, source.name, writer.notes, by_chance=by_chance)
    with_site = int(truth.any(axis=1).sum())
    writer.notes.say(
        f"Known sites of {source.name} are in {with_site:,} of the {len(truth):,} attributed "
        f"sequences and cover {truth.astype(bool).mean():.1%} of their bases."
    )
