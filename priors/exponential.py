"""Exponential activation in the first layer: a change of the network, as a baseline."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

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
# modules that may stand between a convolution and its activation
_BETWEEN = (
    torch.nn.BatchNorm1d,
    torch.nn.GroupNorm,
    torch.nn.InstanceNorm1d,
    torch.nn.Identity,
    torch.nn.Dropout,
    torch.nn.MaxPool1d,
    torch.nn.AvgPool1d,
)


@dataclass(frozen=True)
class Exponential(Prior):
    """The activation after the first convolution becomes exp(x).

    A network whose first layer amplifies exponentially has to keep its background low, which
    makes first-layer filters look like motifs. The strength cannot be chosen: the weight is 1.
    """

    summary: ClassVar[str] = "exponential activation after the first convolution (weight 1)"
    citation: ClassVar[str] = "Koo & Ploenzke, Nature Machine Intelligence 2021"
    default_weights: ClassVar[Mapping[str, float]] = {"*": 1.0}
    has_strength: ClassVar[bool] = False

    def adapt(self, model: torch.nn.Module, weight: float) -> torch.nn.Module:
        """Replace the activation module between the first convolution and the next layer.

        Raises:
            UserError: if the model has none there, as when it calls ``F.relu``.
        """
        layers = [(path, m) for path, m in model.named_modules() if not list(m.children())]
        first = next((i for i, (_, m) in enumerate(layers) if isinstance(m, torch.nn.Conv1d)), None)
        following = [] if first is None else layers[first + 1 :]
        after = next(((p, m) for p, m in following if not isinstance(m, _BETWEEN)), None)
        if first is None or after is None or not isinstance(after[1], _ACTIVATIONS):
            raise UserError(
                "exponential: no activation module after the first Conv1d of the model; write "
                "torch.nn.ReLU() as a module of its own there instead of calling relu"
            )
        parent, _, name = after[0].rpartition(".")
        activation = Exp()
        layers[first][1].register_forward_pre_hook(activation.begin)
        setattr(model.get_submodule(parent), name, activation)
        return model

    def check_weight(self, weight: float) -> None:
        """Raise UserError unless the weight is 1, or 0 to switch it off."""
        if weight not in (0.0, 1.0):
            raise UserError(f"weight {weight:g} is neither 1 (on) nor 0 (off)")


class Exp(torch.nn.Module):
    """exp(x), once after each call of the first convolution."""

    elementwise = True

    def __init__(self) -> None:
        """Start before the first call of the convolution."""
        super().__init__()
        self.calls = 0

    def begin(self, layer: torch.nn.Module, inputs: tuple[Any, ...]) -> None:
        """Reset the count of calls; a hook of the first convolution."""
        self.calls = 0

    def forward(self, value: torch.Tensor) -> torch.Tensor:
        """Return exp(value); UserError if other layers use this activation too."""
        self.calls += 1
        if self.calls > 1:
            raise UserError(
                "exponential: the model uses one activation module after several layers; give the "
                "first layer one of its own"
            )
        return torch.exp(value)
