"""What the machine may lack: disk, memory, semaphores, a home, an installation to write to."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from fixtures.places import EVERYTHING
from fixtures.processes import start
from fixtures.runs import SMOKE, records, run_smoke

from priorbench import UserError
from priorbench.execution import run_trial
from priorbench.execution.run_trial import failure_record
from priorbench.workflow.run_status import read_status

pytestmark = pytest.mark.slow

PAGE = os.sysconf("SC_PAGE_SIZE")
SMALL = ("--priors", "l1", "--seeds", "1")
NO_TEXT = os.fsdecode(b"caf\xe9")
"""the name of a folder that is no UTF-8"""
GROWING = """
from dataclasses import dataclass
from typing import ClassVar
import torch
from priorbench import AttributionPrior

@dataclass(frozen=True)
class Growing(AttributionPrior):
    summary: ClassVar[str] = "takes memory until somebody stops it"
    citation: ClassVar[str] = "none"
    default_weights: ClassVar[dict] = {"*": 0.5}

    def penalty(self, attribution, batch):
        taken = [torch.ones(2**24) for _ in range(64)]
        raise RuntimeError(f"nobody stopped it at {len(taken) / 16} GiB")
"""


def finished(arguments, *, env=None, before=(), status=0) -> list[str]:
    """What a command prints, line by line; it ends with this status and without a traceback."""
    with start(arguments, env=env, before=before) as process:
        printed = process.communicate(timeout=600)[0]
    assert process.returncode == status, printed
    assert "Traceback" not in printed
    return printed.splitlines()


def full(*_, **__):
    raise OSError(28, "No space left on device")


def full_in_rust(*_):
    raise ValueError("Error while serializing: I/O error: No space left on device (os error 28)")


@pytest.mark.parametrize(
    ("module", "function", "error", "name"),
    [
        (run_trial, "save_file", full_in_rust, "model.safetensors"),
        (zipfile.ZipFile, "open", full, "arrays.npz"),
        (np, "save", full, ".npy"),
        (os, "fsync", full, "meta.json"),
    ],
)
def test_a_full_disk_stops_the_run_and_fails_no_trial(
    tmp_path, monkeypatch, module, function, error, name
):
    out = tmp_path / "out"
    with monkeypatch.context() as patch:
        patch.setattr(module, function, error)
        with pytest.raises(UserError) as caught:
            run_smoke(out, *SMALL)
    line = str(caught.value)
    assert line.startswith(str(out))
    assert line.endswith(f"{name}: No space left on device; free some, or choose another --out")
    assert records(out) == {}
    assert run_smoke(out, *SMALL) == 0
    assert {record["status"] for record in records(out).values()} == {"done"}


def room_after_the_datasets(out: Path) -> int:
    """Return the bytes of a disk that a run fills with its first trials, by a whole run."""

    def taken(path: Path) -> int:
        sizes = [file.stat().st_size for file in path.rglob("*") if file.is_file()]
        return sum(-(-size // PAGE) * PAGE for size in sizes)

    first = next(path for path in (out / "trials").iterdir() if path.name in records(out))
    before = [out / name for name in ("study.toml", "environment.json", "plan.csv", "claims.json")]
    beside = sum(-(-path.stat().st_size // PAGE) * PAGE for path in before)
    return taken(out / "data") + beside + taken(first) // 2


@pytest.fixture
def small_disk(tmp_path) -> Iterator[Path]:
    """A file system that is full after the datasets."""
    run_smoke(tmp_path / "first", *SMALL, "--seeds", "2", "--no-report")
    size = room_after_the_datasets(tmp_path / "first")
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(folder)]
    if os.geteuid() or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("cannot mount a file system")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_run_goes_on_when_a_full_disk_has_room_again(small_disk):
    out, study = small_disk / "out", (*SMALL, "--seeds", "2")
    # in processes of its own: the error of the system comes from a worker
    last = finished(["run", *SMOKE, *study, "--jobs", "1", "--out", str(out)], status=2)[-1]
    assert last.startswith(f"priorbench: error: {out}/trials/.running/")
    assert last.endswith(": No space left on device; free some, or choose another --out")
    subprocess.run(["mount", "-o", "remount,size=50m", str(small_disk)], check=True)
    assert run_smoke(out, *study) == 0
    assert {record["status"] for record in records(out).values()} == {"done"}


@pytest.mark.parametrize("number", [13, 28])
def test_semaphores_that_cannot_be_made_are_one_line(tmp_path, monkeypatch, number):
    def fails(*_, **__):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("priorbench.backends.local.ProcessPoolExecutor", fails)
    with pytest.raises(UserError, match=rf"cannot be started: {os.strerror(number)}; .*/dev/shm"):
        run_smoke(tmp_path / "out", *SMALL)


def test_a_trial_without_memory_says_what_leaves_it_more():
    reason = failure_record(MemoryError())["reason"]
    assert reason == (
        "MemoryError; fewer --jobs, or a smaller --ensemble, leave more memory to each trial"
    )


@contextlib.contextmanager
def memory_limit(mib: int) -> Iterator[Path]:
    """A control group of processes that have so much memory together; skips where there is none."""
    for limit in ("memory/NEW/memory.limit_in_bytes", "NEW/memory.max"):
        path = Path("/sys/fs/cgroup") / limit.replace("NEW", f"priorbench-test-{os.getpid()}")
        group = path.parent
        try:
            group.mkdir()
        except OSError:
            continue
        try:
            path.write_text(str(mib << 20))
            yield group / "cgroup.procs"
            return
        except OSError:
            continue
        finally:
            with contextlib.suppress(OSError):
                group.rmdir()
    pytest.skip("cannot limit the memory of a group of processes")


# test_run.py kills a worker as the system does
@pytest.mark.skipif(not EVERYTHING, reason="only with PRIORBENCH_TESTS=all")
def test_a_worker_that_the_system_kills_for_memory_fails_its_trial_only(tmp_path):
    plugin, out = tmp_path / "growing.py", tmp_path / "out"
    plugin.write_text(GROWING)
    command = ["run", *SMOKE, "--plugin", str(plugin), "--priors", "growing,l1", "--seeds", "1"]
    with memory_limit(2000) as processes:
        enter = ["sh", "-c", f'echo $$ > {processes} && exec "$@"', "sh"]
        finished([*command, "--jobs", "1", "--out", str(out)], before=enter, status=1)
    run_status = read_status(out)
    assert run_status.by_prior["growing"]["failed"] == 1
    assert run_status.by_prior["none"]["done"] == run_status.by_prior["l1"]["done"] == 1
    reason = run_status.failures[0][2]
    assert "killed twice, the second time alone, probably for lack of memory" in reason
    assert 0 < int(reason.split("up to ")[1].split()[0]) <= 2000


def another_user() -> list[str]:
    """Return the start of a command that another user carries out; empty where that cannot be."""
    setpriv = shutil.which("setpriv")
    if setpriv is None or os.geteuid():
        return []
    before = [setpriv, "--reuid", "65533", "--regid", "65533", "--clear-groups"]
    # an interpreter below a home of somebody else's starts by setpriv, but no worker
    start_worker = "import subprocess, sys; subprocess.run([sys.executable, '-c', ''], check=True)"
    code = f"import priorbench.cli.app; {start_worker}"
    test = [*before, sys.executable, "-c", code]
    return before if subprocess.run(test, capture_output=True, check=False).returncode == 0 else []


def test_a_user_without_a_home_in_an_installation_that_cannot_be_written_to():
    """A run, in a folder whose name is no text, its report, and a data file that is validated."""
    before = another_user()
    kept = ("PATH", "LANG", "LD_LIBRARY_PATH", "PYTHONPATH")
    env = {name: os.environ[name] for name in kept if name in os.environ}
    with tempfile.TemporaryDirectory() as name:  # the tests' own folder is not for other users
        folder = Path(name)
        folder.chmod(0o777)
        env |= {"HOME": "/proc/nonexistent", "TMPDIR": name}
        out, data = str(folder / NO_TEXT), folder / "x.toml"
        command = ["run", *SMOKE, *SMALL, "--report", "--jobs", "1", "--out", out]
        printed = finished(command, env=env, before=before)
        assert {f"{out}/results.csv", f"{out}/report.html"} <= set(printed)
        bases = random.Random(0)
        for sequences in ("pos.fa", "neg.fa"):
            lines = [f">{i}\n{''.join(bases.choices('ACGT', k=80))}\n" for i in range(100)]
            (folder / sequences).write_text("".join(lines))
        data.write_text('task = "binary"\npositives = "pos.fa"\nnegatives = "neg.fa"\n')
        finished(["validate", str(data)], env=env, before=before)
        user = 65533 if before else os.getuid()
        assert {path.name for path in (folder / f"priorbench-{user}").iterdir()} >= {"numba"}
        # nothing is written anywhere else
        assert {path.name for path in folder.iterdir()} == {
            NO_TEXT,
            "neg.fa",
            "pos.fa",
            "x.toml",
            f"priorbench-{user}",
        }
