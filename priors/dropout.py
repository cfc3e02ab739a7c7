"""Dropout before every dense layer: ordinary regularisation, as a baseline."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F

from priorbench import Prior, UserError


@dataclass(frozen=True)
class Dropout(Prior):
    """Sets inputs of dense layers to zero in training; the weight is the probability."""

    summary: ClassVar[str] = "drops inputs of dense layers with probability = weight"
    citation: ClassVar[str] = "Srivastava et al., JMLR 2014"
    default_weights: ClassVar[Mapping[str, float]] = {"*": 0.1}

    def adapt(self, model: torch.nn.Module, weight: float) -> torch.nn.Module:
        """Make each dense layer drop its inputs; its weights keep their names.

        Raises:
            UserError: if there is no dense layer.
        """
        layers = [module for module in model.modules() if isinstance(module, torch.nn.Linear)]
        if not layers:
            raise UserError("dropout: the model has no dense layer (torch.nn.Linear) to act on")
        for layer in layers:
            layer.register_forward_pre_hook(DropInput(weight))
        return model

    def weight_bound(self, task: str) -> float:
        """Return 1, below which a probability must stay."""
        return 1.0

    def check_weight(self, weight: float) -> None:
        """Raise UserError unless the weight is a probability below one."""
        super().check_weight(weight)
        if weight >= 1:
            raise UserError(f"weight {weight:g} is not a probability below 1")


@dataclass(frozen=True)
class DropInput:
    """A hook that drops a layer's input while the layer is in training mode.

    Attributes:
        probability: probability of dropping a value.
    """

    probability: float

    def __call__(self, layer: torch.nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        """Return the inputs, with dropout applied to the first."""
        return F.dropout(inputs[0], self.probability, layer.training), *inputs[1:]
