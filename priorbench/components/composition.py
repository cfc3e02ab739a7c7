"""Several priors at once: ``fourier+dropout``, or ``fourier=1+weight-l2=1e-5``."""

from __future__ import annotations

import math
import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING, ClassVar

from priorbench.errors import UserError

from .prior import Attribution, Prior, WeightedPrior
from .task import Batch, Task

if TYPE_CHECKING:
    import torch

ANY_TASK = "*"


@dataclass(frozen=True)
class WeightedPart:
    """One prior of a composition.

    Attributes:
        spec: normalised, without the weight.
        prior: the prior itself, not a composition.
        weight: as written, or None for the prior's default for the task.
    """

    spec: str
    prior: Prior
    weight: float | None


@dataclass(frozen=True)
class Composition(Prior):
    """The sum of several penalties, with every change of model and input one after the other.

    The weight of a composition multiplies those of its components; 1 leaves them as they are. A
    component without a strength, such as ``exponential``, is only switched off by 0.
    The engine trains with the components themselves (:meth:`parts`), each applied to its own
    examples at its own schedule. The hooks below are for training loops of one's own, where the
    components' default weights are those for any task.

    Attributes:
        components: in the order in which they were written.
    """

    summary: ClassVar[str] = "several priors at once"
    citation: ClassVar[str] = ""
    default_weights: ClassVar[Mapping[str, float]] = {ANY_TASK: 1.0}

    components: tuple[WeightedPart, ...] = ()

    @property
    def scale_free(self) -> bool:
        """Whether all components that read attributions are scale-free."""
        return all(c.prior.scale_free for c in self.components if c.prior.overrides("penalty"))

    def __post_init__(self) -> None:
        """Refuse components whose penalties see different attributions."""
        if len(seen := self._seen()) > 1:
            raise UserError(
                f"the penalties of {'+'.join(c.spec for c in self.components)!r} see different "
                f"attributions ({', '.join(name or 'study' for name in seen)}); write the same "
                "train_attribution in each of them"
            )

    def _seen(self) -> list[str]:
        return sorted({c.prior.sees for c in self.components if c.prior.overrides("penalty")})

    @property
    def sees(self) -> str:
        """What all of the components' penalties see."""
        return next(iter(self._seen()), "")

    @property
    def cut(self) -> float | None:
        """That of the one component that has a cut; None if none or several have."""
        cuts = [c.prior.cut for c in self.components if c.prior.cut is not None]
        return cuts[0] if len(cuts) == 1 else None

    def overrides(self, hook: str) -> bool:
        """Whether a component acts through the hook of that name."""
        return any(component.prior.overrides(hook) for component in self.components)

    @property
    def has_strength(self) -> bool:
        """Whether a component has one."""
        return any(component.prior.has_strength for component in self.components)

    def weight_bound(self, task: str) -> float:
        """The largest factor, exclusive, that keeps every component below its own bound."""
        bounds = [
            part.prior.weight_bound(task) / part.weight
            for part in self.parts(1.0, task)
            if part.prior.has_strength and part.weight > 0
        ]
        return min(bounds, default=math.inf)

    def parts(self, weight: float, task: str) -> Sequence[WeightedPrior]:
        """The components with their weights, each multiplied by ``weight``."""
        found = []
        for component in self.components:
            own = component.weight
            own = component.prior.default_weight(task) if own is None else own
            factor = weight if component.prior.has_strength or not weight else 1.0
            found.append(WeightedPrior(component.prior, factor * own))
        return found

    def _acting(self, hook: str, weight: float = 1.0) -> list[WeightedPrior]:
        return [part for part in self.parts(weight, ANY_TASK) if hook in part.hooks]

    def applies(self, batch: Batch, task: Task) -> torch.Tensor:
        """(B,) bool: examples that any of the penalties applies to."""
        masks = [part.prior.applies(batch, task) for part in self._acting("penalty")]
        return reduce(operator.or_, masks) if masks else task.applies(batch)

    def penalty(self, attribution: Attribution, batch: Batch) -> torch.Tensor:
        """(B,) weighted sum of the components' penalties."""
        acting = self._acting("penalty")
        terms = [part.weight * part.prior.penalty(attribution, batch) for part in acting]
        return sum(terms, attribution.observed.new_zeros(len(attribution.observed)))

    def parameter_penalty(self, model: torch.nn.Module) -> torch.Tensor:
        """() weighted sum of the components' penalties on parameters."""
        acting = self._acting("parameter_penalty")
        terms = [part.weight * part.prior.parameter_penalty(model) for part in acting]
        return sum(terms, next(model.parameters()).new_zeros(()))

    def adapt(self, model: torch.nn.Module, weight: float) -> torch.nn.Module:
        """The model as changed by every component in turn."""
        for part in self._acting("adapt", weight):
            model = part.prior.adapt(model, part.weight)
        return model

    def augment(
        self, sequence: torch.Tensor, weight: float, generator: torch.Generator
    ) -> torch.Tensor:
        """(B, 4, L) input as changed by every component in turn."""
        for part in self._acting("augment", weight):
            sequence = part.prior.augment(sequence, part.weight, generator)
        return sequence
