"""Attribution that agrees with that of other networks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F

from priorbench import Attribution, AttributionPrior, Batch
from priorbench.components.prior_bases import unit

from ._teachers import check_members


@dataclass(frozen=True)
class Consensus(AttributionPrior):
    """1 - cosine of the attribution and the mean attribution of networks that were trained before.

    The teachers are trained on the same data, with the same schedule and other seeds, without a
    prior; the time for it belongs to the price. Their attributions are divided by their length
    and averaged, so that what only some of them find counts less. Labels stay as they are.

    Attributes:
        members: number of teachers.
    """

    summary: ClassVar[str] = "penalises attributions that differ from those of other networks"
    citation: ClassVar[str] = "Zagoruyko & Komodakis, ICLR 2017"
    scale_free: ClassVar[bool] = True
    reverse_complement_invariant: ClassVar[bool] = True
    default_weights: ClassVar[Mapping[str, float]] = {"*": 0.3}

    members: int = 5

    def __post_init__(self) -> None:
        """Refuse options outside their range."""
        super().__post_init__()
        check_members(self.members)

    @property
    def teachers(self) -> int:
        """Number of networks that are trained first."""
        return self.members

    @property
    def needs(self) -> tuple[str, ...]:
        """Name of the array that the penalty reads."""
        return ("teachers:attribution",)

    def penalty(self, attribution: Attribution, batch: Batch) -> torch.Tensor:
        """Return the penalty (B,), 0 to 2."""
        mean = Attribution(attribution.gradient, batch.arrays["teachers:attribution"])
        own, others = self.track(attribution), self.track(mean)
        return 1 - F.cosine_similarity(unit(own, 1), unit(others, 1), dim=1)
