"""Places of the rows of a dataset: on records of files, or on the chromosomes of a genome."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from priorbench.data.formats.genomes.genome import Genome
from priorbench.data.formats.sequences.encoder import Records

from ..genome_windows import Windows


@dataclass(frozen=True)
class RowPlaces:
    """Places of rows, one after the other.

    Attributes:
        name: (n,) object, name of the record or chromosome.
        start: (n,) int64 first base of the row there, from 0 on the plus strand; negative where a
            record was padded.
        size: (n,) int64 bases of the record or chromosome; 0 for rows that lie nowhere, such as
            shuffles.
        minus: (n,) bool, whether the row is read on the minus strand.
    """

    name: NDArray[np.object_]
    start: NDArray[np.int64]
    size: NDArray[np.int64]
    minus: NDArray[np.bool_]

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.start)

    def select(self, index: NDArray[Any] | slice) -> RowPlaces:
        """Return the places of the rows at ``index``: bool, int64 or a slice."""
        return RowPlaces(self.name[index], self.start[index], self.size[index], self.minus[index])

    @property
    def somewhere(self) -> RowPlaces:
        """The places of the rows that lie on a record or a chromosome."""
        return self if (self.size > 0).all() else self.select(self.size > 0)

    def inside(self, length: int) -> NDArray[np.bool_]:
        """Return (n, length) bool: the positions of rows of ``length`` bases that exist there."""
        place = self.positions(length)
        result: NDArray[np.bool_] = (place >= 0) & (place < self.size[:, None])
        return result

    def positions(self, length: int) -> NDArray[np.int64]:
        """Return the (n, length) places of the bases of each row, along the plus strand."""
        return self.start[:, None] + np.arange(length)


@dataclass(frozen=True)
class Sequences:
    """The records or chromosomes that rows lie on.

    Attributes:
        path: the genome, or the data file that names the files of the records.
        lengths: bases of each by name.
        genome: the genome; None for records, on each of which one row lies.
    """

    path: Path
    lengths: Mapping[str, int]
    genome: Genome | None = None

    @property
    def kind(self) -> str:
        """What they are called."""
        return "records" if self.genome is None else "chromosomes"


class RecordRows:
    """Collects the places of rows that are records of files while these are written."""

    def __init__(self, *, wanted: bool) -> None:
        """Begin without a row; where places are not wanted, no name is kept in memory."""
        self._wanted = wanted
        self._parts: list[RowPlaces] = []

    def add(self, count: int, records: Records | None) -> None:
        """Add rows, and the records that they are; None for rows that were made of others."""
        if not self._wanted:
            return
        if records is None:
            nothing = np.zeros(count, dtype=np.int64)
            part = RowPlaces(np.full(count, "", dtype=object), nothing, nothing, nothing > 0)
        else:
            plus = np.zeros(count, dtype=bool)
            part = RowPlaces(records.names, records.first, records.lengths, plus)
        self._parts.append(part)

    def places(self) -> RowPlaces:
        """Return the places of all rows so far."""
        columns = [(part.name, part.start, part.size, part.minus) for part in self._parts]
        return RowPlaces(*map(np.concatenate, zip(*columns, strict=True)))


def on_chromosomes(
    windows: Windows, genome: Genome, known: NDArray[np.bool_] | None = None
) -> RowPlaces:
    """Return the places of rows that are windows of a genome.

    Args:
        windows: n windows, in the order of the rows.
        genome: the genome.
        known: (n,) bool; False for rows that only were made of their window. None if none was.
    """
    names, number = np.unique(windows.chrom, return_inverse=True)
    size = np.array([genome.lengths[name] for name in names.tolist()], dtype=np.int64)[number]
    if known is not None:
        size[~known] = 0
    shared = names.astype(object)[number]  # one text a chromosome
    return RowPlaces(shared, windows.start, size, windows.minus)
