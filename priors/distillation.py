"""Distillation: learning from the mean prediction of other networks, as a baseline."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch

from priorbench import Batch, Prior, Task, UserError

from ._teachers import check_members


@dataclass(frozen=True)
class Distillation(Prior):
    """Labels y become (1 - weight) y + weight t, t the mean prediction of networks trained before.

    The teachers are trained on the same data, with the same schedule and other seeds, without a
    prior; the time for it belongs to the price. Teachers see every example as the student
    does, turned, moved and with the input as other priors change it; of a mixture, its two parts,
    whose predictions are mixed. With one teacher and weight 1 the student is
    fitted to that network's predictions. The publication predicts the spread of the teachers too,
    for which a network needs an output more.

    Attributes:
        members: number of teachers.
    """

    summary: ClassVar[str] = "moves labels to the mean prediction of other networks by the weight"
    citation: ClassVar[str] = (
        "Zhou et al., npj Artificial Intelligence 2026; Hinton et al. 2015, arXiv:1503.02531"
    )
    default_weights: ClassVar[Mapping[str, float]] = {"*": 0.9}

    members: int = 5

    def __post_init__(self) -> None:
        """Refuse options outside their range."""
        check_members(self.members)

    @property
    def teachers(self) -> int:
        """Number of networks that are trained first."""
        return self.members

    @property
    def needs(self) -> tuple[str, ...]:
        """Name of the array that labels are changed by."""
        return ("teachers:label",)

    def change_examples(self, batch: Batch, weight: float, generator: torch.Generator) -> Batch:
        """Return the examples with labels (B,) or (B, outputs) between 0 and 1."""
        label = batch.label.lerp(batch.arrays["teachers:label"].to(batch.label), weight)
        return Batch(batch.sequence, label, batch.arrays)

    def check_task(self, task: Task) -> None:
        """Raise UserError unless labels are 0 and 1."""
        if not task.labels_are_classes:
            raise UserError("distillation: the labels of the task are no classes")

    def weight_bound(self, task: str) -> float:
        """Return 1, where the labels themselves no longer count."""
        return 1.0

    def check_weight(self, weight: float) -> None:
        """Raise UserError unless the weight is a share."""
        super().check_weight(weight)
        if weight > 1:
            raise UserError(f"weight {weight:g} is not a share of at most 1")
