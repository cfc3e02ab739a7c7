"""The folder for caches: the program's own, and those of the libraries that it uses."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

VARIABLE = "PRIORBENCH_CACHE"
"""environment variable that names the folder"""

LIBRARIES = {
    "NUMBA_CACHE_DIR": "numba",
    "MPLCONFIGDIR": "matplotlib",
    "TORCHINDUCTOR_CACHE_DIR": "inductor",
}
"""environment variables that say where libraries keep theirs, and the names of folders for them

Without them numba and matplotlib write to their own installation and to the user's home, and torch
asks for the user's name: a container may lack all three.
"""

_PROBE_BYTES = 4096  # a full disk takes an empty file, but not a block


def cache_folder() -> Path:
    """Return the folder for caches, which is made if it is not there.

    It is ``$PRIORBENCH_CACHE``, else ``$XDG_CACHE_HOME/priorbench``, else ``~/.cache/priorbench``;
    where there is no home, or it cannot be written to, a folder of the user's own among the
    temporary files.

    Raises:
        OSError: the folder that the user named cannot be written to, or none can.
    """
    tried = []
    for folder in _candidates():
        problem = _problem(folder)
        if not problem:
            return folder
        tried.append(f"{folder} ({problem})")
        if os.environ.get(VARIABLE):
            break
    # no number of the system's: what helps is not what helps where results are written
    raise OSError(
        f"no caches can be written to {' or to '.join(tried) or 'any folder'}; set {VARIABLE} to "
        "a folder that can be written to"
    )


def use_caches() -> None:
    """Let libraries that are imported from now on keep caches where they can be written.

    What the user has set stays. Processes that this one starts inherit it all.
    """
    folder = cache_folder()
    os.environ[VARIABLE] = str(folder)
    for variable, name in LIBRARIES.items():
        os.environ.setdefault(variable, str(folder / name))
    if _temporary_folder() is None:
        temporary = folder / "tmp"
        temporary.mkdir(exist_ok=True)
        os.environ["TMPDIR"] = tempfile.tempdir = str(temporary)


def _candidates() -> Iterator[Path]:
    """Yield folders for caches, the best first."""
    chosen = os.environ.get(VARIABLE)
    if chosen:
        yield Path(chosen).absolute()  # a worker may be in another folder
        return
    home = os.path.expanduser("~")  # which stays as it is for a user who has none
    own = f"{home}/.cache" if os.path.isabs(home) and os.path.isdir(home) else ""
    base = os.environ.get("XDG_CACHE_HOME") or own
    if os.path.isabs(base):
        yield Path(base) / "priorbench"
    temporary = _temporary_folder()
    if temporary is not None:
        yield temporary / _own_name()


def _own_name() -> str:
    """Return the name of the user's folder among the temporary files of all users."""
    return f"priorbench-{os.getuid()}"


def _temporary_folder() -> Path | None:
    """Return the folder of temporary files; None where none can be written to."""
    try:
        return Path(tempfile.gettempdir())
    except FileNotFoundError:
        return None


def _problem(folder: Path) -> str:
    """Return why caches cannot be written to a folder, or ""."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if folder.name == _own_name():  # in a folder of everybody's; caches of numba are code
            status = folder.lstat()
            if status.st_uid != os.getuid() or stat.S_IMODE(status.st_mode) & 0o022:
                return "not of this user alone"
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(bytes(_PROBE_BYTES))
    except OSError as error:
        return error.strerror or str(error)
    return ""
