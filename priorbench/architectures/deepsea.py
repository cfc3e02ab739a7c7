"""DeepSEA (Zhou & Troyanskaya 2015): wide convolutions, one dense layer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from priorbench.components.architecture import Architecture, NetworkShape, Scale

from ._activations import Activation
from ._shared import Pooled, pooled_layers, refuse_profiles

_SIZES: dict[Scale, Pooled] = {
    "smoke": Pooled((8, 12), (9, 9), (4, 1), (16,)),
    "quick": Pooled((24, 32, 48), (9, 9, 9), (4, 4, 1), (64,)),
    "standard": Pooled((64, 96, 160), (9, 9, 9), (4, 4, 1), (160,)),
    "paper": Pooled((320, 480, 960), (9, 9, 9), (4, 4, 1), (925,)),
}


@dataclass(frozen=True)
class DeepSea(Architecture):
    """Padded convolutions and rectifiers, pooled twice; one dense layer; no batch norm.

    The width is 9 where the published one is 8, so that padding is the same on both sides. The
    published dropout is left out: dropout is a prior here.

    Attributes:
        activation: activation after the first convolution; the others are rectifiers, as published.
    """

    summary: ClassVar[str] = "three convolutions of width 9, pooled twice, one dense layer"
    citation: ClassVar[str] = "Zhou & Troyanskaya, Nature Methods 2015"
    examples_apart: ClassVar[bool] = True

    activation: Activation = "relu"

    def build(self, shape: NetworkShape, scale: Scale) -> torch.nn.Module:
        """Build the network; UserError for profiles or a window that is too short."""
        refuse_profiles("deepsea", shape)
        named = "deepsea", self.activation
        return torch.nn.Sequential(
            *pooled_layers(named, shape, scale, _SIZES[scale], batch_norm=False)
        )
