"""The run directory: its paths, its trial folders, whole or not at all, and its lock."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from .errors import UserError

DONE, COLLAPSED, FAILED = "done", "collapsed", "failed"
"""statuses in the record of a trial"""


class RunDirectory:
    """The folder of a run, and the trial folders in it.

    Any number of processes, on any machine that sees the folder, may fill trials at once: each
    fills a folder of its own under ``trials/.running`` and renames it when it is whole. A rename
    happens or does not, on network file systems too, so a trial folder is there whole or not at
    all, whichever process dies.

    Attributes:
        root: the run directory.
        trials: folder of the trial folders.
        data: folder of the datasets.
    """

    def __init__(self, root: Path) -> None:
        """Name a run directory; nothing is created yet."""
        self.root = root
        self.trials = root / "trials"
        self.data = root / "data"
        self._running = self.trials / ".running"

    def trial(self, trial_id: str) -> Path:
        """Return the folder of a trial."""
        return self.trials / trial_id

    def record(self, trial_id: str) -> dict[str, Any] | None:
        """Return a trial's record, or None if it has not been run."""
        try:
            with open(self.trials / trial_id / "record.json", "rb") as file:
                record = json.loads(file.read())
        except (FileNotFoundError, NotADirectoryError, ValueError):
            return None  # a disk that was full may have damaged it: the trial is run again
        return record if isinstance(record, dict) and "status" in record else None

    def records(self, trial_ids: Iterable[str]) -> Iterator[tuple[str, dict[str, Any] | None]]:
        """Yield ids and records in the order of the ids, each read when its turn comes.

        One listing says which are there: most files of a new study are not, and listing makes a
        network file system forget that a trial was not there a minute ago.
        """
        try:
            there = set(os.listdir(self.trials))
        except FileNotFoundError:
            there = set()
        for trial_id in trial_ids:
            yield trial_id, self.record(trial_id) if trial_id in there else None

    @contextlib.contextmanager
    def in_progress(self, trial_id: str) -> Iterator[Path]:
        """Make a folder that marks a trial as in flight; it is removed in the end, if still there.

        The folder of a process that was killed stays, until :meth:`clear_in_flight`.
        """
        self._running.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(dir=self._running, prefix=f"{trial_id}-"))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    @contextlib.contextmanager
    def new_trial(self, trial_id: str) -> Iterator[Path]:
        """Make a folder to fill; it takes the trial's place when the block ends without error.

        Raises:
            FileNotFoundError: the folder was cleared in between.
        """
        with self.in_progress(trial_id) as folder:
            yield folder
            self.finish(folder, trial_id)

    def finish(self, folder: Path, trial_id: str) -> None:
        """Let a folder that was filled take the trial's place.

        Raises:
            FileNotFoundError: the folder was cleared in between.
        """
        os.chmod(folder, 0o755)
        while True:
            try:
                folder.rename(self.trial(trial_id))
                return
            except OSError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                    raise
            self._discard(self.trial(trial_id))  # the trial is run again

    def _discard(self, folder: Path) -> None:
        """Remove a folder, if it is there, at once and not bit by bit."""
        gone = Path(tempfile.mkdtemp(dir=self._running, prefix="discarded-"))
        with contextlib.suppress(FileNotFoundError):
            folder.rename(gone)
        shutil.rmtree(gone, ignore_errors=True)

    def in_flight(self) -> list[str]:
        """Return the ids of trials that were begun and not finished; twice if begun twice."""
        try:
            names = os.listdir(self._running)
        except FileNotFoundError:
            return []
        ids = (name.rpartition("-")[0] for name in names)
        return [trial_id for trial_id in ids if trial_id != "discarded"]

    def clear_in_flight(self) -> None:
        """Remove what interrupted trials left behind; call only while holding the lock.

        A process of an earlier run that is still filling such a folder fails to finish it.
        """
        with contextlib.suppress(FileNotFoundError):
            for path in list(self._running.iterdir()):
                self._discard(path)
        with contextlib.suppress(OSError):  # the folder is not there, or in use again
            self._running.rmdir()

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Keep other runs out of this directory.

        Raises:
            UserError: another process is running in it, or its file system has no locks.
        """
        self.root.mkdir(parents=True, exist_ok=True)
        with (self.root / ".lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise UserError(
                    f"{self.root}: another priorbench run is using this folder; wait for it, "
                    "or choose another --out"
                ) from None
            except OSError as error:
                raise UserError(
                    f"{self.root}: this file system cannot lock files ({error.strerror}); choose "
                    "an --out on one that can"
                ) from None
            yield
