"""Files that are written whole or not at all, and names that are safe as parts of their paths."""

from __future__ import annotations

import json
import math
import os
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def slug(name: str) -> str:
    """Return a name as part of a folder's name: letters, digits, ``_ . -``; never a path."""
    return re.sub(r"[^\w.-]+", "-", name).strip("-.")[:80] or "unnamed"


def write_text(path: Path, text: str) -> None:
    """Write a file so that a reader sees the old or the new contents, never a part.

    The file's folder is made if it is not there.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    put_text(path, text)


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write JSON as :func:`write_text` does, but make no folder; NaN and infinity become null."""
    put_text(path, json_text(value))


def json_text(value: Mapping[str, Any]) -> str:
    """Return indented JSON; NaN and infinity become null."""
    return json.dumps(_finite(value), indent=1, allow_nan=False) + "\n"


def put_text(path: Path, text: str) -> None:
    """Write a file as :func:`write_text` does, into a folder that must be there."""
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


def _finite(value: Any) -> Any:
    """Return a value whose NaN and infinities, however deep, are None."""
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
