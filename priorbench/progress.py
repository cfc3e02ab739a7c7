"""How fast trials end and when the last one will."""

from __future__ import annotations

import time
from collections import Counter


class Pace:
    """Counts ended trials."""

    def __init__(self, total: int) -> None:
        """Start the clock for ``total`` trials."""
        self.total = total
        self.statuses: Counter[str] = Counter()
        self._started = time.monotonic()

    def ended(self, status: str) -> None:
        """Count one trial."""
        self.statuses[status] += 1

    def text(self) -> str:
        """Such as ``12/30 trials, 0 failed, 840 an hour, 1:17 left``."""
        count = self.statuses.total()
        bad = count - self.statuses["done"]
        line = f"{count}/{self.total} trials, {bad} failed or collapsed"
        if not count:
            return line
        per_second = count / max(time.monotonic() - self._started, 1e-9)
        left = round((self.total - count) / per_second)
        hours, minutes, seconds = left // 3600, left // 60 % 60, left % 60
        clock = f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
        return f"{line}, {3600 * per_second:.0f} an hour, {clock} left"
