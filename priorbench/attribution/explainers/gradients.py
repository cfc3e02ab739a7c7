"""Explainers that read gradients: at the sequences, or on paths from references to them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import torch

from priorbench.attribution import differentiable
from priorbench.errors import UserError

from .shuffles import shuffled_positions
from .subject import (
    ExplainedModel,
    Explainer,
    Explanation,
    from_reference,
    joined,
    relative_error,
)


@dataclass(frozen=True)
class _AtInputs(Explainer):
    method: ClassVar[differentiable.AttributionMethod]

    def explain(self, subject: ExplainedModel, *, every_base: bool = False) -> Explanation:
        """Apply the method of the same name to the gradient at the sequences."""
        parts = []
        for part in subject.chunks():
            read = self.method.read(part.gradient(part.sequence), part.sequence)
            wanted = every_base and type(self).every_base
            parts.append(Explanation(read.observed, None, read.gradient if wanted else None))
        return joined(parts)


@dataclass(frozen=True)
class InputXGradientExplainer(_AtInputs):
    """a_i = sum_b x_ib g_ib, the gradient at the observed base.

    Its hypothetical contributions are the gradient g_ib itself.
    """

    summary: ClassVar[str] = "gradient x input"
    citation: ClassVar[str] = differentiable.InputXGradient.citation
    method: ClassVar[differentiable.AttributionMethod] = differentiable.InputXGradient()


@dataclass(frozen=True)
class GradientExplainer(_AtInputs):
    """a_i = sum_b |g_ib|, over all four bases, whichever is observed; never negative.

    It does not depend on the observed base, and has no hypothetical contributions.
    """

    summary: ClassVar[str] = "absolute gradient, summed over the four bases"
    citation: ClassVar[str] = differentiable.Gradient.citation
    method: ClassVar[differentiable.AttributionMethod] = differentiable.Gradient()
    every_base: ClassVar[bool] = False


@dataclass(frozen=True)
class SimplexGradientExplainer(_AtInputs):
    """a_i = sum_b x_ib (g_ib - mean_b g_ib): without the component off the simplex of bases.

    Its hypothetical contributions are the corrected gradient, whose mean over the bases is 0.
    """

    summary: ClassVar[str] = "gradient corrected to the simplex, x input"
    citation: ClassVar[str] = differentiable.SimplexGradient.citation
    method: ClassVar[differentiable.AttributionMethod] = differentiable.SimplexGradient()


@dataclass(frozen=True)
class IntegratedGradientsExplainer(Explainer):
    """a_i = sum_b (x - r)_ib mean_k g_ib(r + (k - 1/2) / K (x - r)), k = 1 ... K.

    Adds up to f(x) - f(r), but for the error of the midpoint rule. Hypothetical contributions are
    those of another base with the same mean gradient G: G_ib - sum_c r_ic G_ic.

    Koo & Ploenzke (Nature Machine Intelligence 2021) score
    ``reference=shuffled:steps=20:points=left:factor=input``, which adds up to nothing: with
    ``factor=input`` x takes the place of x - r before the sum, and hypothetical contributions are
    the mean gradient.

    Attributes:
        steps: K, the number of points on the path.
        reference: r, all ``zero``, ``uniform`` over the four bases (0.25 each), or ``shuffled``,
            the sequence with its positions in a random order.
        shuffles: number of shuffled references per sequence, over which the mean is taken.
        points: where on the K parts of the path: in the ``middle``, or at the ``left`` end, so that
            the first point is the reference.
        factor: what the mean gradient is multiplied by, the ``difference`` or the ``input``.
    """

    summary: ClassVar[str] = "integrated gradients, by the midpoint rule"
    citation: ClassVar[str] = differentiable.IntegratedGradients.citation

    takes_references: ClassVar[bool] = True

    steps: int = 32
    reference: Literal["zero", "uniform", "shuffled"] = "zero"
    shuffles: int = 10
    points: Literal["middle", "left"] = "middle"
    factor: Literal["difference", "input"] = "difference"

    def __post_init__(self) -> None:
        """Refuse options outside their range."""
        differentiable.check_draws("steps", self.steps)
        differentiable.check_draws("shuffles", self.shuffles)
        if self.shuffles != type(self).shuffles and self.reference != "shuffled":
            raise UserError(f"shuffles {self.shuffles} needs reference=shuffled")

    @property
    def adds_up(self) -> bool:
        """Whether its attributions promise a sum."""
        return self.factor == "difference"

    def explain(self, subject: ExplainedModel, *, every_base: bool = False) -> Explanation:
        """Return the sum over the points of the path; the mean over references, if there are some.

        Their paths are one after the other.
        """
        parts, done = [], subject.seed
        for part in subject.chunks():
            seeds = range(done, done + len(part.sequence))
            done = seeds.stop
            references = self._references(part, seeds)
            read = self._explain if self.adds_up else self._mean_gradient
            parts.append(read(part, references, every_base=every_base))
        return joined(parts)

    def _mean_gradient(
        self, part: ExplainedModel, references: Sequence[torch.Tensor], *, every_base: bool
    ) -> Explanation:
        """Return the mean gradient of all paths times the sequences."""
        mean = torch.stack([self._on_path(part, r) for r in references]).mean(dim=0)
        observed = (mean * part.sequence).sum(dim=1)
        return Explanation(observed, None, mean if every_base else None)

    def _on_path(self, part: ExplainedModel, reference: torch.Tensor) -> torch.Tensor:
        """Return the mean gradient (k, 4, L) on the path from a reference."""
        difference = part.sequence - reference
        total = torch.zeros_like(difference)
        first = 0.5 if self.points == "middle" else 0.0
        for step in range(self.steps):
            total += part.gradient(reference + (step + first) / self.steps * difference)
        return total / self.steps

    def _explain(
        self, part: ExplainedModel, references: Sequence[torch.Tensor], *, every_base: bool
    ) -> Explanation:
        own, sums = part.values(part.sequence), _Sums(part, every_base=every_base)
        for reference in references:
            gradient = self._on_path(part, reference)
            sums.add(gradient, reference, own - part.values(reference))
        explanation = sums.explanation()
        missing, change = torch.stack(sums.missing, dim=1), torch.stack(sums.changes, dim=1)
        return replace(explanation, error=relative_error(missing, change, own))

    def _references(self, part: ExplainedModel, seeds: Sequence[int]) -> Sequence[torch.Tensor]:
        if part.references is not None:
            return part.references.unbind(dim=1)
        if self.reference == "shuffled":
            drawn = shuffled_positions(part.sources, self.shuffles, seeds)
            return part.facing(drawn).unbind(dim=1)
        return [torch.full_like(part.sequence, 0.25 if self.reference == "uniform" else 0)]


class _Sums:
    """Attributions against one reference after the other.

    Attributes:
        missing: for each reference, (k,) the sum of the attributions less the change.
        changes: for each reference, (k,) the change of the target.
    """

    def __init__(self, part: ExplainedModel, *, every_base: bool) -> None:
        self.missing: list[torch.Tensor] = []
        self.changes: list[torch.Tensor] = []
        self._part = part
        self._observed = torch.zeros_like(part.sequence)
        self._every = torch.zeros_like(part.sequence) if every_base else None

    def add(self, gradient: torch.Tensor, reference: torch.Tensor, change: torch.Tensor) -> None:
        """Add what is attributed by a mean gradient (k, 4, L) on the path from a reference."""
        products = (self._part.sequence - reference) * gradient
        self._observed += products
        if self._every is not None:
            self._every += from_reference(gradient, reference)
        self.missing.append(products.sum(dim=(1, 2)) - change)
        self.changes.append(change)

    def explanation(self) -> Explanation:
        """Return the mean over references."""
        count = len(self.changes)
        every = None if self._every is None else self._every / count
        expected = torch.stack(self.changes).mean(dim=0)
        return Explanation(self._observed.sum(dim=1) / count, expected, every)


@dataclass(frozen=True)
class ExpectedGradientsExplainer(Explainer):
    """a_i = mean over samples of sum_b (x - r)_ib g_ib(r + u (x - r)).

    r is another of the explained sequences, u uniform between 0 and 1. Adds up to the mean of
    f(x) - f(r) in expectation. Hypothetical contributions are the mean over samples of
    g_ib - sum_c r_ic g_ic, with the same gradients.

    Attributes:
        samples: number of pairs of r and u per sequence.
    """

    summary: ClassVar[str] = "expected gradients, references from the explained sequences"
    citation: ClassVar[str] = differentiable.ExpectedGradients.citation

    takes_references: ClassVar[bool] = True

    samples: int = 32

    def __post_init__(self) -> None:
        """Refuse options outside their range."""
        differentiable.check_draws("samples", self.samples)

    def explain(self, subject: ExplainedModel, *, every_base: bool = False) -> Explanation:
        """Return the mean over samples; zero for a single sequence without references.

        References that are given are taken in turn. How far the mean is from what it adds up to in
        expectation is its sampling error.
        """
        count, device = len(subject.sequence), subject.sequence.device
        generator = torch.Generator().manual_seed(subject.seed)
        shift = torch.randint(1, max(count, 2), (self.samples, count), generator=generator)
        other = ((torch.arange(count) + shift) % count).to(device)
        share = torch.empty(self.samples, count).uniform_(generator=generator)
        share = share.to(subject.sequence)
        parts, done = [], 0
        for part in subject.chunks():
            rows = slice(done, done + len(part.sequence))
            done = rows.stop
            own, sums = part.values(part.sequence), _Sums(part, every_base=every_base)
            for number in range(self.samples):
                if part.references is None:
                    reference = subject.facing(subject.sources[other[number, rows]])
                else:
                    reference = part.references[:, number % part.references.shape[1]]
                point = reference + share[number, rows, None, None] * (part.sequence - reference)
                sums.add(part.gradient(point), reference, own - part.values(reference))
            explanation, change = sums.explanation(), torch.stack(sums.changes, dim=1)
            missing = torch.stack(sums.missing, dim=1).mean(dim=1, keepdim=True)
            parts.append(replace(explanation, error=relative_error(missing, change, own)))
        return joined(parts)
