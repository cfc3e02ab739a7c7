"""Opening an engine: options that do not fit, missing packages, nobody who answers; leaving it."""

from __future__ import annotations

import socket
import sys

import pytest
from fixtures.engines import quiet
from fixtures.runs import run_smoke

from priorbench import UserError
from priorbench.backends.base import RunPlacement
from priorbench.backends.local import LocalEngine
from priorbench.backends.open import open_engine
from priorbench.cli.app import execute_command
from priorbench.machine.signals import Stopped


class TestOptions:
    @pytest.mark.parametrize(
        ("placement", "message"),
        [
            (RunPlacement("loky", "tcp://h:1"), "--scheduler tcp://h:1: goes with --backend dask"),
            (RunPlacement("dask"), "--backend dask: needs the address of a scheduler"),
        ],
    )
    def test_what_does_not_fit(self, placement, message):
        if placement.backend == "dask":
            pytest.importorskip("distributed")
        with pytest.raises(UserError, match=message):
            open_engine(placement, quiet)

    @pytest.mark.parametrize(("backend", "package"), [("dask", "distributed"), ("ray", "ray")])
    def test_a_missing_package_is_one_line_with_the_command(self, backend, package, monkeypatch):
        monkeypatch.setitem(sys.modules, package, None)
        monkeypatch.delitem(sys.modules, f"priorbench.backends.{backend}", raising=False)
        with pytest.raises(UserError) as caught:
            open_engine(RunPlacement(backend, "127.0.0.1:1"), quiet)
        assert f"pip install 'priorbench[{backend}]'" in str(caught.value)
        assert package in str(caught.value)

    @pytest.mark.parametrize(
        "address", ["tcp://127.0.0.1:1", "127.0.0.1", "http://127.0.0.1:1", "tcp://127.0.0.1:99999"]
    )
    def test_no_dask_scheduler(self, address, tmp_path, monkeypatch):
        pytest.importorskip("distributed")
        monkeypatch.setattr("priorbench.backends.dask.PATIENCE", 0.5)
        where = ["--backend", "dask", "--scheduler", address, "--out", str(tmp_path / "out")]
        with pytest.raises(UserError, match=f"--scheduler {address}: no Dask scheduler answers"):
            execute_command(["run", *where])
        assert not (tmp_path / "out").exists()

    @pytest.mark.parametrize("address", ["127.0.0.1:1", "ray://127.0.0.1:1", "[::1]:1", "h:99999"])
    def test_no_ray_cluster(self, address, tmp_path, monkeypatch):
        pytest.importorskip("ray")
        monkeypatch.setattr("priorbench.backends.ray.PATIENCE", 0.2)
        where = ["--backend", "ray", "--scheduler", address, "--out", str(tmp_path / "out")]
        with pytest.raises(UserError) as caught:
            execute_command(["run", *where])
        assert f"--scheduler {address}: no Ray cluster listens there" in str(caught.value)


class TestAClusterThatWasStartedAMomentAgo:
    """The engine of Ray waits for a port that opens late, and for the cluster behind it."""

    @pytest.fixture
    def engine(self, monkeypatch):
        pytest.importorskip("ray")
        from priorbench.backends import ray

        monkeypatch.setattr(ray, "_PAUSE", 0.01)
        return ray

    def test_its_port_opens_late(self, engine, monkeypatch):
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            pauses = []

            def pause(seconds):
                pauses.append(seconds)
                if len(pauses) == 3:
                    listener.listen()

            monkeypatch.setattr(engine.time, "sleep", pause)
            monkeypatch.setattr(engine.ray, "init", lambda *_, **__: None)
            address = f"127.0.0.1:{listener.getsockname()[1]}"
            open_engine(RunPlacement("ray", address), quiet).close()
        assert pauses == [0.01] * 3

    def test_its_port_answers_before_it_is_ready(self, engine, monkeypatch):
        tries = []

        def init(address, **_):
            tries.append(address)
            if len(tries) < 3:
                raise ConnectionError("not yet")

        monkeypatch.setattr(engine.ray, "init", init)
        open_engine(RunPlacement("ray", "auto"), quiet).close()
        assert tries == ["auto"] * 3

    def test_it_never_is(self, engine, monkeypatch):
        def init(address, **_):
            raise ConnectionError("no\nwhatever")

        monkeypatch.setattr(engine.ray, "init", init)
        monkeypatch.setattr(engine, "PATIENCE", 0.1)
        with pytest.raises(UserError, match=r"--scheduler auto: .* there \(no\); .*RAY_AUTH_MODE"):
            open_engine(RunPlacement("ray", "auto"), quiet)


class CannotBeLeft(LocalEngine):
    def close(self):
        raise TimeoutError  # as that of Dask does, after a while


class Interrupted(CannotBeLeft):
    def run(self, groups, run):
        raise Stopped


class TestLeaving:
    STUDY = ("--priors", "dropout", "--seeds", "1")

    @pytest.fixture
    def ended(self, tmp_path, monkeypatch, capsys):
        """Run a study on an engine, and return the exit status and the messages."""

        def of(engine):
            monkeypatch.setattr(
                "priorbench.backends.open.open_engine", lambda placement, say: engine(1)
            )
            return run_smoke(tmp_path / "out", *self.STUDY), capsys.readouterr().err

        return of

    def test_an_interrupted_run_says_nothing_of_an_engine_that_cannot_be_left(
        self, ended, monkeypatch, capsys
    ):
        monkeypatch.setattr("priorbench.backends.base.is_stopping", lambda: True)
        with pytest.raises(Stopped):
            ended(Interrupted)
        assert "leaving" not in capsys.readouterr().err

    def test_a_finished_run_has_succeeded_although_its_engine_cannot_be_left(self, ended):
        status, messages = ended(CannotBeLeft)
        assert status == 0
        assert "leaving --backend loky failed (TimeoutError)" in messages
        assert "2 done" in messages
