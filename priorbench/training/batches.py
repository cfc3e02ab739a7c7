"""Batches of a dataset, and the order in which an epoch shows its examples."""

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
from priorbench.encoding import one_hot, reverse_complement
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
    """Return rows of a dataset as a Batch on a device.

    Tracks along the window, arrays of shape (N, tracks, bp), are shifted and reversed with their
    sequence; reversed tracks come in the opposite order (plus and minus change places).

    Args:
        dataset: an opened dataset.
        rows: (B,) int64 rows of the dataset.
        device: device of the batch; sequences are moved there as one byte a base.
        flip: (B,) bool, the examples to show as their reverse complement.
        shift: (B,) int64, the distance in bp to move each window, at most the dataset's margin.
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
    """Return (B, ..., L) from (B, ..., L + 2 margin), each row from its own beginning."""
    if not margin:
        return values
    place = begin[:, None] + np.arange(values.shape[-1] - 2 * margin)
    place = place.reshape(len(values), *[1] * (values.ndim - 2), -1)
    return np.take_along_axis(values, place, axis=-1)


@dataclass(frozen=True)
class EpochOrder:
    """The examples of an epoch in the order in which steps take them.

    Attributes:
        rows: (N,) rows of the dataset.
        flips: (N,) bool, whether the other strand is shown.
        shifts: (N,) distance in bp by which the window is moved, or None.
    """

    rows: NDArray[np.int64]
    flips: NDArray[np.bool_]
    shifts: NDArray[np.int64] | None

    @property
    def digest(self) -> str:
        """Hash of all of it, 16 hexadecimal digits."""
        shifts = b"" if self.shifts is None else self.shifts.tobytes()
        text = self.rows.tobytes() + self.flips.tobytes() + shifts
        return hashlib.sha256(text).hexdigest()[:16]


def epoch_order(dataset: Dataset, task: Task, streams: RandomStreams, epoch: int) -> EpochOrder:
    """Draw the order of an epoch's rows, their strands and their shifts."""
    rows = dataset.rows(TRAIN)
    generator = np.random.default_rng(streams.derive("order", epoch))
    # a share of the data is shown several times, so that an epoch has the same number of steps
    passes = math.ceil(dataset.epoch_rows / len(rows))
    shuffled = np.concatenate([generator.permutation(rows) for _ in range(passes)])
    shuffled = shuffled[: dataset.epoch_rows]
    flips = generator.random(len(shuffled)) < 0.5
    margin = dataset.margin
    shifts = generator.integers(-margin, margin + 1, len(shuffled)) if margin else None
    return EpochOrder(shuffled, flips & task.reverse_complement, shifts)


def batches(dataset: Dataset, schedule: Schedule) -> list[NDArray[np.int64]]:
    """Return the places, in an epoch's order, of the examples of each step."""
    return parts_of(dataset.epoch_rows, schedule)


def parts_of(count: int, schedule: Schedule) -> list[NDArray[np.int64]]:
    """Return the places of so many examples in batches of about the schedule's size."""
    steps = max(1, round(count / schedule.batch_size))
    # parts of almost equal size: a short last batch would upset batch norm
    return np.array_split(np.arange(count), steps)
