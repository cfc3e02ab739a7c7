"""Several networks of the same form in training at once, each as it would be trained alone.

Every member has its own weights, examples, priors and random streams, and ends by itself; the
others continue without it. Numbers are those of a training alone except for rounding: sums are
taken in another order.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray

from priorbench.components.task import Batch, Task
from priorbench.data.codes import VALID
from priorbench.data.dataset import Dataset
from priorbench.training.adam import Adam
from priorbench.training.batches import EpochOrder, batches, epoch_order, load_batch
from priorbench.training.loop import clock, shrunk_weights, weights_hash
from priorbench.training.progress import Epoch, Fit, TrainingProgress
from priorbench.training.schedules import Schedule

from .objective import EnsembleObjective, MemberTraining, flat_rows
from .stacked_networks import CannotStack, MemberGenerators, StackedNetworks

_EVALUATION_ROWS = 1024


@dataclass(frozen=True)
class CommonTraining:
    """What the members of an ensemble have in common.

    Attributes:
        task: task that defines the prediction loss and the target.
        dataset: dataset with training and validation rows.
        schedule: training hyper-parameters, the same for every prior.
        device: device on which to train.
    """

    task: Task
    dataset: Dataset
    schedule: Schedule
    device: torch.device


class Ensemble:
    """Trainings in progress.

    Attributes:
        present: places of the members that have not ended.
    """

    def __init__(
        self,
        models: Sequence[torch.nn.Module],
        trainings: Sequence[MemberTraining],
        common: CommonTraining,
    ) -> None:
        """Start before the first step; the arguments are those of ``fit.fit_ensemble``.

        Raises:
            CannotStack: if the networks differ in form, or penalties in the attribution.
        """
        methods = {training.regularisation.method for training in trainings}
        if len(methods) > 1:
            raise CannotStack("their penalties see different attributions")
        if common.schedule.plateau is not None:
            raise CannotStack("their learning rates fall at different epochs")
        if common.schedule.monitor != "loss":
            raise CannotStack(f"{common.schedule.monitor} is monitored in trainings alone only")
        self.common, self.trainings = common, list(trainings)
        self.initial_weights = [weights_hash(model) for model in models]
        seeds = [training.streams.derive("prior") for training in trainings]
        self.generators = MemberGenerators(common.device, seeds)
        self.models = []
        for place, (model, training) in enumerate(zip(models, trainings, strict=True)):
            with self.generators.of(place):
                adapted = training.regularisation.adapt(model)
                self.models.append(adapted.to(common.device).train())
        self.members = StackedNetworks(
            self.models, self.generators, apart=trainings[0].regularisation.apart
        )
        self.optimiser = Adam(self.members.parameters.values(), common.schedule.learning_rate)
        self.objective = EnsembleObjective(
            self.members, common.task, trainings, precision=common.schedule.precision
        )
        self.batches = batches(common.dataset, common.schedule)
        self._shrunk = shrunk_weights(self.models[0]) if common.schedule.l2 else []
        self.progress = [TrainingProgress(common.schedule) for _ in trainings]
        self.present = list(range(len(trainings)))
        self.epochs = 0

    def epoch(self) -> Iterator[tuple[int, Fit]]:
        """Train all for one epoch; yield the places and results of those that have ended."""
        for place, (index, epoch) in enumerate(
            zip(self.present, self._epoch(self.epochs), strict=True)
        ):
            self.progress[index].add(epoch, partial(self.members.state, place))
        self.epochs += 1
        left = [place for place, i in enumerate(self.present) if not self.progress[i].is_over]
        over = [index for index in self.present if self.progress[index].is_over]
        if over and left:
            self._keep(left)
        self.present = [index for index in self.present if index not in over]
        for index in over:
            fit = self.progress[index].fit(self.models[index], self.initial_weights[index])
            yield index, fit

    def _keep(self, places: Sequence[int]) -> None:
        self.members.keep(places)
        self.objective.keep(places)
        index = torch.tensor(places, device=self.common.device)
        self.optimiser.keep(self.members.parameters.values(), index)

    def steps(self, number: int, order: Sequence[EpochOrder]) -> Iterator[torch.Tensor]:
        """Take the steps of an epoch; yield the losses (2, M) of each."""
        self.members.train(mode=True)
        for done, index in enumerate(self.batches):
            yield self._step(self.batch(order, index), number + done / len(self.batches))

    def order(self, number: int) -> list[EpochOrder]:
        """Return an epoch's order for each member that has not ended."""
        dataset, task = self.common.dataset, self.common.task
        return [epoch_order(dataset, task, self.trainings[i].streams, number) for i in self.present]

    def _epoch(self, number: int) -> list[Epoch]:
        device, order = self.common.device, self.order(number)
        count, steps = len(self.present), len(self.batches)
        total = torch.zeros(2, count, dtype=torch.float64, device=device)
        started = clock(device)
        for losses in self.steps(number, order):
            total += losses
        seconds = (clock(device) - started) / steps / count
        self.members.train(mode=False)
        validation = self._validation_losses().tolist()
        prediction, penalty = (total / steps).tolist()
        digests = [member.digest for member in order]
        return [
            Epoch(training, added, valid, seconds, digest)
            for training, added, valid, digest in zip(
                prediction, penalty, validation, digests, strict=True
            )
        ]

    def batch(self, order: Sequence[EpochOrder], index: NDArray[np.int64]) -> Batch:
        """Return the examples of one step, those of one member after the other."""
        shifts = [member.shifts[index] for member in order if member.shifts is not None]
        return load_batch(
            self.common.dataset,
            np.concatenate([member.rows[index] for member in order]),
            self.common.device,
            flip=np.concatenate([member.flips[index] for member in order]),
            shift=np.concatenate(shifts) if shifts else None,
        )

    def _step(self, batch: Batch, elapsed: float) -> torch.Tensor:
        """Take one optimiser step; return prediction losses and penalties (2, M) before it."""
        prediction, penalty = self.objective.losses(batch, elapsed)
        if self.common.schedule.l2:
            weights = [self.members.parameters[name] for name in self._shrunk]
            squares = sum(weight.square().flatten(1).sum(dim=1) for weight in weights)
            penalty = penalty + self.common.schedule.l2 * squares
        self.optimiser.zero_grad()
        (prediction + penalty).sum().backward()  # type: ignore[no-untyped-call]
        self.optimiser.step()
        return torch.stack([prediction.detach(), penalty.detach()])

    @torch.no_grad()
    def _validation_losses(self) -> torch.Tensor:
        """Return the mean prediction losses (M,), float64."""
        dataset, device, count = self.common.dataset, self.common.device, len(self.members)
        rows = dataset.rows(VALID)
        size = max(1, _EVALUATION_ROWS // count)
        total = torch.zeros(count, dtype=torch.float64, device=device)
        for start in range(0, len(rows), size):
            batch = load_batch(dataset, rows[start : start + size], device)
            total += self.evaluated(batch).double().sum(dim=1)
        return total / len(rows)

    @torch.no_grad()
    def evaluated(self, batch: Batch) -> torch.Tensor:
        """Return the prediction losses (M, B) of all members for the same examples."""
        task, count = self.common.task, len(self.members)
        output = self.members.evaluate([batch.sequence, *task.inputs(batch)])
        every = torch.arange(len(batch.label), device=self.common.device).repeat(count)
        losses = task.prediction_loss(flat_rows(output), batch.select(every))
        return torch.unflatten(losses, 0, (count, -1))
