"""The objective of a training step: prediction loss and penalties."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch

from priorbench.attribution.methods import AttributionMethod
from priorbench.attribution.passes import Chosen, Reading, attribute, attribute_apart
from priorbench.autograd.functions.twice_differentiable import TwiceDifferentiable
from priorbench.autograd.model_call import ModelCall
from priorbench.autograd.output_trees import map_tensors
from priorbench.components.architecture import Precision
from priorbench.components.composition import longest_final_phase
from priorbench.components.hooks import FinalPhase, LossOfInput
from priorbench.components.prior import Attribution, WeightedPrior
from priorbench.components.task import Batch, Task
from priorbench.seeds import RandomStreams

from .teachers import Teachers


@dataclass(frozen=True)
class Regularisation:
    """The priors of a training, whose terms are added to the prediction loss.

    Attributes:
        parts: priors with their weights; several where priors are composed.
        method: attribution method whose result penalties are given.
        apart: whether a batch may go through the network in parts, as its architecture says.
    """

    parts: Sequence[WeightedPrior]
    method: AttributionMethod
    apart: bool = False

    def through(self, hook: str) -> list[WeightedPrior]:
        """Return the parts that act through the hook of that name."""
        return [part for part in self.parts if hook in part.hooks]

    @property
    def final_phase(self) -> FinalPhase | None:
        """The last phase of training that the parts ask for; None if none does."""
        return longest_final_phase(self.parts)

    def in_final_phase(self) -> Regularisation:
        """Return what acts in the last phase."""
        return replace(self, parts=[part for part in self.parts if not _rests(part)])

    @property
    def teachers(self) -> int:
        """Number of networks that are trained first."""
        return max((part.prior.teachers for part in self.parts if part.weight), default=0)

    def adapt(self, model: torch.nn.Module) -> torch.nn.Module:
        """Return the model as changed by the parts, one after the other."""
        for part in self.through("adapt"):
            model = part.prior.adapt(model, part.weight)
        return model


def changes_examples(regularisation: Regularisation) -> bool:
    """Return whether priors change the training examples."""
    return bool(regularisation.through("augment") or regularisation.through("change_examples"))


def change_examples(
    regularisation: Regularisation,
    batch: Batch,
    generator: torch.Generator,
    teachers: Teachers | None = None,
) -> Batch:
    """Return training examples as the priors change them: first the input, then labels too."""
    for part in regularisation.through("augment"):
        changed = part.prior.augment(batch.sequence, part.weight, generator)
        batch = Batch(changed, batch.label, batch.arrays)
    changing = regularisation.through("change_examples")
    if teachers is not None and any("teachers:label" in part.prior.needs for part in changing):
        arrays = {**batch.arrays, "teachers:label": teachers.labels(batch)}
        batch = Batch(batch.sequence, batch.label, arrays)
    for part in changing:
        batch = part.prior.change_examples(batch, part.weight, generator)
    return batch


def _rests(part: WeightedPrior) -> bool:
    """Return whether a prior does nothing in the last phase, which it asked for."""
    phase = part.prior.final_phase(part.weight) if "final_phase" in part.hooks else None
    return phase is not None and phase.rests


class Objective:
    """The losses of one training, step after step."""

    def __init__(
        self,
        model: torch.nn.Module,
        task: Task,
        regularisation: Regularisation,
        streams: RandomStreams,
        *,
        precision: Precision = "float32",
        teachers: Sequence[torch.nn.Module] = (),
    ) -> None:
        """Start at step 0.

        Args:
            model: network, already adapted, on its device.
            task: task that defines the prediction loss, the target and the examples that priors
                apply to.
            regularisation: priors and their weights.
            streams: random streams for references and the priors' own draws.
            precision: precision of the model's forward pass.
            teachers: networks that were trained first, in eval mode on the same device.
        """
        self.precision = precision
        self.model, self.task, self.streams = model, task, streams
        self.method, self.apart = regularisation.method, regularisation.apart
        self.regularise(regularisation)
        self.teachers: Teachers | None = None
        if teachers:
            self.teachers = Teachers(teachers, task, self.method, apart=self.apart)
        self.device = next(model.parameters()).device
        self.noise = torch.Generator(self.device).manual_seed(streams.derive("augment"))
        self.steps = 0

    def regularise(self, regularisation: Regularisation) -> None:
        """Take the penalties and changes of a regularisation from now on."""
        self.regularisation = regularisation
        self.attributing = regularisation.through("penalty")
        self.shrinking = regularisation.through("parameter_penalty")
        self.probing = regularisation.through("loss_penalty")

    def losses(self, batch: Batch, elapsed: float) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the losses of the next step.

        Args:
            batch: B examples.
            elapsed: number of epochs since training began.

        Returns:
            mean prediction loss (), and the term () that the priors add to it, weights included.
        """
        changed = change_examples(self.regularisation, batch, self.noise, self.teachers)
        # priors choose examples by the labels before the change
        labelled, batch = Batch(changed.sequence, batch.label, batch.arrays), changed
        probing = self._due(self.probing, elapsed)
        if probing:
            sequence = batch.sequence.detach().requires_grad_()
            batch = Batch(sequence, batch.label, batch.arrays)
        penalty = batch.sequence.new_zeros(())
        masked = [
            (part.prior.applies(labelled, self.task), part)
            for part in self._due(self.attributing, elapsed)
        ]
        chosen, counts = _chosen([mask for mask, _ in masked])
        with in_precision(self.precision, batch.sequence.device):
            if chosen is None:
                with TwiceDifferentiable() if probing else nullcontext():
                    output = forward(self.model, self.task, batch)
            else:
                output, attribution = self._attribute(batch, chosen)
        if chosen is not None:
            needs = {name for _, part in masked for name in part.prior.needs}
            computed = self._computed(needs, batch, chosen, output)
            attributed = labelled.select(chosen.rows)
            attributed = replace(attributed, arrays={**attributed.arrays, **computed})
            for (mask, part), count in zip(masked, counts, strict=True):
                own = mask.index_select(0, chosen.rows), count
                penalty = penalty + _mean_penalty(part, attribution, attributed, own)
        losses = self.task.prediction_loss(in_float32(output), batch)
        for part in probing:
            loss = LossOfInput(batch.sequence, losses, partial(self._losses_at, batch))
            penalty = penalty + part.weight * part.prior.loss_penalty(loss)
        for part in self._due(self.shrinking, elapsed):
            penalty = penalty + part.weight * part.prior.parameter_penalty(self.model)
        self.steps += 1
        return losses.mean(), penalty

    def _computed(
        self, needs: Collection[str], batch: Batch, chosen: Chosen, output: Any
    ) -> dict[str, torch.Tensor]:
        """Return what penalties read of the attributed examples beside their attributions."""
        arrays = {}
        if "target" in needs:
            arrays["target"] = self.task.target(in_float32(output))[chosen.rows]
        if "reverse-complement" in needs:
            with in_precision(self.precision, batch.sequence.device):
                _, other = self._attribute(turned(batch), chosen)
            arrays["reverse-complement"] = other.observed.flip(1)
        if "teachers:attribution" in needs and self.teachers is not None:
            references = self._references() if self.method.draws else None
            tracks = self.teachers.attributions(batch, chosen, references)
            arrays["teachers:attribution"] = tracks
        if "teachers:label" in needs and self.teachers is not None:
            arrays["teachers:label"] = self.teachers.labels(batch)[chosen.rows]
        return arrays

    def _losses_at(self, batch: Batch, sequence: torch.Tensor) -> torch.Tensor:
        """Return the (B,) prediction losses of a batch's examples at another input."""
        moved = Batch(sequence, batch.label, batch.arrays)
        with in_precision(self.precision, sequence.device):
            output = forward(self.model, self.task, moved)
        return self.task.prediction_loss(in_float32(output), moved)

    def _attribute(self, batch: Batch, chosen: Chosen) -> tuple[Any, Attribution]:
        """Return the output for a batch, and the attributions of the examples chosen."""
        sequence = batch.sequence
        call = ModelCall(self.model, self.task.inputs(batch), count=len(sequence))
        references = self._references() if self.method.draws else None
        reading = Reading(self.task.explained, self.method, references)
        # a network that a prior has changed by hooks, for instance, is not taken apart
        take = attribute_apart if self.apart else attribute
        return take(call, sequence, chosen, reading)

    def _due(self, parts: Sequence[WeightedPrior], elapsed: float) -> list[WeightedPrior]:
        """Return the parts that act at this step, at their present weights."""
        scheduled = [
            WeightedPrior(part.prior, part.weight * part.prior.strength(elapsed, self.steps))
            for part in parts
        ]
        return [part for part in scheduled if part.weight]

    def _references(self) -> torch.Generator:
        """Return the generator of this step, the same for every prior, whenever it penalises."""
        return torch.Generator(self.device).manual_seed(
            self.streams.derive("attribution", self.steps)
        )


