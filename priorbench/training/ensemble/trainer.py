"""Several networks of one form in training at once, each as it would be trained alone.

Every member has its own weights, examples, priors and luck, and ends by itself; the others go on
without it. Numbers are those of a training alone but for rounding: sums are taken in another order.
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
from priorbench.training.loop import Epoch, Fit, TrainingHistory, clock, weights_hash
from priorbench.training.schedules import Schedule

from .objective import EnsembleObjective, MemberTraining, flat_rows
from .stacked_networks import CannotStack, MemberGenerators, StackedNetworks

_EVALUATION_ROWS = 1024


@dataclass(frozen=True)
class CommonTraining:
    """What the members of an ensemble have in common.

    Attributes:
        task: gives the prediction loss and the target.
        dataset: with training and validation rows.
        schedule: the same for every prior.
        device: where to train.
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
        own: Sequence[MemberTraining],
        terms: CommonTraining,
    ) -> None:
        """Before the first step; arguments are those of ``ensemble_fit.fit_ensemble``."""
        methods = {one.regularisation.method for one in own}
        if len(methods) > 1:
            raise CannotStack("their penalties see different attributions")
        self.terms, self.own = terms, list(own)
        self.initial = [weights_hash(model) for model in models]
        self.draws = MemberGenerators(terms.device, [one.luck.derive("prior") for one in own])
        self.models = []
        for place, (model, one) in enumerate(zip(models, own, strict=True)):
            with self.draws.of(place):
                self.models.append(one.regularisation.adapt(model).to(terms.device).train())
        self.members = StackedNetworks(self.models, self.draws)
        self.optimiser = Adam(self.members.parameters.values(), terms.schedule.learning_rate)
        self.objective = EnsembleObjective(
            self.members, terms.task, own, precision=terms.schedule.precision
        )
        self.batches = batches(terms.dataset, terms.schedule)
        self.courses = [TrainingHistory(terms.schedule) for _ in own]
        self.present = list(range(len(own)))
        self.epochs = 0

    def epoch(self) -> Iterator[tuple[int, Fit]]:
        """Train all for one epoch; gives those for whom it was the last."""
        for place, (index, epoch) in enumerate(
            zip(self.present, self._epoch(self.epochs), strict=True)
        ):
            self.courses[index].add(epoch, partial(self.members.state, place))
        self.epochs += 1
        left = [place for place, i in enumerate(self.present) if not self.courses[i].is_over]
        over = [index for index in self.present if self.courses[index].is_over]
        if over and left:
            self._keep(left)
        self.present = [index for index in self.present if index not in over]
        for index in over:
            yield index, self.courses[index].fit(self.models[index], self.initial[index])

    def _keep(self, places: Sequence[int]) -> None:
        self.members.keep(places)
        self.objective.keep(places)
        index = torch.tensor(places, device=self.terms.device)
        self.optimiser.keep(self.members.parameters.values(), index)

    def steps(self, number: int, order: Sequence[EpochOrder]) -> Iterator[torch.Tensor]:
        """The steps of an epoch; gives the losses (2, M) of each when it is done."""
        self.members.train(mode=True)
        for done, index in enumerate(self.batches):
            yield self._step(self.batch(order, index), number + done / len(self.batches))

    def order(self, number: int) -> list[EpochOrder]:
        """What the members that have not ended see in an epoch."""
        terms = self.terms
        return [
            epoch_order(terms.dataset, terms.task, self.own[i].luck, number) for i in self.present
        ]

    def _epoch(self, number: int) -> list[Epoch]:
        terms = self.terms
        order = self.order(number)
        count, steps = len(self.present), len(self.batches)
        total = torch.zeros(2, count, dtype=torch.float64, device=terms.device)
        started = clock(terms.device)
        for losses in self.steps(number, order):
            total += losses
        seconds = (clock(terms.device) - started) / steps / count
        self.members.train(mode=False)
        validation = self._validation_losses().tolist()
        prediction, penalty = (total / steps).tolist()
        digests = [one.digest for one in order]
        return [
            Epoch(training, added, valid, seconds, digest)
            for training, added, valid, digest in zip(
                prediction, penalty, validation, digests, strict=True
            )
        ]

    def batch(self, order: Sequence[EpochOrder], index: NDArray[np.int64]) -> Batch:
        """The examples of one step, those of one member after the other."""
        shifts = [one.shifts[index] for one in order if one.shifts is not None]
        return load_batch(
            self.terms.dataset,
            np.concatenate([one.rows[index] for one in order]),
            self.terms.device,
            flip=np.concatenate([one.flips[index] for one in order]),
            shift=np.concatenate(shifts) if shifts else None,
        )

    def _step(self, batch: Batch, elapsed: float) -> torch.Tensor:
        """One optimiser step; (2, M) prediction losses and penalties before it."""
        prediction, penalty = self.objective.losses(batch, elapsed)
        self.optimiser.zero_grad()
        (prediction + penalty).sum().backward()  # type: ignore[no-untyped-call]
        self.optimiser.step()
        return torch.stack([prediction.detach(), penalty.detach()])

    @torch.no_grad()
    def _validation_losses(self) -> torch.Tensor:
        """(M,) float64 mean prediction losses."""
        terms, count = self.terms, len(self.members)
        rows = terms.dataset.rows(VALID)
        size = max(1, _EVALUATION_ROWS // count)
        total = torch.zeros(count, dtype=torch.float64, device=terms.device)
        for start in range(0, len(rows), size):
            batch = load_batch(terms.dataset, rows[start : start + size], terms.device)
            total += self.evaluated(batch).double().sum(dim=1)
        return total / len(rows)

    @torch.no_grad()
    def evaluated(self, batch: Batch) -> torch.Tensor:
        """(M, B) prediction losses of all members for the same examples."""
        task, count = self.terms.task, len(self.members)
        output = self.members.evaluate([batch.sequence, *task.inputs(batch)])
        every = torch.arange(len(batch.label), device=self.terms.device).repeat(count)
        losses = task.prediction_loss(flat_rows(output), batch.select(every))
        return torch.unflatten(losses, 0, (count, -1))
