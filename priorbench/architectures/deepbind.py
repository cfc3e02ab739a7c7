"""DeepBind (Alipanahi et al. 2015): one convolution, pooled over the whole window."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from priorbench.components.architecture import Architecture, NetworkShape, Scale
from priorbench.errors import UserError

from ._activations import Activation, activation_module
from ._shared import refuse_profiles, remedy, with_batch_norm


@dataclass(frozen=True)
class _DeepBindSizes:
    filters: int
    width: int
    hidden: int


_SIZES: dict[Scale, _DeepBindSizes] = {
    "smoke": _DeepBindSizes(24, 7, 16),
    "quick": _DeepBindSizes(64, 11, 32),
    "standard": _DeepBindSizes(128, 11, 32),
    "paper": _DeepBindSizes(256, 15, 32),
}


@dataclass(frozen=True)
class DeepBind(Architecture):
    """Padded convolution and rectifier, maximum and mean over positions, one hidden layer.

    It suits short windows and few examples. It has more and shorter filters than the published 16
    of width 24. The published dropout is left out: dropout is a prior here.

    Attributes:
        batch_norm: whether batch norm precedes the rectifier of the convolution; not published.
        activation: activation after the convolution; a rectifier, as published, by default.
    """

    summary: ClassVar[str] = "one convolution, maximum and mean over the window, one dense layer"
    citation: ClassVar[str] = "Alipanahi et al., Nature Biotechnology 2015"
    examples_apart: ClassVar[bool] = True

    batch_norm: bool = True
    activation: Activation = "relu"

    def build(self, shape: NetworkShape, scale: Scale) -> torch.nn.Module:
        """Build the network; UserError for profiles or a window that is too short."""
        refuse_profiles("deepbind", shape)
        sizes = _SIZES[scale]
        if shape.length < sizes.width:
            raise UserError(
                f"sequences of {shape.length} bp are too short for architecture deepbind at scale "
                f"{scale}: needs at least {sizes.width} bp; {remedy(scale)}"
            )
        convolution = torch.nn.Conv1d(4, sizes.filters, sizes.width, padding="same")
        return torch.nn.Sequential(
            *(with_batch_norm(convolution) if self.batch_norm else [convolution]),
            activation_module(self.activation),
            _MaximumAndMean(shape.length),
            torch.nn.Linear(2 * sizes.filters, sizes.hidden),
            torch.nn.ReLU(),
            torch.nn.Linear(sizes.hidden, shape.outputs),
        )


class _MaximumAndMean(torch.nn.Module):
    """Maximum and mean over positions, from (B, C, L) to (B, 2 C)."""

    def __init__(self, length: int) -> None:
        super().__init__()
        # a module, so that DeepLIFT recognises it
        self.maximum = torch.nn.MaxPool1d(length)

    def forward(self, value: torch.Tensor) -> torch.Tensor:
        return torch.cat([self.maximum(value)[:, :, 0], value.mean(dim=2)], dim=1)
