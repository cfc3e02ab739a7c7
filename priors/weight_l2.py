"""L2 norm of the network's weights: ordinary regularisation, as a baseline."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch

from priorbench import Penalty, UserError


@dataclass(frozen=True)
class WeightL2(Penalty):
    """The sum of w ** 2 over the network's weights, all parameters of more than one dimension.

    Biases and the scales of batch norm have one, and are left out.
    """

    summary: ClassVar[str] = "penalises the squared weights of the network (no attribution prior)"
    citation: ClassVar[str] = "Krogh & Hertz, NeurIPS 1991"
    default_weights: ClassVar[Mapping[str, float]] = {"*": 1e-3}

    def parameter_penalty(self, model: torch.nn.Module) -> torch.Tensor:
        """Return the penalty (); UserError for a model without such weights."""
        terms = [
            parameter.square().sum() for parameter in model.parameters() if parameter.dim() > 1
        ]
        if not terms:
            raise UserError("the model has no weights of more than one dimension to penalise")
        return torch.stack(terms).sum()
