"""Ends by a signal, in processes of their own: one line, whatever the program was about."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
PRELUDE = """
import os, signal, sys, time
from priorbench.machine import signals
def tell(number):
    os.kill(os.getpid(), number)
"""
# tests that a shell starts in the background, or nohup, have their children ignore signals
LISTENING = (
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "signal.signal(signal.SIGHUP, signal.SIG_DFL)\n"
)
LINE = "priorbench: farewell\n"
PIPES = {"capture_output": True, "text": True}


def ended(body: str, number: int) -> subprocess.CompletedProcess[str]:
    """How a program ends whose block is the body; N in it is the number of a signal."""
    lines = "".join(f"    {line}\n" for line in body.strip().splitlines())
    program = f"{LISTENING}{PRELUDE}\nN = {int(number)}\n"
    program += f"with signals.ends_in_one_line('farewell'):\n{lines}"
    command = [sys.executable, "-c", program]
    return subprocess.run(command, check=False, timeout=60, **PIPES)


@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize(
    "body",
    [
        "tell(N)",
        "tell(N)\nprint('not reached')",
        # what libraries make of an exception
        "try:\n    tell(N)\nexcept BaseException:\n    raise ImportError('made of it')",
        "try:\n    tell(N)\nexcept BaseException:\n    sys.exit(3)",
        # impatience
        "try:\n    tell(N)\nfinally:\n    tell(N)\n    tell(signal.SIGTERM)",
        # where no exception can be raised; the sleep, which would take too long, is cut short
        "class Bad:\n    def __del__(self):\n        tell(N)\nBad()\ntime.sleep(100)",
    ],
)
def test_one_line_and_the_status_of_the_signal(body, number):
    done = ended(body, number)
    assert (done.returncode, done.stdout, done.stderr) == (128 + number, "", LINE)


def test_a_block_that_must_not_be_cut_short_comes_to_its_end():
    body = """
with signals.postponed():
    with signals.postponed():
        tell(N)
        time.sleep(0.05)
    print('whole', flush=True)
print('not reached')
"""
    for number in SIGNALS:
        done = ended(body, number)
        assert (done.returncode, done.stdout, done.stderr) == (128 + number, "whole\n", LINE)


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_in_the_last_moments_does_not_change_the_status(number):
    # a module's values are deleted after Python has forgotten its handlers
    body = """
class Late:
    def __init__(self):
        self.kill, self.number = os.kill, (os.getpid(), N)
    def __del__(self):
        self.kill(*self.number)
sys.late = Late()
tell(N)
"""
    done = ended(body, number)
    assert (done.returncode, done.stderr) == (128 + number, LINE)


def test_without_a_signal_nothing_changes():
    done = ended("sys.exit(3)", 0)
    assert (done.returncode, done.stderr) == (3, "")
    assert "ValueError: mine" in ended("raise ValueError('mine')", 0).stderr


def test_signals_that_are_ignored_stay_so():
    body = "tell(N)\nprint('reached')"
    program = f"signal.signal({int(signal.SIGHUP)}, signal.SIG_IGN)"
    command = f"{LISTENING}{program}; exec({PRELUDE!r}); N = {int(signal.SIGHUP)}\n"
    command += "with signals.ends_in_one_line('farewell'):\n    tell(N)\n    print('reached')"
    done = subprocess.run([sys.executable, "-c", command], check=False, **PIPES)
    assert (done.returncode, done.stdout, done.stderr) == (0, "reached\n", ""), body


def test_processes_that_begin_in_a_postponed_block_never_see_ctrl_c():
    body = """
import subprocess
with signals.postponed():
    child = subprocess.Popen(['sleep', '30'])
for number in (signal.SIGINT, signal.SIGHUP):
    os.kill(child.pid, number)
time.sleep(0.2)
print(child.poll())
child.kill()
child.wait()
"""
    assert ended(body, 0).stdout == "None\n"


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["run", "--scale", "smoke"], "interrupted; the same command goes on where it stopped"),
        (
            ["--debug", "run", "--scale", "smoke"],
            "interrupted; the same command goes on where it stopped",
        ),
        (["list", "priors"], "interrupted"),
    ],
)
@pytest.mark.parametrize("number", SIGNALS)
def test_while_modules_are_imported(tmp_path, arguments, line, number):
    # a module of the same name that comes first is told to end while it is imported
    (tmp_path / "typer.py").write_text(f"import os\nos.kill(os.getpid(), {int(number)})\n")
    where = {**os.environ, "PYTHONPATH": str(tmp_path)}
    program = f"{LISTENING}import sys; sys.argv[1:] = {arguments}; "
    program += "from priorbench.__main__ import main; main()"
    started = time.monotonic()
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, env=where, cwd=tmp_path, check=False, **PIPES)
    assert (done.returncode, done.stdout) == (128 + number, "")
    assert done.stderr == f"priorbench: {line}\n"
    assert time.monotonic() - started < 30
