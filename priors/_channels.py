"""What priors share that read a channel of the dataset."""

from __future__ import annotations

import torch

from priorbench import Batch

_CHANNEL = "channel:"
"""what the names of a batch's channels begin with"""


def channel_of(batch: Batch, name: str, *, moved: bool) -> torch.Tensor:
    """Return the (B, L) values of a channel, moved by half of the window if that is asked for."""
    channel = batch.arrays[f"{_CHANNEL}{name}"].squeeze(1)
    return channel.roll(channel.shape[1] // 2, 1) if moved else channel


def share_of(values: torch.Tensor) -> torch.Tensor:
    """Return (B, L) values over their sum along the positions; 0 where all are 0."""
    total = values.sum(dim=1, keepdim=True)
    return values / total.masked_fill(total == 0, 1)
