"""Gini coefficient of the attribution: few positions should have most of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch

from priorbench import Attribution, AttributionPrior, Batch
from priorbench.components.prior_bases import unit


@dataclass(frozen=True)
class Gini(AttributionPrior):
    """Minus twice the Gini coefficient of the (smoothed, by default absolute) attribution a.

        - sum_i sum_j |a_i - a_j| / (L sum_i |a_i|),

    computed by sorting, in O(L log L) time and O(L) memory: with a_(1) <= ... <= a_(L) the double
    sum is 2 sum_i (2 i - L - 1) a_(i). It is 0 for equal attributions, and tends to -2 for a single
    one. A zero attribution has penalty 0 and gradient 0.

    Attributes:
        form: ``sequence`` for the coefficient of every sequence; ``global`` for that of the mean
            of a over the penalised examples of the batch, as published for features that mean the
            same in every example (positions of a sequence do not).
    """

    summary: ClassVar[str] = "rewards attributions that are concentrated on few positions"
    citation: ClassVar[str] = "Erion et al., Nature Machine Intelligence 2021"
    scale_free: ClassVar[bool] = True
    reverse_complement_invariant: ClassVar[bool] = True
    default_weights: ClassVar[Mapping[str, float]] = {"*": 0.3}

    form: Literal["sequence", "global"] = "sequence"

    def default_weight(self, task: str) -> float:
        """Return 0.03 for the global form, which fails to train at the weight of the other form."""
        return 0.03 if self.form == "global" else super().default_weight(task)

    def penalty(self, attribution: Attribution, batch: Batch) -> torch.Tensor:
        """Return the penalty (B,), -2 to 0 for attributions without sign; all equal if global."""
        track = self.track(attribution)
        count, length = track.shape
        if self.form == "global":
            track = track.mean(dim=0, keepdim=True)
        track = unit(track, 1)
        ordered = track.sort(dim=1).values
        rank = torch.arange(1, length + 1, dtype=track.dtype, device=track.device)
        pairs = 2 * (ordered * (2 * rank - length - 1)).sum(dim=1)
        mass = length * track.abs().sum(dim=1)
        return (-pairs / mass.masked_fill(mass == 0, 1)).expand(count)
