"""Losses for TensorBoard and Weights & Biases, with a mark for each trial that is done."""

from __future__ import annotations

import importlib
import os
import secrets
import shutil
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from priorbench.storage.files import put_text, slug, writing

from .base import ABOUT, TrainingLog


class MarkedLog(TrainingLog):
    """A log of another program, where a file says of each trial that all of it was handed on.

    Attributes:
        name: name of the folder in the run directory.
        folder: this folder.
        names: names of what is in it.
    """

    name: ClassVar[str]

    def __init__(self, root: Path) -> None:
        """List what the folder has."""
        super().__init__(root)
        self.folder = root / self.name
        self.names = set(os.listdir(self.folder)) if self.folder.exists() else set()

    def has(self, trial_id: str, epochs: int) -> bool:
        """Return whether there is a mark of a trial."""
        return _mark(trial_id) in self.names

    def write(self, record: Mapping[str, Any], epochs: Sequence[Mapping[str, float]]) -> None:
        """Hand on the losses of a trial, and mark it."""
        with writing(self.folder):
            self.folder.mkdir(exist_ok=True)
        self.send(record, epochs)
        mark = self.folder / _mark(record["trial"])
        with writing(mark):
            mark.touch()
        self.names.add(mark.name)

    @abstractmethod
    def send(self, record: Mapping[str, Any], epochs: Sequence[Mapping[str, float]]) -> None:
        """Hand on the losses of a trial, of which some may have been handed on before."""


class TensorboardLog(MarkedLog):
    """A folder for each trial under ``tensorboard`` in the run directory."""

    name: ClassVar[str] = "tensorboard"

    def send(self, record: Mapping[str, Any], epochs: Sequence[Mapping[str, float]]) -> None:
        """Write a curve for every loss."""
        folder = self.folder / _name(record)
        if folder.name in self.names:  # curves of two files would be drawn into one another
            shutil.rmtree(folder)
        tensorboard = importlib.import_module("torch.utils.tensorboard")
        with tensorboard.SummaryWriter(str(folder)) as writer:
            for number, epoch in enumerate(epochs, 1):
                for name, value in epoch.items():
                    writer.add_scalar(name, value, number)


class WandbLog(MarkedLog):
    """A run of Weights & Biases for each trial, in the project ``priorbench``.

    Where it goes, or whether it stays on this machine, is for its own settings to say, such as the
    variable WANDB_MODE. Trials of equal studies in two run directories have one id, their runs do
    not: each directory has letters of its own in the file ``wandb/directory-id``.
    """

    name: ClassVar[str] = "wandb"

    def _directory_id(self) -> str:
        path = self.folder / "directory-id"
        if not path.exists():
            put_text(path, secrets.token_hex(4))
        return path.read_text(encoding="utf-8").strip()

    def send(self, record: Mapping[str, Any], epochs: Sequence[Mapping[str, float]]) -> None:
        """Log the epochs as steps of a run whose configuration is what was trained."""
        with importlib.import_module("wandb").init(
            project="priorbench",
            group=self.root.resolve().name,
            name=_name(record),
            id=f"{record['trial']}-{self._directory_id()}",
            resume="allow",
            dir=str(self.root),
            config={name: record[name] for name in ABOUT},
        ) as run:
            for number, epoch in enumerate(epochs, 1):
                run.log(dict(epoch), step=number)


def _mark(trial_id: str) -> str:
    return f"{trial_id}.sent"


def _name(record: Mapping[str, Any]) -> str:
    """Return a name for people that ends in the trial's id, and that a folder may have."""
    words = slug("-".join(record[key] for key in ("task", "dataset", "prior")))
    return f"{words}-{record['weight']:g}-seed{record['seed']}-{record['trial']}"
