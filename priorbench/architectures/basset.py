"""Basset (Kelley, Snoek & Rinn 2016): convolutions with pooling after each, two dense layers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from priorbench.autograd.layer_chain import LayerChain
from priorbench.components.architecture import Architecture, NetworkShape, Scale

from ._activations import Activation
from ._shared import Pooled, pooled_layers, refuse_profiles

_SIZES: dict[Scale, Pooled] = {
    "smoke": Pooled((8, 8), (11, 5), (3, 3), (16,)),
    "quick": Pooled((24, 24, 24), (15, 7, 5), (3, 3, 2), (48, 48)),
    "standard": Pooled((64, 64, 64), (19, 11, 7), (3, 3, 3), (128, 128)),
    "paper": Pooled((300, 200, 200), (19, 11, 7), (3, 4, 4), (1000, 1000)),
}


@dataclass(frozen=True)
class Basset(Architecture):
    """Padded convolutions, batch norm, rectifier and max-pooling, three times; dense layers.

    The published dropout is left out: dropout is a prior here.

    Attributes:
        activation: activation after the first convolution; the others are rectifiers, as published.
    """

    summary: ClassVar[str] = "three pooled convolutions with batch norm, two dense layers"
    citation: ClassVar[str] = "Kelley, Snoek & Rinn, Genome Research 2016"
    examples_apart: ClassVar[bool] = True

    activation: Activation = "relu"

    def build(self, shape: NetworkShape, scale: Scale) -> torch.nn.Module:
        """Build the network; UserError for profiles or a window that is too short."""
        refuse_profiles("basset", shape)
        named = "basset", self.activation
        return LayerChain(*pooled_layers(named, shape, scale, _SIZES[scale], batch_norm=True))
