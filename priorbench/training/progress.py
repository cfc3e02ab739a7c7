"""How far a training is: its epochs, the best of them, its phases, and whether there is another."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch

from priorbench.components.hooks import FinalPhase
from priorbench.schedule_table import Monitor

from .schedules import Schedule


@dataclass(frozen=True)
class Epoch:
    """One pass over the training data.

    Attributes:
        training_loss: mean prediction loss of the steps, in the task's unit.
        penalty: mean of the terms that the priors added to the loss of the steps, weights included.
        validation_loss: mean prediction loss of the validation data, in eval mode.
        seconds_per_step: mean over the steps, validation left out, statistics of averaged weights
            included: processor time on CPU, wall time on a GPU.
        order: hash of the order, strands and shifts of the examples.
        validation_auroc: area under the ROC curve of the validation data, where it is monitored.
        learning_rate: learning rate of the steps, where it may fall.
    """

    training_loss: float
    penalty: float
    validation_loss: float
    seconds_per_step: float
    order: str
    validation_auroc: float | None = None
    learning_rate: float | None = None

    def as_record(self) -> dict[str, float | str]:
        """Return what a trial's record says of the epoch."""
        return {key: value for key, value in asdict(self).items() if value is not None}

    def merit(self, monitor: Monitor) -> float:
        """Return what must rise for an epoch to be better."""
        if monitor == "loss":
            return -self.validation_loss
        assert self.validation_auroc is not None
        return self.validation_auroc


@dataclass(frozen=True)
class Fit:
    """A trained model and the history of its training.

    Attributes:
        model: the model with the weights of the epoch that is kept, in eval mode.
        history: one entry an epoch.
        best_epoch: index of that epoch: the one with the lowest validation prediction loss, or the
            highest monitored value; or the last one, where the schedule keeps that.
        initial_weights: hash of the weights before the first step.
        divergence: the reason why training stopped early with a loss that is not finite, or "".
        final_epochs: number of epochs of the last phase, at the end of the history.
    """

    model: torch.nn.Module
    history: Sequence[Epoch]
    best_epoch: int
    initial_weights: str
    divergence: str
    final_epochs: int = 0


class _Waiting:
    """How many epochs in a row have not improved a value that should rise."""

    def __init__(self, min_delta: float) -> None:
        self.waited = 0
        self._min_delta, self._best = min_delta, -math.inf

    def add(self, merit: float) -> None:
        improved = merit > self._best + self._min_delta
        self._best = merit if improved else self._best
        self.waited = 0 if improved else self.waited + 1


class TrainingProgress:
    """The epochs of a training so far, the best of them, and whether there is another.

    Attributes:
        schedule: the schedule of the training.
        history: the epochs so far.
        best_epoch: index of the epoch that is kept; -1 before it.
        best_state: weights and buffers after that epoch; None before it.
        final: whether the last phase has begun, which a prior may ask for.
        learning_rate: learning rate of the next epoch.
        divergence: the reason why training stopped early with a loss that is not finite, or "".
    """

    def __init__(self, schedule: Schedule, final_phase: FinalPhase | None = None) -> None:
        """Start before the first epoch, with a last phase if one is asked for."""
        self.schedule, self._final_phase = schedule, final_phase
        self.final = False
        last = round(final_phase.share * schedule.epochs) if final_phase else 0
        self._last_epochs = min(max(last, 1), schedule.epochs - 1) if final_phase else 0
        self._limit = schedule.epochs - self._last_epochs
        self._before = 0  # epochs before the last phase
        self.history: list[Epoch] = []
        self.best_epoch, self.best_state = -1, None
        self.divergence = ""
        self.learning_rate = schedule.learning_rate
        self._wait()

    best_state: Mapping[str, Any] | None

    def _wait(self) -> None:
        """Start to wait for an improvement."""
        plateau = self.schedule.plateau
        self._stop = _Waiting(self.schedule.min_delta)
        self._plateau = _Waiting(plateau.min_delta if plateau else 0)

    @property
    def is_over(self) -> bool:
        """Whether there is no further epoch."""
        return bool(self.divergence) or self._phase_is_over

    @property
    def _phase_is_over(self) -> bool:
        return len(self.history) >= self._limit or self._stop.waited >= self.schedule.patience

    def add(self, epoch: Epoch, state: Callable[[], Mapping[str, Any]]) -> None:
        """Add an epoch that has just ended.

        Args:
            epoch: the epoch.
            state: function that returns a copy of the weights and buffers.
        """
        self.history.append(epoch)
        losses = (epoch.training_loss, epoch.penalty, epoch.validation_loss)
        if not all(map(math.isfinite, losses)):
            self.divergence = f"loss is not finite in epoch {len(self.history)}"
            return
        best, merit = self.best_epoch, epoch.merit(self.schedule.monitor)
        if (
            best < 0
            or self.schedule.keep == "last"
            or merit > self.history[best].merit(self.schedule.monitor)
        ):
            self.best_epoch, self.best_state = len(self.history) - 1, state()
        self._stop.add(merit)
        self._plateau.add(merit)
        plateau = self.schedule.plateau
        if plateau is not None and self._plateau.waited >= plateau.patience:
            # a rate that is below the smallest already stays where it is
            smallest = min(plateau.smallest, self.learning_rate)
            self.learning_rate = max(self.learning_rate * plateau.factor, smallest)
            self._plateau.waited = 0
        if self._phase_is_over and self._last_epochs and not self.final:
            self._begin_final_phase()

    def _begin_final_phase(self) -> None:
        assert self._final_phase is not None
        self.final, self._before = True, len(self.history)
        self._limit = self._before + self._last_epochs
        self.learning_rate *= self._final_phase.learning_rate
        self._wait()

    def fit(self, model: torch.nn.Module, initial_weights: str) -> Fit:
        """Return the result, with the best weights in the model."""
        if self.best_state is not None:
            model.load_state_dict(dict(self.best_state))
        return Fit(
            model.eval(),
            self.history,
            self.best_epoch,
            initial_weights,
            self.divergence,
            len(self.history) - self._before if self.final else 0,
        )
