"""How the program ends when it is told to: by one line, whatever it was about."""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import sys
import time
from collections.abc import Iterator
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""signals by which a terminal, a scheduler and a terminal that is closed tell a program to end"""
_PATIENCE = 10.0  # seconds that the program has to end before a further signal ends it at once
_AGAIN = 0.05  # seconds after which a signal whose exception went astray is raised again


class Stopped(BaseException):
    """The program was told to end; no KeyboardInterrupt, which libraries catch."""


class _Ending:
    """How far the program is in ending.

    Attributes:
        number: number of the signal that told it to end; None if none did.
        since: when it began to end, by the monotonic clock; None if it did not.
        postponed: number of blocks that must not be interrupted, one within the other.
        waiting: whether the signal came in such a block.
    """

    def __init__(self) -> None:
        self.number: int | None = None
        self.since: float | None = None
        self.postponed = 0
        self.waiting = False


_ending = _Ending()


def is_stopping() -> bool:
    """Return whether the program was told to end."""
    return _ending.number is not None


@contextlib.contextmanager
def ends_in_one_line(farewell: str) -> Iterator[None]:
    """End the program with a line and the status 128 + N if signal N comes in the block.

    Whatever exception a library makes of the interruption, nothing else is printed. Signals that
    come while the program ends are ignored, unless that takes long.

    Args:
        farewell: the line.
    """
    listen()
    atexit.register(_ignore)
    sys.unraisablehook = _raise_again
    try:
        yield
    except BaseException:
        if _ending.number is None:
            raise
        with contextlib.suppress(OSError):  # the terminal may be gone
            print(f"priorbench: {farewell}", file=sys.stderr, flush=True)
        sys.exit(128 + _ending.number)
    finally:
        _ending.since = _ending.since or time.monotonic()


def listen() -> None:
    """Handle the signals that tell the program to end; those that are ignored stay so."""
    for number in _SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _handle)


def _ignore() -> None:
    """Ignore signals: Python forgets its handlers before it ends, with the status of the signal."""
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)


@contextlib.contextmanager
def postponed() -> Iterator[None]:
    """Let signals wait for the end of the block, which would leave a mess if it was cut short.

    Processes that begin in the block never see those with which a terminal hits all of them: this
    one ends them.
    """
    _ending.postponed += 1
    earlier = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT, signal.SIGHUP])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, earlier)
        _ending.postponed -= 1
    if _ending.waiting and not _ending.postponed:
        _ending.waiting = False
        raise Stopped


def _handle(number: int, frame: FrameType | None) -> None:
    if _ending.since is not None:
        if time.monotonic() - _ending.since > _PATIENCE:
            os._exit(128 + number)
        return
    _ending.number, _ending.since = number, time.monotonic()
    if _ending.postponed:
        _ending.waiting = True
    else:
        raise Stopped


def _send_again(main: int, number: int) -> None:
    """Send a signal once more, which cuts short what the main thread sleeps in or waits for."""
    if signal.getsignal(number) is not signal.SIG_DFL:  # which would end the program at once
        signal.pthread_kill(main, number)


def _raise_again(unraisable: sys.UnraisableHookArgs) -> None:
    """Stop the program a little later if it was told to where an exception cannot be raised."""
    if not isinstance(unraisable.exc_value, Stopped):
        sys.__unraisablehook__(unraisable)
        return
    import threading

    again = threading.Timer(_AGAIN, _send_again, [threading.main_thread().ident, _ending.number])
    again.daemon = True
    _ending.since = None
    again.start()
