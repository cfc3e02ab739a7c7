"""Activations after the first convolution, which architectures offer as an option."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar, Literal

import torch

Activation = Literal[
    "relu",
    "exponential",
    "sigmoid",
    "tanh",
    "softplus",
    "linear",
    "elu",
    "shift-scale-relu",
    "shift-scale-tanh",
    "shift-scale-sigmoid",
    "exp-relu",
    "log-relu",
]
"""names of activations (Koo & Ploenzke, Nature Machine Intelligence 2021)"""


class _Elementwise(torch.nn.Module):
    """A function of every value by itself, so that DeepLIFT's rescale rule suits it."""

    elementwise: ClassVar[bool] = True


class ExpActivation(_Elementwise):
    """exp(x)."""

    def forward(self, value: torch.Tensor) -> torch.Tensor:
        """Return exp(value)."""
        return torch.exp(value)


class ShiftScaleReLU(_Elementwise):
    """relu((x - 0.2)^3)."""

    def forward(self, value: torch.Tensor) -> torch.Tensor:
        """Return relu((value - 0.2)^3)."""
        return torch.relu((value - 0.2) ** 3)


class ShiftScaleTanh(_Elementwise):
    """500 tanh(x - 6) + 500."""

    def forward(self, value: torch.Tensor) -> torch.Tensor:
        """Return 500 tanh(value - 6) + 500."""
        return 500 * torch.tanh(value - 6) + 500


class ShiftScaleSigmoid(_Elementwise):
    """4000 sigmoid(x - 8)."""

    def forward(self, value: torch.Tensor) -> torch.Tensor:
        """Return 4000 sigmoid(value - 8)."""
        return 4000 * torch.sigmoid(value - 8)


class ExpReLU(_Elementwise):
    """relu(exp(0.1 x) - 1)."""

    def forward(self, value: torch.Tensor) -> torch.Tensor:
        """Return relu(exp(0.1 value) - 1)."""
        return torch.relu(torch.exp(0.1 * value) - 1)


class LogReLU(_Elementwise):
    """relu(log(|x| + 1e-10))."""

    def forward(self, value: torch.Tensor) -> torch.Tensor:
        """Return relu(log(|value| + 1e-10))."""
        return torch.relu(torch.log(value.abs() + 1e-10))


_MODULES: Mapping[str, Callable[[], torch.nn.Module]] = {
    "relu": torch.nn.ReLU,
    "exponential": ExpActivation,
    "sigmoid": torch.nn.Sigmoid,
    "tanh": torch.nn.Tanh,
    "softplus": torch.nn.Softplus,
    "linear": torch.nn.Identity,
    "elu": torch.nn.ELU,
    "shift-scale-relu": ShiftScaleReLU,
    "shift-scale-tanh": ShiftScaleTanh,
    "shift-scale-sigmoid": ShiftScaleSigmoid,
    "exp-relu": ExpReLU,
    "log-relu": LogReLU,
}


def activation_module(name: Activation) -> torch.nn.Module:
    """Return a new module of an activation."""
    return _MODULES[name]()
