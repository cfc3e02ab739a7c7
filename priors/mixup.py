"""Mixup: training on mixtures of two examples and of their labels, as a baseline."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch

from priorbench import Batch, Prior, Task, UserError


@dataclass(frozen=True)
class Mixup(Prior):
    """Every example is mixed with another of its batch, s x + (1 - s) x', and so are the labels.

    The share s is drawn for every example from a Beta distribution whose parameters are both the
    weight, and the larger of s and 1 - s is taken, so that an example stays the larger part of
    its mixture; penalties on attributions apply to mixtures whose larger part they would apply to,
    and read the channels of that part.
    """

    summary: ClassVar[str] = "trains on mixtures of two examples and of their labels"
    citation: ClassVar[str] = "Zhang et al., ICLR 2018"
    default_weights: ClassVar[Mapping[str, float]] = {"*": 0.2}

    def change_examples(self, batch: Batch, weight: float, generator: torch.Generator) -> Batch:
        """Return the (B, 4, L) mixtures with their labels."""
        count, device = len(batch.label), batch.sequence.device
        other = torch.randperm(count, device=device, generator=generator)
        shape = torch.full((2, count), weight, device=device, dtype=torch.float64)
        # Beta is the share of one of two Gamma variables; it is drawn from the generator
        gamma = torch._standard_gamma(shape, generator=generator)
        first = gamma[0] / gamma.sum(dim=0).clamp(min=torch.finfo(gamma.dtype).tiny)
        share = torch.maximum(first, 1 - first)

        def mixed(values: torch.Tensor) -> torch.Tensor:
            own = share.to(values.dtype).reshape(-1, *[1] * (values.dim() - 1))
            return own * values + (1 - own) * values[other]

        arrays = {
            name: mixed(values) if values.is_floating_point() else values
            for name, values in batch.arrays.items()
        }
        return Batch(mixed(batch.sequence), mixed(batch.label), arrays)

    def check_task(self, task: Task) -> None:
        """Raise UserError unless labels are 0 and 1."""
        if not task.labels_are_classes:
            raise UserError("mixup: the labels of the task are no classes")
