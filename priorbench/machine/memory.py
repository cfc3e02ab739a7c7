"""Memory that is at hand, so that what does not fit is refused before it is tried."""

from __future__ import annotations

import os
import re
from pathlib import Path

_MEMINFO = Path("/proc/meminfo")
_CONTAINER = Path("/sys/fs/cgroup")
"""folder of a container's limit and use"""


def memory_at_hand() -> int:
    """Return how many bytes of memory a process may take now; all there are where none can say."""
    try:
        match = re.search(r"^MemAvailable:\s+(\d+) kB", _MEMINFO.read_text(), re.MULTILINE)
        free = int(match[1]) * 1024 if match else _all_there_are()
    except OSError:
        free = _all_there_are()
    return min(free, _left_in_container(free))


def _left_in_container(free: int) -> int:
    """Return how many bytes the container of this process may still take; ``free`` if it has none.

    Files that were read stay in memory and count as used, but are given back when it is needed: a
    container that has read much would seem full.
    """
    try:
        left = int((_CONTAINER / "memory.max").read_text())
        left -= int((_CONTAINER / "memory.current").read_text())
        use = (_CONTAINER / "memory.stat").read_text()
        left += sum(map(int, re.findall(r"^(?:in)?active_file (\d+)$", use, re.MULTILINE)))
    except (OSError, ValueError):
        return free
    return max(left, 0)


def _all_there_are() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
