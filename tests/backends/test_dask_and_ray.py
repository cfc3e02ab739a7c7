"""Clusters for real on this machine: two workers; a worker is killed, and the driver, twice."""

from __future__ import annotations

import importlib.util
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from fixtures.places import EVERYTHING
from fixtures.runs import (
    DRIVER,
    HOLDING,
    PATIENCE,
    SMOKE,
    held,
    interrupted,
    records,
    results_without_times,
    run_smoke,
)

from priorbench.storage.run_directory import RunDirectory

pytestmark = pytest.mark.slow

KILLS_ITS_WORKER_ONCE = """
    def penalty(self, attribution, batch):
        died = Path(__file__).with_name("died")
        if not died.exists():
            died.touch()
            import os, signal
            os.kill(os.getpid(), signal.SIGKILL)
"""
PLUGIN = HOLDING.replace("\n    def penalty(self, attribution, batch):\n", KILLS_ITS_WORKER_ONCE)
REFUSED_AT_FIRST = f"""
import sys
from pathlib import Path
from priorbench.backends import worker_check
from priorbench.cli.app import main

version, worker_check._version = worker_check._version, lambda package: "0.0"
try:
    main()
except SystemExit as ended:
    assert ended.code == 2
assert not list(Path(sys.argv[-1]).glob("trials/*"))
worker_check._version = version
{DRIVER}
"""


OWN_RAY_CLUSTER = """
import sys
import psutil
from priorbench.backends.base import RunPlacement
from priorbench.backends.open import running_engine

with running_engine(RunPlacement("ray", "local"), print) as engine:
    assert all(engine.refusals("nowhere").values())  # a worker was there
    here = psutil.Process()
    for process in (here, *here.children(recursive=True)):
        for connection in process.net_connections("tcp"):
            if connection.status == psutil.CONN_LISTEN:
                print(connection.laddr.ip, file=sys.__stdout__)  # Ray's news go to stderr
"""


@pytest.fixture(autouse=True)
def token(monkeypatch):
    """Clusters and drivers of these tests share a token, whatever the user's home holds."""
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_AUTH_TOKEN", secrets.token_hex(16))


@pytest.fixture(scope="module")
def plugin(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("plugin") / "mine.py"
    assert "SIGKILL" in PLUGIN
    path.write_text(PLUGIN)
    return path


def study(plugin: Path) -> list[str]:
    return ["--priors", "l1,mine", "--plugin", str(plugin), "--seeds", "2"]


@pytest.fixture(scope="module")
def expected(plugin, tmp_path_factory) -> str:
    """Results of the same study in this process, where nobody dies."""
    plugin.with_name("died").touch()
    out = tmp_path_factory.mktemp("here") / "out"
    assert run_smoke(out, *study(plugin)) == 0
    return results_without_times(out)


@contextmanager
def process(*command: str, **variables: str) -> Iterator[subprocess.Popen]:
    environment = {**os.environ, **variables}
    started = subprocess.Popen(
        [sys.executable, "-m", *command],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield started
    finally:
        started.terminate()
        try:
            started.wait(timeout=60)
        except subprocess.TimeoutExpired:
            started.kill()
            started.wait()


@contextmanager
def dask_cluster(folder: Path) -> Iterator[str]:
    address = f"tcp://127.0.0.1:{free_port()}"
    quiet = ("--no-dashboard",)
    workers = ("--nworkers", "2", "--nthreads", "1", "--local-directory", str(folder))
    with (
        process("dask", "scheduler", "--host", address, *quiet),
        process("dask", "worker", address, *workers, *quiet),
    ):
        wait_for(address)
        yield address


@contextmanager
def ray_cluster(folder: Path) -> Iterator[str]:
    address = f"127.0.0.1:{free_port()}"
    port = address.rpartition(":")[2]
    head = ("--head", "--block", "--node-ip-address", "127.0.0.1", "--port", port)
    quiet = ("--include-dashboard=false", "--disable-usage-stats", "--temp-dir", str(folder))
    size = ("--num-cpus", "2", "--object-store-memory", "100000000")
    with process("ray.scripts.scripts", "start", *head, *quiet, *size, RAY_worker_niceness="0"):
        wait_for(address)
        yield address


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(address: str) -> None:
    host, _, port = address.removeprefix("tcp://").rpartition(":")
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            socket.create_connection((host, int(port)), timeout=1).close()
        except OSError:
            assert time.monotonic() < deadline, f"nobody listens on {address}"
            time.sleep(0.2)
        else:
            return


def keep_one(out: Path) -> None:
    """Remove all trials but one that another prior than `mine` has finished."""
    kept = next(trial for trial, record in records(out).items() if record["prior"] != "mine")
    for folder in out.glob("trials/*"):
        if folder.name != kept:
            shutil.rmtree(folder)


def forget_mine(out: Path) -> None:
    for trial, record in records(out).items():
        if record["prior"] == "mine":
            shutil.rmtree(out / "trials" / trial)


BOTH = (signal.SIGINT, signal.SIGKILL)
ENDS = {"dask": BOTH, "ray": BOTH if EVERYTHING else BOTH[:1]}
"""how the driver is ended before it goes on; Ray kills its tasks in either case"""
CLUSTERS = {"dask": ("distributed", dask_cluster), "ray": ("ray", ray_cluster)}


@pytest.mark.parametrize("backend", CLUSTERS)
def test_a_study_on_a_cluster_survives_its_workers_and_its_driver(
    backend, plugin, expected, tmp_path
):
    package, cluster = CLUSTERS[backend]
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} is not installed")
    out, died = tmp_path / "out", plugin.with_name("died")
    # sockets have short paths
    with tempfile.TemporaryDirectory(prefix="pb") as folder, cluster(Path(folder)) as address:
        where = ["--backend", backend, "--scheduler", address, "--out", str(out)]
        arguments = ["run", *study(plugin), *SMOKE, *where]
        command = [sys.executable, "-c", DRIVER, *arguments]

        died.touch()
        for how, driver in zip(ENDS[backend], (REFUSED_AT_FIRST, DRIVER), strict=False):
            if out.exists():
                keep_one(out)
            with held(plugin):
                stopped = interrupted(arguments, how, after=1, driver=driver)
            messages = stopped.messages
            assert stopped.status == (130 if how == signal.SIGINT else -how), messages
            refused = "the driver 0.0; results would not be comparable" in messages
            assert refused is (driver == REFUSED_AT_FIRST)
            if how == signal.SIGINT:
                assert "Traceback" not in messages, messages
                assert "interrupted; the same command goes on where it stopped" in messages
        # Ray kills tasks of a driver that left within seconds: a trial may still end
        forget_mine(out)

        died.unlink()
        again = subprocess.run(command, check=True, capture_output=True, text=True)
        assert died.exists()
        assert "6 trials, " in again.stderr
        assert again.stdout.split() == [str(out / "results.csv")]
        assert results_without_times(out) == expected
    assert not list(out.glob(".session-*"))
    assert not RunDirectory(out).in_flight()


def test_a_ray_cluster_of_its_own_listens_on_this_machine_alone():
    pytest.importorskip("ray")
    pytest.importorskip("psutil")
    command = [sys.executable, "-c", OWN_RAY_CLUSTER]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout
    assert set(ended.stdout.split()) <= {"127.0.0.1", "::ffff:127.0.0.1", "::1"}
