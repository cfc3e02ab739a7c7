"""Trains several networks of one form at once, each as it would be trained alone.

Every member has its own weights, examples, priors and luck, and ends by itself; the others go on
without it. Numbers are those of a training alone but for rounding: sums are taken in another order.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray

from .contracts import Batch, Precision, Task
from .dataset import VALID, Dataset
from .ensemble_objective import EnsembleObjective, Part
from .members import Draws, Members, NotTogether
from .objective import Objective
from .optimiser import Adam
from .schedules import Schedule
from .training import Course, Epoch, Fit, Shown, batches, clock, load_batch, shown, weights_hash
from .trees import map_tensors

_EVALUATION_ROWS = 1024
_SAME: Mapping[Precision, tuple[float, float]] = {"float32": (1e-3, 1e-2), "bf16": (2e-2, 0.5)}
"""by how much losses and gradients may differ, relative to their size: rounding may turn a
rectifier or the choice of a maximum around, in float32 rarely, in bfloat16 often"""


@dataclass(frozen=True)
class Terms:
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


def fit_ensemble(
    models: Sequence[torch.nn.Module], parts: Sequence[Part], terms: Terms
) -> Iterator[tuple[int, Fit]]:
    """Train networks at once; each is given, with its place, as soon as it ends.

    As ``training.fit`` for each of them. Before the first step it is checked that the first and
    the last member have the losses and gradients that they have alone.

    Args:
        models: fresh weights, not yet adapted by a prior.
        parts: what is added to the loss of each, and its luck.
        terms: what they have in common.

    Raises:
        NotTogether: for networks or priors that cannot be trained at once.
    """
    ensemble = Ensemble(models, parts, terms)
    ensemble.require_agreement()
    while ensemble.present:
        yield from ensemble.epoch()


class Ensemble:
    """Trainings in progress; arguments are those of :func:`fit_ensemble`.

    Attributes:
        present: places of the members that have not ended.
    """

    def __init__(
        self, models: Sequence[torch.nn.Module], parts: Sequence[Part], terms: Terms
    ) -> None:
        """Before the first step."""
        methods = {part.regularisation.method for part in parts}
        if len(methods) > 1:
            raise NotTogether("their penalties see different attributions")
        self.terms, self.parts = terms, list(parts)
        self.initial = [weights_hash(model) for model in models]
        self.draws = Draws(terms.device, [part.luck.derive("prior") for part in parts])
        self.models = []
        for place, (model, part) in enumerate(zip(models, parts, strict=True)):
            with self.draws.of(place):
                self.models.append(part.regularisation.adapt(model).to(terms.device).train())
        self.members = Members(self.models, self.draws)
        self.optimiser = Adam(self.members.parameters.values(), terms.schedule.learning_rate)
        self.objective = self._objective(terms.schedule.precision)
        self.batches = batches(terms.dataset, terms.schedule)
        self.courses = [Course(terms.schedule) for _ in parts]
        self.present = list(range(len(parts)))
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

    def steps(self, number: int, order: Sequence[Shown]) -> Iterator[torch.Tensor]:
        """The steps of an epoch; gives the losses (2, M) of each when it is done."""
        self.members.train(mode=True)
        for done, index in enumerate(self.batches):
            yield self._step(self._batch(order, index), number + done / len(self.batches))

    def order(self, number: int) -> list[Shown]:
        """What the members that have not ended see in an epoch."""
        terms = self.terms
        return [shown(terms.dataset, terms.task, self.parts[i].luck, number) for i in self.present]

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

    def _batch(self, order: Sequence[Shown], index: NDArray[np.int64]) -> Batch:
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
            output = self.members.evaluate([batch.sequence, *terms.task.inputs(batch)])
            every = torch.arange(len(batch.label), device=terms.device).repeat(count)
            flat = map_tensors(lambda value: value.flatten(0, 1), output)
            losses = terms.task.prediction_loss(flat, batch.select(every))
            total += torch.unflatten(losses, 0, (count, -1)).double().sum(dim=1)
        return total / len(rows)

    def _objective(self, precision: Precision) -> EnsembleObjective:
        return EnsembleObjective(self.members, self.terms.task, self.parts, precision=precision)

    def require_agreement(self) -> None:
        """Compare the first step's losses and gradients with those of trainings alone.

        Raises:
            NotTogether: if they are others, or cannot be had.
        """
        for precision in dict.fromkeys(("float32", self.terms.schedule.precision)):
            self._require_agreement(precision)

    def _require_agreement(self, precision: Precision) -> None:
        # schedules that start at 0 have begun
        elapsed, terms = 1.0, self.terms
        order = self.order(0)
        buffers = {name: value.clone() for name, value in self.members.buffers.items()}
        with self.draws.kept():
            objective = self._objective(precision)
            losses = torch.stack(objective.losses(self._batch(order, self.batches[0]), elapsed))
            losses.sum().backward()  # type: ignore[no-untyped-call]
        self.members.buffers.update(buffers)
        for place in dict.fromkeys((0, len(self.parts) - 1)):
            model, part = copy.deepcopy(self.models[place]), self.parts[place]
            with self.draws.kept(), self.draws.of(place):
                alone = Objective(
                    model, terms.task, part.regularisation, part.luck, precision=precision
                )
                batch = self._batch([order[place]], self.batches[0])
                expected = torch.stack(alone.losses(batch, elapsed))
                expected.sum().backward()  # type: ignore[no-untyped-call]
            stacked = [self.members.parameters[name] for name, _ in model.named_parameters()]
            slope = _flat([own.grad for own in model.parameters()], stacked)
            found = _flat([None if p.grad is None else p.grad[place] for p in stacked], stacked)
            of_losses, of_gradients = _SAME[precision]
            same = _agree(losses[:, place], expected, of_losses)
            if not (same and _agree(found, slope, of_gradients)):
                raise NotTogether("their first step is not that of a training alone")
        self.optimiser.zero_grad()


def _flat(
    gradients: Sequence[torch.Tensor | None], stacked: Sequence[torch.Tensor]
) -> torch.Tensor:
    """All of one network's gradients; zeros where there is none."""
    return torch.cat(
        [
            (torch.zeros_like(like[0]) if one is None else one).flatten()
            for one, like in zip(gradients, stacked, strict=True)
        ]
    )


def _agree(found: torch.Tensor, expected: torch.Tensor, tolerance: float) -> bool:
    """Within a share of the expected values' norm; values that are not finite are not judged."""
    found, expected = found.detach(), expected.detach()
    if not bool(torch.isfinite(expected).all()):
        return True
    return float((found - expected).norm()) <= tolerance * float(expected.norm()) + 1e-12
