"""Total variation of the attribution along the sequence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch

from priorbench import Attribution, AttributionPrior, Batch
from priorbench.components.prior_bases import unit


@dataclass(frozen=True)
class TotalVariation(AttributionPrior):
    """Sum of absolute differences between neighbours.

    With a the (smoothed, by default absolute) attribution:

        published:   sum_i |a_{i+1} - a_i|
        scale-free:  sum_i |a_{i+1} - a_i| / sum_i |a_i|

    Shrinking all attributions lowers the published form, as any attribution of zero minimises
    it; it does not lower the default. A zero attribution has penalty 0 and gradient 0.

    Attributes:
        form: ``scale-free``, or ``published`` for the published pixel prior in one dimension.
    """

    summary: ClassVar[str] = "penalises differences between neighbouring attributions"
    citation: ClassVar[str] = "Erion et al., Nature Machine Intelligence 2021"
    reverse_complement_invariant: ClassVar[bool] = True
    default_weights: ClassVar[Mapping[str, float]] = {"*": 0.1}

    form: Literal["scale-free", "published"] = "scale-free"

    @property
    def scale_free(self) -> bool:
        """Whether the option ``form`` is scale-free."""
        return self.form == "scale-free"

    def default_weight(self, task: str) -> float:
        """Return 0.01 for the published form, which grows with the length and the target."""
        return 0.01 if self.form == "published" else super().default_weight(task)

    def penalty(self, attribution: Attribution, batch: Batch) -> torch.Tensor:
        """Return the penalty (B,), between 0 and 2 in the scale-free form."""
        track = self.track(attribution)
        if self.form == "published":
            return track.diff(dim=1).abs().sum(dim=1)
        track = unit(track, 1)
        mass = track.abs().sum(dim=1)
        return track.diff(dim=1).abs().sum(dim=1) / mass.masked_fill(mass == 0, 1)
