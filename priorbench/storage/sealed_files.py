"""Files that say whether they are as they were written.

A JSON file carries the version of its format and, in its last line, the SHA-256 of all before it.
The other files of a run directory are listed with theirs in its ``manifest.json``, and those of a
trial or a dataset in the JSON file beside them. Whatever is read back is read through this module.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import re
import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from priorbench.errors import UserError

from .files import json_text, put_text

FORMAT = 2
"""version of the format of run directories and of the files in them"""
MANIFEST = "manifest.json"

IS_FOLDER = "is a folder"
"""problem of a file that cannot be written before the user has moved what is there"""
_OF_FOLDERS = ("record.json", "arrays.npz", "model.safetensors", "meta.json")
"""files of folders that are written anew as a whole"""
_MARKS = (MANIFEST, "study.toml")
"""files of which a run directory has one at least"""
_OWN = ("format", "sha256")
"""keys that a seal adds"""
_SEAL = re.compile(rb',\n "sha256": "([0-9a-f]{64})"\n\}\n\Z')
_CHUNK = 1 << 20


class DamagedFile(UserError):
    """An error about a file that is not as the program wrote it.

    Attributes:
        path: the file.
        problem: what is wrong with it, such as ``is missing``.
        remedy: what to do, "" to run the study again.
    """

    def __init__(self, path: Path, problem: str, remedy: str = "") -> None:
        """Name the file, its problem, and what to do; by default, to run the study again."""
        self.path, self.problem, self.remedy = path, problem, remedy
        super().__init__(f"{path}: {problem}; {remedy or _remedy(path, problem)}")

    def __reduce__(self) -> tuple[Any, ...]:
        """Let a worker's error reach the driver."""
        return type(self), (self.path, self.problem, self.remedy)


def _remedy(path: Path, problem: str) -> str:
    written_again = path.suffix == ".npy" or path.name in _OF_FOLDERS
    if problem == IS_FOLDER and not written_again:
        return "move it away"
    marks = (folder for folder in path.parents if any((folder / name).is_file() for name in _MARKS))
    in_folder = written_again and len(path.parents) > 2
    above = path.parents[2] if in_folder else path.parent
    return f"{command_on(next(marks, above))} repairs it"


def command_on(root: Path, command: str = "run") -> str:
    """Return a command on a run directory for a message, such as ```priorbench run DIR```."""
    return f"`priorbench {command} {shlex.quote(str(root))}`"


def sealed_text(value: Mapping[str, Any]) -> str:
    """Return JSON with the version of the format and a seal; NaN and infinity become null."""
    contents = {"format": FORMAT, **{k: v for k, v in value.items() if k not in _OWN}}
    body = json_text(contents).removesuffix("\n}\n")
    digest = hashlib.sha256(body.encode()).hexdigest()
    return f'{body},\n "sha256": "{digest}"\n}}\n'


def write_sealed(path: Path, value: Mapping[str, Any]) -> None:
    """Write sealed JSON, whole or not at all, into a folder that is there."""
    put_text(path, sealed_text(value))


def read_sealed(path: Path) -> dict[str, Any]:
    """Return the contents of sealed JSON, with the keys ``format`` and ``sha256``.

    Raises:
        DamagedFile: if it is missing, damaged, edited, or of another version.
    """
    data = read_bytes(path)
    try:
        value = json.loads(data)
    except ValueError:
        raise DamagedFile(path, "is damaged") from None
    if not isinstance(value, dict):
        raise DamagedFile(path, "is damaged")
    seal = _SEAL.search(data)
    if seal is None and value.get("format") != FORMAT:
        raise DamagedFile(path, of_other_version(value.get("format")))
    if seal is None or hashlib.sha256(data[: seal.start()]).hexdigest() != seal[1].decode():
        raise DamagedFile(path, "was edited by hand or damaged")
    if value["format"] != FORMAT:
        raise DamagedFile(path, of_other_version(value["format"]))
    return value


def of_other_version(version: object) -> str:
    """Return the problem of a file with another version of the format; None if it names none."""
    if version is None:
        return "was written by an earlier version of priorbench, whose files cannot be checked"
    when = "a later" if isinstance(version, int) and version > FORMAT else "another"
    return f"was written by {when} version of priorbench (format {version}, not {FORMAT})"


def read_bytes(path: Path) -> bytes:
    """Return the contents of a file.

    Raises:
        DamagedFile: if it is missing, or no file.
    """
    try:
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        raise DamagedFile(path, "is missing") from None
    except IsADirectoryError:
        raise DamagedFile(path, IS_FOLDER) from None


def digest_of(path: Path) -> str:
    """Return the SHA-256 of a file of any size, in hexadecimal digits.

    Raises:
        DamagedFile: if it is missing, or no file.
    """
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
    except (FileNotFoundError, NotADirectoryError):
        raise DamagedFile(path, "is missing") from None
    except IsADirectoryError:
        raise DamagedFile(path, IS_FOLDER) from None
    return digest.hexdigest()


