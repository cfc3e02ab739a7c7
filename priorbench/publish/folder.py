"""A published folder on the disk: entries that are whole or not there, and pages made of them."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from priorbench.errors import UserError
from priorbench.storage.files import put_text
from priorbench.storage.run_directory import RunDirectory
from priorbench.storage.sealed_files import (
    DamagedFile,
    read_sealed,
    sync_folder,
    write_sealed,
)

from .entry import ENTRY_FILE, PAGE_FILE, Entry, read_entry

MARK_FILE, RUNS = "site.json", "runs"
"""the file by which a published folder is known; its folder of entries"""
_KIND = "published runs"
TABLE_FILE = "table.csv"
"""the table over all entries"""
_WRITTEN = (MARK_FILE, TABLE_FILE, PAGE_FILE)
"""files that are replaced while others read them"""
_ASIDE = ".new-"
"""how the names of folders begin that are being written, or removed"""


@dataclass(frozen=True)
class StoredEntry:
    """An entry, with where its files are.

    Attributes:
        entry: the entry.
        label: what to call it: its folder, or those of its runs.
        folder: folder that holds its files; None for those that were just made.
        made: contents of files that were just made, by name.
    """

    entry: Entry
    label: str
    folder: Path | None = None
    made: Mapping[str, bytes] = field(default_factory=dict)


def is_published(root: Path) -> bool:
    """Return whether a folder was written by ``priorbench publish``."""
    return (root / MARK_FILE).is_file() and _mark(root) == _KIND


def _mark(root: Path) -> str:
    try:
        return str(read_sealed(root / MARK_FILE).get("kind"))
    except DamagedFile as problem:
        remedy = "publish its runs to another --to"
        raise DamagedFile(problem.path, problem.problem, remedy) from None


def stored_entries(root: Path, renewed: Collection[str] = ()) -> list[StoredEntry]:
    """Return the entries of a published folder by name, all checked.

    Args:
        root: the folder.
        renewed: names of entries that are to be written anew, and are left out where damaged.

    Raises:
        DamagedFile: if a file of one is not as it was written.
    """
    try:
        names = sorted(os.listdir(root / RUNS))
    except FileNotFoundError:
        return []
    folders = [root / RUNS / name for name in names if not name.startswith(".")]
    return [
        StoredEntry(read_entry(path), path.name, path)
        for path in folders
        if path.is_dir() and not (path.name in renewed and _is_damaged(path))
    ]


class PublishedFolder:
    """The folder that runs are published to.

    Whenever the process dies, every page leads to entries that are there: new ones are written
    aside and renamed before the pages that name them, and old ones removed afterwards.

    Attributes:
        root: the folder.
    """

    def __init__(self, root: Path) -> None:
        """Name a folder that holds nothing, or what was published before.

        Raises:
            UserError: if it holds anything else.
        """
        self.root = root
        if root.exists() and not root.is_dir():
            raise UserError(f"{root}: is a file; name a folder")
        own = (".lock", f".{MARK_FILE}-")
        there = root.exists() and any(not name.startswith(own) for name in os.listdir(root))
        if there and not is_published(root):
            raise UserError(f"{root}: is not empty and not a published folder; choose another --to")

    @property
    def has_pages(self) -> bool:
        """Whether pages were written here."""
        return (self.root / PAGE_FILE).exists()

    def has(self, name: str) -> bool:
        """Return whether an entry of this name is there, damaged or not."""
        return (self.root / RUNS / name).is_dir()

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Make the folder if it is not there, mark it, and keep other processes out of it."""
        with RunDirectory(self.root).lock():
            # first of all, so that a folder that has only begun is known
            if not (self.root / MARK_FILE).exists():
                write_sealed(self.root / MARK_FILE, {"kind": _KIND})
            (self.root / RUNS).mkdir(exist_ok=True)
            self._clear()
            yield
            self._clear()

    def add(self, stored: StoredEntry, page: str | None) -> None:
        """Write an entry with its page, unless it is there with the same files.

        Args:
            stored: the entry.
            page: its page; None for none.
        """
        folder = self._folder(stored.entry)
        if folder != stored.folder:
            self._add_files(stored, folder)
        if page is not None:
            _put(folder / PAGE_FILE, page)

    def write_pages(self, pages: Mapping[str, str]) -> None:
        """Write files at the root, each whole or not at all."""
        for name, text in pages.items():
            _put(self.root / name, text)

    def remove(self, names: Iterable[str]) -> None:
        """Remove entries, by the names of their folders."""
        for name in names:
            self._discard(self.root / RUNS / name)

    def _folder(self, entry: Entry) -> Path:
        return self.root / RUNS / entry.name

    def _add_files(self, stored: StoredEntry, folder: Path) -> None:
        aside = Path(tempfile.mkdtemp(dir=self.root / RUNS, prefix=_ASIDE))
        aside.chmod(0o755)
        for name in stored.entry.files:
            if stored.folder is not None:
                shutil.copyfile(stored.folder / name, aside / name)
            else:
                (aside / name).write_bytes(stored.made[name])
        write_sealed(aside / ENTRY_FILE, stored.entry.model_dump(mode="json"))
        sync_folder(aside)
        if folder.exists():
            if not _is_damaged(folder):
                return
            self._discard(folder)
        aside.rename(folder)

    def _discard(self, folder: Path) -> None:
        """Remove a folder at once and not bit by bit."""
        gone = Path(tempfile.mkdtemp(dir=self.root / RUNS, prefix=_ASIDE))
        folder.rename(gone)
        shutil.rmtree(gone, ignore_errors=True)

    def _clear(self) -> None:
        """Remove what processes were writing, or removing, when they died."""
        for path in (self.root / RUNS).glob(f"{_ASIDE}*"):
            shutil.rmtree(path, ignore_errors=True)
        for path in [self.root, *(self.root / RUNS).iterdir()]:
            for name in _WRITTEN:
                for leftover in path.glob(f".{name}-*"):
                    leftover.unlink(missing_ok=True)


def _is_damaged(folder: Path) -> bool:
    try:
        read_entry(folder)
    except DamagedFile:
        return True
    return False


def _put(path: Path, text: str) -> None:
    """Write a file unless it has this text already."""
    if not path.is_file() or path.read_bytes() != text.encode():
        put_text(path, text)
