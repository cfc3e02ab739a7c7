"""The training loop, the same for every task and every prior."""

from __future__ import annotations

import copy
import hashlib
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any

import torch

from priorbench.autograd.module_state import forked_generators
from priorbench.components.task import Batch, Task
from priorbench.data.codes import VALID
from priorbench.data.dataset import Dataset
from priorbench.seeds import RandomStreams

from .adam import Adam
from .batches import EpochOrder, batches, epoch_order, load_batch
from .objective import Objective, Regularisation, forward
from .schedules import Schedule

_EVALUATION_BATCH = 256


@dataclass(frozen=True)
class Epoch:
    """One pass over the training data.

    Attributes:
        training_loss: mean prediction loss of the steps, in the task's unit.
        penalty: mean of the terms that the priors added to the loss of the steps, weights included.
        validation_loss: mean prediction loss of the validation data, in eval mode.
        seconds_per_step: mean over the steps, validation left out: processor time on CPU, wall
            time on a GPU.
        order: hash of the order, strands and shifts of the examples.
    """

    training_loss: float
    penalty: float
    validation_loss: float
    seconds_per_step: float
    order: str


@dataclass(frozen=True)
class Fit:
    """A trained model and the history of its training.

    Attributes:
        model: the model with the weights of the best epoch, in eval mode.
        history: one entry an epoch.
        best_epoch: index of the epoch with the lowest validation prediction loss.
        initial_weights: hash of the weights before the first step.
        divergence: the reason why training stopped early with a loss that is not finite, or "".
    """

    model: torch.nn.Module
    history: Sequence[Epoch]
    best_epoch: int
    initial_weights: str
    divergence: str


@contextmanager
def seeded_torch(seed: int, device: torch.device) -> Iterator[None]:
    """Seed torch's default generators within the block and restore them afterwards."""
    with forked_generators(device):
        torch.manual_seed(seed)
        yield


