"""Writes sequences of two classes to a dataset, counts them and draws those to attribute."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from priorbench.data.codes import SPLITS, TEST, VALID
from priorbench.data.dataset_writer import DatasetWriter
from priorbench.data.formats.notes import Notes
from priorbench.data.formats.sequences.encoder import Records
from priorbench.encoding import N_CODE
from priorbench.errors import UserError

from .channels.row_places import RecordRows
from .genome_windows import Windows, concatenate

CLASSES = ("negatives", "positives")
"""names of the classes, in the order of their labels"""


class ClassWriter:
    """Writes sequences of two classes, and keeps count of what was written.

    The sequences to attribute are a uniform sample of the test positives and one of the
    validation positives.

    Attributes:
        writer: the writer of the dataset.
        notes: what the user should know.
        rows: where the sequences lie, those that are records; nothing is collected by default.
    """

    def __init__(self, writer: DatasetWriter, generator: np.random.Generator, at_most: int) -> None:
        """Hand sequences to ``writer``; draw at most ``at_most`` positives of a split."""
        self.writer = writer
        self.notes = Notes()
        self.rows = RecordRows(wanted=False)
        # streams of their own: other draws must not move the samples
        streams = zip((TEST, VALID), generator.spawn(2), strict=True)
        self._samples = {split: _Sample(stream, at_most) for split, stream in streams}
        self._counts = np.zeros((len(SPLITS), len(CLASSES)), dtype=np.int64)
        self._bases = np.zeros((len(CLASSES), 3), dtype=np.int64)
        self._length = 0

    def add(
        self,
        codes: NDArray[np.uint8],
        label: int,
        split: NDArray[np.uint8],
        records: Records | None = None,
    ) -> None:
        """Append (k, L) uint8 sequences of one class, with their (k,) uint8 splits.

        The records are those of the sequences, where they are told from each other by name.
        """
        if not len(codes):
            return
        first = self.writer.rows
        self.writer.append(codes, np.full(len(codes), label, dtype=np.float32), split)
        self.rows.add(len(codes), records)
        self._length = codes.shape[1]
        self._counts[:, label] += np.bincount(split, minlength=len(SPLITS))
        gc = np.count_nonzero((codes == 1) | (codes == 2))
        self._bases[label] += gc, np.count_nonzero(codes == N_CODE), codes.size
        if label == 1:
            for number, sample in self._samples.items():
                index = np.flatnonzero(split == number)
                sample.add(
                    first + index, codes[index], None if records is None else records.select(index)
                )

    def check(self, source: Path) -> None:
        """Raise UserError, naming ``source``, if a class is empty in a split."""
        for split, counts in zip(SPLITS, self._counts.tolist(), strict=True):
            # positives first: without them no negatives are drawn
            for name, count in reversed(list(zip(CLASSES, counts, strict=True))):
                if not count:
                    raise UserError(
                        f"{source}: no {name} left for {split} after filtering, of "
                        f"{int(self._counts[:, CLASSES.index(name)].sum()):,} in all; "
                        "give more sequences, or other files or regions for that split"
                        f"{self.notes.dropped_so_far()}"
                    )

    def sample(self) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
        """Return the (M,) ascending int64 rows of the positives to attribute, and (M, L) codes."""
        samples = self._samples.values()
        rows = np.concatenate([sample.rows for sample in samples])
        drawn = [sample.codes for sample in samples if sample.codes is not None]
        codes = np.concatenate([np.empty((0, self._length), np.uint8), *drawn])
        order = np.argsort(rows)
        return rows[order], codes[order]

    def sampled_windows(self) -> Windows:
        """Return the (M,) windows of the positives to attribute on their own records."""
        parts = [sample.windows() for sample in self._samples.values()]
        rows = np.concatenate([sample.rows for sample in self._samples.values()])
        return concatenate(parts).select(np.argsort(rows))

    def summary(self) -> list[str]:
        """Return the notes so far, headed by counts and composition."""
        counts = "; ".join(
            f"{split} {positives:,} + {negatives:,}"
            for split, (negatives, positives) in zip(SPLITS, self._counts.tolist(), strict=True)
        )
        gc, unknown, total = self._bases.T
        share = gc / np.maximum(total - unknown, 1)
        return [
            f"Windows of {self._length:,} bp, positives + negatives: {counts}.",
            f"GC content: positives {share[1]:.1%}, negatives {share[0]:.1%}; "
            f"N: {unknown.sum() / max(total.sum(), 1):.2%} of all bases.",
            *self.notes.sentences,
        ]


class _Sample:
    """A uniform sample of sequences, drawn while they stream by.

    Each gets a random key, and those with the smallest keys stay. Which they are does not depend
    on the size of the chunks.

    Attributes:
        rows: (k,) int64 rows of the sample.
        codes: (k, L) uint8 sequences, or None before any was offered.
    """

    def __init__(self, generator: np.random.Generator, at_most: int) -> None:
        self._generator, self._at_most = generator, at_most
        self._keys = np.empty(0)
        self.rows = np.empty(0, dtype=np.int64)
        self.codes: NDArray[np.uint8] | None = None
        self._names = np.empty(0, dtype=object)
        self._first = np.empty(0, dtype=np.int64)

    def add(
        self, rows: NDArray[np.int64], codes: NDArray[np.uint8], records: Records | None = None
    ) -> None:
        """Offer (k,) rows with their (k, L) codes and, if they have, their records."""
        keys = np.concatenate([self._keys, self._generator.random(len(rows))])
        kept = np.argsort(keys, kind="stable")[: self._at_most]
        pool = codes if self.codes is None else np.concatenate([self.codes, codes])
        self.rows = np.concatenate([self.rows, rows])[kept]
        self._keys, self.codes = keys[kept], pool[kept]
        if records is not None:
            self._names = np.concatenate([self._names, records.names])[kept]
            self._first = np.concatenate([self._first, records.first])[kept]

    def windows(self) -> Windows:
        """Return where the sequences lie on their records, whose names stand for chromosomes."""
        zeros = np.zeros(len(self._names), dtype=np.uint8)
        return Windows(self._names.astype(np.str_), self._first, zeros, zeros.astype(bool))
