"""Several priors at once: ``fourier+dropout``, or ``fourier=1+weight-l2=1e-5``."""

from __future__ import annotations

import math
import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING, ClassVar

from priorbench.errors import UserError

from .hooks import FinalPhase
from .prior import Attribution, Prior, WeightedPrior
from .task import Batch, Task

if TYPE_CHECKING:
    import torch

    from .hooks import LossOfInput

ANY_TASK = "*"


def longest_final_phase(parts: Sequence[WeightedPrior]) -> FinalPhase | None:
    """Return the last phase of training of several priors, by share; None if none asks for one.

    The smallest factor of the learning rate counts.
    """
    acting = [part for part in parts if "final_phase" in part.hooks]
    every = [part.prior.final_phase(part.weight) for part in acting]
    phases = [phase for phase in every if phase is not None]
    if not phases:
        return None
    rate = min(phase.learning_rate for phase in phases)
    return FinalPhase(max(phase.share for phase in phases), rate)


@dataclass(frozen=True)
class Summand:
    """A prior in a composition.

    Attributes:
        spec: normalised spec, without the weight.
        prior: the prior itself, not a composition.
        weight: weight in the composition's spec, or None for the prior's default for the task.
    """

    spec: str
    prior: Prior
    weight: float | None


@dataclass(frozen=True)
class Composition(Prior):
    """The sum of several penalties, with every change of model and input one after the other.

    The weight of a composition multiplies those of its summands; 1 leaves them as they are. A
    summand without a strength, such as ``exponential``, is only switched off by 0.
    The engine trains with the summands themselves (:meth:`parts`), each applied to its own
    examples at its own schedule. The hooks below are for training loops of one's own, where the
    summands' default weights are those for any task.

    Attributes:
        summands: the priors, in the order of the spec.
    """

    summary: ClassVar[str] = "several priors at once"
    citation: ClassVar[str] = ""
    default_weights: ClassVar[Mapping[str, float]] = {ANY_TASK: 1.0}

    summands: tuple[Summand, ...] = ()

    def __post_init__(self) -> None:
        """Refuse summands that contradict each other."""
        if len(attributions := self._attributions()) > 1:
            raise UserError(
                f"the penalties of {'+'.join(part.spec for part in self.summands)!r} see different "
                f"attributions ({', '.join(name or 'study' for name in attributions)}); write the "
                "same train_attribution in each of them"
            )

        averaging = [p.spec for p in self.summands if p.prior.overrides("average_share")]
        if len(averaging) > 1:
            raise UserError(
                f"{' and '.join(averaging)} each average the weights; leave all but one out"
            )
        moving = [part.spec for part in self.summands if part.prior.moves_bases]
        reading = [part.spec for part in self.summands if part.prior.channels]
        if moving and reading:
            raise UserError(
                f"{reading[0]!r} reads a channel, which no longer lies where its bases are after "
                f"{moving[0]!r} has moved them; leave one of them out"
            )
        if len({part.prior.teachers for part in self.summands} - {0}) > 1:
            raise UserError(
                f"the summands of {self._called!r} learn from different numbers of networks; write "
                "the same members in each of them"
            )

    def _attributions(self) -> list[str]:
        return sorted({prior.sees for prior in self._penalties()})

    @property
    def _called(self) -> str:
        return "+".join(part.spec for part in self.summands)

    def _penalties(self) -> list[Prior]:
        return [part.prior for part in self.summands if part.prior.overrides("penalty")]

    def parts(self, weight: float, task: str) -> Sequence[WeightedPrior]:
        """Return the summands with their weights, each multiplied by ``weight``."""
        parts = []
        for summand in self.summands:
            prior, own = summand.prior, summand.weight
            factor = weight if prior.has_strength or not weight else 1.0
            own = prior.default_weight(task) if own is None else own
            parts.append(WeightedPrior(prior, factor * own))
        return parts

    def overrides(self, hook: str) -> bool:
        """Return whether a summand acts through the hook of that name."""
        return any(part.prior.overrides(hook) for part in self.summands)

    @property
    def needs(self) -> tuple[str, ...]:
        """Names of all arrays that penalties of the summands read."""
        return tuple(sorted({name for part in self.summands for name in part.prior.needs}))

    @property
    def scale_free(self) -> bool:
        """Whether all summands that penalise attributions are scale-free."""
        return all(prior.scale_free for prior in self._penalties())

    @property
    def has_strength(self) -> bool:
        """Whether a summand has a strength."""
        return any(part.prior.has_strength for part in self.summands)

    @property
    def sees(self) -> str:
        """Spec of the training attribution that all penalties see; "" for the study's."""
        return next(iter(self._attributions()), "")

    @property
    def cut(self) -> float | None:
        """Cut of the one summand that has a cut; None if none or several have."""
        cuts = [part.prior.cut for part in self.summands if part.prior.cut is not None]
        return cuts[0] if len(cuts) == 1 else None

    def weight_bound(self, task: str) -> float:
        """Return the largest factor, exclusive, that keeps every summand below its own bound."""
        bounds = [
            part.prior.weight_bound(task) / part.weight
            for part in self.parts(1.0, task)
            if part.prior.has_strength and part.weight > 0
        ]
        return min(bounds, default=math.inf)

    def _acting(self, hook: str, weight: float = 1.0) -> list[WeightedPrior]:
        return [part for part in self.parts(weight, ANY_TASK) if hook in part.hooks]

    def _required(self, hook: str, weight: float = 1.0) -> list[WeightedPrior]:
        """Return the summands that act through a hook; UserError if none has it."""
        if not self.overrides(hook):
            raise self._lacking(hook)
        return self._acting(hook, weight)

    def applies(self, batch: Batch, task: Task) -> torch.Tensor:
        """Return (B,) bool, the examples that any of the penalties applies to."""
        masks = [part.prior.applies(batch, task) for part in self._acting("penalty")]
        return reduce(operator.or_, masks) if masks else task.applies(batch)

    def penalty(self, attribution: Attribution, batch: Batch) -> torch.Tensor:
        """Return the (B,) weighted sum of the summands' penalties."""
        acting = self._required("penalty")
        terms = [part.weight * part.prior.penalty(attribution, batch) for part in acting]
        return sum(terms, attribution.observed.new_zeros(len(attribution.observed)))

    def loss_penalty(self, loss: LossOfInput) -> torch.Tensor:
        """Return the () weighted sum of the summands' penalties on the loss."""
        acting = self._required("loss_penalty")
        terms = [part.weight * part.prior.loss_penalty(loss) for part in acting]
        return sum(terms, loss.losses.new_zeros(()))

    def parameter_penalty(self, model: torch.nn.Module) -> torch.Tensor:
        """Return the () weighted sum of the summands' penalties on parameters."""
        acting = self._required("parameter_penalty")
        terms = [part.weight * part.prior.parameter_penalty(model) for part in acting]
        return sum(terms, next(model.parameters()).new_zeros(()))

    def adapt(self, model: torch.nn.Module, weight: float) -> torch.nn.Module:
        """Return the model, changed by every summand in turn."""
        for part in self._required("adapt", weight):
            model = part.prior.adapt(model, part.weight)
        return model

    def augment(
        self, sequence: torch.Tensor, weight: float, generator: torch.Generator
    ) -> torch.Tensor:
        """Return the (B, 4, L) input, changed by every summand in turn."""
        for part in self._required("augment", weight):
            sequence = part.prior.augment(sequence, part.weight, generator)
        return sequence

    def change_examples(self, batch: Batch, weight: float, generator: torch.Generator) -> Batch:
        """Return the examples, changed by every summand in turn."""
        for part in self._required("change_examples", weight):
            batch = part.prior.change_examples(batch, part.weight, generator)
        return batch

    def average_share(self, weight: float, step: int, steps_per_epoch: int) -> float:
        """Return the smallest share that a summand says."""
        return min(
            part.prior.average_share(part.weight, step, steps_per_epoch)
            for part in self._required("average_share", weight)
        )

    def final_phase(self, weight: float) -> FinalPhase | None:
        """Return the longest phase that a summand asks for; None if none does."""
        return longest_final_phase(self._required("final_phase", weight))

    @property
    def teachers(self) -> int:
        """Number of networks that are trained first, the same for all summands that learn."""
        return max((part.prior.teachers for part in self.summands), default=0)

    def check_task(self, task: Task) -> None:
        """Raise UserError, with the reason, if a summand cannot act in a task."""
        for part in self.summands:
            part.prior.check_task(task)
