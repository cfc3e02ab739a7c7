"""The training loop, the same for every task and every prior."""

from __future__ import annotations

import copy
import hashlib
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch.nn.modules.conv import _ConvNd

from priorbench.autograd.module_state import forked_generators
from priorbench.components.task import Batch, Task
from priorbench.data.codes import TRAIN, VALID
from priorbench.data.dataset import Dataset
from priorbench.errors import UserError
from priorbench.metrics.prediction import mean_auroc
from priorbench.seeds import RandomStreams

from .adam import Adam
from .batches import EpochOrder, batches, epoch_order, load_batch, parts_of
from .objective import Objective, Regularisation, forward
from .progress import Epoch, Fit, TrainingProgress
from .schedules import Schedule
from .weight_average import WeightAverage

_EVALUATION_BATCH = 256


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


def shrunk_weights(model: torch.nn.Module) -> list[str]:
    """Return the names of the weights of convolutions and dense layers.

    One that several layers share is named once.

    Raises:
        UserError: if one is no parameter, as one that is computed from others
            (``torch.nn.utils.parametrizations``).
    """
    names = [
        f"{path}.weight".removeprefix(".")
        for path, module in model.named_modules()
        if isinstance(module, (_ConvNd, torch.nn.Linear))
    ]
    parameters = dict(model.named_parameters(remove_duplicate=False))
    if others := [name for name in names if name not in parameters]:
        raise UserError(
            f"the schedule's l2 shrinks parameters, and {others[0]} is none, as weights that are "
            "computed from others; leave l2 out of [schedule]"
        )
    first = {id(parameters[name]): name for name in reversed(names)}
    return [name for name in names if first[id(parameters[name])] == name]


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
        teachers: Sequence[torch.nn.Module] = (),
    ) -> None:
        """Start before the first step.

        The arguments are those of :func:`fit`, the model adapted by the priors and on its device.
        """
        self.model, self.task, self.dataset = model, task, dataset
        self.streams = streams
        self.schedule = schedule
        self.device = next(model.parameters()).device
        self.batches = batches(dataset, schedule)
        self._shrunk = shrunk_weights(model) if schedule.l2 else []
        self.optimiser = Adam(model.parameters(), schedule.learning_rate)
        self.objective = Objective(
            model, task, regularisation, streams, precision=schedule.precision, teachers=teachers
        )
        self.final = False
        self._average: WeightAverage | None = None
        for part in regularisation.through("average_share"):  # a sum of priors has one at most
            self._average = WeightAverage(model, part, len(self.batches))

    def step(self, batch: Batch, elapsed: float) -> tuple[torch.Tensor, torch.Tensor]:
        """Take one optimiser step; return the losses before it, detached."""
        prediction, penalty = self.objective.losses(batch, elapsed)
        if self.schedule.l2:
            weights = map(self.model.get_parameter, self._shrunk)
            penalty = penalty + self.schedule.l2 * sum(w.square().sum() for w in weights)
        self.optimiser.zero_grad()
        (prediction + penalty).backward()  # type: ignore[no-untyped-call]
        self.optimiser.step()
        average = self._acting_average()
        if average is not None:
            average.step()
        return prediction.detach(), penalty.detach()

    def _acting_average(self) -> WeightAverage | None:
        """Return the average of the weights; None if there is none, or it waits for its phase."""
        average = self._average
        return average if average is not None and (self.final or not average.waits) else None

    def begin_final_phase(self, state: Mapping[str, Any]) -> None:
        """Go on from weights and buffers with a new optimiser and what acts in the last phase."""
        self.final = True
        self.model.load_state_dict(dict(state))
        self.optimiser = Adam(self.model.parameters(), self.schedule.learning_rate)
        self.objective.regularise(self.objective.regularisation.in_final_phase())
        if self._average is not None:
            self._average.restart()

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

    def epoch(self, number: int, progress: TrainingProgress) -> None:
        """Train for one epoch, then add what it has come to, with validation data, to a progress.

        Where a prior averages the weights, the average is what is validated and kept.
        """
        order = epoch_order(self.dataset, self.task, self.streams, number)
        steps = len(self.batches)
        total = torch.zeros(2, dtype=torch.float64, device=self.device)
        started = clock(self.device)
        for losses in self.steps(number, order):
            total += losses
        with ExitStack() as stack:
            average = self._acting_average()
            if average is not None:
                stack.enter_context(average.applied(self._training_batches, self._forward))
            seconds = (clock(self.device) - started) / steps
            prediction, penalty = (total / steps).tolist()
            self.model.eval()
            epoch = Epoch(
                prediction,
                penalty,
                mean_prediction_loss(self.model, self.task, self.dataset, VALID, self.device),
                seconds,
                order.digest,
                self._validation_auroc() if self.schedule.monitor == "auroc" else None,
                self.optimiser.learning_rate if self.schedule.plateau else None,
            )
            progress.add(epoch, lambda: _copied(self.model.state_dict()))

    def _training_batches(self) -> Iterator[Batch]:
        rows = self.dataset.rows(TRAIN)
        for part in parts_of(len(rows), self.schedule):
            yield load_batch(self.dataset, rows[part], self.device)

    def _forward(self, batch: Batch) -> Any:
        return forward(self.model, self.task, batch)

    @torch.no_grad()
    def _validation_auroc(self) -> float:
        """Return the area under the ROC curve of the validation data; the model is in eval mode."""
        rows, logits = self.dataset.rows(VALID), []
        for start in range(0, len(rows), _EVALUATION_BATCH):
            part = rows[start : start + _EVALUATION_BATCH]
            batch = load_batch(self.dataset, part, self.device)
            output = forward(self.model, self.task, batch)
            logits.append(self.task.predictions(output, batch)["logit"].float().cpu().numpy())
        return mean_auroc(self.dataset.columns["label"].take(rows), np.concatenate(logits))


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
    teachers: Sequence[torch.nn.Module] = (),
) -> Fit:
    """Train a model under priors; keep the epoch with the best validation prediction loss.

    Loss of a step: mean prediction loss + sum over the priors of weight * strength * (mean
    attribution penalty over the examples that the prior applies to + penalty on the loss +
    parameter penalty). Where a prior averages the weights, the average is kept. The schedule may
    add a sum of squares, monitor another value, and keep the last epoch.

    Args:
        model: network with fresh weights, not yet adapted by a prior.
        task: task that defines the prediction loss and the target.
        regularisation: priors and their weights.
        dataset: dataset with training and validation rows.
        schedule: training hyper-parameters, the same for every prior.
        streams: random streams for batch order, references and the priors' own draws.
        device: device on which to train.
        teachers: networks that were trained first, for priors that learn from them.
    """
    initial = weights_hash(model)
    progress = TrainingProgress(schedule, regularisation.final_phase)
    with seeded_torch(streams.derive("prior"), device):
        model = regularisation.adapt(model)
        trainer = Trainer(
            model.to(device),
            task,
            regularisation,
            dataset,
            schedule=schedule,
            streams=streams,
            teachers=teachers,
        )
        while not progress.is_over:
            if progress.final and not trainer.final and progress.best_state is not None:
                trainer.begin_final_phase(progress.best_state)
            trainer.optimiser.learning_rate = progress.learning_rate
            trainer.epoch(len(progress.history), progress)
    return progress.fit(model, initial)
