"""DeepLIFT/SHAP, by tangermeme, and what it and its convergence are compared with."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch

from priorbench.attribution import differentiable
from priorbench.autograd.output_trees import tensors_in

from .shuffles import shuffled, shuffled_positions
from .subject import (
    BASES_AT_ONCE,
    ExplainedModel,
    Explainer,
    Explanation,
    from_reference,
    joined,
    relative_error,
)
from .tangermeme_model import TangermemeModel


@dataclass(frozen=True)
class DeepLiftShapExplainer(Explainer):
    """DeepLIFT multipliers times x - r, mean over shuffled sequences r.

    Computed by tangermeme. Adds up to the mean of f(x) - f(r), if tangermeme has a rule for every
    non-linear module of the network. Where the target weights outputs by something that is held
    fixed (as the profile's does), f(r) is taken with the weights of x. Hypothetical
    contributions are the multipliers times another base less r, as tangermeme computes them.

    With ``bases=observed`` it is what shap's arrays give once they are multiplied by the sequence:
    mean over r of m_b (1 - r_b) at the observed base b, without what the reference's base
    contributes where that is another. It adds up to nothing.

    Attributes:
        shuffles: number of references per sequence.
        shuffle: what is shuffled, ``dinucleotides`` or single ``positions``.
        bases: whose contributions count, those of ``all`` bases or of the ``observed`` one.
    """

    summary: ClassVar[str] = "DeepLIFT/SHAP with shuffled references"
    citation: ClassVar[str] = (
        "Shrikumar, Greenside & Kundaje, ICML 2017; Lundberg & Lee, NeurIPS 2017; "
        "tangermeme (Schreiber 2025)"
    )

    takes_references: ClassVar[bool] = True

    shuffles: int = 20
    shuffle: Literal["dinucleotides", "positions"] = "dinucleotides"
    bases: Literal["all", "observed"] = "all"

    @property
    def draws_whole_bases(self) -> bool:
        """Whether what it shuffles must be one-hot, N aside."""
        return self.shuffle == "dinucleotides"

    @property
    def adds_up(self) -> bool:
        """Whether its attributions promise a sum."""
        return self.bases == "all"

    def __post_init__(self) -> None:
        """Refuse options outside their range."""
        differentiable.check_draws("shuffles", self.shuffles)

    def explain(self, subject: ExplainedModel, *, every_base: bool = False) -> Explanation:
        """Return the mean over references."""
        from tangermeme.deep_lift_shap import deep_lift_shap

        parts, done = [], 0
        given = subject.references
        for part in subject.chunks(self.shuffles if given is None else given.shape[1]):
            seeds = [subject.seed + row for row in range(done, done + len(part.sequence))]
            done += len(seeds)
            references = part.references
            if references is None:
                draw = shuffled if self.draws_whole_bases else shuffled_positions
                references = part.facing(draw(part.sources, self.shuffles, seeds))
            model = TangermemeModel(part)
            with warnings.catch_warnings(), _unpooling():
                _ignore_tangermeme()  # convergence is measured below, and N is allowed
                multipliers = deep_lift_shap(
                    model,
                    part.sequence,
                    args=model.rows,
                    references=references,
                    raw_outputs=True,
                    batch_size=max(1, BASES_AT_ONCE // part.sequence.shape[2]),
                    additional_nonlinear_ops=_rules(model),
                    only_warn=True,
                    dtype=part.sequence.dtype,
                    device=part.sequence.device,
                ).to(part.sequence)
            parts.append(self._explanation(part, references, multipliers, every_base=every_base))
        return joined(parts)

    def _explanation(
        self,
        part: ExplainedModel,
        references: torch.Tensor,
        multipliers: torch.Tensor,
        *,
        every_base: bool,
    ) -> Explanation:
        """Return the mean over (k, R, 4, L) references of what their multipliers say."""
        if not self.adds_up:
            every = ((1 - references) * multipliers).mean(dim=1)
            observed = (every * part.sequence).sum(dim=1)
            return Explanation(observed, None, every if every_base else None)
        every = from_reference(multipliers, references).mean(dim=1)
        observed = (every * part.sequence).sum(dim=1)
        change = _changes(part, references)
        total = ((part.sequence[:, None] - references) * multipliers).sum(dim=(2, 3))
        error = relative_error(total - change, change, part.values(part.sequence))
        return Explanation(observed, change.mean(dim=1), every if every_base else None, error)


def _ignore_tangermeme() -> None:
    """Ignore warnings that tangermeme gives, until warnings are reset; the model's are shown."""
    warnings.filterwarnings("ignore", module=r"tangermeme\.")
    # float64 is not cast, which torch thinks strange
    warnings.filterwarnings("ignore", message="In .* autocast, but the target dtype")


@contextmanager
def _unpooling() -> Iterator[None]:
    """Let torch undo max-pooling, which it does not list as deterministic.

    It is deterministic where pools do not overlap: each position is written once. Nothing is
    touched unless deterministic algorithms are asked for.
    """
    if not torch.are_deterministic_algorithms_enabled():
        yield
        return
    mode = torch.get_deterministic_debug_mode()
    torch.set_deterministic_debug_mode("default")
    try:
        yield
    finally:
        torch.set_deterministic_debug_mode(mode)


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


def _changes(subject: ExplainedModel, references: torch.Tensor) -> torch.Tensor:
    """Return (k, R), f(x) - f(r) for each of R references, taken with the fixed parts at x.

    The target f is linear in the model's output except for the parts that it holds fixed.
    """
    with torch.enable_grad():
        output = subject.model(subject.sequence.detach().requires_grad_(), *subject.args)
        leaves = tensors_in(output)
        slopes = torch.autograd.grad(
            subject.target(output).sum(),
            [leaf for leaf in leaves if leaf.requires_grad],
            allow_unused=True,
        )
    changes = []
    with torch.no_grad():
        for number in range(references.shape[1]):
            other = tensors_in(subject.model(references[:, number], *subject.args))
            change = subject.sequence.new_zeros(len(subject.sequence))
            pairs = [pair for pair in zip(leaves, other, strict=True) if pair[0].requires_grad]
            for slope, (own, value) in zip(slopes, pairs, strict=True):
                if slope is not None:
                    change += (slope * (own - value)).flatten(1).sum(dim=1)
            changes.append(change if subject.link is None else _linked(subject, output, change))
    return torch.stack(changes, dim=1)


@torch.no_grad()
def _linked(subject: ExplainedModel, output: Any, change: torch.Tensor) -> torch.Tensor:
    """Return (k,) the change of the link's value where that of the target is known."""
    assert subject.link is not None
    own = subject.target(output)
    value: torch.Tensor = subject.link(own) - subject.link(own - change)
    return value
