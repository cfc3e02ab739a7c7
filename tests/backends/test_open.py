"""Opening an engine: options that do not fit, missing packages, nobody who answers; leaving it."""

from __future__ import annotations

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

    @pytest.mark.parametrize("address", ["tcp://127.0.0.1:1", "127.0.0.1", "http://127.0.0.1:1"])
    def test_no_dask_scheduler(self, address, tmp_path, monkeypatch):
        pytest.importorskip("distributed")
        monkeypatch.setattr("priorbench.backends.dask.PATIENCE", 0.5)
        where = ["--backend", "dask", "--scheduler", address, "--out", str(tmp_path / "out")]
        with pytest.raises(UserError, match=f"--scheduler {address}: no Dask scheduler answers"):
            execute_command(["run", *where])
        assert not (tmp_path / "out").exists()

    @pytest.mark.parametrize("address", ["127.0.0.1:1", "ray://127.0.0.1:1", "[::1]:1"])
    def test_no_ray_cluster(self, address, tmp_path):
        pytest.importorskip("ray")
        where = ["--backend", "ray", "--scheduler", address, "--out", str(tmp_path / "out")]
        with pytest.raises(UserError) as caught:
            execute_command(["run", *where])
        assert f"--scheduler {address}: no Ray cluster listens there" in str(caught.value)


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
