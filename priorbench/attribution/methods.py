"""Attribution methods that a penalty can be differentiated through, by name.

Each is a small class that says where gradients are taken and how they are read, and is chosen with
``--train-attribution``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch

from priorbench.components import specs
from priorbench.components.prior import Attribution
from priorbench.errors import UserError

_MOST_DRAWS = 1000
"""largest number of points or references of one example, each of which costs a pass"""


@dataclass(frozen=True)
class Path:
    """Points at which gradients are taken, between references and inputs.

    Attributes:
        points: (K, k, 4, L), K points for each of k examples.
        difference: (k, 4, L) input - reference.
    """

    points: torch.Tensor
    difference: torch.Tensor


@dataclass(frozen=True)
class AttributionMethod(ABC):
    """An attribution method that a penalty can be differentiated through."""

    summary: ClassVar[str]
    citation: ClassVar[str]
    draws: ClassVar[bool] = False
    """whether it needs a generator"""

    @property
    def through_statistics(self) -> bool:
        """Whether the gradient passes through the statistics of batch norm; else they are held."""
        return False

    def path(
        self, sequence: torch.Tensor, rows: torch.Tensor, generator: torch.Generator | None
    ) -> Path | None:
        """Return where gradients are taken, or None for the inputs themselves.

        Args:
            sequence: (B, 4, L) inputs of the batch.
            rows: (k,) int64, the examples to attribute; or (B,) bool.
            generator: generator to draw from.

        Raises:
            ValueError: if the method draws and there is no generator.
        """
        return None

    @abstractmethod
    def read(self, gradient: torch.Tensor, difference: torch.Tensor) -> Attribution:
        """Return the attribution.

        Args:
            gradient: (k, 4, L) mean gradient over the path.
            difference: (k, 4, L) input - reference, or the input where there is no path.
        """


class _TimesDifference(AttributionMethod):
    """An attribution method that multiplies the gradient by the difference."""

    def read(self, gradient: torch.Tensor, difference: torch.Tensor) -> Attribution:
        """Return gradient times difference, summed over the four bases."""
        return Attribution(gradient, (gradient * difference).sum(dim=1))


@dataclass(frozen=True)
class _OfInputs(AttributionMethod):
    """An attribution method that takes gradients at the inputs.

    Points of a path have no share in the statistics of batch norm, those of the examples.

    Attributes:
        through_statistics: whether the gradient passes through the statistics of batch norm in
            training, as a plain ``torch.autograd.grad`` has it: it is then that of the sum of all
            attributed targets, to which every example of the batch contributes.
    """

    through_statistics: bool = False


@dataclass(frozen=True)
class InputXGradient(_TimesDifference, _OfInputs):
    """a_i = sum_b x_ib g_ib, the gradient at the observed base."""

    summary: ClassVar[str] = "gradient x input"
    citation: ClassVar[str] = "Shrikumar et al. 2016, arXiv:1605.01713"


@dataclass(frozen=True)
class Gradient(_OfInputs):
    """a_i = sum_b |g_ib|, over all four bases, whichever is observed; never negative."""

    summary: ClassVar[str] = "absolute gradient, summed over the four bases"
    citation: ClassVar[str] = "Simonyan, Vedaldi & Zisserman 2013, arXiv:1312.6034"

    def read(self, gradient: torch.Tensor, difference: torch.Tensor) -> Attribution:
        """Return the attribution, without the difference."""
        return Attribution(gradient, gradient.abs().sum(dim=1))


@dataclass(frozen=True)
class SimplexGradient(_OfInputs):
    """a_i = sum_b x_ib (g_ib - mean_b g_ib): without the component off the simplex of bases."""

    summary: ClassVar[str] = "gradient corrected to the simplex, x input"
    citation: ClassVar[str] = "Majdandzic, Rajesh & Koo, Genome Biology 2023"

    def read(self, gradient: torch.Tensor, difference: torch.Tensor) -> Attribution:
        """Return the attribution and the corrected gradient."""
        corrected = gradient - gradient.mean(dim=1, keepdim=True)
        return Attribution(corrected, (corrected * difference).sum(dim=1))


@dataclass(frozen=True)
class ExpectedGradients(_TimesDifference):
    """a_i = sum_b (x - r)_ib g_ib(r + u (x - r)), one sample of r and u a step, as published.

    The reference r is another example of the batch, u is uniform between 0 and 1. A batch of one
    example has no other, and the attribution is zero.
    """

    summary: ClassVar[str] = "expected gradients, one reference from the batch a step"
    citation: ClassVar[str] = "Erion et al., Nature Machine Intelligence 2021"
    draws: ClassVar[bool] = True

    def path(
        self, sequence: torch.Tensor, rows: torch.Tensor, generator: torch.Generator | None
    ) -> Path:
        """Return one point between each example and another one; ValueError without a generator."""
        if generator is None:
            raise ValueError("generator is None: expected gradients draw, pass a torch.Generator")
        # drawn for the whole batch, so that an example's draw is the same whichever are chosen
        count, device = len(sequence), generator.device
        shift = torch.randint(1, max(count, 2), (count,), generator=generator, device=device)
        share = torch.empty(count, device=device).uniform_(generator=generator).to(sequence)
        shift = shift.to(sequence.device)
        reference = sequence[((torch.arange(count, device=shift.device) + shift) % count)[rows]]
        difference = sequence[rows] - reference
        points = reference + share[rows][:, None, None] * difference
        return Path(points[None], difference)


@dataclass(frozen=True)
class IntegratedGradients(_TimesDifference):
    """a_i = sum_b (x - r)_ib mean_k g_ib(r + (k - 1/2) / K (x - r)), k = 1 ... K.

    Attributes:
        steps: K, the number of points on the path; memory and time grow with it.
        reference: r, all ``zero`` or ``uniform`` over the four bases (0.25 each).
    """

    summary: ClassVar[str] = "integrated gradients, by the midpoint rule"
    citation: ClassVar[str] = "Sundararajan, Taly & Yan, ICML 2017"

    steps: int = 8
    reference: Literal["zero", "uniform"] = "zero"

    def __post_init__(self) -> None:
        """Refuse options outside their range."""
        check_draws("steps", self.steps)
        if self.reference not in ("zero", "uniform"):
            raise UserError(f"reference {self.reference!r} is neither 'zero' nor 'uniform'")

    def path(
        self, sequence: torch.Tensor, rows: torch.Tensor, generator: torch.Generator | None
    ) -> Path:
        """Return K points between reference and input."""
        reference = 0.25 if self.reference == "uniform" else 0.0
        difference = sequence[rows] - reference
        place = torch.arange(self.steps, dtype=sequence.dtype, device=sequence.device)
        share = (place + 0.5) / self.steps
        return Path(reference + share[:, None, None, None] * difference, difference)


def check_draws(name: str, value: int) -> None:
    """Raise UserError unless an option that multiplies the cost is within its range."""
    if not isinstance(value, int) or not 1 <= value <= _MOST_DRAWS:
        raise UserError(f"{name} {value} is not a whole number from 1 to {_MOST_DRAWS}")


METHODS: dict[str, type[AttributionMethod]] = {
    specs.kebab(cls.__name__): cls
    for cls in (InputXGradient, Gradient, SimplexGradient, ExpectedGradients, IntegratedGradients)
}
"""attribution methods by the name that ``--train-attribution`` takes"""


def load_attribution(spec: str) -> AttributionMethod:
    """Build an attribution method from a spec such as ``integrated-gradients:steps=16``.

    Raises:
        UserError: if a name or option is unknown; the message suggests the nearest.
    """
    return specs.build_one_of("attribution", METHODS, spec)
