"""Adversarial training by one step along the sign of the gradient, as a baseline."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch

from priorbench import Penalty, UserError
from priorbench.components.hooks import LossOfInput


@dataclass(frozen=True)
class Adversarial(Penalty):
    """The mean prediction loss at inputs that are changed so as to raise it.

    With ``form=sign`` the one-hot input x becomes x + epsilon * sign(g), g the gradient of the loss
    by the input; Goodfellow et al. weigh the loss there as much as the loss at x (weight 1). With
    ``form=bases`` the input stays one-hot: of every sequence the share epsilon of the positions
    at which the first-order change g_b - g_observed of the loss is largest gets the base with the
    largest change. The gradient is not differentiated itself.

    Attributes:
        form: how the input is changed.
        epsilon: size of the change, in units of the one-hot input (0 to 1), or share of the
            positions that are changed.
    """

    summary: ClassVar[str] = "adds the loss at inputs changed along the sign of its gradient"
    citation: ClassVar[str] = (
        "Goodfellow, Shlens & Szegedy, ICLR 2015; Koo et al., ICML workshop on computational "
        "biology 2019"
    )
    default_weights: ClassVar[Mapping[str, float]] = {"*": 1.0}

    form: Literal["sign", "bases"] = "sign"
    epsilon: float = 0.05

    def __post_init__(self) -> None:
        """Refuse options outside their range."""
        super().__post_init__()
        if not 0 < self.epsilon <= 1:
            raise UserError(f"epsilon {self.epsilon:g} is not above 0 and at most 1")

    def loss_penalty(self, loss: LossOfInput) -> torch.Tensor:
        """Return the mean prediction loss () at the changed inputs."""
        gradient, sequence = loss.gradient(create_graph=False), loss.sequence.detach()
        if self.form == "sign":
            return loss.at(sequence + self.epsilon * gradient.sign()).mean()
        return loss.at(_mutated(sequence, gradient, self.epsilon)).mean()


def _mutated(sequence: torch.Tensor, gradient: torch.Tensor, share: float) -> torch.Tensor:
    """Return the (B, 4, L) one-hot input with the bases that raise the loss most.

    At least one position of every sequence is changed where a base raises the loss; positions
    without a base never are.
    """
    gain, base = gradient.max(dim=1)
    gain = gain - (gradient * sequence).sum(dim=1)
    gain = gain.masked_fill(sequence.sum(dim=1) == 0, -torch.inf)
    count = max(1, round(share * sequence.shape[2]))
    most, places = gain.topk(count, dim=1)
    better = torch.nn.functional.one_hot(base, 4).transpose(1, 2).to(sequence.dtype)
    chosen = torch.zeros_like(gain).scatter(1, places, (most > 0).to(gain.dtype))[:, None]
    return torch.where(chosen > 0, better, sequence)
