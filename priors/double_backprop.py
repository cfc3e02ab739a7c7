"""Double backpropagation: the squared gradient of the loss by the input, as published."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch

from priorbench import Penalty
from priorbench.components.hooks import LossOfInput


@dataclass(frozen=True)
class DoubleBackprop(Penalty):
    """Mean over examples of the squared gradient of their loss, summed over the whole input.

    The gradient is that of the prediction loss, as published; ``gradient-l2`` takes that of the
    task's target, of positives only, and the mean over positions. Where the loss of an example is
    small already, so is its gradient: what is penalised most is what the network has not learnt.
    """

    summary: ClassVar[str] = "penalises the squared gradient of the loss by the input"
    citation: ClassVar[str] = (
        "Drucker & LeCun, IEEE Transactions on Neural Networks 1992; Ross & Doshi-Velez, AAAI 2018"
    )
    default_weights: ClassVar[Mapping[str, float]] = {"*": 0.01}

    def loss_penalty(self, loss: LossOfInput) -> torch.Tensor:
        """Return the penalty (), in squared units of the loss."""
        return loss.gradient(create_graph=True).square().sum(dim=(1, 2)).mean()
