"""BPNet (Avsec et al. 2021): a tower of dilated convolutions, profile and count heads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from priorbench.components.architecture import Architecture, NetworkShape, Scale
from priorbench.errors import UserError

from ._activations import Activation, activation_module
from ._shared import remedy


@dataclass(frozen=True)
class _BpNetSizes:
    filters: int
    first: int
    dilated: int
    head: int


_SIZES: dict[Scale, _BpNetSizes] = {
    "smoke": _BpNetSizes(16, 13, 2, 11),
    "quick": _BpNetSizes(16, 15, 4, 25),
    "standard": _BpNetSizes(32, 21, 6, 45),
    "paper": _BpNetSizes(64, 21, 7, 73),
}


@dataclass(frozen=True)
class BpNet(Architecture):
    """A convolution, residual convolutions of width 3 with dilations 1, 2, 4, ..., no padding.

    For profiles one wide convolution computes the logits, which a convolution of width one joins
    with the control tracks; log counts come from the mean of the tower's positions and the log of
    the controls' total. An offset is added to the logits, as ChromBPNet adds its bias model
    (Pampari et al. 2024). Numbers come from the mean of the positions.

    Attributes:
        activation: activation after the first convolution; all others are rectifiers, as published.
    """

    summary: ClassVar[str] = "dilated residual convolutions; profile and count heads, or numbers"
    citation: ClassVar[str] = "Avsec et al., Nature Genetics 2021"
    examples_apart: ClassVar[bool] = True

    activation: Activation = "relu"

    def build(self, shape: NetworkShape, scale: Scale) -> torch.nn.Module:
        """Build the network; UserError for a window that is too short."""
        sizes = _SIZES[scale]
        lost = sizes.first - 1 + 2 * (2**sizes.dilated - 1)
        needed = lost + max(shape.profile + sizes.head - 1, 1)
        if shape.length < needed:
            what = f"a profile of {shape.profile} bp" if shape.profile else "its convolutions"
            raise UserError(
                f"sequences of {shape.length} bp are too short for architecture bpnet at scale "
                f"{scale}: {what} needs at least {needed} bp; {remedy(scale)}"
            )
        tower = _Tower(sizes, self.activation)
        return (
            _ProfileNet(tower, sizes, shape) if shape.profile else _NumberNet(tower, sizes, shape)
        )


class _Tower(torch.nn.Module):
    """The convolutions, from (B, 4, L) to (B, filters, L - lost)."""

    def __init__(self, sizes: _BpNetSizes, activation: Activation) -> None:
        super().__init__()
        self.first = torch.nn.Conv1d(4, sizes.filters, sizes.first)
        self.activation = activation_module(activation)
        self.dilated = torch.nn.ModuleList(
            torch.nn.Conv1d(sizes.filters, sizes.filters, 3, dilation=2**layer)
            for layer in range(sizes.dilated)
        )
        # a module, so that DeepLIFT recognises it
        self.rectifier = torch.nn.ReLU()

    def forward(self, sequence: torch.Tensor) -> torch.Tensor:
        value: torch.Tensor = self.activation(self.first(sequence))
        for layer, convolution in enumerate(self.dilated):
            cut = 2**layer
            value = value[:, :, cut:-cut] + self.rectifier(convolution(value))
        return value


class _NumberNet(torch.nn.Module):
    def __init__(self, tower: _Tower, sizes: _BpNetSizes, shape: NetworkShape) -> None:
        super().__init__()
        self.tower = tower
        self.head = torch.nn.Linear(sizes.filters, shape.outputs)

    def forward(self, sequence: torch.Tensor) -> torch.Tensor:
        numbers: torch.Tensor = self.head(self.tower(sequence).mean(dim=2))
        return numbers


class _ProfileNet(torch.nn.Module):
    def __init__(self, tower: _Tower, sizes: _BpNetSizes, shape: NetworkShape) -> None:
        super().__init__()
        self.tower, self.length, self.offset = tower, shape.profile, shape.offset
        self.profile = torch.nn.Conv1d(sizes.filters, shape.outputs, sizes.head)
        self.join = torch.nn.Conv1d(shape.outputs + shape.controls, shape.outputs, 1)
        self.counts = torch.nn.Linear(sizes.filters + bool(shape.controls), shape.outputs)

    def forward(
        self, sequence: torch.Tensor, *tracks: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        controls = list(tracks)
        offset = controls.pop() if self.offset else None
        value = self.tower(sequence)
        logits = self.profile(value)
        cut = (logits.shape[2] - self.length) // 2
        logits, mean = logits[:, :, cut : cut + self.length], value.mean(dim=2)
        for control in controls:
            logits = torch.cat([logits, torch.log1p(control)], dim=1)
            mean = torch.cat([mean, torch.log1p(control.sum(dim=(1, 2)))[:, None]], dim=1)
        logits = self.join(logits)
        return logits if offset is None else logits + offset, self.counts(mean)
