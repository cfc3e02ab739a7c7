"""How long and how each scale trains; the same for every prior."""

from __future__ import annotations

from dataclasses import dataclass, replace

from priorbench.components.architecture import Precision, Scale
from priorbench.components.task import Task


@dataclass(frozen=True)
class Schedule:
    """Training hyper-parameters that no prior may change.

    Attributes:
        epochs: at most this many passes over the training data.
        batch_size: examples per step.
        learning_rate: of Adam.
        patience: stop after this many epochs in a row without improvement.
        min_delta: what counts as improvement of the validation prediction loss.
        precision: of the networks' forward pass.
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
    """The scale's schedule with as many epochs, and as much patience, as the task takes."""
    schedule, longer = SCHEDULES[scale], task.train_epochs
    return replace(
        schedule,
        epochs=max(1, round(schedule.epochs * type(task).epochs * longer)),
        patience=max(1, round(schedule.patience * longer)),
        precision=precision,
    )
