"""What every log of losses is given, and what it must do."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

LOSSES = {
    "prediction_loss": "training_loss",
    "penalty": "penalty",
    "validation_loss": "validation_loss",
}
"""names under which losses are handed on, and those in the history of a record"""
ABOUT = ("stage", "task", "dataset", "architecture", "prior", "weight", "seed")
LOG_COLUMNS = ["trial", *ABOUT, "epoch", *LOSSES]
LOG_FILE = "losses.csv"


class TrainingLog(ABC):
    """A place that the losses of trials are handed on to, with a subclass for each kind."""

    def __init__(self, root: Path) -> None:
        """Open the log of a run directory."""
        self.root = root

    @abstractmethod
    def has(self, trial_id: str, epochs: int) -> bool:
        """Return whether the losses of all epochs of a trial were handed on before."""

    @abstractmethod
    def write(self, record: Mapping[str, Any], epochs: Sequence[Mapping[str, float]]) -> None:
        """Hand on the losses of a trial, in the place of those that were handed on in part.

        Args:
            record: the trial's record.
            epochs: losses with the names of LOSSES, one mapping an epoch.
        """
