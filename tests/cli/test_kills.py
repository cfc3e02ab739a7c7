"""Commands that are killed at random moments lose nothing, and say so in a line.

PRIORBENCH_KILLS=40 (`make kills`) tries so many commands, signals and moments; none is tried by
default: `test_run.py` stops a run by Ctrl-C and by a kill, and `storage/test_damage.py` ends `run`
and `score` at their writes.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
from fixtures.processes import PATIENCE, await_end, children, semaphores, start, workers
from fixtures.runs import SMOKE, records, results_without_times, timeless

from priorbench.storage.run_directory import RunDirectory

KILLS = int(os.environ.get("PRIORBENCH_KILLS", "0"))
TARGETS = ("group", "driver", "worker")
HOW = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL)
TRAIN = ["run", *SMOKE, "--priors", "l1", "--seeds", "2", "--jobs", "2", "--out"]
MORE = ("--attributions", "simplex-gradient", "--jobs", "2", "--no-report")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="looks for workers in /proc"),
]


def moments() -> list[tuple[str, str, signal.Signals, float]]:
    """Commands, targets, signals and the share of a command's time after which they come."""
    chance = random.Random(0)
    drawn = []
    for number in range(KILLS):
        command = ("run", "score", "report", "run")[number % 4]
        # a report has no workers
        target = TARGETS[(number // 2) % (2 if command == "report" else 3)]
        drawn.append((command, target, HOW[(number + number // 4) % 4], chance.random()))
    return drawn


def command_in(command: str, out: Path) -> list[str]:
    return {
        "run": [*TRAIN, str(out)],
        "score": ["score", str(out), *MORE],
        "report": ["report", str(out)],
    }[command]


def to_its_end(arguments: list[str]) -> float:
    """Run a command, which must succeed without a word too many, and return its seconds."""
    started = time.monotonic()
    with start(arguments) as process:
        printed = process.communicate(timeout=600)[0]
    assert process.returncode == 0, printed
    assert not any(word in printed for word in ("Traceback", "resource_tracker")), printed
    return time.monotonic() - started


def contents(out: Path) -> dict[str, object]:
    """What a run directory holds that must not depend on how often its command was killed."""
    return {"records": timeless(records(out)), "results": results_without_times(out)}


@pytest.fixture(scope="module")
def expected(tmp_path_factory) -> Callable[[str], tuple[Path, object, float]]:
    """What a command begins with, what must be there in the end, and the seconds that it takes."""
    root = tmp_path_factory.mktemp("expected")
    earlier = {"run": "nothing", "score": "run", "report": "score"}

    @cache
    def undisturbed(command: str) -> tuple[Path, object, float]:
        before, out = root / earlier[command], root / command
        if earlier[command] in earlier:
            undisturbed(earlier[command])
            shutil.copytree(before, out)
        seconds = to_its_end(command_in(command, out))
        return before, contents(out), seconds

    return undisturbed


def kill(driver: int, target: str, how: signal.Signals) -> bool:
    """Send a signal; return whether there was somebody to send it to."""
    if target == "worker":
        pids = workers(driver)
        for pid in pids[:1]:
            os.kill(pid, how)
        return bool(pids)
    (os.killpg if target == "group" else os.kill)(driver, how)
    return True


def listens(driver: int) -> bool:
    """Return whether a process handles the signals that tell it to end, as Python does not."""
    status = Path(f"/proc/{driver}/status").read_text()
    caught = int(status.split("SigCgt:")[1].split()[0], 16)
    return bool(caught & 1 << signal.SIGTERM - 1)


def begun_to_listen(process: subprocess.Popen[str]) -> None:
    """Wait until a process listens to signals."""
    patience = time.monotonic() + PATIENCE
    while process.poll() is None and not listens(process.pid):
        assert time.monotonic() < patience
        time.sleep(0.01)


@pytest.mark.parametrize(("command", "target", "how", "share"), moments())
def test_nothing_is_lost(command, target, how, share, expected, tmp_path):
    before, wanted, seconds = expected(command)
    out, left_before = tmp_path / "out", semaphores()
    if before.exists():
        shutil.copytree(before, out)
    with start(command_in(command, out)) as process:
        begun_to_listen(process)
        time.sleep(share * seconds)
        begun = children(process.pid)
        hit = process.poll() is None and kill(process.pid, target, how)
        printed = process.communicate(timeout=600)[0]
    await_end(begun)
    assert "Traceback" not in printed
    if how != signal.SIGKILL:
        assert "resource_tracker" not in printed
        own = f"sem.loky-{process.pid}-"
        assert not [name for name in semaphores() - left_before if name.startswith(own)]
    if hit and target != "worker" and process.returncode != 0:
        # a signal that comes when Python is about to end ends it at once, without a line
        assert process.returncode in (128 + how, -how)
        if process.returncode == 128 + how:
            (line,) = [x for x in printed.splitlines() if "interrupted" in x]
            goes_on = "; the same command goes on where it stopped"
            assert line == f"priorbench: interrupted{'' if command == 'report' else goes_on}"
    else:
        assert process.returncode == 0, printed
    to_its_end(command_in(command, out))
    assert contents(out) == wanted
    assert RunDirectory(out).in_flight() == []
