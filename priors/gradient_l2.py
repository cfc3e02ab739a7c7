"""Double backpropagation: the squared norm of the input gradient."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch

from priorbench import Attribution, Batch, GradientPrior
from priorbench.components.prior_bases import at_least_float32


@dataclass(frozen=True)
class GradientL2(GradientPrior):
    """Mean over positions of the squared gradient, mean_i sum_b g_ib ** 2, of all four bases b.

    The gradient is that of the target, as in all attributions; the publications take that of the
    loss. The penalty is not scale-free: shrinking all gradients lowers it.
    """

    summary: ClassVar[str] = "penalises the squared gradient of all four bases"
    citation: ClassVar[str] = (
        "Drucker & LeCun, IEEE Transactions on Neural Networks 1992; Ross & Doshi-Velez, AAAI 2018"
    )
    reverse_complement_invariant: ClassVar[bool] = True
    default_weights: ClassVar[Mapping[str, float]] = {"*": 1.0}

    def penalty(self, attribution: Attribution, batch: Batch) -> torch.Tensor:
        """Return the penalty (B,), in squared units of the target."""
        return at_least_float32(attribution.gradient).square().sum(dim=1).mean(dim=1)
