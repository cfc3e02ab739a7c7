"""The training loop: one for every task and every prior."""

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

import numpy as np
import torch
from numpy.typing import NDArray

from .contracts import Batch, Task
from .dataset import TRAIN, VALID, Dataset
from .objective import Objective, Regularisation, forward
from .optimiser import Adam
from .schedules import Schedule
from .seeds import Luck
from .sequences import one_hot, reverse_complement

_EVALUATION_BATCH = 256


@dataclass(frozen=True)
class Epoch:
    """One pass over the training data.

    Attributes:
        training_loss: mean prediction loss of the steps, in the task's unit.
        penalty: mean of what the priors added to the loss of the steps, weights included.
        validation_loss: mean prediction loss of the validation data, in eval mode.
        seconds_per_step: mean over the steps, validation left out: processor time on CPU, wall
            time on a GPU.
        order: hash of the order of examples, and of the strands and shifts they were shown with.
    """

    training_loss: float
    penalty: float
    validation_loss: float
    seconds_per_step: float
    order: str


@dataclass(frozen=True)
class Fit:
    """A trained model and how it came about.

    Attributes:
        model: with the weights of the best epoch, in eval mode.
        history: one entry an epoch.
        best_epoch: index of the epoch with the lowest validation prediction loss.
        initial_weights: hash of the weights before the first step.
        divergence: why training stopped early with a loss that is not finite, or "".
    """

    model: torch.nn.Module
    history: Sequence[Epoch]
    best_epoch: int
    initial_weights: str
    divergence: str


@contextmanager
def seeded_torch(seed: int, device: torch.device) -> Iterator[None]:
    """Seed torch's default generators within the block and restore them afterwards."""
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        yield


def weights_hash(model: torch.nn.Module) -> str:
    """Hash of all parameters in order, whatever their names."""
    digest = hashlib.sha256()
    for parameter in model.parameters():
        digest.update(parameter.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


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


def mean_prediction_loss(
    model: torch.nn.Module, task: Task, dataset: Dataset, split: int, device: torch.device
) -> float:
    """Mean prediction loss over a split; the model must be in eval mode."""
    rows = dataset.rows(split)
    total = 0.0
    with torch.no_grad():
        for start in range(0, len(rows), _EVALUATION_BATCH):
            batch = load_batch(dataset, rows[start : start + _EVALUATION_BATCH], device)
            total += float(task.prediction_loss(forward(model, task, batch), batch).double().sum())
    return total / len(rows)


@dataclass(frozen=True)
class Shown:
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


def shown(dataset: Dataset, task: Task, luck: Luck, epoch: int) -> Shown:
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
    return Shown(shuffled, flips & task.reverse_complement, shifts)


def batches(dataset: Dataset, schedule: Schedule) -> list[NDArray[np.int64]]:
    """Which of an epoch's examples each step sees, by their place in its order."""
    count = dataset.epoch_rows
    steps = max(1, round(count / schedule.batch_size))
    # parts of almost equal size: a short last batch would upset batch norm
    return np.array_split(np.arange(count), steps)


def clock(device: torch.device) -> float:
    """Seconds: of this process on CPU, so that busy neighbours do not count; wall on a GPU."""
    if device.type == "cpu":
        return time.process_time()
    torch.cuda.synchronize(device)
    return time.perf_counter()


def mean_step_time(steps: Iterator[torch.Tensor], device: torch.device, *, most: int) -> float:
    """Mean seconds of some steps; the first, which finds out how to go, counts only if alone.

    Args:
        steps: made as they are asked for.
        device: where.
        most: how many are asked for, the first aside.
    """
    started = clock(device)
    next(steps)
    first = clock(device) - started
    started = clock(device)
    count = sum(1 for _ in islice(steps, most))
    return (clock(device) - started) / count if count else first


class Course:
    """How a training goes: its history, its best epoch, and when it is over."""

    def __init__(self, schedule: Schedule) -> None:
        """Before the first epoch."""
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
        """Note an epoch.

        Args:
            epoch: which has just ended.
            state: gives a copy of the weights and buffers.
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
        """The result, with the best weights in the model."""
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
        luck: Luck,
    ) -> None:
        """Before the first step; as of :func:`fit`, the model adapted and on its device."""
        self.model, self.task, self.dataset = model, task, dataset
        self.luck = luck
        self.schedule = schedule
        self.device = next(model.parameters()).device
        self.batches = batches(dataset, schedule)
        self.optimiser = Adam(model.parameters(), schedule.learning_rate)
        self.objective = Objective(model, task, regularisation, luck, precision=schedule.precision)

    def step(self, batch: Batch, elapsed: float) -> tuple[torch.Tensor, torch.Tensor]:
        """One optimiser step; the losses before it, detached."""
        prediction, penalty = self.objective.losses(batch, elapsed)
        self.optimiser.zero_grad()
        (prediction + penalty).backward()  # type: ignore[no-untyped-call]
        self.optimiser.step()
        return prediction.detach(), penalty.detach()

    def steps(self, number: int, order: Shown) -> Iterator[torch.Tensor]:
        """The steps of an epoch; gives the losses (2,) of each when it is done."""
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
        order = shown(self.dataset, self.task, self.luck, number)
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
    """Weights and buffers that further training does not change."""
    # deepcopy takes ten times as long; what a module keeps beside tensors is left to it
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
    luck: Luck,
    device: torch.device,
) -> Fit:
    """Train a model under priors; keep the epoch with the best validation prediction loss.

    Loss of a step: mean prediction loss + sum over the priors of weight * strength * (mean
    attribution penalty over the examples that the prior applies to + parameter penalty).

    Args:
        model: fresh weights, not yet adapted by a prior.
        task: gives the prediction loss and the target.
        regularisation: what is added to the loss.
        dataset: with training and validation rows.
        schedule: the same for every prior.
        luck: streams for batch order, references and the priors' own draws.
        device: where to train.
    """
    initial = weights_hash(model)
    course = Course(schedule)
    with seeded_torch(luck.derive("prior"), device):
        model = regularisation.adapt(model)
        trainer = Trainer(
            model.to(device), task, regularisation, dataset, schedule=schedule, luck=luck
        )
        while not course.is_over:
            epoch = trainer.epoch(len(course.history))
            course.add(epoch, lambda: _copied(model.state_dict()))
    return course.fit(model, initial)
