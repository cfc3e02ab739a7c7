"""Label smoothing: labels that are less certain than the data, as a baseline."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch

from priorbench import Batch, Prior, Task, UserError


@dataclass(frozen=True)
class LabelSmoothing(Prior):
    """Labels y of 0 and 1 become (1 - weight) y + weight / 2 in training.

    The prediction loss of the validation data, by which networks are chosen, is that of the
    labels as they are.
    """

    summary: ClassVar[str] = "moves labels from 0 and 1 by half of the weight towards each other"
    citation: ClassVar[str] = "Szegedy et al., CVPR 2016"
    default_weights: ClassVar[Mapping[str, float]] = {"*": 0.1}

    def change_examples(self, batch: Batch, weight: float, generator: torch.Generator) -> Batch:
        """Return the examples with labels (B,) or (B, outputs) between 0 and 1."""
        label = batch.label + weight * (0.5 - batch.label)
        return Batch(batch.sequence, label, batch.arrays)

    def check_task(self, task: Task) -> None:
        """Raise UserError unless labels are 0 and 1."""
        if not task.labels_are_classes:
            raise UserError("label-smoothing: the labels of the task are no classes")

    def weight_bound(self, task: str) -> float:
        """Return 1, at which all labels are the same."""
        return 1.0

    def check_weight(self, weight: float) -> None:
        """Raise UserError unless the weight is a share below one."""
        super().check_weight(weight)
        if weight >= 1:
            raise UserError(f"weight {weight:g} is not a share below 1")
