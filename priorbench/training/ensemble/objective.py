"""The objective of a training step of several networks at once: the losses of each by itself.

Networks have different examples, and priors apply to different numbers of them. Networks with fewer
such examples than others attribute further examples, which no penalty is given.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch

from priorbench.attribution.methods import AttributionMethod
from priorbench.autograd.output_trees import join_trees, map_tensors
from priorbench.autograd.statistics_gate import StatisticsGate
from priorbench.components.architecture import Precision
from priorbench.components.prior import Attribution, Prior, require_one_per_example
from priorbench.components.task import Batch, Task
from priorbench.seeds import RandomStreams
from priorbench.training.objective import (
    Regularisation,
    change_examples,
    changes_examples,
    in_float32,
    in_precision,
)

from .stacked_networks import CannotStack, StackedNetworks


@dataclass(frozen=True)
class MemberTraining:
    """What a network in an ensemble has of its own.

    Attributes:
        regularisation: its priors and their weights; the attribution method is that of all.
        streams: its random streams for references and the priors' own draws.
    """

    regularisation: Regularisation
    streams: RandomStreams


class EnsembleObjective:
    """The losses of several trainings, step after step."""

    def __init__(
        self,
        members: StackedNetworks,
        task: Task,
        trainings: Sequence[MemberTraining],
        *,
        precision: Precision = "float32",
    ) -> None:
        """Start at step 0.

        Args:
            members: the networks, already adapted, on their device.
            task: task that defines the prediction loss, the target and the examples that priors
                apply to.
            trainings: priors and random streams of each network.
            precision: precision of their forward pass.

        Raises:
            CannotStack: if a prior acts through what is for networks trained alone.
        """
        parts = [part for training in trainings for part in training.regularisation.parts]
        for part in parts:
            if part.weight and part.prior.alone:
                raise CannotStack(f"{part.prior.alone}: for networks that are trained alone only")
        self.precision = precision
        self.members, self.task, self.trainings = members, task, list(trainings)
        self.method = trainings[0].regularisation.method
        device = members.generators.device
        seeds = [training.streams.derive("augment") for training in trainings]
        self.noise = [torch.Generator(device).manual_seed(seed) for seed in seeds]
        self.steps = 0
        self._constants: dict[Hashable, torch.Tensor] = {}

    def keep(self, index: Sequence[int]) -> None:
        """Keep these networks only."""
        self.trainings = [self.trainings[i] for i in index]
        self.noise = [self.noise[i] for i in index]

    def losses(self, batch: Batch, elapsed: float) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the losses of the next step.

        Args:
            batch: M * B examples, those of one network after the other.
            elapsed: number of epochs since training began.

        Returns:
            mean prediction loss (M,), and the term (M,) that the priors add to it, weights
            included.
        """
        count = len(self.members)
        loaded, batch = batch, self._changed(batch)
        # priors choose examples by the labels before the change
        labelled = Batch(batch.sequence, loaded.label, loaded.arrays)
        penalty = batch.sequence.new_zeros(count)
        masked = {
            prior: (self._applies(prior, weights, labelled), weights)
            for prior, weights, _ in self._due("penalty", elapsed, batch.sequence)
        }
        masks = [mask for mask, _ in masked.values()]
        applies = torch.stack(masks).any(dim=0) if masks else batch.label.new_zeros((count, 0))
        # the only time in a step that the host waits for the device
        numbers = torch.stack([mask.sum(dim=1) for mask in (applies, *masks)]).tolist()
        most, size = max(numbers[0]), applies.shape[1]
        if most:
            before = self.members.generators.draws
            with in_precision(self.precision, applies.device):
                attributed = _attribute(
                    self.members, self.task, batch, (applies, most), self._reader()
                )
            if self.members.generators.draws > before and min(numbers[0]) < size:
                raise CannotStack(
                    "dropout draws in another order where some examples only are attributed"
                )
            output = attributed.output
            for (prior, (mask, weights)), own in zip(masked.items(), numbers[1:], strict=True):
                penalty = penalty + weights * attributed.mean_penalty(prior, (mask, own), labelled)
        else:
            inputs = [batch.sequence, *self.task.inputs(batch)]
            apart = [torch.unflatten(value, 0, (count, -1)) for value in inputs]
            gate = StatisticsGate(members=count)
            with in_precision(self.precision, batch.sequence.device):
                output = flat_rows(self.members.forward([apart], gate, 1)[0])
        output = in_float32(output)
        for prior, weights, places in self._due("parameter_penalty", elapsed, batch.sequence):
            # only networks that have the prior: the gradient of a root at 0 is not finite
            values = self.members.parameter_penalty(prior, places)
            penalty = penalty.index_add(0, places, weights[places] * values)
        self.steps += 1
        prediction = torch.unflatten(self.task.prediction_loss(output, batch), 0, (count, -1))
        return prediction.mean(dim=1), penalty

    def _changed(self, batch: Batch) -> Batch:
        """Return every network's examples, changed by its own priors."""
        members = [training.regularisation for training in self.trainings]
        if not any(map(changes_examples, members)):
            return batch
        every = torch.arange(len(batch.label), device=batch.label.device)
        changed = [
            change_examples(own, batch.select(rows), generator)
            for own, rows, generator in zip(
                members, every.chunk(len(members)), self.noise, strict=True
            )
        ]
        arrays = {name: torch.cat([each.arrays[name] for each in changed]) for name in batch.arrays}
        return Batch(
            torch.cat([each.sequence for each in changed]),
            torch.cat([each.label for each in changed]),
            arrays,
        )

    def _due(
        self, hook: str, elapsed: float, like: torch.Tensor
    ) -> Iterator[tuple[Prior, torch.Tensor, torch.Tensor]]:
        """Yield the different priors that act at this step.

        With each come its weight (M,) in every network, of the dtype of ``like``, and the places
        (k,) int64 of those networks that have it.
        """
        by_prior: dict[Prior, list[float]] = {}
        for place, training in enumerate(self.trainings):
            for part in training.regularisation.through(hook):
                weights = by_prior.setdefault(part.prior, [0.0] * len(self.trainings))
                weights[place] += float(part.weight)
        for prior, weights in by_prior.items():
            strength = prior.strength(elapsed, self.steps)
            if any(weights) and strength:
                places = [place for place, weight in enumerate(weights) if weight]
                scaled = strength * self._constant(weights)  # in float64, as networks alone do
                yield prior, scaled.to(like.dtype), self._constant(places)

    def _constant(self, values: Sequence[float]) -> torch.Tensor:
        """Return numbers on the device, to which they are copied once."""
        key = (type(values[0]), *values)
        if key not in self._constants:
            device, kind = self.members.generators.device, type(values[0])
            dtype = torch.float64 if kind is float else torch.int64
            self._constants[key] = torch.tensor(values, dtype=dtype, device=device)
        return self._constants[key]

    def _applies(self, prior: Prior, weights: torch.Tensor, batch: Batch) -> torch.Tensor:
        """Return the mask (M, B) of a prior's examples in the networks that have the prior."""
        mask = torch.unflatten(prior.applies(batch, self.task), 0, (len(weights), -1))
        return mask & (weights != 0)[:, None]

    def _reader(self) -> _Reader:
        # the stream of this step is the same for every prior, whenever it penalises
        seeds = [training.streams.derive("attribution", self.steps) for training in self.trainings]
        return _Reader(self.method, seeds)


