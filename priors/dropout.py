"""Dropout before every dense layer: ordinary regularisation, as a baseline."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch

from priorbench import Prior, UserError


@dataclass(frozen=True)
class Dropout(Prior):
    """Sets inputs of dense layers to zero in training; the weight is the probability."""

    summary: ClassVar[str] = "drops inputs of dense layers with probability = weight"
    citation: ClassVar[str] = "Srivastava et al., JMLR 2014"
    default_weights: ClassVar[Mapping[str, float]] = {"*": 0.1}

    def adapt(self, model: torch.nn.Module, weight: float) -> torch.nn.Module:
        """Put a dropout layer before each dense layer."""
        for name, child in list(model.named_children()):
            if isinstance(child, torch.nn.Linear):
                setattr(model, name, torch.nn.Sequential(torch.nn.Dropout(weight), child))
            else:
                self.adapt(child, weight)
        return model

    def check_weight(self, weight: float) -> None:
        """Raise UserError unless the weight is a probability below one."""
        super().check_weight(weight)
        if weight >= 1:
            raise UserError(f"weight {weight:g} is not a probability below 1")
