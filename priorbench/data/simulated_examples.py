"""Simulated examples with their labels, written to a dataset with what is known about them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .codes import CHANNEL, MOTIF, NEUTRAL, TEST, TRAIN, VALID
from .dataset_writer import MOST_ATTRIBUTED, DatasetWriter
from .instances import instance_table
from .simulation import Planted


@dataclass(frozen=True)
class SimulatedExamples:
    """Simulated examples.

    Attributes:
        labels: (N,) or (N, outputs) float32.
        planted: sequences, and where motifs were planted in them.
        arrays: further arrays of N rows by name.
    """

    labels: NDArray[np.float32]
    planted: Planted
    arrays: Mapping[str, NDArray[Any]] = field(default_factory=dict)


def write_examples(
    writer: DatasetWriter,
    sizes: Sequence[int],
    draw: Callable[[int, int], SimulatedExamples],
    positive: Callable[[NDArray[np.float32]], NDArray[np.bool_]],
    *,
    chunk: int,
    motif_channel: bool = False,
    attributed: int | None = None,
) -> None:
    """Write simulated examples chunk by chunk, with their motifs and the first ones to attribute.

    What is known of the examples to attribute is written without the writer's margin.

    Args:
        writer: takes the examples, whose sequences have its ``margin`` at either end.
        sizes: numbers of training, validation and test examples.
        draw: function of a number of examples and their split that draws them.
        positive: function of labels that gives (N,) bool, the examples that may be attributed.
        chunk: number of examples that are drawn at once.
        motif_channel: whether the channel ``motif`` is written, 1 inside motifs and 0 outside.
        attributed: largest number of examples of a split that are attributed; the writer's by
            default.
    """
    rows, truth, oracle = [], [], []
    instances: list[tuple[int, int, int, str, int]] = []
    margin = writer.margin
    for split, size in zip((TRAIN, VALID, TEST), sizes, strict=True):
        left = 0 if split == TRAIN else (attributed or MOST_ATTRIBUTED)
        for start in range(0, size, chunk):
            count, first = min(chunk, size - start), writer.rows
            drawn = draw(count, split)
            planted, splits = drawn.planted, np.full(count, split, dtype=np.uint8)
            window = slice(margin, planted.sequences.shape[1] - margin)
            writer.add_motifs({m.name: m.matrix.T for m in planted.motifs.values()})
            arrays = dict(drawn.arrays)
            if motif_channel:
                inside = np.isin(planted.codes, (MOTIF, NEUTRAL))[:, None]
                arrays[f"{CHANNEL}motif"] = inside.astype(np.float32)
            writer.append(planted.sequences, drawn.labels, splits, **arrays)
            chosen = np.flatnonzero(positive(drawn.labels))[:left]
            left -= len(chosen)
            rows.append(first + chosen)
            truth.append(planted.codes[chosen, window])
            oracle.append(planted.oracle[chosen, window])
            kept = set(chosen.tolist())
            instances += [
                (first + row, begin - margin, end - margin, name, strand)
                for row, begin, end, name, strand in planted.instances
                if row in kept
            ]
    names = list(writer.motifs)
    writer.attribute(
        np.concatenate(rows),
        np.concatenate(truth),
        np.concatenate(oracle),
        instances=instance_table(instances, names),
    )
