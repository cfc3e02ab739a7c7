"""An exponential moving average of the weights, as a baseline."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from priorbench import Prior, UserError


@dataclass(frozen=True)
class Ema(Prior):
    """The moving average m of the weights w over all steps, m <- weight m + (1 - weight) w.

    It starts without a memory of the initial weights: after step n the share of the last weights is
    (1 - weight) / (1 - weight ** n). The average is what is validated after every epoch and what is
    kept, with the statistics of batch norm taken anew of the training data.
    """

    summary: ClassVar[str] = "averages the weights over steps, with decay = weight"
    citation: ClassVar[str] = "Polyak & Juditsky, SIAM J. Control and Optimization 1992"
    default_weights: ClassVar[Mapping[str, float]] = {"*": 0.99}

    def average_share(self, weight: float, step: int, steps_per_epoch: int) -> float:
        """Return the share of the weights after a step, counted from 1."""
        return (1 - weight) / (1 - weight**step)

    def weight_bound(self, task: str) -> float:
        """Return 1, where the average would never move."""
        return 1.0

    def check_weight(self, weight: float) -> None:
        """Raise UserError unless the weight is a decay below one."""
        super().check_weight(weight)
        if weight >= 1:
            raise UserError(f"weight {weight:g} is not a decay below 1")
