"""A small sample of a user's data, for a first run that takes about a minute."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .codes import SPLITS
from .dataset_writer import DatasetWriter

SMOKE_SIZES = (400, 100, 200)
"""sequences for training, validation and test, as many as tasks simulate at scale smoke"""
_BASES = 200
"""bp of a window up to which so many are taken; of longer ones fewer, as time grows with bases"""
_SMALLEST = 50
"""sequences that a split keeps however long they are"""
_FEWEST = 5
"""members of each class that a split keeps if it has them: with one or two nothing can be scored"""
_CHUNK = 8192


def sample_written(writer: DatasetWriter, generator: np.random.Generator) -> None:
    """Keep a sample of what a reader has written, with a note.

    Each class has its share of a split, and a class that is there has at least one sequence, and
    five where there is room. A class of several outputs is the rarest output that is positive.
    Fewer windows are taken where they are long.
    Sequences that are attributed go first: they are a random part of those that may be.

    Args:
        writer: the writer of the dataset.
        generator: draws the sample.
    """
    split = np.asarray(writer.written("split"))
    classes = _classes(writer.written("label"), with_classes=not writer.tracks)
    key = generator.random(len(split))
    key[writer.attributed] -= 1
    kept = []
    length = writer.written("sequence").shape[1]
    for number, most in enumerate(SMOKE_SIZES):
        size = min(most, max(_SMALLEST, most * _BASES // length))
        rows = np.flatnonzero(split == number)
        kept.append(_stratified(rows, classes[rows], key[rows], size))
    rows = np.sort(np.concatenate(kept))
    if len(rows) == len(split):
        return
    counts = ", ".join(
        f"{len(part):,} of {int((split == number).sum()):,} for {SPLITS[number]}"
        for number, part in enumerate(kept)
    )
    writer.keep(rows)
    writer.notes.say(
        f"Scale smoke takes a sample: {counts}. It shows that everything works; its scores say "
        "little."
    )


def _classes(label: NDArray[np.float32], *, with_classes: bool) -> NDArray[np.int64]:
    """Return the (n,) class of each sequence; 0 for all where labels are no classes."""
    result = np.zeros(len(label), dtype=np.int64)
    if not with_classes:
        return result
    chunks = range(0, len(label), _CHUNK)

    def positive(begin: int) -> NDArray[np.bool_]:
        part = np.asarray(label[begin : begin + _CHUNK])
        return np.equal(part.reshape(len(part), -1), 1)

    rarest_first = np.argsort(sum(positive(begin).sum(axis=0) for begin in chunks), kind="stable")
    for begin in chunks:
        ordered = positive(begin)[:, rarest_first]
        # the number of the rarest output that is positive, from 1
        numbers = np.where(ordered.any(axis=1), ordered.argmax(axis=1) + 1, 0)
        result[begin : begin + _CHUNK] = numbers
    return result


def _stratified(
    rows: NDArray[np.int64], classes: NDArray[np.int64], key: NDArray[np.float64], size: int
) -> NDArray[np.int64]:
    """Return up to ``size`` rows, of each class its share and a few, small keys first."""
    order = np.lexsort((key, classes))
    sizes = np.bincount(classes)
    within = np.arange(len(rows)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    # by the share of their class that is taken when a row is: all classes are passed alike
    share = np.empty(len(rows))
    share[order] = within / np.repeat(np.maximum(sizes, 1), sizes)
    share[order[within < _FEWEST]] = 0
    share[order[within == 0]] = -1
    chosen: NDArray[np.int64] = rows[np.lexsort((key, share))[:size]]
    return chosen
