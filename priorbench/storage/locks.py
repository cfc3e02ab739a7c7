"""Locks that keep two processes out of one folder."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from priorbench.errors import UserError


@contextmanager
def locked(folder: Path, occupied: str, *, kept: bool = True) -> Iterator[None]:
    """Keep other processes that ask for the same out of a folder, until the block ends.

    Args:
        folder: the folder, which exists; the file ``.lock`` in it is what is locked.
        occupied: what is said where another process is in it, after the folder's name.
        kept: whether that file stays afterwards.

    Raises:
        UserError: another process is in it, or its file system has no locks.
    """
    # nothing is written: in a folder of somebody else it may be a link to a file of the user's
    path = folder / ".lock"
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(f"{folder}: {occupied}") from None
        except OSError as error:
            raise UserError(
                f"{folder}: this file system cannot lock files ({error.strerror}); choose a folder "
                "on one that can"
            ) from None
        if not _is_there(path, file.fileno()):  # removed by the process that had the lock
            raise UserError(f"{folder}: {occupied}")
        try:
            yield
        finally:
            if not kept:
                path.unlink(missing_ok=True)


def _is_there(path: Path, opened: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(opened))
    except FileNotFoundError:
        return False
