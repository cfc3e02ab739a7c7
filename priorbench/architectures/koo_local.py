"""CNN-local (Koo & Ploenzke 2021): a wide pool, so that the first layer must know whole motifs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from priorbench.components.architecture import Architecture, NetworkShape, Scale

from ._activations import Activation
from ._koo import Block, Form, KooNetwork, KooSizes

_PUBLISHED = KooSizes((Block(24, 19, 0.1, 50), Block(48, 3, 0.2, 2)), 96)
_SIZES: dict[Scale, KooSizes] = {
    "smoke": KooSizes((Block(12, 11, 0.1, 40), Block(12, 3, 0.2, 2)), 24),
    "quick": KooSizes((Block(24, 19, 0.1, 50), Block(24, 3, 0.2, 2)), 48),
    "standard": _PUBLISHED,
    "paper": _PUBLISHED,
}


@dataclass(frozen=True)
class KooLocal(Architecture):
    """Two convolutions with batch norm and dropout, pooled by 50 and 2, and one dense layer.

    Published sizes for windows of 200 bp, from standard scale on. Layers before the last have no
    bias, which batch norm would take away.

    Attributes:
        activation: activation after the first convolution; the others are rectifiers.
        form: ``2021`` draws weights by Glorot's rule, ``2023`` by He's, as the networks that were
            published with the off-simplex penalty do (Majdandzic, Rajesh & Koo, Genome Biology
            2023).
    """

    summary: ClassVar[str] = "two convolutions, the first pooled by 50, one dense layer"
    citation: ClassVar[str] = "Koo & Ploenzke, Nature Machine Intelligence 2021"
    examples_apart: ClassVar[bool] = True
    chosen_freely: ClassVar[bool] = False

    activation: Activation = "relu"
    form: Form = "2021"

    def build(self, shape: NetworkShape, scale: Scale) -> torch.nn.Module:
        """Build the network; UserError for profiles or a window that is too short."""
        network = KooNetwork("koo-local", _SIZES[scale], self.activation, self.form)
        return network.build(shape, scale)
