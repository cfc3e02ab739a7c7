"""CNN-dist (Koo & Ploenzke 2021): narrow pools, so that deeper layers may put motifs together."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import torch

from priorbench.components.architecture import Architecture, NetworkShape, Scale
from priorbench.errors import UserError

from ._activations import Activation
from ._koo import Block, Form, KooNetwork, KooSizes

_PUBLISHED = KooSizes(
    (
        Block(24, 19, 0.1),
        Block(32, 7, 0.2, 4),
        Block(48, 7, 0.3, 4, padded=False),
        Block(64, 3, 0.4, 3, padded=False),
    ),
    96,
)
_SIZES: dict[Scale, KooSizes] = {
    "smoke": KooSizes((Block(8, 11, 0.1), Block(12, 5, 0.2, 8), Block(12, 3, 0.3, 2)), 24),
    "quick": KooSizes(
        (
            Block(16, 19, 0.1),
            Block(16, 7, 0.2, 4),
            Block(24, 5, 0.3, 4, padded=False),
            Block(24, 3, 0.4, 2, padded=False),
        ),
        48,
    ),
    "standard": _PUBLISHED,
    "paper": _PUBLISHED,
}
_WIDEST = 31


@dataclass(frozen=True)
class KooDist(Architecture):
    """Four convolutions with batch norm and dropout, pooled by 4, 4 and 3, and one dense layer.

    Published sizes for windows of 200 bp, from standard scale on. Layers before the last have no
    bias, which batch norm would take away.

    Attributes:
        activation: activation after the first convolution; the others are rectifiers.
        form: ``2021`` pads the first two convolutions and draws weights by Glorot's rule; ``2023``
            pads all and draws by He's rule, as the networks that were published with the
            off-simplex penalty do (Majdandzic, Rajesh & Koo, Genome Biology 2023).
        first_width: width of the first convolution in bp, 0 for the scale's own; those networks
            were stored with 11.
    """

    summary: ClassVar[str] = "four convolutions with narrow pools, one dense layer"
    citation: ClassVar[str] = "Koo & Ploenzke, Nature Machine Intelligence 2021"
    examples_apart: ClassVar[bool] = True
    chosen_freely: ClassVar[bool] = False

    activation: Activation = "relu"
    form: Form = "2021"
    first_width: int = 0

    def __post_init__(self) -> None:
        """Refuse a width outside its range."""
        if not (self.first_width == 0 or 3 <= self.first_width <= _WIDEST):
            raise UserError(f"first_width {self.first_width} is not 0, nor between 3 and {_WIDEST}")

    def build(self, shape: NetworkShape, scale: Scale) -> torch.nn.Module:
        """Build the network; UserError for profiles or a window that is too short."""
        first, *others = _SIZES[scale].blocks
        first = replace(first, width=self.first_width or first.width)
        if self.form == "2023":
            others = [replace(block, padded=True) for block in others]
        sizes = replace(_SIZES[scale], blocks=(first, *others))
        return KooNetwork("koo-dist", sizes, self.activation, self.form).build(shape, scale)
