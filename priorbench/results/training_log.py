"""Losses of every epoch for other programs, trial by trial: `priorbench run --log`.

A trial's record has its losses already; here they are handed on when it has ended, wherever it was
trained and whether alone or with others. Trials that had ended before are handed on first, once.
"""

from __future__ import annotations

import csv
import importlib
import importlib.util
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from priorbench.errors import UserError
from priorbench.storage.run_directory import RunDirectory

LogKind = Literal["csv", "tensorboard", "wandb"]
"""programs that losses are handed on to"""
LOSSES = {
    "prediction_loss": "training_loss",
    "penalty": "penalty",
    "validation_loss": "validation_loss",
}
"""names under which losses are handed on, and those in the history of a record"""
_ABOUT = ("stage", "task", "dataset", "architecture", "prior", "weight", "seed")
LOG_COLUMNS = ["trial", *_ABOUT, "epoch", *LOSSES]
LOG_FILE = "losses.csv"


class TrainingLog(ABC):
    """A place that the losses of trials are handed on to, with a subclass for each kind."""

    def __init__(self, root: Path) -> None:
        """Open the log of a run directory."""
        self.root = root

    @abstractmethod
    def has(self, trial_id: str) -> bool:
        """Return whether the losses of a trial were handed on before."""

    @abstractmethod
    def write(self, record: Mapping[str, Any], epochs: Sequence[Mapping[str, float]]) -> None:
        """Hand on the losses of a trial.

        Args:
            record: the trial's record.
            epochs: losses with the names of LOSSES, one mapping an epoch.
        """


class CsvLog(TrainingLog):
    """A file losses.csv in the run directory, with a row for every epoch."""

    def __init__(self, root: Path) -> None:
        """Read which trials the file has."""
        super().__init__(root)
        self._path = root / LOG_FILE
        self._known: set[str] = set()
        if self._path.exists():
            with self._path.open(newline="", encoding="utf-8") as file:
                self._known = {row["trial"] for row in csv.DictReader(file)}
        else:
            self._append([LOG_COLUMNS])

    def has(self, trial_id: str) -> bool:
        """Return whether the file has rows of a trial."""
        return trial_id in self._known

    def write(self, record: Mapping[str, Any], epochs: Sequence[Mapping[str, float]]) -> None:
        """Append a row for every epoch, in one write."""
        about = [record["trial"], *(record[name] for name in _ABOUT)]
        self._append([*about, number, *epoch.values()] for number, epoch in enumerate(epochs, 1))
        self._known.add(record["trial"])

    def _append(self, rows: Iterable[Sequence[Any]]) -> None:
        with self._path.open("a", newline="", encoding="utf-8") as file:
            csv.writer(file, lineterminator="\n").writerows(rows)


class TensorboardLog(TrainingLog):
    """A folder for each trial under ``tensorboard`` in the run directory."""

    def has(self, trial_id: str) -> bool:
        """Return whether there is a folder of a trial."""
        return any(self._folder.glob(f"*-{trial_id}"))

    @property
    def _folder(self) -> Path:
        return self.root / "tensorboard"

    def write(self, record: Mapping[str, Any], epochs: Sequence[Mapping[str, float]]) -> None:
        """Write a curve for every loss."""
        tensorboard = importlib.import_module("torch.utils.tensorboard")
        with tensorboard.SummaryWriter(str(self._folder / _name(record))) as writer:
            for number, epoch in enumerate(epochs, 1):
                for name, value in epoch.items():
                    writer.add_scalar(name, value, number)


class WandbLog(TrainingLog):
    """A run of Weights & Biases for each trial, in the project ``priorbench``.

    Where it goes, or whether it stays on this machine, is for its own settings to say, such as the
    variable WANDB_MODE.
    """

    def has(self, trial_id: str) -> bool:
        """Return whether a file under ``wandb`` says that a trial was handed on."""
        return self._mark(trial_id).exists()

    def _mark(self, trial_id: str) -> Path:
        return self.root / "wandb" / f"{trial_id}.sent"

    def write(self, record: Mapping[str, Any], epochs: Sequence[Mapping[str, float]]) -> None:
        """Log the epochs as steps of a run whose configuration is what was trained."""
        wandb = importlib.import_module("wandb")
        mark = self._mark(record["trial"])
        mark.parent.mkdir(exist_ok=True)
        run = wandb.init(
            project="priorbench",
            group=self.root.resolve().name,
            name=_name(record),
            id=record["trial"],
            resume="allow",
            dir=str(self.root),
            config={name: record[name] for name in _ABOUT},
        )
        for number, epoch in enumerate(epochs, 1):
            run.log(dict(epoch), step=number)
        run.finish()
        mark.touch()


_LOGS: dict[LogKind, tuple[type[TrainingLog], str]] = {
    "csv": (CsvLog, ""),
    "tensorboard": (TensorboardLog, "tensorboard"),
    "wandb": (WandbLog, "wandb"),
}
"""class of each kind, and the package that it needs"""


def require_log(kind: LogKind) -> None:
    """Raise UserError if the package that a kind of log needs is not installed."""
    package = _LOGS[kind][1]
    if package and importlib.util.find_spec(package) is None:
        raise UserError(
            f"--log {kind} needs the package {package}, which is not installed; "
            f"`pip install 'priorbench[{package}]'` installs it, and --log csv needs none"
        )


class RunLog:
    """The log of a run, which takes ids of trials; it does nothing if there is no log."""

    def __init__(self, run: RunDirectory, kind: LogKind | None) -> None:
        """Open the log of a kind; none of None."""
        self._run = run
        self._log = None if kind is None else _LOGS[kind][0](run.root)

    def add(self, trial_id: str) -> None:
        """Hand on the losses of a trial that has ended, unless that was done before."""
        if self._log is None or self._log.has(trial_id):
            return
        record = self._run.record(trial_id)
        history = [] if record is None else record.get("history", [])
        if record is not None and history:
            epochs = [{new: _number(e[old]) for new, old in LOSSES.items()} for e in history]
            self._log.write(record, epochs)


def _number(value: float | None) -> float:
    """Return a loss of a record, which has none for NaN and for what is beyond all bounds."""
    return float("nan") if value is None else float(value)


def _name(record: Mapping[str, Any]) -> str:
    """Return a name for people that ends in the trial's id, and that a folder may have."""
    parts = (record["task"], record["dataset"], record["prior"], f"{record['weight']:g}")
    words = "-".join([*parts, f"seed{record['seed']}"])
    plain = "".join(letter if letter.isalnum() or letter in "-_.=+" else "-" for letter in words)
    return f"{plain}-{record['trial']}"
