"""The largest singular values of the weights: ordinary regularisation, as a baseline."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch

from priorbench import Penalty, UserError


@dataclass(frozen=True)
class SpectralNorm(Penalty):
    """Half the sum over layers of the squared largest singular value of the weights.

    The weights of a convolution are a matrix of filters by everything that a filter sees, as
    published. The singular values are exact, where the publication takes one step of the power
    method. Biases and the scales of batch norm (parameters of one dimension) are left out.
    """

    summary: ClassVar[str] = "penalises the squared spectral norm of every layer's weights"
    citation: ClassVar[str] = "Yoshida & Miyato 2017, arXiv:1705.10941"
    default_weights: ClassVar[Mapping[str, float]] = {"*": 1e-2}

    def parameter_penalty(self, model: torch.nn.Module) -> torch.Tensor:
        """Return the penalty (); UserError for a model without such weights."""
        terms = [
            _largest_singular_value(parameter.flatten(1)).square()
            for parameter in model.parameters()
            if parameter.dim() > 1
        ]
        if not terms:
            raise UserError("the model has no weights of more than one dimension to penalise")
        return torch.stack(terms).sum() / 2


def _largest_singular_value(matrix: torch.Tensor) -> torch.Tensor:
    """Return the largest singular value (), NaN for a matrix that is not finite."""
    # torch raises an error for such a matrix, where the training only diverges
    finite = matrix.isfinite().all()
    value = torch.linalg.matrix_norm(torch.where(finite, matrix, 0.0), ord=2)
    return torch.where(finite, value, torch.nan)
