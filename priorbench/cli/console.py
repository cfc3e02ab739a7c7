"""Messages and progress of commands, on standard error."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from .output.tables import print_wrapped

if TYPE_CHECKING:
    from priorbench.answer.run_answer import RunAnswer
    from priorbench.backends.run_pending import TrialEnded
    from priorbench.study.trial import Trial


def print_message(line: str) -> None:
    """Print a line to standard error, where it does not mix with results."""
    print(f"priorbench: {line}", file=sys.stderr, flush=True)


def wants_tracebacks() -> bool:
    """Return whether the command line asks for tracebacks of errors."""
    return "--debug" in sys.argv


def print_answer(answer: RunAnswer) -> None:
    """Print the sentences of an answer to standard error, wrapped."""
    print(file=sys.stderr)
    for line in answer.lines:
        print_wrapped(line.replace("`", ""), file=sys.stderr)
    print(file=sys.stderr, flush=True)


class TrialPace:
    """Counts ended trials, and tells how fast they end and when the last one will.

    Attributes:
        total: number of trials to be run.
        statuses: number of ended trials by status.
    """

    def __init__(self, total: int) -> None:
        """Start the clock for ``total`` trials."""
        self.total = total
        self.statuses: Counter[str] = Counter()
        self._started = time.monotonic()

    def count(self, status: str) -> None:
        """Count a trial that has ended."""
        self.statuses[status] += 1

    def line(self) -> str:
        """Return such as ``12/30 trials, 0 failed or collapsed, 840 an hour, 1:17 left``."""
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


@contextmanager
def trial_progress(trials: Sequence[Trial]) -> Iterator[Callable[[TrialEnded], None]]:
    """Show the progress of trials: a bar on a terminal, else a line for each trial.

    Args:
        trials: the trials to be run.

    Yields:
        the function to call with every trial that has ended.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from .output.trial_words import trial_words

    pace, in_words = TrialPace(len(trials)), trial_words(trials)
    console = Console(stderr=True)
    if not console.is_terminal:

        def print_trial(event: TrialEnded) -> None:
            outcome = event.outcome
            pace.count(outcome.status)
            reason = f" ({outcome.reason})" if outcome.reason else ""
            print_message(f"{pace.line()} | {in_words(event.trial)}: {outcome.status}{reason}")

        yield print_trial
        return
    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"))
    with Progress(*columns, TimeElapsedColumn(), console=console, transient=False) as bar:
        row = bar.add_task(pace.line(), total=len(trials))

        def advance(event: TrialEnded) -> None:
            outcome = event.outcome
            pace.count(outcome.status)
            bar.update(row, advance=1, description=pace.line())
            if outcome.reason:
                bar.console.print(
                    f"{in_words(event.trial)}: {outcome.status}: {outcome.reason}", markup=False
                )

        yield advance


@contextmanager
def download_progress(name: str, begun: int, total: int | None) -> Iterator[Callable[[int], None]]:
    """Show the progress of a download: a bar on a terminal, else one line.

    Args:
        name: name of the file.
        begun: bytes that are there already.
        total: bytes of the whole file; None if unknown.

    Yields:
        the function to call with the number of further bytes.
    """
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    console = Console(stderr=True)
    if not console.is_terminal:
        size = f"{total / 1e6:,.1f} MB" if total is not None else "size unknown"
        there = f", {begun / 1e6:,.1f} MB of it there" if begun else ""
        print_message(f"{name}: downloading, {size}{there}")
        yield lambda count: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    with Progress(*columns, TransferSpeedColumn(), console=console) as bar:
        row = bar.add_task(name, total=total, completed=begun)
        yield lambda count: bar.advance(row, count)
