"""Parts that architectures share."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from priorbench.components.architecture import NetworkShape, Scale
from priorbench.errors import UserError

from ._activations import Activation, activation_module


def refuse_profiles(name: str, shape: NetworkShape) -> None:
    """Raise UserError if the task requires profiles, which a network of numbers cannot predict."""
    if shape.profile:
        raise UserError(
            f"architecture {name} predicts numbers, and this task wants profiles; use bpnet"
        )


def remedy(scale: Scale) -> str:
    """Return advice for a window that is too short."""
    if scale == "smoke":
        return "give longer sequences"
    return "use a smaller --scale, or longer sequences"


def with_batch_norm(layer: torch.nn.Conv1d | torch.nn.Linear) -> list[torch.nn.Module]:
    """Return a layer and batch norm of its result; the layer's bias stays as it was drawn.

    Batch norm subtracts whatever a bias adds. The gradient of the bias is 0 except for rounding,
    which Adam would turn into steps of full size. They would not matter in training, but the
    running mean, which lags behind, would carry them into every evaluation.
    """
    assert layer.bias is not None
    layer.bias.requires_grad = False
    return [layer, torch.nn.BatchNorm1d(len(layer.bias))]


@dataclass(frozen=True)
class Pooled:
    """Sizes of a network of pooled convolutions.

    Attributes:
        filters: number of filters of each convolution.
        widths: width of each convolution, in positions; 'same' padding.
        pools: width of each max-pooling; 1 for none.
        dense: number of units of each dense layer before the output.
    """

    filters: tuple[int, ...]
    widths: tuple[int, ...]
    pools: tuple[int, ...]
    dense: tuple[int, ...]


def pooled_layers(
    named: tuple[str, Activation],
    shape: NetworkShape,
    scale: Scale,
    sizes: Pooled,
    *,
    batch_norm: bool,
) -> list[torch.nn.Module]:
    """Return convolution, (batch norm,) rectifier and pooling, repeated; then the dense layers.

    The rest of the window beyond the last whole pool is pooled too, so that every base counts. The
    network comes by name, with the activation after its first convolution.

    Raises:
        UserError: if the window is shorter than one pooled position.
    """
    name, first = named
    shortest = math.prod(sizes.pools)
    if shape.length < shortest:
        raise UserError(
            f"sequences of {shape.length} bp are too short for architecture {name} at scale "
            f"{scale}: needs at least {shortest} bp; {remedy(scale)}"
        )
    layers: list[torch.nn.Module] = []
    channels, length = 4, shape.length
    for number, filters in enumerate(sizes.filters):
        width, pool = sizes.widths[number], sizes.pools[number]
        convolution = torch.nn.Conv1d(channels, filters, width, padding="same")
        layers += with_batch_norm(convolution) if batch_norm else [convolution]
        layers.append(activation_module("relu" if number else first))
        layers += [torch.nn.MaxPool1d(pool, ceil_mode=True)] if pool > 1 else []
        channels, length = filters, math.ceil(length / pool)
    layers.append(torch.nn.Flatten())
    units = channels * length
    for dense in sizes.dense:
        linear = torch.nn.Linear(units, dense)
        layers += with_batch_norm(linear) if batch_norm else [linear]
        layers.append(torch.nn.ReLU())
        units = dense
    layers.append(torch.nn.Linear(units, shape.outputs))
    return layers
