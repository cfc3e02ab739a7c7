"""Exponential activation in the first layer: a change of the network, as a baseline."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch

from priorbench import Prior, UserError

_ACTIVATIONS = (
    torch.nn.ReLU,
    torch.nn.LeakyReLU,
    torch.nn.ELU,
    torch.nn.SELU,
    torch.nn.GELU,
    torch.nn.SiLU,
    torch.nn.Softplus,
    torch.nn.Tanh,
    torch.nn.Sigmoid,
)


@dataclass(frozen=True)
class Exponential(Prior):
    """The activation after the first convolution becomes exp(x).

    A network whose first layer amplifies exponentially has to keep its background low, which
    makes first-layer filters look like motifs. There is no strength to choose: the weight is 1.
    """

    summary: ClassVar[str] = "exponential activation after the first convolution (weight 1)"
    citation: ClassVar[str] = "Koo & Ploenzke, Nature Machine Intelligence 2021"
    default_weights: ClassVar[Mapping[str, float]] = {"*": 1.0}

    def adapt(self, model: torch.nn.Module, weight: float) -> torch.nn.Module:
        """Replace the first activation module that follows a convolution.

        Raises:
            UserError: if the model has none, as when it calls ``F.relu``.
        """
        after_convolution = False
        for path, module in model.named_modules():
            if isinstance(module, torch.nn.Conv1d):
                after_convolution = True
            elif after_convolution and isinstance(module, _ACTIVATIONS):
                parent, _, name = path.rpartition(".")
                setattr(model.get_submodule(parent), name, Exp())
                return model
        raise UserError(
            "exponential: no activation module after the first Conv1d of the model; write "
            "torch.nn.ReLU() as a module instead of calling relu"
        )

    def check_weight(self, weight: float) -> None:
        """Raise UserError unless the weight is 1, or 0 to switch it off."""
        if weight not in (0.0, 1.0):
            raise UserError(f"weight {weight:g} is neither 1 (on) nor 0 (off)")


class Exp(torch.nn.Module):
    """exp(x)."""

    def forward(self, value: torch.Tensor) -> torch.Tensor:
        """Of the shape of ``value``."""
        return torch.exp(value)
