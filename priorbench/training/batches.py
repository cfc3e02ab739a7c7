"""The training loop: one for every task and every prior."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from priorbench.components.task import Batch, Task
from priorbench.data.codes import TRAIN
from priorbench.data.dataset import Dataset
from priorbench.data.formats.encoding import one_hot, reverse_complement
from priorbench.seeds import RandomStreams

from .schedules import Schedule


def load_batch(
    dataset: Dataset,
    rows: NDArray[np.int64],
    device: torch.device,
    *,
    flip: NDArray[np.bool_] | None = None,
    shift: NDArray[np.int64] | None = None,
) -> Batch:
    """Rows of a dataset as a Batch on a device.

    Tracks along the window, arrays of shape (N, tracks, bp), are shifted and turned with their
    sequence; turned ones come in the opposite order (plus and minus change places).

    Args:
        dataset: an opened dataset.
        rows: (B,) int64.
        device: where the batch goes; sequences travel as one byte a base.
        flip: (B,) bool, examples to show as their reverse complement.
        shift: (B,) int64, by how much to move each window, at most the dataset's margin.
    """
    margin = dataset.margin
    begin = np.full(len(rows), margin) if shift is None else margin + shift
    arrays: dict[str, NDArray[Any]] = {}
    for name, column in dataset.columns.items():
        values = column.take(rows)
        if name == "sequence" or values.ndim == 3:
            values = _window(values, begin, margin)
        if flip is not None and flip.any():
            if name == "sequence":
                values[flip] = reverse_complement(values[flip])
            elif values.ndim == 3:
                values[flip] = values[flip][:, ::-1, ::-1]
        arrays[name] = values
    tensors = {name: torch.from_numpy(v).to(device) for name, v in arrays.items()}
    codes, label = arrays["sequence"], tensors.pop("label")
    del tensors["sequence"]
    return Batch(one_hot(codes, device), label, tensors)


def _window(values: NDArray[Any], begin: NDArray[np.int64], margin: int) -> NDArray[Any]:
    """(B, ..., L) of (B, ..., L + 2 margin), each row from its own beginning."""
    if not margin:
        return values
    place = begin[:, None] + np.arange(values.shape[-1] - 2 * margin)
    place = place.reshape(len(values), *[1] * (values.ndim - 2), -1)
    return np.take_along_axis(values, place, axis=-1)


@dataclass(frozen=True)
class EpochOrder:
    """What the steps of an epoch see, in their order.

    Attributes:
        rows: (N,) of the dataset.
        flips: (N,) bool, shown as the other strand.
        shifts: (N,) by how much the window is moved, or None.
    """

    rows: NDArray[np.int64]
    flips: NDArray[np.bool_]
    shifts: NDArray[np.int64] | None

    @property
    def digest(self) -> str:
        """16 hexadecimal digits that stand for all of it."""
        moved = b"" if self.shifts is None else self.shifts.tobytes()
        text = self.rows.tobytes() + self.flips.tobytes() + moved
        return hashlib.sha256(text).hexdigest()[:16]


def epoch_order(dataset: Dataset, task: Task, luck: RandomStreams, epoch: int) -> EpochOrder:
    """Rows in an epoch's order, which to turn to the other strand, and how far to shift."""
    rows = dataset.rows(TRAIN)
    generator = np.random.default_rng(luck.derive("order", epoch))
    # a share of the data is passed through more often, so that an epoch has as many steps
    passes = math.ceil(dataset.epoch_rows / len(rows))
    shuffled = np.concatenate([generator.permutation(rows) for _ in range(passes)])
    shuffled = shuffled[: dataset.epoch_rows]
    flips = generator.random(len(shuffled)) < 0.5
    margin = dataset.margin
    shifts = generator.integers(-margin, margin + 1, len(shuffled)) if margin else None
    return EpochOrder(shuffled, flips & task.reverse_complement, shifts)


def batches(dataset: Dataset, schedule: Schedule) -> list[NDArray[np.int64]]:
    """Which of an epoch's examples each step sees, by their place in its order."""
    count = dataset.epoch_rows
    steps = max(1, round(count / schedule.batch_size))
    # parts of almost equal size: a short last batch would upset batch norm
    return np.array_split(np.arange(count), steps)
