"""What architectures share."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from ..contracts import Form, Scale
from ..errors import UserError


def refuse_profiles(name: str, form: Form) -> None:
    """Raise UserError if a network of numbers is asked for profiles."""
    if form.profile:
        raise UserError(
            f"architecture {name} predicts numbers, and this task wants profiles; use bpnet"
        )


def remedy(scale: Scale) -> str:
    """What to do about a window that is too short."""
    if scale == "smoke":
        return "give longer sequences"
    return "use a smaller --scale, or longer sequences"


@dataclass(frozen=True)
class Pooled:
    """Sizes of a network of pooled convolutions.

    Attributes:
        filters: of each convolution.
        widths: of each convolution, in positions; 'same' padding.
        pools: of each max-pooling; 1 for none.
        dense: units of the dense layers before the output.
    """

    filters: tuple[int, ...]
    widths: tuple[int, ...]
    pools: tuple[int, ...]
    dense: tuple[int, ...]


def pooled_layers(
    name: str, form: Form, scale: Scale, sizes: Pooled, *, batch_norm: bool
) -> list[torch.nn.Module]:
    """Convolution, (batch norm,) rectifier and pooling, repeated; then the dense layers.

    What is left of the window beyond the last whole pool is pooled too, so that every base counts.

    Raises:
        UserError: if the window is shorter than one pooled position.
    """
    shortest = math.prod(sizes.pools)
    if form.length < shortest:
        raise UserError(
            f"sequences of {form.length} bp are too short for architecture {name} at scale "
            f"{scale}: needs at least {shortest} bp; {remedy(scale)}"
        )
    layers: list[torch.nn.Module] = []
    channels, length = 4, form.length
    for filters, width, pool in zip(sizes.filters, sizes.widths, sizes.pools, strict=True):
        layers.append(torch.nn.Conv1d(channels, filters, width, padding="same"))
        layers += [torch.nn.BatchNorm1d(filters)] if batch_norm else []
        layers.append(torch.nn.ReLU())
        layers += [torch.nn.MaxPool1d(pool, ceil_mode=True)] if pool > 1 else []
        channels, length = filters, math.ceil(length / pool)
    layers.append(torch.nn.Flatten())
    units = channels * length
    for dense in sizes.dense:
        layers.append(torch.nn.Linear(units, dense))
        layers += [torch.nn.BatchNorm1d(dense)] if batch_norm else []
        layers.append(torch.nn.ReLU())
        units = dense
    layers.append(torch.nn.Linear(units, form.outputs))
    return layers
