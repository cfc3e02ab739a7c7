"""Memory that is at hand, so that what does not fit is refused before it is tried."""

from __future__ import annotations

import os
import re
from pathlib import Path

_MEMINFO = Path("/proc/meminfo")
_LIMIT, _USED = Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")
"""files of a container's limit and use"""


def memory_at_hand() -> int:
    """Return how many bytes of memory a process may take now; all there are where none can say."""
    try:
        match = re.search(r"^MemAvailable:\s+(\d+) kB", _MEMINFO.read_text(), re.MULTILINE)
        free = int(match[1]) * 1024 if match else _all_there_are()
    except OSError:
        free = _all_there_are()
    try:  # a container's files; their cache is given back when it is needed, and may count twice
        return min(free, int(_LIMIT.read_text()) - int(_USED.read_text()))
    except (OSError, ValueError):
        return free


def _all_there_are() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
