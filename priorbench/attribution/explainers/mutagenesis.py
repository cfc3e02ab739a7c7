"""The explainer that mutates every base of a sequence, by tangermeme."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch

from .subject import BASES_AT_ONCE, ExplainedModel, Explainer, Explanation, joined
from .tangermeme_model import TangermemeModel


@dataclass(frozen=True)
class InSilicoMutagenesisExplainer(Explainer):
    """a_i = f(x) - mean over the three other bases b of f(x with b at i); exact.

    Computed by tangermeme. An unknown base has attribution 0. The hypothetical contribution of base
    b is the attribution of the sequence with b there; its mean over the bases is 0.

    With ``form=root-square``, as Koo & Ploenzke (Nature Machine Intelligence 2021) score it,
    a_i = sqrt(sum over bases b of (f(x with b at i) - f(x))^2), which is never negative.

    Attributes:
        form: ``mean`` of what is lost over the other bases, or ``root-square`` of the effects.
    """

    summary: ClassVar[str] = "in-silico mutagenesis: what is lost when the base is another"
    citation: ClassVar[str] = "Zhou & Troyanskaya, Nature Methods 2015"
    needs_bases: ClassVar[bool] = True

    form: Literal["mean", "root-square"] = "mean"

    def explain(self, subject: ExplainedModel, *, every_base: bool = False) -> Explanation:
        """Return the change of the target: the mean over other bases, or the root of squares."""
        from tangermeme.saturation_mutagenesis import saturation_mutagenesis

        parts = []
        length = subject.sequence.shape[2]
        for part in subject.chunks(3 * length):
            model = TangermemeModel(part)
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", module=r"tangermeme\.")  # about N
                raw: Any = saturation_mutagenesis(
                    model,
                    part.sequence,
                    args=model.rows,
                    batch_size=max(1, BASES_AT_ONCE // length),
                    raw_outputs=True,
                    dtype=part.sequence.dtype,
                    device=part.sequence.device,
                    # its choice of a faster way depends on the clock, and so would the last digits
                    fast=False,
                )
            own, changed = raw[0].reshape(-1, 1), raw[1].reshape(len(part.sequence), 4, length)
            own, changed = own.to(part.sequence), changed.to(part.sequence)
            known = part.sequence.sum(dim=1) > 0
            read = _lost if self.form == "mean" else _root_square
            every = read(changed, changed) if every_base else None
            parts.append(Explanation(known * read(own[:, None], changed)[:, 0], None, every))
        return joined(parts)


def _lost(value: torch.Tensor, changed: torch.Tensor) -> torch.Tensor:
    """Return what is lost of (k, b, L) values by another base, on average; (k, 4, L) values of all.

    The base itself is one of the four, and changes nothing.
    """
    return (4 * value - changed.sum(dim=1, keepdim=True)) / 3


def _root_square(value: torch.Tensor, changed: torch.Tensor) -> torch.Tensor:
    """Return the root of the sum over bases of squared effects on (k, b, L) values."""
    effects = value[:, :, None] - changed[:, None]
    root: torch.Tensor = torch.linalg.vector_norm(effects, dim=2)
    return root
