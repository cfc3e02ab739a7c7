"""Training hyper-parameters of each scale, the same for every prior."""

from __future__ import annotations

from dataclasses import dataclass, replace

from priorbench.components.architecture import Precision, Scale
from priorbench.components.task import Task
from priorbench.schedule_table import Keep, Monitor, Plateau, ScheduleTable


@dataclass(frozen=True)
class Schedule:
    """Training hyper-parameters that no prior may change.

    Attributes:
        epochs: largest number of passes over the training data.
        batch_size: examples per step.
        learning_rate: learning rate of Adam.
        patience: number of epochs in a row without improvement after which training stops.
        min_delta: smallest improvement of the monitored value that counts.
        precision: precision of the networks' forward pass.
        monitor: what must improve in validation data, the prediction ``loss`` or ``auroc``.
        keep: the weights that are kept, those of the ``best`` epoch or of the ``last``.
        l2: factor of the sum of squares of the weights of convolutions and dense layers in the
            loss.
        plateau: when the learning rate falls; None for never.
    """

    epochs: int
    batch_size: int
    learning_rate: float = 1e-3
    patience: int = 3
    min_delta: float = 1e-3
    precision: Precision = "float32"
    monitor: Monitor = "loss"
    keep: Keep = "best"
    l2: float = 0.0
    plateau: Plateau | None = None


SCHEDULES: dict[Scale, Schedule] = {
    "smoke": Schedule(epochs=3, batch_size=32, learning_rate=3e-3),
    "quick": Schedule(epochs=8, batch_size=64),
    "standard": Schedule(epochs=15, batch_size=64),
    "paper": Schedule(epochs=20, batch_size=128),
}


def schedule_of(
    task: Task, scale: Scale, precision: Precision = "float32", table: str = ""
) -> Schedule:
    """Return the scale's schedule, its epochs and patience multiplied by the task's factors.

    What the text of a study's table gives takes the place of the scale's; epochs that it gives are
    multiplied by the option ``train_epochs`` only, not by the factor of the task's kind.
    """
    schedule, factor = SCHEDULES[scale], task.train_epochs
    given = ScheduleTable.from_text(table)
    usual = {"epochs": round(schedule.epochs * type(task).epochs)}
    schedule = replace(schedule, **usual | {key: getattr(given, key) for key in given.model_dump()})
    return replace(
        schedule,
        epochs=max(1, round(schedule.epochs * factor)),
        patience=max(1, round(schedule.patience * factor)),
        precision=precision,
    )
