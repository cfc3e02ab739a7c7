"""Gaussian noise on the input: ordinary regularisation, as a baseline."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch

from priorbench import Prior


@dataclass(frozen=True)
class InputNoise(Prior):
    """Adds noise to every base of the one-hot input in training, x + weight * N(0, 1).

    The weight is the standard deviation, in units of the one-hot input (0 to 1).
    """

    summary: ClassVar[str] = "adds Gaussian noise of standard deviation = weight to the input"
    citation: ClassVar[str] = "Bishop, Neural Computation 1995"
    default_weights: ClassVar[Mapping[str, float]] = {"*": 0.1}

    def augment(
        self, sequence: torch.Tensor, weight: float, generator: torch.Generator
    ) -> torch.Tensor:
        """Return the noisy input (B, 4, L)."""
        noise = torch.empty_like(sequence).normal_(generator=generator)
        return sequence + weight * noise
