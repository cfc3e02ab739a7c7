"""The same attribution for both strands of a molecule."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F

from priorbench import Attribution, AttributionPrior, Batch, Task, UserError
from priorbench.components.prior_bases import unit


@dataclass(frozen=True)
class StrandConsistency(AttributionPrior):
    """1 - cosine of the attribution a and that of the reverse complement, turned.

    A step attributes the reverse complements of its examples in a second pass, which batch norm
    sees too. An example without attribution on a strand has penalty 1 and no gradient there. The
    metric ``strand-cosine`` measures what is penalised, of trained networks.
    """

    summary: ClassVar[str] = "penalises attributions that differ between the strands"
    citation: ClassVar[str] = "Shrikumar, Greenside & Kundaje, bioRxiv 2017"
    scale_free: ClassVar[bool] = True
    reverse_complement_invariant: ClassVar[bool] = True
    default_weights: ClassVar[Mapping[str, float]] = {"*": 0.3}

    @property
    def needs(self) -> tuple[str, ...]:
        """Name of the array that the penalty reads: attributions of the other strand."""
        return ("reverse-complement",)

    def penalty(self, attribution: Attribution, batch: Batch) -> torch.Tensor:
        """Return the penalty (B,), 0 to 2."""
        other = Attribution(attribution.gradient, batch.arrays["reverse-complement"])
        first, second = self.track(attribution), self.track(other)
        return 1 - F.cosine_similarity(unit(first, 1), unit(second, 1), dim=1)

    def check_task(self, task: Task) -> None:
        """Raise UserError unless the other strand is the same molecule."""
        if not task.reverse_complement:
            raise UserError("strand-consistency: the other strand is another molecule there")
