"""What a training costs: seconds per step and peak memory.

The steps of a trial that trains alone are timed epoch by epoch in `training/loop.py`. Trials that
train at once share their time, so each is timed alone before, over a few steps of one epoch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from priorbench.training.batches import epoch_order
from priorbench.training.loop import Trainer, mean_step_time, seeded_torch
from priorbench.training.progress import Fit
from priorbench.training.schedules import Schedule

from .job import TrialParts
from .process_state import forget_peak_memory, peak_memory_mib

_TIMED_EPOCH = 1
"""the epoch whose steps are timed: schedules of weights that start at 0 have begun"""
_TIMED_STEPS, _MOST_TIMED_STEPS = 3, 24


@dataclass(frozen=True)
class TrainingPrice:
    """What a training costs.

    Attributes:
        seconds_per_step: processor time on CPU, wall time on a GPU.
        peak_memory_mib: peak memory of the process, or of the GPU's memory, in MiB.
    """

    seconds_per_step: float
    peak_memory_mib: float


def price_of_training(
    trained: Fit, device: torch.device, teachers: Sequence[Fit] = ()
) -> TrainingPrice:
    """Return the price of a training that has just ended: the median epoch's seconds per step.

    A last phase, whose steps cost more or less than those before it, has a median of its own, which
    counts by its share of the epochs. The time of teachers, which were trained first, is shared
    out among the steps.
    """
    times = np.array([epoch.seconds_per_step for epoch in trained.history])
    phases = [part for part in np.split(times, [len(times) - trained.final_epochs]) if len(part)]
    seconds = float(sum(np.median(part) * len(part) for part in phases) / len(times))
    first = sum(epoch.seconds_per_step for teacher in teachers for epoch in teacher.history)
    seconds += first / len(trained.history)  # every epoch has the same number of steps
    return TrainingPrice(seconds, peak_memory_mib(device))


def price_of_some_steps(
    parts: TrialParts, schedule: Schedule, device: torch.device
) -> TrainingPrice:
    """Train a few steps of a trial alone and return their price.

    Penalties that are added in some steps only have their share of the time, unless they are rare.
    """
    forget_peak_memory()
    every = max([getattr(part.prior, "every", 1) for part in parts.regularisation.parts], default=1)
    count = min(every * math.ceil(_TIMED_STEPS / every), _MOST_TIMED_STEPS)
    with seeded_torch(parts.streams.derive("prior"), device):
        trainer = Trainer(
            parts.regularisation.adapt(parts.model()).to(device),
            parts.task,
            parts.regularisation,
            parts.dataset,
            schedule=schedule,
            streams=parts.streams,
        )
        order = epoch_order(parts.dataset, parts.task, parts.streams, _TIMED_EPOCH)
        seconds = mean_step_time(trainer.steps(_TIMED_EPOCH, order), device, most=count)
    return TrainingPrice(seconds, peak_memory_mib(device))
