"""What the two networks of Koo & Ploenzke (2021) share: their layers, and how weights are drawn."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch

from priorbench.components.architecture import NetworkShape, Scale
from priorbench.errors import UserError

from ._activations import Activation, activation_module
from ._shared import refuse_profiles, remedy

Form = Literal["2021", "2023"]
"""the networks as published in 2021, or as in 2023 with the off-simplex penalty"""
_MOMENTUM, _EPSILON = 0.01, 1e-3  # of batch norm; Keras writes the first as 0.99
_TRUNCATED_SPREAD = 0.87962566103423978
"""standard deviation of a standard normal that is cut at -2 and 2"""


@dataclass(frozen=True)
class Block:
    """A convolution and what follows it.

    Attributes:
        filters: number of filters.
        width: width of the convolution in positions.
        drop: probability of dropout.
        pool: width of max-pooling; 1 for none.
        padded: whether the convolution has as many positions as its input.
    """

    filters: int
    width: int
    drop: float
    pool: int = 1
    padded: bool = True


@dataclass(frozen=True)
class KooSizes:
    """Sizes of a network: its blocks, and the units of the dense layer."""

    blocks: tuple[Block, ...]
    dense: int


_DENSE_DROP = 0.5


@dataclass(frozen=True)
class KooNetwork:
    """How a network of these blocks is built.

    Attributes:
        name: name of the architecture.
        sizes: its sizes.
        activation: activation of the first layer; the others have rectifiers.
        form: ``2023`` draws weights by He's rule, and a rest beyond the last whole pool is lost.
    """

    name: str
    sizes: KooSizes
    activation: Activation
    form: Form

    def build(self, shape: NetworkShape, scale: Scale) -> torch.nn.Module:
        """Build the network; UserError for profiles or a window that is too short."""
        refuse_profiles(self.name, shape)
        layers: list[torch.nn.Module] = []
        channels, length, whole = 4, shape.length, self.form == "2023"
        for number, block in enumerate(self.sizes.blocks):
            padding = "same" if block.padded else "valid"
            # batch norm takes away whatever a bias would add
            convolution = torch.nn.Conv1d(
                channels, block.filters, block.width, padding=padding, bias=False
            )
            length -= 0 if block.padded else block.width - 1
            positions = length / block.pool
            length = math.floor(positions) if whole else math.ceil(positions)
            if length < 1 or positions < 1:
                raise UserError(
                    f"sequences of {shape.length} bp are too short for architecture {self.name} at "
                    f"scale {scale}, whose pools would be empty; {remedy(scale)}"
                )
            activation = activation_module(self.activation if number == 0 else "relu")
            layers += [*_normed(convolution), activation, torch.nn.Dropout(block.drop)]
            layers += [torch.nn.MaxPool1d(block.pool, ceil_mode=not whole)] * (block.pool > 1)
            channels = block.filters
        dense = torch.nn.Linear(channels * length, self.sizes.dense, bias=False)
        layers += [torch.nn.Flatten(), *_normed(dense), torch.nn.ReLU()]
        layers += [torch.nn.Dropout(_DENSE_DROP), torch.nn.Linear(self.sizes.dense, shape.outputs)]
        network = torch.nn.Sequential(*layers)
        for layer in network:
            if isinstance(layer, (torch.nn.Conv1d, torch.nn.Linear)):
                _draw(layer, self.form)
        return network


def _normed(layer: torch.nn.Conv1d | torch.nn.Linear) -> list[torch.nn.Module]:
    count = len(layer.weight)
    return [layer, torch.nn.BatchNorm1d(count, eps=_EPSILON, momentum=_MOMENTUM)]


def _draw(layer: torch.nn.Conv1d | torch.nn.Linear, form: Form) -> None:
    """Draw weights as Keras does: Glorot uniform, or He normal, cut at twice its width."""
    if form == "2021":
        torch.nn.init.xavier_uniform_(layer.weight)
    else:
        spread = math.sqrt(2 / layer.weight[0].numel()) / _TRUNCATED_SPREAD
        torch.nn.init.trunc_normal_(layer.weight, std=spread, a=-2 * spread, b=2 * spread)
    if layer.bias is not None:
        torch.nn.init.zeros_(layer.bias)
