"""Angle of the gradient to the simplex on which sequences live."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch

from priorbench import Attribution, Batch, GradientPrior
from priorbench.components.prior_bases import at_least_float32, unit


@dataclass(frozen=True)
class OffSimplex(GradientPrior):
    """Mean over positions of the angle between the gradient and the plane sum_b x_b = 1.

    With g_i the gradient of the four bases at position i and m_i its mean over bases,

        mean_i atan2(2 |m_i|, ||g_i - m_i||)    in radians, 0 to pi / 2.

    Sequences never leave the plane, so the component across it is noise to every attribution.
    A zero gradient has angle 0 and gradient 0.
    """

    summary: ClassVar[str] = "penalises the angle of the gradient to the simplex of bases"
    citation: ClassVar[str] = "Majdandzic, Rajesh & Koo, Genome Biology 2023"
    scale_free: ClassVar[bool] = True
    reverse_complement_invariant: ClassVar[bool] = True
    blind_to: ClassVar[tuple[str, ...]] = ("simplex-gradient",)
    default_weights: ClassVar[Mapping[str, float]] = {"*": 1.0}

    def penalty(self, attribution: Attribution, batch: Batch) -> torch.Tensor:
        """Return the penalty (B,), between 0 and pi / 2."""
        # position by position: only the direction matters, and squares would underflow
        gradient = unit(at_least_float32(attribution.gradient), 1)
        mean = gradient.mean(dim=1)
        along = torch.linalg.vector_norm(gradient - mean[:, None], dim=1)
        across = 2 * mean.abs()
        return torch.atan2(across, along).mean(dim=1)
