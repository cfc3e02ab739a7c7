"""How fast trials end and when the last one will."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from priorbench.backends.run_pending import TrialEnded
    from priorbench.study.trial import Trial


class TrialPace:
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


def _say(line: str) -> None:
    print(f"priorbench: {line}", file=sys.stderr, flush=True)


@contextmanager
def _progress(total: int) -> Iterator[Any]:
    """Progress with trials done, failed, trials an hour and time left; lines where no terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    pace = TrialPace(total)
    console = Console(stderr=True)
    if not console.is_terminal:

        def tell(event: TrialEnded) -> None:
            pace.ended(event.status)
            reason = f" ({event.reason})" if event.reason else ""
            _say(f"{pace.text()} | {_named(event.trial)}: {event.status}{reason}")

        yield tell
        return
    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"))
    with Progress(*columns, TimeElapsedColumn(), console=console, transient=False) as bar:
        line = bar.add_task(pace.text(), total=total)

        def advance(event: TrialEnded) -> None:
            pace.ended(event.status)
            bar.update(line, advance=1, description=pace.text())
            if event.reason:
                bar.console.print(
                    f"{_named(event.trial)}: {event.status}: {event.reason}", markup=False
                )

        yield advance


def _named(trial: Trial) -> str:
    """A trial in a few words; with its weight where that is what differs."""
    weight = f"={trial.weight:g}" if trial.stage == "tune" else ""
    return f"{trial.dataset} {trial.prior}{weight} seed {trial.seed}"


@contextmanager
def _download_progress(name: str, begun: int, total: int | None) -> Iterator[Any]:
    """A bar for one download; lines where there is no terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    console = Console(stderr=True)
    if not console.is_terminal:
        size = f"{total / 1e6:,.1f} MB" if total is not None else "size unknown"
        _say(
            f"{name}: downloading, {size}" + (f", {begun / 1e6:,.1f} MB of it there" * bool(begun))
        )
        yield lambda count: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    with Progress(*columns, TransferSpeedColumn(), console=console) as bar:
        line = bar.add_task(name, total=total, completed=begun)
        yield lambda count: bar.advance(line, count)