@dataclass(frozen=True)
class _Reader:
    """The attribution method of all networks, with what each network draws for it.

    Attributes:
        method: attribution method of all networks.
        seeds: seeds of each network's references.
    """

    method: AttributionMethod
    seeds: Sequence[int]

    def points(
        self, sequence: torch.Tensor, places: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor] | None:
        """Return where gradients are taken, or None for the inputs themselves.

        Args:
            sequence: (M, B, 4, L) inputs.
            places: (M, P) int64, the examples of each network that are attributed.

        Returns:
            K points on the path to each chosen example (M, K, P, 4, L), and input - reference
            (M, P, 4, L).
        """
        paths = []
        for member_sequence, rows, seed in zip(sequence, places, self.seeds, strict=True):
            draws = self.method.draws
            generator = torch.Generator(sequence.device).manual_seed(seed) if draws else None
            path = self.method.path(member_sequence, rows, generator)
            if path is None:
                return None
            paths.append(path)
        return (
            torch.stack([path.points for path in paths]),
            torch.stack([path.difference for path in paths]),
        )


@dataclass(frozen=True)
class _Attributed:
    """The outcome of a forward pass that also attributes.

    Attributes:
        output: output of the networks for M * B examples.
        attribution: attributions of M * P examples.
        places: (M, P) int64, their places among each network's B examples.
    """

    output: Any
    attribution: Attribution
    places: torch.Tensor

    def mean_penalty(
        self, prior: Prior, own: tuple[torch.Tensor, Sequence[int]], batch: Batch
    ) -> torch.Tensor:
        """Return the mean penalty (M,) over a prior's examples; 0 where there are none.

        The examples are a mask (M, B), which comes with the number of each network's.
        """
        applies, numbers = own
        members, size = applies.shape
        if not any(numbers):
            return batch.sequence.new_zeros(members)
        mask = applies.gather(1, self.places).flatten()
        at = torch.argsort(~mask, stable=True)[: sum(numbers)]
        first = size * torch.arange(members, device=mask.device)[:, None]
        attribution = self.attribution.select(at)
        values = prior.penalty(attribution, batch.select((self.places + first).flatten()[at]))
        require_one_per_example(values, attribution)
        owner = torch.div(at, self.places.shape[1], rounding_mode="floor")
        sums = values.new_zeros(members).index_add(0, owner, values)
        return sums / applies.sum(dim=1).clamp(min=1)


