"""Instances of motifs: which motif lies where, in which sequence and on which strand."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

ROW, START, END, NUMBER, STRAND = range(5)
"""columns of a table of instances"""
_UNIFORM = 0.25


@dataclass(frozen=True)
class InstanceTable:
    """Instances of motifs in sequences of one length.

    Attributes:
        rows: (K, 5) int64, an instance each: the row of its sequence, its start and end (excluded),
            the number of its motif in ``motifs``, and 1 or -1 for its strand. A site that reaches
            beyond the window begins before 0 or ends behind its length.
        motifs: names of the motifs.
    """

    rows: NDArray[np.int64]
    motifs: tuple[str, ...]

    def check(self, rows: NDArray[np.int64], length: int) -> None:
        """Check the table against the rows it may be about.

        Args:
            rows: (M,) int64 rows whose instances are known.
            length: window in bp.

        Raises:
            ValueError: an instance is in another row, shares no base with the window, is of a motif
                without a name or has no strand.
        """
        table = self.rows
        inside = (
            (table[:, START] < table[:, END]) & (table[:, END] > 0) & (table[:, START] < length)
        )
        named = (table[:, NUMBER] >= 0) & (table[:, NUMBER] < len(self.motifs))
        good = np.isin(table[:, ROW], rows) & inside & named & (np.abs(table[:, STRAND]) == 1)
        if not good.all():
            raise ValueError(f"no instance of a motif in these rows: {table[~good][0].tolist()}")

    def true_matrices(
        self, motifs: Mapping[str, NDArray[np.float64]], count: int, length: int
    ) -> NDArray[np.float32] | None:
        """Return the (count, 4, length) float32 probabilities of A C G T in every sequence.

        They are 1/4 outside instances. Where instances overlap, the later in the table counts, as
        it was written over the earlier. None if the matrix of an instance is not known, or has
        another width.

        Args:
            motifs: (4, width) probabilities of A C G T by name.
            count: number of sequences, whose rows are 0 to count - 1.
            length: window in bp.
        """
        result = np.full((count, 4, length), _UNIFORM, dtype=np.float32)
        for row, start, end, number, strand in self.rows.tolist():
            matrix = motifs.get(self.motifs[number])
            if matrix is None or matrix.shape[1] != end - start:
                return None
            oriented = matrix if strand == 1 else matrix[::-1, ::-1]
            first, last = max(start, 0), min(end, length)
            result[row, :, first:last] = oriented[:, first - start : last - start]
        return result


def instance_table(
    instances: Iterable[tuple[int, int, int, str, int]], names: Sequence[str]
) -> InstanceTable:
    """Return a table of instances, ordered by their rows.

    Args:
        instances: row, start, end, name of the motif and strand of each.
        names: names of the motifs, in the order of their numbers.
    """
    number = {name: index for index, name in enumerate(names)}
    rows = [(row, start, end, number[name], strand) for row, start, end, name, strand in instances]
    table = np.array(rows, dtype=np.int64).reshape(-1, 5)
    return InstanceTable(table[np.argsort(table[:, ROW], kind="stable")], tuple(names))