def in_precision(precision: Precision, device: torch.device) -> torch.autocast:
    """Run modules in that precision within the block, where torch's autocast provides for it."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == "bf16")


def in_float32(output: Any) -> Any:
    """Return a model's output in float32 or finer, for its losses."""
    return map_tensors(lambda v: v.float() if v.dtype == torch.bfloat16 else v, output)


def turned(batch: Batch) -> Batch:
    """Return the examples as their reverse complements, tracks along the window turned too."""
    arrays = {
        name: values.flip(1, 2) if values.dim() == 3 else values
        for name, values in batch.arrays.items()
    }
    # A C G T upside down is T G C A
    return Batch(batch.sequence.flip(1, 2), batch.label, arrays)


def forward(model: torch.nn.Module, task: Task, batch: Batch) -> Any:
    """Return the model's output for a batch, with the task's further inputs."""
    return model(batch.sequence, *task.inputs(batch))


def _chosen(masks: Sequence[torch.Tensor]) -> tuple[Chosen | None, list[int]]:
    """Return the examples in any of the masks, or None, and the number in each mask."""
    if not masks:
        return None, []
    applies = masks[0] if len(masks) == 1 else torch.stack([*masks]).any(dim=0)
    # the only time in a step that the host waits for the device
    total, *counts = torch.stack([applies, *masks]).sum(dim=1).tolist()
    return (Chosen.where(applies, total) if total else None), counts


def _mean_penalty(
    part: WeightedPrior, attribution: Attribution, batch: Batch, own: tuple[torch.Tensor, int]
) -> torch.Tensor:
    """Return the weighted mean penalty () over the examples of a mask; 0 if there are none.

    The mask comes with the number of its examples.
    """
    mask, count = own
    if count < len(mask):
        rows = torch.argsort(~mask, stable=True)[:count]
        attribution, batch = attribution.select(rows), batch.select(rows)
    return part.weight * part.prior.mean_penalty(attribution, batch)