def weights_hash(model: torch.nn.Module) -> str:
    """Return a hash of all parameters in order, whatever their names."""
    digest = hashlib.sha256()
    for parameter in model.parameters():
        digest.update(parameter.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


def mean_prediction_loss(
    model: torch.nn.Module, task: Task, dataset: Dataset, split: int, device: torch.device
) -> float:
    """Return the mean prediction loss over a split; the model must be in eval mode."""
    rows = dataset.rows(split)
    total = 0.0
    with torch.no_grad():
        for start in range(0, len(rows), _EVALUATION_BATCH):
            batch = load_batch(dataset, rows[start : start + _EVALUATION_BATCH], device)
            total += float(task.prediction_loss(forward(model, task, batch), batch).double().sum())
    return total / len(rows)


def clock(device: torch.device) -> float:
    """Return seconds of wall time on a GPU, of processor time on CPU, so that it may be busy."""
    if device.type == "cpu":
        return time.process_time()
    torch.cuda.synchronize(device)
    return time.perf_counter()


def mean_step_time(steps: Iterator[torch.Tensor], device: torch.device, *, most: int) -> float:
    """Return the mean seconds of some steps.

    The first step, which tries how groups of examples go through the network, counts only if there
    is no other.

    Args:
        steps: iterator that does a step whenever it is advanced.
        device: device of the steps.
        most: largest number of steps that are timed.
    """
    started = clock(device)
    next(steps)
    first = clock(device) - started
    started = clock(device)
    count = sum(1 for _ in islice(steps, most))
    return (clock(device) - started) / count if count else first


class TrainingProgress:
    """The epochs of a training so far, the best of them, and whether there is another.

    Attributes:
        schedule: the schedule of the training.
        history: the epochs so far.
        best_epoch: index of the epoch with the lowest validation prediction loss; -1 before it.
        best_state: weights and buffers after that epoch; None before it.
        divergence: the reason why training stopped early with a loss that is not finite, or "".
    """

    def __init__(self, schedule: Schedule) -> None:
        """Start before the first epoch."""
        self.schedule = schedule
        self.history: list[Epoch] = []
        self.best_epoch, self.best_state = -1, None
        self.divergence = ""
        self._reference, self._waited = float("inf"), 0

    best_state: Mapping[str, Any] | None

    @property
    def is_over(self) -> bool:
        """Whether there is no further epoch."""
        longest, patience = self.schedule.epochs, self.schedule.patience
        return bool(self.divergence) or (len(self.history) >= longest or self._waited >= patience)

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
        best = self.best_epoch
        if best < 0 or epoch.validation_loss < self.history[best].validation_loss:
            self.best_epoch, self.best_state = len(self.history) - 1, state()
        improved = epoch.validation_loss < self._reference - self.schedule.min_delta
        self._reference = epoch.validation_loss if improved else self._reference
        self._waited = 0 if improved else self._waited + 1

    def fit(self, model: torch.nn.Module, initial_weights: str) -> Fit:
        """Return the result, with the best weights in the model."""
        if self.best_state is not None:
            model.load_state_dict(dict(self.best_state))
        return Fit(model.eval(), self.history, self.best_epoch, initial_weights, self.divergence)


class Trainer:
    """One training in progress."""

    def __init__(
        self,
        model: torch.nn.Module,
        task: Task,
        regularisation: Regularisation,
        dataset: Dataset,
        *,
        schedule: Schedule,
        streams: RandomStreams,
    ) -> None:
        """Start before the first step.

        The arguments are those of :func:`fit`, the model adapted by the priors and on its device.
        """
        self.model, self.task, self.dataset = model, task, dataset
        self.streams = streams
        self.schedule = schedule
        self.device = next(model.parameters()).device
        self.batches = batches(dataset, schedule)
        self.optimiser = Adam(model.parameters(), schedule.learning_rate)
        self.objective = Objective(
            model, task, regularisation, streams, precision=schedule.precision
        )

    def step(self, batch: Batch, elapsed: float) -> tuple[torch.Tensor, torch.Tensor]:
        """Take one optimiser step; return the losses before it, detached."""
        prediction, penalty = self.objective.losses(batch, elapsed)
        self.optimiser.zero_grad()
        (prediction + penalty).backward()  # type: ignore[no-untyped-call]
        self.optimiser.step()
        return prediction.detach(), penalty.detach()

    def steps(self, number: int, order: EpochOrder) -> Iterator[torch.Tensor]:
        """Take the steps of an epoch; yield the losses (2,) of each."""
        self.model.train()
        for done, index in enumerate(self.batches):
            batch = load_batch(
                self.dataset,
                order.rows[index],
                self.device,
                flip=order.flips[index],
                shift=None if order.shifts is None else order.shifts[index],
            )
            yield torch.stack(self.step(batch, number + done / len(self.batches)))

    def epoch(self, number: int) -> Epoch:
        """Train for one epoch, then measure the validation prediction loss."""
        order = epoch_order(self.dataset, self.task, self.streams, number)
        steps = len(self.batches)
        total = torch.zeros(2, dtype=torch.float64, device=self.device)
        started = clock(self.device)
        for losses in self.steps(number, order):
            total += losses
        seconds = (clock(self.device) - started) / steps
        self.model.eval()
        validation = mean_prediction_loss(self.model, self.task, self.dataset, VALID, self.device)
        prediction, penalty = (total / steps).tolist()
        return Epoch(prediction, penalty, validation, seconds, order.digest)


def _copied(state: Mapping[str, Any]) -> dict[str, Any]:
    """Return weights and buffers that further training does not change."""
    # deepcopy takes ten times as long; it is used for a module's state beside tensors
    return {
        name: value.clone() if isinstance(value, torch.Tensor) else copy.deepcopy(value)
        for name, value in state.items()
    }


def fit(
    model: torch.nn.Module,
    task: Task,
    regularisation: Regularisation,
    dataset: Dataset,
    *,
    schedule: Schedule,
    streams: RandomStreams,
    device: torch.device,
) -> Fit:
    """Train a model under priors; keep the epoch with the best validation prediction loss.

    Loss of a step: mean prediction loss + sum over the priors of weight * strength * (mean
    attribution penalty over the examples that the prior applies to + parameter penalty).

    Args:
        model: network with fresh weights, not yet adapted by a prior.
        task: task that defines the prediction loss and the target.
        regularisation: priors and their weights.
        dataset: dataset with training and validation rows.
        schedule: training hyper-parameters, the same for every prior.
        streams: random streams for batch order, references and the priors' own draws.
        device: device on which to train.
    """
    initial = weights_hash(model)
    progress = TrainingProgress(schedule)
    with seeded_torch(streams.derive("prior"), device):
        model = regularisation.adapt(model)
        trainer = Trainer(
            model.to(device), task, regularisation, dataset, schedule=schedule, streams=streams
        )
        while not progress.is_over:
            epoch = trainer.epoch(len(progress.history))
            progress.add(epoch, lambda: _copied(model.state_dict()))
    return progress.fit(model, initial)
