"""Files that are written whole or not at all, full disks, and names that are safe in paths."""

from __future__ import annotations

import errno
import json
import math
import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_ADVICE = {
    errno.ENOSPC: "free some",
    errno.EDQUOT: "free some",
    errno.EFBIG: "raise the limit on the size of files (`ulimit -f`)",
}
"""what helps where a disk takes no more, by the number of the system's error"""
_LONGEST = 80
"""bytes of a name, which is put together with others to that of a file"""
_NO_PLACE = {
    errno.ENOENT: "nothing can be made here",
    errno.ENOTDIR: "a file stands in the place of a folder",
    errno.EEXIST: "is a file; name a folder",
    errno.ENAMETOOLONG: "the name is too long",
}
"""what is wrong with a place to write to, where the system's own words name no place"""
_CLOSED = (errno.EACCES, errno.EPERM, errno.EROFS)
"""numbers of errors of a place that nothing may be written to"""


def slug(name: str) -> str:
    """Return a name as part of a folder's name: letters, digits, ``_ . -``; never a path."""
    plain = re.sub(r"[^\w.-]+", "-", name).strip("-.")
    # file systems count bytes, of which a letter has up to four
    return plain.encode()[:_LONGEST].decode(errors="ignore").rstrip("-.") or "unnamed"


def write_text(path: Path, text: str) -> None:
    """Write a file so that a reader sees the old or the new contents, never a part.

    The file's folder is made if it is not there.
    """
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        put_text(path, text)


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write JSON as :func:`write_text` does, but make no folder; NaN and infinity become null."""
    put_text(path, json_text(value))


def json_text(value: Mapping[str, Any]) -> str:
    """Return indented JSON; NaN and infinity become null."""
    return json.dumps(_finite(value), indent=1, allow_nan=False) + "\n"


def put_text(path: Path, text: str) -> None:
    """Write a file as :func:`write_text` does, into a folder that must be there.

    What is no character, such as a byte in the name of a folder, is written as ``\\udcff``.
    """
    with writing(path):
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=_temporary_prefix(path))
        try:
            with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            os.chmod(name, 0o644)
            os.replace(name, path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise


def _temporary_prefix(path: Path) -> str:
    """Return how the name of a file begins that is written in the place of another."""
    return f".{path.name}-"


def _finite(value: Any) -> Any:
    """Return a value whose NaN and infinities, however deep, are None."""
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


class DiskError(OSError):
    """A file could not be written, which is the machine's fault, whatever was to be written."""


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Let an error with which the block fails to write a file be a DiskError that names it."""
    try:
        yield
    except Exception as error:
        number = _number(error)
        # a folder that is not there may have been cleared away by another process
        if number in (0, errno.ENOENT, errno.EINTR) or isinstance(error, DiskError):
            raise
        named = error.filename if isinstance(error, OSError) and number not in _ADVICE else None
        if named and Path(os.fsdecode(named)).name.startswith(_temporary_prefix(path)):
            named = None  # nobody knows that file
        raise DiskError(number, os.strerror(number), str(named or path)) from error


def is_disk_error(error: BaseException) -> bool:
    """Return whether an error says that a file could not be written, whoever wrote it."""
    return isinstance(error, DiskError) or _number(error) in _ADVICE


def explain(error: OSError, elsewhere: str = "") -> str:
    """Return an error of the system as one line, with what helps.

    Args:
        error: the error.
        elsewhere: the option by which the user may choose another place for files, or "".
    """
    error = _first(error)
    number = _number(error)
    what = error.strerror or (os.strerror(number) if number else str(error))
    line = f"{error.filename}: {what}" if error.filename else what or type(error).__name__
    if number in _NO_PLACE and error.filename and elsewhere:
        return f"{error.filename}: {_NO_PLACE[number]}; choose another {elsewhere}"
    if number in _CLOSED and error.filename and elsewhere:
        return f"{line}; choose another {elsewhere}"
    if number not in _ADVICE:
        return line
    if not error.filename:
        return f"{line}; {_ADVICE[number]}, or set PRIORBENCH_CACHE and TMPDIR to other disks"
    return f"{line}; {_ADVICE[number]}" + (f", or choose another {elsewhere}" if elsewhere else "")


def _first(error: OSError) -> OSError:
    """Return the error in whose handling a file was not there: that of the folder above it."""
    cause: BaseException | None = error
    while isinstance(cause, FileNotFoundError):
        cause = cause.__context__
    return cause if isinstance(cause, OSError) else error


def _number(error: BaseException) -> int:
    """Return the number of the system's error that an error stands for; 0 if it is none."""
    if isinstance(error, OSError) and error.errno:
        return error.errno
    text = str(error)
    if isinstance(error, OSError) and re.fullmatch(r"\d+ requested and \d+ written", text):
        return errno.ENOSPC  # numpy forgets the number
    by_safetensors = re.search(r"\(os error (\d+)\)", text)
    return int(by_safetensors[1]) if by_safetensors else 0
