"""The gate between a batch and its statistics: open in training, closed for attributions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


class StatisticsGate:
    """The gate through which gradients pass into the statistics of batch norm.

    An attribution is the gradient of one example's output by that example's own input, with the
    statistics of the batch held fixed, so the gate is closed while attributions are taken, unless
    their method differentiates through the statistics. The training loss, penalty included, is
    differentiated through them as usual.

    Attributes:
        is_open: whether gradients pass into the statistics of the batch.
        points: inputs at which attributions are taken, whose gradient the training loss does not
            need; None if the caller wants that gradient too.
        members: number of networks that ``torch.vmap`` runs at once; 0 outside of it.
    """

    def __init__(self, points: torch.Tensor | None = None, members: int = 0) -> None:
        """Start open."""
        self.is_open = True
        self.points = points
        self.members = members

    @contextmanager
    def closed(self) -> Iterator[None]:
        """Hold the batch statistics fixed within the block, to take attributions."""
        self.is_open = False
        try:
            yield
        finally:
            self.is_open = True
