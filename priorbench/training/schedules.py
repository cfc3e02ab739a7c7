"""Training hyper-parameters of each scale, the same for every prior."""

from __future__ import annotations

from dataclasses import dataclass, replace

from priorbench.components.architecture import Precision, Scale
from priorbench.components.task import Task


@dataclass(frozen=True)
class Schedule:
    """Training hyper-parameters that no prior may change.

    Attributes:
        epochs: largest number of passes over the training data.
        batch_size: examples per step.
        learning_rate: learning rate of Adam.
        patience: number of epochs in a row without improvement after which training stops.
        min_delta: smallest improvement of the validation prediction loss that counts.
        precision: precision of the networks' forward pass.
    """

    epochs: int
    batch_size: int
    learning_rate: float = 1e-3
    patience: int = 3
    min_delta: float = 1e-3
    precision: Precision = "float32"


SCHEDULES: dict[Scale, Schedule] = {
    "smoke": Schedule(epochs=3, batch_size=32, learning_rate=3e-3),
    "quick": Schedule(epochs=8, batch_size=64),
    "standard": Schedule(epochs=15, batch_size=64),
    "paper": Schedule(epochs=20, batch_size=128),
}


def schedule_of(task: Task, scale: Scale, precision: Precision = "float32") -> Schedule:
    """Return the scale's schedule, its epochs and patience multiplied by the task's factors."""
    schedule, factor = SCHEDULES[scale], task.train_epochs
    return replace(
        schedule,
        epochs=max(1, round(schedule.epochs * type(task).epochs * factor)),
        patience=max(1, round(schedule.patience * factor)),
        precision=precision,
    )
