"""The rows of a user's data that are attributed: which they are, and what is known about them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from priorbench.data.codes import BACKGROUND, DECOY, TEST, VALID
from priorbench.data.dataset_writer import DatasetWriter
from priorbench.data.doubts.truth import chance_of_site, doubt_motifs, doubt_truth
from priorbench.data.formats.bed import Intervals
from priorbench.data.formats.notes import Notes
from priorbench.data.formats.sequences.encoder import Records
from priorbench.errors import UserError

from .data_file import DataFile
from .genome_windows import Windows
from .motif_sites import P_VALUE, find_sites, mark_sites, named_instances, scan_motifs


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
    decoys: Intervals | None = None,
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
        decoys: motifs that are there but do not count as true, where sites are known.
        windows: (M,) windows of these rows on the genome, or the records, of the sites.
    """
    by_chance, instances = 0.0, None
    count, length = codes.shape
    if data.motifs is not None:
        threshold = P_VALUE if data.motif_p_value is None else data.motif_p_value
        known = scan_motifs(
            data.motifs, codes, writer.notes, both_strands=both_strands, threshold=threshold
        )
        source, truth, oracle = data.motifs, known.truth, known.oracle
        widths = {name: matrix.shape[1] for name, matrix in writer.motifs.items()}
        doubt_motifs(widths, length, threshold, writer.notes)
        by_chance = chance_of_site(widths.values(), length, threshold, both_strands=both_strands)
    elif sites is not None and windows is not None:
        in_windows = find_sites(sites, windows, length)
        source, truth, oracle = sites.path, mark_sites(in_windows, count, length), None
        instances = named_instances(sites, in_windows, rows, writer.notes)
        if decoys is not None:
            others = mark_sites(find_sites(decoys, windows, length), count, length)
            truth[(others != BACKGROUND) & (truth == BACKGROUND)] = DECOY
    else:
        writer.attribute(rows)
        return
    writer.attribute(rows, truth, oracle, instances=instances)
    doubt_truth(truth, source.name, writer.notes, by_chance=by_chance)
    known_here = (truth != BACKGROUND) & (truth != DECOY)
    writer.notes.say(
        f"Known sites of {source.name} are in {int(known_here.any(axis=1).sum()):,} of the "
        f"{len(truth):,} attributed sequences and cover {known_here.mean():.1%} of their bases."
    )


class RecordSites:
    """Known sites whose first column is the name of a record, matched to records as these are read.

    Only names and lengths of records are looked at, so that no sequence is kept.
    """

    def __init__(self, sites: Intervals) -> None:
        """Wait for the records of the sites."""
        self._sites = sites
        names, self._number = np.unique(sites.chrom, return_inverse=True)
        self._index = {name: number for number, name in enumerate(names.tolist())}
        self._length = np.full(len(names), -1, dtype=np.int64)
        self._source: dict[int, Path] = {}

    def see(self, path: Path, records: Records) -> None:
        """Look for the records of a file; UserError for a second one of a name with sites."""
        index = self._index
        for name, length in zip(records.names.tolist(), records.lengths.tolist(), strict=True):
            number = index.get(name)
            if number is None:
                continue
            if number in self._source:
                row = int(np.argmax(self._number == number))
                other = self._source[number]
                raise UserError(
                    f"{self._sites.path}: line {self._sites.line[row]}: {name[:40]!r} is the name "
                    f"of two records, in {other}"
                    + ("; names must differ" if other == path else f" and {path}; rename one")
                )
            self._source[number] = path
            self._length[number] = length

    def found(self, notes: Notes) -> Intervals:
        """Return the sites that lie on records; the others are counted.

        Raises:
            UserError: none does.
        """
        sites, length = self._sites, self._length[self._number]
        outside = (sites.end > length) | (sites.start < 0)
        beyond = (length >= 0) & outside
        minus = (length >= 0) & ~beyond & (sites.strand == "-")
        keep = (length >= 0) & ~beyond & ~minus
        if not (keep | minus).any():
            row = int(np.argmax(beyond)) if beyond.any() else 0
            name = str(sites.chrom[row])[:40]
            problem = (
                f"{sites.start[row]}-{sites.end[row]} is outside record {name!r}, which has "
                f"{length[row]:,} bases"
                if beyond.any()
                else f"no record of the positives is called {name!r}"
            )
            raise UserError(
                f"{sites.path}: line {sites.line[row]}: {problem}, and no other site lies on a "
                "record; the first column must be names of records, positions count from their "
                "first base"
            )
        reasons = {
            "no positive of that name": length < 0,
            "outside the record": beyond,
            "on the minus strand, of which the task reads none": minus,
        }
        for reason, mask in reasons.items():
            if mask.any():
                notes.say(f"Dropped {int(mask.sum()):,} sites of {sites.path.name}: {reason}.")
        return sites.select(keep)
