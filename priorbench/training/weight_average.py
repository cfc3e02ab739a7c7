"""An average of a network's weights over the steps of a training."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from torch.nn.modules.batchnorm import _BatchNorm

from priorbench.components.prior import WeightedPrior

if TYPE_CHECKING:
    from collections.abc import Iterable

    from priorbench.components.task import Batch


class WeightAverage:
    """The average of a network's weights that a prior asks for, beside the weights themselves.

    Attributes:
        waits: whether the average begins in the final phase, which the prior asks for.
    """

    def __init__(self, model: torch.nn.Module, part: WeightedPrior, per_epoch: int) -> None:
        """Start at the present weights.

        Args:
            model: network in training.
            part: prior that averages, and its weight.
            per_epoch: number of steps in an epoch.
        """
        self._model, self._part, self._per_epoch = model, part, per_epoch
        phase = part.prior.final_phase(part.weight) if "final_phase" in part.hooks else None
        self.waits = phase is not None
        self.restart()

    def restart(self) -> None:
        """Start anew at the present weights."""
        self._steps = 0
        self._average = [value.detach().clone() for value in self._model.parameters()]

    @torch.no_grad()
    def step(self) -> None:
        """Take the weights after a step into the average, with the share that the prior says."""
        self._steps += 1
        prior, weight = self._part.prior, self._part.weight
        share = prior.average_share(weight, self._steps, self._per_epoch)
        if share:
            torch._foreach_lerp_(self._average, list(self._model.parameters()), share)

    @contextmanager
    def applied(
        self, training_batches: Callable[[], Iterable[Batch]], forward: Callable[[Batch], object]
    ) -> Iterator[None]:
        """Put the average into the network within the block, with batch statistics of its own.

        Args:
            training_batches: function that yields the training data, by which the running
                statistics of batch norm are taken anew.
            forward: function that runs the network on a batch.
        """
        model = self._model
        norms = [
            module
            for module in model.modules()
            if isinstance(module, _BatchNorm) and module.running_mean is not None
        ]
        weights = [value.detach().clone() for value in model.parameters()]
        buffers = {name: value.clone() for name, value in model.named_buffers()}
        with torch.no_grad():
            torch._foreach_copy_(list(model.parameters()), self._average)
        _take_statistics(model, norms, training_batches, forward)
        try:
            yield
        finally:
            with torch.no_grad():
                torch._foreach_copy_(list(model.parameters()), weights)
                for name, value in model.named_buffers():
                    value.copy_(buffers[name])


@torch.no_grad()
def _take_statistics(
    model: torch.nn.Module,
    norms: list[_BatchNorm],
    training_batches: Callable[[], Iterable[Batch]],
    forward: Callable[[Batch], object],
) -> None:
    """Take the mean of the batch statistics of the training data, nothing else in training mode."""
    if not norms:
        return
    model.eval()
    momentum = [norm.momentum for norm in norms]
    try:
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # the mean over all batches
            norm.train()
        for batch in training_batches():
            forward(batch)
    finally:
        for norm, value in zip(norms, momentum, strict=True):
            norm.momentum = value
            norm.eval()
