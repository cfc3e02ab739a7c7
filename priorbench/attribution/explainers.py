"""Explainers: attributions of trained models, which metrics score.

Each is a small class, chosen with ``--attributions``; :func:`load_explainer` builds one for use
alone. Their random draws (shuffled sequences, references) depend on the sequences and their places
only, so that all models that are compared are explained with the same references.
"""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import torch

from priorbench.autograd.output_trees import tensors_in
from priorbench.components import specs
from priorbench.errors import unknown

from . import differentiable

_BASES_AT_ONCE = 1 << 17


@dataclass(frozen=True)
class ExplainedModel:
    """A model and the sequences to explain.

    Attributes:
        model: network in eval mode, called with a sequence and ``args``.
        target: function from the model's output to (B,), the scalar that is explained.
        sequence: (k, 4, L) one-hot float; N is an all-zero column.
        args: further arguments of the model, (k, ...) each.
        origin: (k, 4, L) the sequences before they were changed, from which references are drawn,
            so that only the change differs; None for the sequences themselves.
        turned: whether they are reverse complements; then the references are too.
    """

    model: torch.nn.Module
    target: Callable[[Any], torch.Tensor]
    sequence: torch.Tensor
    args: Sequence[torch.Tensor] = ()
    origin: torch.Tensor | None = None
    turned: bool = False

    def at(self, rows: torch.Tensor) -> ExplainedModel:
        """Return the same for the sequences at ``rows``, (n,) int64."""
        return replace(
            self,
            sequence=self.sequence[rows],
            args=[a[rows] for a in self.args],
            origin=None if self.origin is None else self.origin[rows],
        )

    @property
    def sources(self) -> torch.Tensor:
        """Sequences (k, 4, L) before any change, from which references are drawn."""
        return self.sequence if self.origin is None else self.origin

    def facing(self, references: torch.Tensor) -> torch.Tensor:
        """Return references (..., 4, L) on the strand of these sequences."""
        return references.flip(-2, -1) if self.turned else references

    def chunks(self, copies: int = 1) -> Iterator[ExplainedModel]:
        """Yield a few sequences at a time, so that ``copies`` of each fit in memory together."""
        count, length = len(self.sequence), self.sequence.shape[2]
        step = max(1, _BASES_AT_ONCE // (length * copies))
        for start in range(0, count, step):
            yield self.at(torch.arange(start, min(start + step, count)))

    def values(self, sequence: torch.Tensor) -> torch.Tensor:
        """Return the target (k,) of other sequences, (k, 4, L), with the arguments of these."""
        with torch.no_grad():
            value: torch.Tensor = self.target(self.model(sequence, *self.args))
        return value

    def gradient(self, sequence: torch.Tensor) -> torch.Tensor:
        """Return the gradient (k, 4, L) at other sequences, with the arguments of these."""
        attribution = differentiable.input_x_gradient(
            self.model, sequence, self.target, args=self.args, create_graph=False
        )
        return attribution.gradient.detach()


@dataclass(frozen=True)
class Explanation:
    """Attributions of k sequences.

    Attributes:
        attribution: (k, L) float32 on the CPU, one signed value per position.
        expected: (k,) the value that each row should add up to, if the method promises one; else
            None.
        hypothetical: (k, 4, L) float32 on the CPU, hypothetical contributions: what the attribution
            would be of each of the four bases; at the observed one it is the attribution. None
            where they were not wanted, or the method has none.
    """

    attribution: torch.Tensor
    expected: torch.Tensor | None = None
    hypothetical: torch.Tensor | None = None


@dataclass(frozen=True)
class Explainer(ABC):
    """A method that attributes a trained model's output to its input."""

    summary: ClassVar[str]
    citation: ClassVar[str]
    every_base: ClassVar[bool] = True
    """whether it has hypothetical contributions, of bases that were not observed"""

    @abstractmethod
    def explain(self, subject: ExplainedModel, *, every_base: bool = False) -> Explanation:
        """Return the attributions of all sequences; the same for the same sequences.

        Args:
            subject: a model and the sequences to explain.
            every_base: whether hypothetical contributions are wanted too.
        """


def _joined(parts: Sequence[Explanation]) -> Explanation:
    def together(values: Sequence[torch.Tensor | None]) -> torch.Tensor | None:
        there = [value for value in values if value is not None]
        return torch.cat(there).detach().float().cpu() if len(there) == len(parts) else None

    return Explanation(
        torch.cat([part.attribution for part in parts]).detach().float().cpu(),
        together([part.expected for part in parts]),
        together([part.hypothetical for part in parts]),
    )


def _from_reference(multipliers: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
    """Return hypothetical contributions m_b - sum_c m_c r_c, (k, 4, L).

    The difference of base b from the reference, times the multipliers that are there (Shrikumar et
    al. 2018, arXiv:1811.00416, section 2).
    """
    return multipliers - (multipliers * reference).sum(dim=1, keepdim=True)


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
        return _joined(parts)


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

    Attributes:
        steps: K, the number of points on the path.
        reference: r, all ``zero`` or ``uniform`` over the four bases (0.25 each).
    """

    summary: ClassVar[str] = "integrated gradients, by the midpoint rule"
    citation: ClassVar[str] = differentiable.IntegratedGradients.citation

    steps: int = 32
    reference: Literal["zero", "uniform"] = "zero"

    def __post_init__(self) -> None:
        """Refuse options outside their range."""
        differentiable.check_draws("steps", self.steps)

    def explain(self, subject: ExplainedModel, *, every_base: bool = False) -> Explanation:
        """Return the sum over the points of the path."""
        parts = []
        for part in subject.chunks():
            reference = torch.full_like(part.sequence, 0.25 if self.reference == "uniform" else 0)
            difference = part.sequence - reference
            total = torch.zeros_like(difference)
            for step in range(self.steps):
                total += part.gradient(reference + (step + 0.5) / self.steps * difference)
            expected = part.values(part.sequence) - part.values(reference)
            observed = (difference * total / self.steps).sum(dim=1)
            every = _from_reference(total / self.steps, reference) if every_base else None
            parts.append(Explanation(observed, expected, every))
        return _joined(parts)


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

    samples: int = 32

    def __post_init__(self) -> None:
        """Refuse options outside their range."""
        differentiable.check_draws("samples", self.samples)

    def explain(self, subject: ExplainedModel, *, every_base: bool = False) -> Explanation:
        """Return the mean over references; zero for a single sequence, which has no reference."""
        count, device = len(subject.sequence), subject.sequence.device
        generator = torch.Generator().manual_seed(0)
        shift = torch.randint(1, max(count, 2), (self.samples, count), generator=generator)
        other = ((torch.arange(count) + shift) % count).to(device)
        share = torch.empty(self.samples, count).uniform_(generator=generator).to(device)
        parts, done = [], 0
        for part in subject.chunks():
            rows = slice(done, done + len(part.sequence))
            done = rows.stop
            own = part.values(part.sequence)
            total, expected = torch.zeros_like(part.sequence), torch.zeros_like(own)
            every = torch.zeros_like(part.sequence) if every_base else None
            for places, shares in zip(other[:, rows], share[:, rows], strict=True):
                reference = subject.facing(subject.sources[places])
                difference = part.sequence - reference
                gradient = part.gradient(reference + shares[:, None, None] * difference)
                total += difference * gradient
                if every is not None:
                    every += _from_reference(gradient, reference) / self.samples
                expected += own - part.values(reference)
            observed = total.sum(dim=1) / self.samples
            parts.append(Explanation(observed, expected / self.samples, every))
        return _joined(parts)


@dataclass(frozen=True)
class DeepLiftShapExplainer(Explainer):
    """DeepLIFT multipliers times x - r, mean over dinucleotide-shuffled sequences r.

    Computed by tangermeme. Adds up to the mean of f(x) - f(r), if tangermeme has a rule for every
    non-linear module of the network. Where the target weights outputs by something that is held
    fixed (as the profile's does), f(r) is taken with the weights of x. Hypothetical
    contributions are the multipliers times another base less r, as tangermeme computes them.

    Attributes:
        shuffles: number of references per sequence.
    """

    summary: ClassVar[str] = "DeepLIFT/SHAP with dinucleotide-shuffled references"
    citation: ClassVar[str] = (
        "Shrikumar, Greenside & Kundaje, ICML 2017; Lundberg & Lee, NeurIPS 2017; "
        "tangermeme (Schreiber 2025)"
    )

    shuffles: int = 20

    def __post_init__(self) -> None:
        """Refuse options outside their range."""
        differentiable.check_draws("shuffles", self.shuffles)

    def explain(self, subject: ExplainedModel, *, every_base: bool = False) -> Explanation:
        """Return the mean over shuffled references."""
        from tangermeme.deep_lift_shap import deep_lift_shap

        parts, done = [], 0
        for part in subject.chunks(self.shuffles):
            seeds = range(done, done + len(part.sequence))
            done = seeds.stop
            references = part.facing(shuffled(part.sources, self.shuffles, seeds))
            with warnings.catch_warnings(), _unpooling():
                # deltas are stored, and N is allowed
                warnings.simplefilter("ignore")
                hypothetical = deep_lift_shap(
                    _Scalar(part),
                    part.sequence,
                    args=tuple(part.args) or None,
                    references=references,
                    hypothetical=True,
                    batch_size=max(1, _BASES_AT_ONCE // part.sequence.shape[2]),
                    additional_nonlinear_ops=_rules(part.model),
                    only_warn=True,
                    device=part.sequence.device,
                )
            every = hypothetical.to(part.sequence.device)
            observed = (every * part.sequence).sum(dim=1)
            expected = _mean_change(part, references)
            parts.append(Explanation(observed, expected, every if every_base else None))
        return _joined(parts)


@dataclass(frozen=True)
class InSilicoMutagenesisExplainer(Explainer):
    """a_i = f(x) - mean over the three other bases b of f(x with b at i); exact.

    Computed by tangermeme. An unknown base has attribution 0. The hypothetical contribution of base
    b is the attribution of the sequence with b there; its mean over the bases is 0.
    """

    summary: ClassVar[str] = "in-silico mutagenesis: what is lost when the base is another"
    citation: ClassVar[str] = "Zhou & Troyanskaya, Nature Methods 2015"

    def explain(self, subject: ExplainedModel, *, every_base: bool = False) -> Explanation:
        """Return the change of the target, averaged over the other bases."""
        from tangermeme.saturation_mutagenesis import saturation_mutagenesis

        parts = []
        length = subject.sequence.shape[2]
        for part in subject.chunks(3 * length):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # about N
                raw: Any = saturation_mutagenesis(
                    _Scalar(part),
                    part.sequence,
                    args=tuple(part.args) or None,
                    batch_size=max(1, _BASES_AT_ONCE // length),
                    raw_outputs=True,
                    device=part.sequence.device,
                    # its choice of a faster way depends on the clock, and so would the last digits
                    fast=False,
                )
            own, changed = raw[0].reshape(-1, 1), raw[1].reshape(len(part.sequence), 4, length)
            known = part.sequence.sum(dim=1).to(own) > 0
            # the observed base is one of the four, and changes nothing
            total = changed.sum(dim=1)
            every = (4 * changed - total[:, None]) / 3 if every_base else None
            parts.append(Explanation(known * (4 * own - total) / 3, None, every))
        return _joined(parts)


def shuffled(sequence: torch.Tensor, count: int, seeds: Sequence[int]) -> torch.Tensor:
    """Return dinucleotide shuffles of sequences.

    Args:
        sequence: (k, 4, L) one-hot float.
        count: number of shuffles of each sequence.
        seeds: a seed for each sequence.

    Returns:
        (k, count, 4, L) on the sequences' device and of their dtype; first and last base stay.
    """
    from tangermeme.ersatz import dinucleotide_shuffle

    shuffles: torch.Tensor = dinucleotide_shuffle(
        sequence.cpu(), n=count, random_state=list(seeds), allow_N=True
    )
    return shuffles.to(sequence)


class _Scalar(torch.nn.Module):
    """A network whose output is the target, (B, 1), as tangermeme requires."""

    def __init__(self, subject: ExplainedModel) -> None:
        super().__init__()
        self.model, self.target = subject.model, subject.target
        self.train(subject.model.training)  # tangermeme does not change the mode

    def forward(self, sequence: torch.Tensor, *args: torch.Tensor) -> torch.Tensor:
        return self.target(self.model(sequence, *args))[:, None]


@contextmanager
def _unpooling() -> Iterator[None]:
    """Let torch undo max-pooling, which it does not list as deterministic.

    It is deterministic where pools do not overlap: each position is written once.
    """
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(False)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)


def _rules(model: torch.nn.Module) -> dict[type, Any]:
    """Return DeepLIFT rules for modules that are not torch's.

    The rule is local integrated gradients, or the rescale rule if the module's class has an
    attribute ``elementwise`` that says that it treats every value by itself.
    """
    from tangermeme.deep_lift_shap import _nonlinear, integrated_gradients_op

    own = {
        type(module)
        for module in model.modules()
        if not list(module.children())
        and not list(module.parameters())
        and not type(module).__module__.startswith("torch.")
    }
    by_path = integrated_gradients_op()
    return {cls: _nonlinear if getattr(cls, "elementwise", False) else by_path for cls in own}


def _mean_change(subject: ExplainedModel, references: torch.Tensor) -> torch.Tensor:
    """Return the mean (k,) over references of f(x) - f(r), taken with the fixed parts at x.

    The target f is linear in the model's output except for the parts that it holds fixed.
    """
    count = references.shape[1]
    with torch.no_grad():
        own = tensors_in(subject.model(subject.sequence, *subject.args))
        means = [torch.zeros_like(leaf) for leaf in own]
        for number in range(count):
            output = tensors_in(subject.model(references[:, number], *subject.args))
            means = [mean + leaf / count for mean, leaf in zip(means, output, strict=True)]
    with torch.enable_grad():
        output = subject.model(subject.sequence, *subject.args)
        leaves = tensors_in(output)
        slopes = torch.autograd.grad(subject.target(output).sum(), leaves, allow_unused=True)
    change = torch.zeros(len(subject.sequence), device=subject.sequence.device)
    for slope, leaf, mean in zip(slopes, own, means, strict=True):
        if slope is not None:
            change += (slope * (leaf - mean)).flatten(1).sum(dim=1)
    return change


EXPLAINERS: dict[str, type[Explainer]] = {
    specs.kebab(cls.__name__.removesuffix("Explainer")): cls
    for cls in (
        InputXGradientExplainer,
        GradientExplainer,
        SimplexGradientExplainer,
        IntegratedGradientsExplainer,
        ExpectedGradientsExplainer,
        DeepLiftShapExplainer,
        InSilicoMutagenesisExplainer,
    )
}
"""explainers by the name that ``--attributions`` takes"""


def load_explainer(spec: str) -> Explainer:
    """Build an explainer from a spec such as ``deep-lift-shap:shuffles=50``.

    Raises:
        UserError: if a name or option is unknown; the message suggests the nearest.
    """
    name = specs.name_of(spec)
    if name not in EXPLAINERS:
        raise unknown("attribution", name, EXPLAINERS)
    return specs.build("attribution", EXPLAINERS[name], spec)
