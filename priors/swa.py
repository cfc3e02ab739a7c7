"""Stochastic weight averaging: the mean of the weights of several epochs, as a baseline."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from priorbench import Prior, UserError
from priorbench.components.hooks import FinalPhase


@dataclass(frozen=True)
class Swa(Prior):
    """The mean of the weights at the end of every epoch of the last share = weight of training.

    The epochs before train as usual and may end early; the last phase goes on from their best
    weights, at the same learning rate, and what is validated and kept is the mean so far, with
    the statistics of batch norm taken anew of the training data. The publication also lets the
    learning rate rise and fall.

    Attributes:
        learning_rate: factor of the learning rate in the last phase.
    """

    summary: ClassVar[str] = "averages the weights over the last share = weight of the epochs"
    citation: ClassVar[str] = "Izmailov et al., UAI 2018"
    default_weights: ClassVar[Mapping[str, float]] = {"*": 0.4}

    learning_rate: float = 1.0

    def __post_init__(self) -> None:
        """Refuse options outside their range."""
        if not self.learning_rate > 0:
            raise UserError(f"learning_rate {self.learning_rate:g} is not above 0")

    def final_phase(self, weight: float) -> FinalPhase:
        """Return the phase whose weights are averaged."""
        return FinalPhase(weight, self.learning_rate)

    def average_share(self, weight: float, step: int, steps_per_epoch: int) -> float:
        """Return 1 / n at the end of the phase's n-th epoch, else 0."""
        return 0.0 if step % steps_per_epoch else steps_per_epoch / step

    def weight_bound(self, task: str) -> float:
        """Return 1, where nothing would be left of the training before."""
        return 1.0

    def check_weight(self, weight: float) -> None:
        """Raise UserError unless the weight is a share below one."""
        super().check_weight(weight)
        if weight >= 1:
            raise UserError(f"weight {weight:g} is not a share below 1")
