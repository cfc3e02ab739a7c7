"""Attribution that follows a track of the data, such as footprints or conservation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F

from priorbench import Attribution, AttributionPrior, Batch
from priorbench.components.prior_bases import unit

from ._channels import channel_of, share_of

_FLOOR = 1e-3
"""share of the mean attribution that every position has at least, for the Kullback-Leibler form"""


@dataclass(frozen=True)
class Track(AttributionPrior):
    """Distance of the attribution's track a from a channel c of the dataset, position by position.

        cosine:  1 - sum_i a_i c_i / (|a| |c|)
        kl:      sum_i q_i log(q_i / p_i), q = c / sum c and p = (a + s) / sum (a + s)

    where negative values of c count as 0 for kl, and s is a thousandth of the mean of |a|, so that
    a position without attribution costs much, and not infinitely much. An example whose channel
    or attribution is 0 everywhere has penalty 0.

    Attributes:
        channel: name of the channel.
        distance: formula.
        moved: whether the channel is moved by half of the window, its end to its front: a control,
            which knows nothing and should not help.
    """

    summary: ClassVar[str] = "penalises the distance of the attribution from a channel of the data"
    citation: ClassVar[str] = "Ross, Hughes & Doshi-Velez, IJCAI 2017"
    scale_free: ClassVar[bool] = True
    reverse_complement_invariant: ClassVar[bool] = True
    default_weights: ClassVar[Mapping[str, float]] = {"*": 1.0}

    channel: str = "motif"
    distance: Literal["cosine", "kl"] = "cosine"
    moved: bool = False

    @property
    def needs(self) -> tuple[str, ...]:
        """Name of the channel that the penalty reads."""
        return (f"channel:{self.channel}",)

    def penalty(self, attribution: Attribution, batch: Batch) -> torch.Tensor:
        """Return the penalty (B,): 0 to 2 for cosine, nats for kl."""
        track = self.track(attribution)
        channel = channel_of(batch, self.channel, moved=self.moved).to(track.dtype)
        known = ((channel != 0).any(dim=1) & (track.detach() != 0).any(dim=1))[:, None]
        if self.distance == "cosine":
            value = 1 - F.cosine_similarity(unit(track, 1), unit(channel, 1), dim=1)
        else:
            wanted = share_of(channel.clamp(min=0))
            mass = unit(track.abs(), 1)
            # where there is no attribution at all, any positive number keeps the logarithm finite
            share = share_of(mass + _FLOOR * mass.mean(dim=1, keepdim=True).masked_fill(~known, 1))
            value = (torch.xlogy(wanted, wanted) - wanted * share.log()).sum(dim=1)
        return torch.where(known.squeeze(1), value, torch.zeros_like(value))
