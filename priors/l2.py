"""L2 norm (squared) of the attribution."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch

from priorbench import Attribution, AttributionPrior, Batch


@dataclass(frozen=True)
class L2(AttributionPrior):
    """Mean squared attribution, mean_i a_i ** 2, with a the (smoothed) attribution.

    It is not scale-free: shrinking all attributions lowers it.
    """

    summary: ClassVar[str] = "penalises the mean squared attribution"
    citation: ClassVar[str] = "Ross, Hughes & Doshi-Velez, IJCAI 2017"
    reverse_complement_invariant: ClassVar[bool] = True
    default_weights: ClassVar[Mapping[str, float]] = {"*": 3.0}

    def penalty(self, attribution: Attribution, batch: Batch) -> torch.Tensor:
        """Return the penalty (B,), in squared units of the target."""
        return self.track(attribution).square().mean(dim=1)
