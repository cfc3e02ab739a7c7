"""L1 norm of the attribution."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch

from priorbench import Attribution, AttributionPrior, Batch


@dataclass(frozen=True)
class L1(AttributionPrior):
    """Mean absolute attribution, mean_i |a_i|, with a the (smoothed) attribution.

    It is not scale-free: shrinking all attributions lowers it.
    """

    summary: ClassVar[str] = "penalises the mean absolute attribution"
    citation: ClassVar[str] = "Erion et al., Nature Machine Intelligence 2021"
    reverse_complement_invariant: ClassVar[bool] = True
    default_weights: ClassVar[Mapping[str, float]] = {"*": 1.0}

    def penalty(self, attribution: Attribution, batch: Batch) -> torch.Tensor:
        """Return the penalty (B,), in units of the target."""
        return self.track(attribution).abs().mean(dim=1)
