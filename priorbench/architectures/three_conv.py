"""The binary network of Tseng, Shrikumar & Kundaje (2020): three convolutions, a dense head."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch

from priorbench.autograd.layer_chain import LayerChain
from priorbench.components.architecture import Architecture, NetworkShape, Scale
from priorbench.errors import UserError

from ._activations import Activation, activation_module
from ._shared import refuse_profiles, remedy, with_batch_norm


@dataclass(frozen=True)
class _ThreeConvSizes:
    filters: int
    widths: tuple[int, int, int]
    pool: int
    dense: tuple[int, int]


_SIZES: dict[Scale, _ThreeConvSizes] = {
    "smoke": _ThreeConvSizes(8, (7, 5, 5), 10, (16, 8)),
    "quick": _ThreeConvSizes(16, (11, 7, 5), 12, (32, 16)),
    "standard": _ThreeConvSizes(32, (15, 11, 9), 20, (50, 15)),
    "paper": _ThreeConvSizes(64, (15, 15, 13), 40, (50, 15)),
}


@dataclass(frozen=True)
class ThreeConv(Architecture):
    """Convolutions without padding, max-pooling, two dense layers, one output layer.

    The rest of the window beyond the last whole pool is pooled too, so that every base counts.

    Attributes:
        batch_norm: whether batch norm precedes every rectifier, as published.
        activation: activation after the first convolution; the others are rectifiers, as published.
    """

    summary: ClassVar[str] = "three convolutions, max-pool, two dense layers (the paper's)"
    citation: ClassVar[str] = "Tseng, Shrikumar & Kundaje, NeurIPS 2020"
    examples_apart: ClassVar[bool] = True

    batch_norm: bool = True
    activation: Activation = "relu"

    def build(self, shape: NetworkShape, scale: Scale) -> torch.nn.Module:
        """Build the network; UserError for profiles or a window that is too short."""
        refuse_profiles("three-conv", shape)
        sizes = _SIZES[scale]
        after = shape.length - sum(width - 1 for width in sizes.widths)
        if after < sizes.pool:
            raise UserError(
                f"sequences of {shape.length} bp are too short for architecture three-conv at "
                f"scale {scale}: needs at least {shape.length - after + sizes.pool} bp; "
                f"{remedy(scale)}"
            )
        layers: list[torch.nn.Module] = []
        channels = 4
        for number, width in enumerate(sizes.widths):
            convolution = torch.nn.Conv1d(channels, sizes.filters, width)
            layers += self._activated(convolution, "relu" if number else self.activation)
            channels = sizes.filters
        layers += [torch.nn.MaxPool1d(sizes.pool, ceil_mode=True), torch.nn.Flatten()]
        channels *= math.ceil(after / sizes.pool)
        for units in sizes.dense:
            layers += self._activated(torch.nn.Linear(channels, units))
            channels = units
        layers.append(torch.nn.Linear(channels, shape.outputs))
        return LayerChain(*layers) if self.batch_norm else torch.nn.Sequential(*layers)

    def _activated(
        self, layer: torch.nn.Conv1d | torch.nn.Linear, name: Activation = "relu"
    ) -> list[torch.nn.Module]:
        normed = with_batch_norm(layer) if self.batch_norm else [layer]
        return [*normed, activation_module(name)]