def _attribute(
    members: StackedNetworks,
    task: Task,
    batch: Batch,
    chosen: tuple[torch.Tensor, int],
    reader: _Reader,
) -> _Attributed:
    """Run a forward pass that attributes the examples that priors apply to, or more.

    The examples are a mask (M, B), which comes with the largest number of a network's.
    """
    applies, most = chosen
    count, size = applies.shape
    first = torch.argsort(~applies, dim=1, stable=True)
    places = first[:, :most].sort(dim=1).values
    inputs = [
        torch.unflatten(value, 0, (count, size)) for value in (batch.sequence, *task.inputs(batch))
    ]
    path = reader.points(inputs[0].detach(), places)
    if path is None:
        rest = first[:, most:]
        attributed = [_rows(value, places) for value in inputs]
        points = attributed[0] = attributed[0].detach().requires_grad_()
        gate = StatisticsGate(points, count)
        others = [[_rows(value, rest) for value in inputs]] if most < size else []
        parts = [attributed, *others]
        outputs = members.forward(parts, gate, len(parts), twice=True)
        scalars, held = task.explained(flat_rows(outputs[0])), not reader.method.through_statistics
        if not held:  # none of examples that no penalty is given
            scalars = scalars * applies.gather(1, places).flatten()
        gradient = _gradient(scalars, points, gate, held=held)
        attribution = reader.method.read(gradient.flatten(0, 1), points.detach().flatten(0, 1))
        back = torch.argsort(torch.cat([places, rest], dim=1), dim=1)
        joined = outputs[0] if len(outputs) == 1 else join_trees(outputs[0], outputs[1], 1)
        output = flat_rows(map_tensors(lambda value: _rows(value, back), joined))
        return _Attributed(output, attribution, places)
    points, difference = path
    steps = points.shape[1]
    points = points.flatten(1, 2).detach().requires_grad_()
    gate = StatisticsGate(points, count)
    more = [_rows(value, places) for value in inputs[1:]]
    path_points = [points, *(v.repeat(1, steps, *[1] * (v.dim() - 2)) for v in more)]
    output, at_points = members.forward([inputs, path_points], gate, 1, twice=True)
    gradient = _gradient(task.explained(flat_rows(at_points)), points, gate)
    mean = torch.unflatten(gradient, 1, (steps, most)).mean(dim=1).flatten(0, 1)
    attribution = reader.method.read(mean, difference.flatten(0, 1))
    return _Attributed(flat_rows(output), attribution, places)


def _gradient(
    scalars: torch.Tensor, points: torch.Tensor, gate: StatisticsGate, *, held: bool = True
) -> torch.Tensor:
    """Return the gradient by the points, for which batch statistics are held fixed or not."""
    with gate.closed() if held else nullcontext():
        return torch.autograd.grad(scalars.sum(), points, retain_graph=True, create_graph=True)[0]


def _rows(value: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
    """Return (M, k, ...) from (M, B, ...), by (M, k) places."""
    members, size = value.shape[:2]
    start = size * torch.arange(members, device=places.device)[:, None]
    return torch.unflatten(value.flatten(0, 1)[(places + start).flatten()], 0, places.shape)


def flat_rows(output: Any) -> Any:
    """Return outputs (M * B, ...) from (M, B, ...)."""
    return map_tensors(lambda value: value.flatten(0, 1), output)
