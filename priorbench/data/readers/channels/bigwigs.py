"""A channel whose values are those of a bigWig, as they are written."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from priorbench.data.formats.genomes.genome import stretches
from priorbench.data.formats.notes import Notes
from priorbench.data.formats.tracks.bigwig import BigWigFile
from priorbench.data.formats.tracks.bigwig_header import check_header

from .channel_table import ChannelFile
from .row_places import RowPlaces, Sequences


class BigWigChannel:
    """The values of a bigWig; 0 where it has no entry, or one that is no number.

    Attributes:
        path: the file.
    """

    def __init__(self, channel: ChannelFile) -> None:
        """Look at the file's header; UserError if it is no bigWig, or damaged."""
        self.path = channel.file
        check_header(self.path)

    @contextmanager
    def opened(self, sequences: Sequences, folder: Path, notes: Notes) -> Iterator[None]:
        """Open the file for the block.

        Args:
            sequences: records or chromosomes that rows lie on.
            folder: place for temporary files.
            notes: takes the sequences that the file lacks.

        Raises:
            UserError: it has none of them, or one in another length or under another name.
        """
        names = list(sequences.lengths)
        with closing(BigWigFile(self.path, sequences, names, notes, counts=False)) as self._file:
            yield

    def names(self) -> set[str]:
        """Return the names of the sequences that have a value, while the file is open."""
        return set(self._file.lengths)

    def values(self, rows: RowPlaces, length: int) -> NDArray[np.float32]:
        """Return the (k, length) values of k rows along the plus strand.

        Raises:
            UserError: a value in a row or nearby is infinite.
        """
        result = np.zeros((len(rows), length), dtype=np.float32)
        for group in stretches(rows.name.astype(np.str_), rows.start, length):
            name, size = str(rows.name[group[0]]), int(rows.size[group[0]])
            begin = max(0, int(rows.start[group].min()))
            end = min(size, int(rows.start[group].max()) + length)
            known = self._file.values(name, begin, end)
            for row, start in zip(group.tolist(), rows.start[group].tolist(), strict=True):
                first, stop = max(start, begin), min(start + length, end)
                result[row, first - start : stop - start] = known[first - begin : stop - begin]
        return result
