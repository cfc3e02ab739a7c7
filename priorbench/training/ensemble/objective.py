"""What a training step of several networks at once minimises: the losses of each by itself.

Networks see different examples, of which priors apply to different numbers. Where some have fewer
than others, the attributions of further examples are taken, and no penalty sees them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from priorbench.attribution.differentiable import AttributionMethod, twice_differentiable
from priorbench.autograd import StatisticsGate, join_trees, map_tensors
from priorbench.components.contracts import Attribution, Batch, Precision, Prior, Task
from priorbench.seeds import RandomStreams
from priorbench.training.objective import Regularisation, in_float32, in_precision

from .stacked_networks import CannotStack, StackedNetworks


@dataclass(frozen=True)
class MemberTraining:
    """What a network in an ensemble has of its own.

    Attributes:
        regularisation: what is added to its prediction loss; the attribution is that of all.
        luck: its streams for references and the priors' own draws.
    """

    regularisation: Regularisation
    luck: RandomStreams


class EnsembleObjective:
    """The losses of several trainings, step after step."""

    def __init__(
        self,
        members: StackedNetworks,
        task: Task,
        own: Sequence[MemberTraining],
        *,
        precision: Precision = "float32",
    ) -> None:
        """Start at step 0.

        Args:
            members: the networks, already adapted, on their device.
            task: gives the prediction loss, the target and the examples that priors apply to.
            own: one for each network.
            precision: of their forward pass.
        """
        self.precision = precision
        self.members, self.task, self.own = members, task, list(own)
        self.method = own[0].regularisation.method
        device = members.draws.device
        self.noise = [
            torch.Generator(device).manual_seed(one.luck.derive("augment")) for one in own
        ]
        self.steps = 0

    def keep(self, index: Sequence[int]) -> None:
        """Go on with these networks only."""
        self.own = [self.own[i] for i in index]
        self.noise = [self.noise[i] for i in index]

    def losses(self, batch: Batch, elapsed: float) -> tuple[torch.Tensor, torch.Tensor]:
        """The losses of the next step.

        Args:
            batch: M * B examples, those of one network after the other.
            elapsed: epochs since training began.

        Returns:
            mean prediction loss (M,), and what the priors add to it (M,), weights included.
        """
        count = len(self.members)
        batch = self._augmented(batch)
        penalty = batch.sequence.new_zeros(count)
        seen = {
            prior: (self._applies(prior, weights, batch), weights)
            for prior, weights in self._due("penalty", elapsed, batch)
        }
        applies = torch.stack([mask for mask, _ in seen.values()]).any(dim=0) if seen else None
        if applies is not None and bool(applies.any()):
            before = self.members.draws.count
            with (
                in_precision(self.precision, applies.device),
                twice_differentiable(self.members.form, wanted=True),
            ):
                attributed = _attribute(self.members, self.task, batch, applies, self._reader())
            if self.members.draws.count > before and not bool(applies.all()):
                raise CannotStack(
                    "dropout draws in another order where some examples only are attributed"
                )
            output = attributed.output
            for prior, (mask, weights) in seen.items():
                penalty = penalty + weights * attributed.mean_penalty(prior, mask, batch)
        else:
            inputs = [batch.sequence, *self.task.inputs(batch)]
            apart = [torch.unflatten(value, 0, (count, -1)) for value in inputs]
            with in_precision(self.precision, batch.sequence.device):
                output = flat_rows(self.members.forward([apart], StatisticsGate(members=count), 1)[0])
        output = in_float32(output)
        for prior, weights in self._due("parameter_penalty", elapsed, batch):
            # of those alone that have it: the gradient of a root at 0 is not finite
            places = weights.nonzero().squeeze(1)
            found = self.members.parameter_penalty(prior, places)
            penalty = penalty.index_add(0, places, weights[places] * found)
        self.steps += 1
        prediction = torch.unflatten(self.task.prediction_loss(output, batch), 0, (count, -1))
        return prediction.mean(dim=1), penalty

    def _augmented(self, batch: Batch) -> Batch:
        """Every network's examples, changed by its own priors."""
        if not any(one.regularisation.through("augment") for one in self.own):
            return batch
        changed = []
        sequences = torch.unflatten(batch.sequence, 0, (len(self.own), -1))
        for own, generator, sequence in zip(self.own, self.noise, sequences, strict=True):
            for one in own.regularisation.through("augment"):
                sequence = one.prior.augment(sequence, one.weight, generator)  # noqa: PLW2901
            changed.append(sequence)
        return Batch(torch.cat(changed), batch.label, batch.arrays)

    def _due(self, hook: str, elapsed: float, batch: Batch) -> Iterator[tuple[Prior, torch.Tensor]]:
        """The different priors that act at this step, with the weight (M,) of each network."""
        found: dict[Prior, list[float]] = {}
        for place, own in enumerate(self.own):
            for one in own.regularisation.through(hook):
                weight = one.weight * one.prior.strength(elapsed, self.steps)
                found.setdefault(one.prior, [0.0] * len(self.own))[place] += weight
        for prior, weights in found.items():
            if any(weights):
                yield prior, batch.sequence.new_tensor(weights)

    def _applies(self, prior: Prior, weights: torch.Tensor, batch: Batch) -> torch.Tensor:
        """(M, B) bool: the examples that a prior applies to, of the networks that have it."""
        mask = torch.unflatten(prior.applies(batch, self.task), 0, (len(weights), -1))
        return mask & (weights != 0)[:, None]

    def _reader(self) -> _Reader:
        # the stream of this step is the same for every prior, whichever steps it penalises
        seeds = [own.luck.derive("attribution", self.steps) for own in self.own]
        return _Reader(self.method, seeds)


