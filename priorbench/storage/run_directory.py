"""The run directory: its paths, its trial folders, whole or not at all, and its lock."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from .locks import locked
from .sealed_files import (
    DamagedFile,
    Manifest,
    check_listed,
    digest_of,
    digests_of,
    read_listed,
    read_sealed,
    sync_folder,
    write_sealed,
)

DONE, COLLAPSED, FAILED = "done", "collapsed", "failed"
"""statuses in the record of a trial"""
RECORD, ARRAYS, MODEL = "record.json", "arrays.npz", "model.safetensors"
"""files of a trial's folder"""


class _Seal(NamedTuple):
    """What a record's seal says: its digest, and those of the files beside it, by name."""

    digest: str
    files: Mapping[str, Sequence[str]]


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
        manifest: list of the files at the root, which reads and writes them.
    """

    def __init__(self, root: Path) -> None:
        """Name a run directory; nothing is created yet."""
        self.root = root
        self.trials = root / "trials"
        self.data = root / "data"
        self.manifest = Manifest(root)
        self._running = self.trials / ".running"
        self._seals: dict[str, _Seal] = {}
        self._checked: dict[str, set[str]] = {}

    def trial(self, trial_id: str) -> Path:
        """Return the folder of a trial."""
        return self.trials / trial_id

    def record(self, trial_id: str) -> dict[str, Any] | None:
        """Return a trial's record, or None if it has not been run.

        Raises:
            DamagedFile: if it is not as it was written.
        """
        folder = self.trials / trial_id
        try:
            record = read_sealed(folder / RECORD)
        except DamagedFile:
            if folder.exists():
                raise
            return None
        if record.get("trial") != trial_id:
            raise DamagedFile(folder / RECORD, f"is the record of {record.get('trial')!r}")
        seal = _Seal(record["sha256"], record["files"])
        if self._seals.get(trial_id, seal) != seal:  # a worker has written it anew
            self._forget(trial_id)
        self._seals[trial_id] = seal
        return record

    def records(
        self, trial_ids: Iterable[str], on_damage: Callable[[DamagedFile], None] | None = None
    ) -> Iterator[tuple[str, dict[str, Any] | None]]:
        """Yield ids and records in the order of the ids, each read when its turn comes.

        One listing says which are there: most files of a new study are not, and listing makes a
        network file system forget that a trial was not there a minute ago.

        Args:
            trial_ids: ids of trials.
            on_damage: function that is called with what is wrong with a record, which is then taken
                as not there. Without it, the first damaged record is an error.

        Raises:
            DamagedFile: if a record is not as it was written, and nobody is to be told.
        """
        try:
            there = set(os.listdir(self.trials))
        except FileNotFoundError:
            there = set()
        for trial_id in trial_ids:
            record = None
            try:
                record = self.record(trial_id) if trial_id in there else None
            except DamagedFile as problem:
                if on_damage is None:
                    raise
                on_damage(problem)
            yield trial_id, record

    def files_of(self, trial_id: str) -> Mapping[str, Sequence[str]]:
        """Return the digests of the files that a trial left beside its record, by name.

        Raises:
            DamagedFile: if the trial has no record, or one that is not as it was written.
        """
        return self._seal(trial_id).files

    def _seal(self, trial_id: str) -> _Seal:
        if trial_id not in self._seals and self.record(trial_id) is None:
            raise DamagedFile(self.trials / trial_id / RECORD, "is missing")
        return self._seals[trial_id]

    def read_file(self, trial_id: str, name: str) -> bytes:
        """Return the contents of a file that a trial left beside its record.

        Its digest is compared the first time.

        Raises:
            DamagedFile: if it is not as it was written.
        """
        path = self.trials / trial_id / name
        if name in self._checked.get(trial_id, ()):
            return path.read_bytes()
        try:
            data = read_listed(path, self.files_of(trial_id))
        except DamagedFile:  # scored again since the record was read
            self._seals.pop(trial_id, None)
            data = read_listed(path, self.files_of(trial_id))
        self._checked.setdefault(trial_id, set()).add(name)
        return data

    def check_files(self, trial_id: str) -> None:
        """Raise DamagedFile if a file beside a trial's record is not as it was written."""
        files, checked = self.files_of(trial_id), self._checked.setdefault(trial_id, set())
        for name in files.keys() - checked:
            check_listed(self.trials / trial_id / name, files)
            checked.add(name)

    def digest_of_records(self, trial_ids: Iterable[str]) -> str:
        """Return a digest of the records of some trials, in any order.

        Raises:
            DamagedFile: if one of them is missing, or not as it was written.
        """
        digest = hashlib.sha256()
        for trial_id in sorted(trial_ids):
            digest.update(f"{trial_id} {self._seal(trial_id).digest}\n".encode())
        return digest.hexdigest()

    def replace_file(self, trial_id: str, name: str, new: Path) -> None:
        """Let a new file take the place of one beside a trial's record, which is sealed anew.

        Whenever the process dies, the record lists the digest of the file that is there. The
        caller writes another record with :meth:`seal_trial` once it says what the file means.
        """
        folder, record = self.trial(trial_id), self.record(trial_id)
        assert record is not None
        before = record["files"].get(name, [])
        files = {**record["files"], name: [digest_of(new), *before]}
        write_sealed(folder / RECORD, {**record, "files": files})
        with new.open("rb") as file:
            os.fsync(file.fileno())
        new.replace(folder / name)
        self._forget(trial_id)

    def _forget(self, trial_id: str) -> None:
        self._checked.pop(trial_id, None)
        self._seals.pop(trial_id, None)

    def seal_trial(self, folder: Path, record: Mapping[str, Any]) -> None:
        """Write the record of a trial into the folder that holds its other files."""
        names = [name for name in (ARRAYS, MODEL) if (folder / name).is_file()]
        write_sealed(folder / RECORD, {**record, "files": digests_of(folder, names)})

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
        sync_folder(folder)
        self._forget(trial_id)
        while True:
            try:
                folder.rename(self.trial(trial_id))
                return
            except OSError as error:
                if error.errno == errno.ENOTDIR:  # a file or a link in its place
                    self.trial(trial_id).unlink()
                    continue
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

    def is_busy(self) -> bool:
        """Return whether a process holds the lock."""
        try:
            with (self.root / ".lock").open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:  # there is no lock, or none can be had here
            return False
        return False

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Keep other runs out of this directory.

        Raises:
            UserError: another process is running in it, or its file system has no locks.
        """
        self.root.mkdir(parents=True, exist_ok=True)
        with locked(self.root, "another priorbench run is using this folder; wait for it to end"):
            yield