def digests_of(folder: Path, names: Iterable[str]) -> dict[str, list[str]]:
    """Return the digests of files of a folder, as :func:`read_listed` takes them."""
    return {name: [digest_of(folder / name)] for name in sorted(names)}


def read_listed(path: Path, listed: Mapping[str, Iterable[str]]) -> bytes:
    """Return the contents of a file whose digest is listed, by its name.

    A file that is being replaced has two digests, either of which is right.

    Raises:
        DamagedFile: if it is missing, or has another digest.
    """
    data = read_bytes(path)
    if hashlib.sha256(data).hexdigest() not in listed.get(path.name, ()):
        raise DamagedFile(path, "was edited by hand or damaged")
    return data


def check_listed(path: Path, listed: Mapping[str, Iterable[str]]) -> None:
    """Raise DamagedFile as :func:`read_listed` does, for a file that may not fit into memory."""
    if digest_of(path) not in listed.get(path.name, ()):
        raise DamagedFile(path, "was edited by hand or damaged")


class Manifest:
    """The list of the files at the root of a run directory, with their digests.

    Each file has the digests that it may have, and beside each the digest of what it was made of.
    While a file is being replaced it may have the old one or the new one; while it is written for
    the first time it may be absent, which stands there as the digest "".

    Only the process that holds the lock of the run directory writes it; any may read it.
    """

    def __init__(self, root: Path) -> None:
        """Name a run directory; nothing is read yet."""
        self.root, self.path = root, root / MANIFEST

    def exists(self) -> bool:
        """Return whether the run directory has one, damaged or not."""
        return self.path.exists()

    def is_intact(self) -> bool:
        """Return whether there is one, as it was written."""
        try:
            self._entries()
            return True
        except DamagedFile:
            return False

    def read(self, name: str) -> bytes:
        """Return the contents of a file.

        Raises:
            DamagedFile: if the file, or the manifest, is not as it was written.
        """
        for last in (False, True):
            entry = self._entries().get(name)
            if entry is None:
                raise DamagedFile(self.root / name, "is missing")
            try:
                return read_listed(self.root / name, {name: entry})
            except DamagedFile:
                if last:  # a run that goes on may have replaced it since the list was read
                    raise
        raise AssertionError

    def __contains__(self, name: object) -> bool:
        """Return whether a file was written, be it there or not."""
        entry = self._entries().get(str(name))
        return entry is not None and ("" not in entry or (self.root / str(name)).exists())

    def made_of(self, name: str) -> str:
        """Return the digest of what a file, as it is now, was made of, "" if nobody knows.

        Raises:
            DamagedFile: if the file, or the manifest, is not as it was written.
        """
        digest = hashlib.sha256(self.read(name)).hexdigest()
        return str(self._entries().get(name, {}).get(digest, ""))

    def problems(self) -> list[DamagedFile]:
        """Return what is wrong with the files that are listed, or with the list."""
        problems = []
        try:
            names = [name for name in self._entries() if name in self]
        except DamagedFile as problem:
            return [problem]
        for name in names:
            try:
                self.read(name)
            except DamagedFile as problem:
                problems.append(problem)
        return problems

    def write(self, texts: Mapping[str, str | None], made_of: str = "") -> None:
        """Write files, each whole or not at all; a file whose text is None is removed.

        Whenever the process dies, every file has a digest that is listed.

        Args:
            texts: contents by name.
            made_of: digest of what all of them are made of, if that is to be checked.
        """
        entries = self._entries() if self.is_intact() else {}
        new = {
            name: {hashlib.sha256(text.encode()).hexdigest(): made_of}
            for name, text in texts.items()
            if text is not None
        }
        either = {name: {**entries.get(name, {"": ""}), **entry} for name, entry in new.items()}
        self.root.mkdir(parents=True, exist_ok=True)
        self._put({**entries, **either})
        for name, text in texts.items():
            if text is not None:
                put_text(self.root / name, text)
        removed = {name for name, text in texts.items() if text is None}
        self._put({k: v for k, v in {**entries, **new}.items() if k not in removed})
        for name in removed:
            (self.root / name).unlink(missing_ok=True)

    def forget(self, name: str) -> None:
        """Take a file off the list, and leave it where it is."""
        self._put({key: entry for key, entry in self._entries().items() if key != name})

    def clear_leftovers(self) -> None:
        """Remove files that processes were writing when they died; call only with the lock."""
        for name in [MANIFEST, *(self._entries() if self.is_intact() else ())]:
            for path in self.root.glob(f".{name}-*"):
                path.unlink(missing_ok=True)

    def _entries(self) -> dict[str, dict[str, str]]:
        entries: dict[str, dict[str, str]] = read_sealed(self.path)["files"]
        return entries

    def _put(self, entries: Mapping[str, Any]) -> None:
        version = importlib.metadata.version("priorbench")
        write_sealed(self.path, {"version": version, "files": dict(sorted(entries.items()))})


def sync_folder(folder: Path) -> None:
    """Wait until all files of a folder, and their names, are on the disk."""
    for path in [*folder.iterdir(), folder]:
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