@dataclass(frozen=True)
class _Reader:
    """How attributions are taken.

    Attributes:
        method: the same for all networks.
        seeds: of each network's references.
    """

    method: AttributionMethod
    seeds: Sequence[int]

    def points(
        self, sequence: torch.Tensor, chosen: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor] | None:
        """Where gradients are taken (M, K, P, 4, L), and input - reference (M, P, 4, L).

        None for the inputs themselves.

        Args:
            sequence: (M, B, 4, L).
            chosen: (M, B) bool, P of each network's.
        """
        paths = []
        for own, mask, seed in zip(sequence, chosen, self.seeds, strict=True):
            generator = torch.Generator().manual_seed(seed) if self.method.draws else None
            path = self.method.path(own, mask, generator)
            if path is None:
                return None
            paths.append(path)
        return (
            torch.stack([path.points for path in paths]),
            torch.stack([path.difference for path in paths]),
        )


@dataclass(frozen=True)
class _Attributed:
    """What came of a forward pass that attributes too.

    Attributes:
        output: of the networks, for M * B examples.
        attribution: of M * P examples.
        places: (M, P) int64, their places among each network's B.
    """

    output: Any
    attribution: Attribution
    places: torch.Tensor

    def mean_penalty(self, prior: Prior, applies: torch.Tensor, batch: Batch) -> torch.Tensor:
        """(M,) mean penalty over the examples (M, B) of a prior; 0 where there are none."""
        members, size = applies.shape
        if not bool(applies.any()):
            return batch.sequence.new_zeros(members)
        mask = applies.gather(1, self.places).flatten()
        rows = (self.places + size * torch.arange(members, device=mask.device)[:, None]).flatten()
        attribution = self.attribution.select(mask)
        values = prior.penalty(attribution, batch.select(rows[mask]))
        wanted = tuple(attribution.observed.shape[:1])
        if values.shape != wanted:
            raise ValueError(
                f"penalty has shape {tuple(values.shape)}, wanted {wanted}: one per example"
            )
        owner = torch.arange(members, device=mask.device).repeat_interleave(self.places.shape[1])
        sums = values.new_zeros(members).index_add(0, owner[mask], values)
        return sums / applies.sum(dim=1).clamp(min=1)


def _attribute(
    members: StackedNetworks, task: Task, batch: Batch, applies: torch.Tensor, reader: _Reader
) -> _Attributed:
    """One forward pass, and the attributions of at least the examples (M, B) that are wanted."""
    count, size = applies.shape
    wanted = int(applies.sum(dim=1).max())
    first = torch.argsort(~applies, dim=1, stable=True)
    places = first[:, :wanted].sort(dim=1).values
    chosen = torch.zeros_like(applies).scatter(1, places, True)
    inputs = [
        torch.unflatten(value, 0, (count, size)) for value in (batch.sequence, *task.inputs(batch))
    ]
    path = reader.points(inputs[0].detach(), chosen)
    if path is None:
        rest = first[:, wanted:]
        own = [_rows(value, places) for value in inputs]
        points = own[0] = own[0].detach().requires_grad_()
        gate = StatisticsGate(points, count)
        parts = [own] if wanted == size else [own, [_rows(value, rest) for value in inputs]]
        outputs = members.forward(parts, gate, len(parts))
        gradient = _gradient(task, outputs[0], points, gate)
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
    guests = [points, *(v.repeat(1, steps, *[1] * (v.dim() - 2)) for v in more)]
    output, at_points = members.forward([inputs, guests], gate, 1)
    gradient = torch.unflatten(_gradient(task, at_points, points, gate), 1, (steps, wanted)).mean(
        dim=1
    )
    attribution = reader.method.read(gradient.flatten(0, 1), difference.flatten(0, 1))
    return _Attributed(flat_rows(output), attribution, places)


def _gradient(task: Task, output: Any, points: torch.Tensor, gate: StatisticsGate) -> torch.Tensor:
    scalars = task.target(flat_rows(output))
    with gate.closed():
        return torch.autograd.grad(scalars.sum(), points, retain_graph=True, create_graph=True)[0]


def _rows(value: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
    """(M, k, ...) of (M, B, ...), by (M, k) places."""
    members, size = value.shape[:2]
    start = size * torch.arange(members, device=places.device)[:, None]
    return torch.unflatten(value.flatten(0, 1)[(places + start).flatten()], 0, places.shape)


def flat_rows(output: Any) -> Any:
    """(M * B, ...) of (M, B, ...)."""
    return map_tensors(lambda value: value.flatten(0, 1), output)
