"""The run directory: who writes what where, whole or not at all."""

from __future__ import annotations

import contextlib
import fcntl
import json
import math
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from .errors import UserError

DONE, COLLAPSED, FAILED = "done", "collapsed", "failed"
_IN_FLIGHT = ".running-"


def slug(name: str) -> str:
    """A name as part of a folder's name: letters, digits, ``_ . -``; never a path."""
    return re.sub(r"[^\w.-]+", "-", name).strip("-.")[:80] or "unnamed"


def write_text(path: Path, text: str) -> None:
    """Write a file so that a reader sees the old or the new contents, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, 0o644)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write JSON as :func:`write_text` does; NaN and infinity become null."""
    write_text(path, json.dumps(_finite(value), indent=1, allow_nan=False) + "\n")


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


class RunDirectory:
    """Paths of a run and its trial folders."""

    def __init__(self, root: Path) -> None:
        """Name a run directory; nothing is created yet."""
        self.root = root
        self.trials = root / "trials"
        self.data = root / "data"

    def trial(self, trial_id: str) -> Path:
        """Folder of a trial."""
        return self.trials / trial_id

    def record(self, trial_id: str) -> dict[str, Any] | None:
        """The trial's record, or None if it has not been run."""
        try:
            record = json.loads((self.trial(trial_id) / "record.json").read_text(encoding="utf-8"))
        except (FileNotFoundError, NotADirectoryError, ValueError):
            return None  # damaged, by a disk that was full when it mattered: run the trial again
        return record if isinstance(record, dict) and "status" in record else None

    @contextlib.contextmanager
    def new_trial(self, trial_id: str) -> Iterator[Path]:
        """A folder to fill; it takes the trial's place when the block ends without error.

        While it is being filled its name says that the trial is in flight.
        """
        self.trials.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(dir=self.trials, prefix=f"{_IN_FLIGHT}{trial_id}-"))
        try:
            yield partial
            os.chmod(partial, 0o755)
            shutil.rmtree(self.trial(trial_id), ignore_errors=True)
            partial.rename(self.trial(trial_id))
        finally:
            shutil.rmtree(partial, ignore_errors=True)

    def in_flight(self) -> list[str]:
        """Ids of trials that were begun and not finished."""
        if not self.trials.is_dir():
            return []
        return [
            path.name.removeprefix(_IN_FLIGHT).rpartition("-")[0]
            for path in self.trials.glob(f"{_IN_FLIGHT}*")
        ]

    def clear_in_flight(self) -> None:
        """Remove what interrupted trials left behind; call only while holding the lock."""
        for path in self.trials.glob(f"{_IN_FLIGHT}*"):
            shutil.rmtree(path, ignore_errors=True)

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Keep other runs out of this directory.

        Raises:
            UserError: if another process is running in it.
        """
        self.root.mkdir(parents=True, exist_ok=True)
        with (self.root / ".lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise UserError(
                    f"{self.root}: another priorbench run is using this folder; wait for it, "
                    "or choose another --out"
                ) from None
            yield
