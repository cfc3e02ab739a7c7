"""Losses of every epoch for other programs, trial by trial: `priorbench run --log`.

A trial's record has its losses already; here they are handed on when it has ended, wherever it was
trained and whether alone or with others. Trials that had ended before are handed on first, once.
"""

from __future__ import annotations

import importlib
import importlib.util
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal, NamedTuple

from priorbench.errors import UserError, in_one_line
from priorbench.storage.files import explain
from priorbench.storage.run_directory import RunDirectory

from .logs.base import LOSSES, TrainingLog
from .logs.csv_log import CsvLog
from .logs.marked_logs import TensorboardLog, WandbLog

LogKind = Literal["csv", "tensorboard", "wandb"]
"""programs that losses are handed on to"""


class _Kind(NamedTuple):
    """What a kind of log is: its class, the package, and the module and name that it needs."""

    log: type[TrainingLog]
    package: str = ""
    module: str = ""
    needed: str = ""


_LOGS: dict[LogKind, _Kind] = {
    "csv": _Kind(CsvLog),
    "tensorboard": _Kind(TensorboardLog, "tensorboard", "torch.utils.tensorboard", "SummaryWriter"),
    "wandb": _Kind(WandbLog, "wandb", "wandb", "init"),
}


def require_log(kind: LogKind) -> None:
    """Raise UserError if the package that a kind of log needs cannot be used."""
    _, package, module, needed = _LOGS[kind]
    if not package:
        return
    spec = importlib.util.find_spec(package)
    problem = "which is not installed"
    if spec is not None:
        try:
            if hasattr(importlib.import_module(module), needed):
                return
            reason = f"it has no {needed}"
        except Exception as error:  # whatever a package raises while it is imported
            reason = f"{type(error).__name__}: {in_one_line(str(error))}"
        place = spec.origin or next(iter(spec.submodule_search_locations or ()), "")
        problem = f"and what is found by that name, {place}, cannot be used ({reason})"
    raise UserError(
        f"--log {kind} needs the package {package}, {problem}; "
        f"`pip install 'priorbench[{package}]'` installs it, and --log csv needs none"
    )


class RunLog:
    """The log of a run, which takes ids of trials; it does nothing if there is no log.

    A log that fails is said once, and ends no run: losses are in the records of trials.
    """

    def __init__(
        self,
        run: RunDirectory,
        kind: LogKind | None,
        say: Callable[[str], None],
        *,
        debug: bool = False,
    ) -> None:
        """Open the log of a kind; none of None.

        Args:
            run: the run directory.
            kind: kind of log.
            say: function that is called with a line if the log fails.
            debug: whether the traceback is said too.
        """
        self._run, self._kind, self._say, self._debug = run, kind, say, debug
        self._log: TrainingLog | None = None
        if kind is not None:
            with self._ending():
                self._log = _LOGS[kind].log(run.root)

    def add(self, trial_id: str) -> None:
        """Hand on the losses of a trial that has ended, unless that was done before."""
        if self._log is None:
            return
        record = self._run.record(trial_id)
        history = [] if record is None else record.get("history", [])
        if record is None or not history:
            return
        with self._ending():
            if not self._log.has(trial_id, len(history)):
                epochs = [{new: _number(e[old]) for new, old in LOSSES.items()} for e in history]
                self._log.write(record, epochs)

    @contextmanager
    def _ending(self) -> Iterator[None]:
        """Close the log, and say why, if the block fails."""
        try:
            yield
        except Exception as error:  # a package of others' may raise anything
            self._log = None
            if isinstance(error, OSError):
                reason = explain(error)
            else:
                kind = "" if isinstance(error, UserError) else f"{type(error).__name__}: "
                reason = f"{kind}{error}"
            self._say(
                f"--log {self._kind}: {in_one_line(reason).rstrip('.')}; the run goes on without "
                "it, and the same command hands on later what is missing"
            )
            if self._debug:
                self._say(traceback.format_exc())


def _number(value: float | None) -> float:
    """Return a loss of a record, which has none for NaN and for what is beyond all bounds."""
    return float("nan") if value is None else float(value)
