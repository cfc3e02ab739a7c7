"""Angle of the gradient to the simplex on which sequences live."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch

from priorbench import Attribution, Batch, GradientPrior, Task
from priorbench.components.prior_bases import at_least_float32, unit

_DEGREES = 180 / 3.1416
"""degrees in a radian, as the published code has it"""


@dataclass(frozen=True)
class OffSimplex(GradientPrior):
    """Angle between the gradient and the plane sum_b x_b = 1.

    With g_i the gradient of the four bases at position i and m_i its mean over bases, the angle is

        a_i = atan2(2 |m_i|, ||g_i - m_i||)    in radians, 0 to pi / 2,

    and the penalty of the two forms, in a window of L positions:

        mean:       sum_i a_i / L
        published:  180 / 3.1416 sqrt(sum_i a_i ** 2)

    Sequences never leave the plane, so the component across it is noise to every attribution.
    Where the four gradients of a position are zero, its angle is 0; where they are equal, it is
    pi / 2; in both places the formula has no derivative, and 0 is taken, as for a window in which
    all angles are 0. (The published code, which writes the angle as an arcsine, gives no numbers
    there.)

    Attributes:
        form: ``mean`` over positions, in radians; or ``published``, the norm over positions, in
            degrees, with that code's value of pi. It grows with the root of the length, and
            penalises all examples, as published, whatever ``examples`` says. Unless
            ``train_attribution`` names another, it sees the gradient that the published training
            penalises, which passes through the statistics of batch norm
            (``gradient:through_statistics=true``), whatever the study's is.
    """

    summary: ClassVar[str] = "penalises the angle of the gradient to the simplex of bases"
    citation: ClassVar[str] = "Majdandzic, Rajesh & Koo, Genome Biology 2023"
    scale_free: ClassVar[bool] = True
    reverse_complement_invariant: ClassVar[bool] = True
    blind_to: ClassVar[tuple[str, ...]] = ("simplex-gradient",)
    default_weights: ClassVar[Mapping[str, float]] = {"*": 1.0}

    form: Literal["mean", "published"] = "mean"

    def default_weight(self, task: str) -> float:
        """Return 1e-4 for the published form, where its published curve of attributions peaks."""
        return 1e-4 if self.form == "published" else super().default_weight(task)

    @property
    def sees(self) -> str:
        """Spec of the training attribution that the penalty sees; "" for the study's."""
        own = "gradient:through_statistics=true" if self.form == "published" else ""
        return super().sees or own

    def applies(self, batch: Batch, task: Task) -> torch.Tensor:
        """Return (B,) bool: all examples in the published form, else those of ``examples``."""
        chosen = super().applies(batch, task)
        return torch.ones_like(chosen) if self.form == "published" else chosen

    def penalty(self, attribution: Attribution, batch: Batch) -> torch.Tensor:
        """Return the penalty (B,), up to pi / 2, or 90 sqrt(L) degrees in the published form."""
        # position by position: only the direction matters, and squares would underflow
        gradient = unit(at_least_float32(attribution.gradient), 1)
        mean = gradient.mean(dim=1)
        along = torch.linalg.vector_norm(gradient - mean[:, None], dim=1)
        across = 2 * mean.abs()
        angle = torch.atan2(across, along)
        if self.form == "published":
            norm: torch.Tensor = torch.linalg.vector_norm(_DEGREES * angle, dim=1)
            return norm
        return angle.mean(dim=1)
