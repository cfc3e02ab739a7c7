"""Backends: options, devices, which workers may take part, how jobs are dealt."""

from __future__ import annotations

import gc
import json
import sys
from concurrent.futures import Future
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from fixtures.engines import PretendedCluster, quiet
from joblib.externals.loky.process_executor import BrokenProcessPool

from priorbench import UserError
from priorbench.backends import worker_check
from priorbench.backends.base import RunPlacement, Workforce
from priorbench.backends.cluster import Refused, run_admitted
from priorbench.backends.local import LocalEngine
from priorbench.backends.open import open_engine
from priorbench.backends.run_pending import run_pending
from priorbench.cli.app import execute_command
from priorbench.execution import devices
from priorbench.execution.devices import Device
from priorbench.execution.environment import PACKAGES
from priorbench.execution.job import Job
from priorbench.execution.run_group import DIED_TWICE, TrialOutcome
from priorbench.run_directory import RunDirectory
from priorbench.study.study import Measurements
from priorbench.study.trial import Trial


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


class TestDevices:
    def choose(self, requested, gpus, jobs=None):
        return devices.choose_device(requested, gpus=gpus, cores=4, jobs=jobs, hint="none here")

    def test_auto_says_what_it_chose(self):
        assert self.choose("auto", 0).summary == "cpu, 4 workers (auto: no GPU found)"
        assert self.choose("auto", 2).summary == "cuda, 2 workers (auto: 2 GPUs found)"
        assert self.choose("cpu", 2, jobs=1).summary == "cpu, 1 worker (as asked)"

    def test_jobs_may_share_a_gpu(self):
        assert self.choose("cuda", 2, jobs=5) == devices.Device("cuda", 5, "2 GPUs")

    def test_cuda_without_a_gpu_is_an_error(self):
        with pytest.raises(UserError, match="--device cuda: none here"):
            self.choose("cuda", 0)

    def test_this_machine(self, monkeypatch):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
        assert LocalEngine(None).device("auto").slots == 3
        assert LocalEngine(None).device("cpu").kind == "cpu"
        monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
        with pytest.raises(UserError, match="torch finds no GPU here"):
            LocalEngine(None).device("cuda")


class TestClaims:
    @pytest.fixture
    def gpus(self, monkeypatch):
        """Two GPUs; which of them this process sees as which number."""
        seen = ["A", "B"]
        taken = []
        monkeypatch.setattr(torch.cuda, "device_count", lambda: len(seen))
        properties = lambda index: SimpleNamespace(uuid=seen[index])  # noqa: E731
        monkeypatch.setattr(torch.cuda, "get_device_properties", properties)
        monkeypatch.setattr(torch.cuda, "set_device", lambda index: taken.append(seen[index]))
        monkeypatch.setattr(torch.cuda, "current_device", lambda: seen.index(taken[-1]))
        monkeypatch.setattr(devices, "_CLAIMED", [])
        held = []
        yield SimpleNamespace(seen=seen, taken=taken, held=held)
        for file in [*held, *devices._CLAIMED]:
            file.close()

    def another_process(self, gpus):
        """A claim as of a process of its own: the locks of the others are held."""
        gpus.held += devices._CLAIMED
        devices._CLAIMED.clear()

    def test_processes_take_every_gpu_once_before_one_is_shared(self, gpus, tmp_path):
        for _ in range(5):
            devices.claim_device("cuda", tmp_path)
            self.another_process(gpus)
        assert gpus.taken == ["A", "B", "A", "B", "A"]

    def test_a_process_keeps_its_gpu(self, gpus, tmp_path):
        first = devices.claim_device("cuda", tmp_path)
        assert devices.claim_device("cuda", tmp_path) == first == torch.device("cuda", 0)
        assert gpus.taken == ["A"]

    def test_a_process_that_died_frees_its_gpu(self, gpus, tmp_path):
        devices.claim_device("cuda", tmp_path)
        self.another_process(gpus)
        gpus.held.pop().close()
        devices.claim_device("cuda", tmp_path)
        assert gpus.taken == ["A", "A"]

    def test_numbers_of_gpus_do_not_matter(self, gpus, tmp_path):
        devices.claim_device("cuda", tmp_path)
        self.another_process(gpus)
        gpus.seen.reverse()  # CUDA_VISIBLE_DEVICES=1,0
        assert devices.claim_device("cuda", tmp_path) == torch.device("cuda", 0)
        assert gpus.taken == ["A", "B"]

    def test_no_gpu_and_no_need(self, monkeypatch, tmp_path):
        assert devices.claim_device("cpu", tmp_path) == torch.device("cpu")
        monkeypatch.setattr(devices, "_CLAIMED", [])
        monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
        with pytest.raises(RuntimeError, match="sees no GPU"):
            devices.claim_device("cuda", tmp_path)
        assert not list(tmp_path.iterdir())


class TestWorkerCheck:
    @pytest.fixture
    def run(self, tmp_path):
        return RunDirectory(tmp_path)

    def test_a_worker_like_the_driver_may_work_while_the_session_lasts(self, run):
        with worker_check.session(run, PACKAGES, []) as path:
            assert worker_check.refusal(str(path)) == ""
        assert "sees no" in worker_check.refusal(str(path))

    def test_sessions_of_killed_drivers_are_over(self, run):
        (run.root / ".session-old").write_text("{}")
        # although nothing is left to do, as the killed driver's workers finished it
        plan = SimpleNamespace(datasets={})
        workforce = Workforce(LocalEngine(1), Device("cpu", 1, ""))
        run_pending(plan, run, [], workforce=workforce, on_ended=lambda event: None)
        assert not list(run.root.glob(".session-*"))

    def test_other_folders_versions_code_and_plug_ins_are_refused(self, run, tmp_path):
        plugin = tmp_path / "mine.py"
        plugin.write_text("x = 1")
        with worker_check.session(run, PACKAGES, [str(plugin)]) as path:
            assert worker_check.refusal(str(path)) == ""
            plugin.write_text("x = 2")
            assert f"finds plug-in {plugin} with other contents" in worker_check.refusal(str(path))
            plugin.unlink()
            assert "not readable (No such file" in worker_check.refusal(str(path))
            facts = json.loads(path.read_text())["facts"]
        reason = worker_check.difference(facts, {**facts, "torch": "1.0"})
        assert reason.startswith(f"has torch 1.0, the driver {facts['torch']}")
        changed = {**facts, "the code of priorbench": "0"}
        assert "restart workers" in worker_check.difference(facts, changed)
        assert worker_check.difference(facts, {**facts, "more": "x"}) == ""

    def test_versions_count_as_they_were_when_the_worker_began(self, monkeypatch):
        first = worker_check.facts_here(["torch"], [])
        monkeypatch.setattr("importlib.metadata.version", lambda package: "later")
        assert worker_check.facts_here(["torch"], []) == first

    def test_a_package_that_is_missing_is_a_difference(self):
        facts = worker_check.facts_here(["no-such-package"], [])
        assert facts["no-such-package"] == "not installed"


def job(number: int, root: Path) -> Job:
    trial = Trial(
        "binary", "d", "three-conv", "none", 0.0, "a", number, "evaluate", "smoke", 0, "cpu", "", ""
    )
    return Job(trial, root, (), root, Measurements(()))


class TestDealing:
    def jobs(self, tmp_path, count, taken=None):
        for number in range(count):
            if taken is not None:
                taken.append(number)
            yield (job(number, tmp_path),)

    def test_every_job_ends_once_and_few_are_under_way(self, tmp_path):
        cluster = PretendedCluster()
        outcomes = cluster.run(self.jobs(tmp_path, 500), RunDirectory(tmp_path))
        expected = [job.trial.id for (job,) in self.jobs(tmp_path, 500)]
        assert [outcome.trial for outcome in outcomes] == expected
        assert cluster.most == 4
        many = PretendedCluster(slots=100)
        assert len(list(many.run(self.jobs(tmp_path, 500), RunDirectory(tmp_path)))) == 500
        assert many.most == 200

    def test_jobs_are_at_once_what_the_user_wants(self, tmp_path):
        cluster = PretendedCluster(jobs=3)
        assert len(list(cluster.run(self.jobs(tmp_path, 9), RunDirectory(tmp_path)))) == 9
        assert cluster.most == 3

    def test_jobs_are_made_when_they_are_needed(self, tmp_path):
        taken = []
        ends = PretendedCluster().run(self.jobs(tmp_path, 10_000, taken), RunDirectory(tmp_path))
        next(ends)
        assert len(taken) == 4
        ends.close()

    def test_closing_the_iterator_cancels_the_rest(self, tmp_path):
        cluster = PretendedCluster()
        ends = cluster.run(self.jobs(tmp_path, 100), RunDirectory(tmp_path))
        next(ends)
        ends.close()
        assert len(cluster.cancelled) == 3
        assert not list(tmp_path.glob(".session-*"))

    def test_a_lost_job_is_handed_over_again_and_given_up_in_the_end(self, tmp_path):
        cluster = PretendedCluster({0: [None, None, "done"], 1: [None, None, None]})
        outcomes = cluster.run(self.jobs(tmp_path, 3), RunDirectory(tmp_path))
        by_trial = {outcome.trial: outcome for outcome in outcomes}
        first, second, third = (job(number, tmp_path).trial.id for number in range(3))
        assert by_trial[first].status == by_trial[third].status == "done"
        assert by_trial[second].reason == "its workers died again and again"
        assert RunDirectory(tmp_path).record(second)["status"] == "failed"

    def test_a_cluster_that_loses_everything_fails_no_trial(self, tmp_path):
        cluster = PretendedCluster(dict.fromkeys(range(100), None), slots=100)
        with pytest.raises(UserError, match="workers die as soon as they have a trial"):
            list(cluster.run(self.jobs(tmp_path, 100), RunDirectory(tmp_path)))
        assert not (tmp_path / "trials").exists()

    def test_a_worker_that_refuses_ends_the_run_with_a_line(self, tmp_path):
        cluster = PretendedCluster({1: Refused("the worker on h has torch 1")})
        ends = cluster.run(self.jobs(tmp_path, 3), RunDirectory(tmp_path))
        with pytest.raises(UserError, match="--scheduler x: the worker on h has torch 1"):
            list(ends)

    def test_workers_are_asked_before_anything_is_run(self, tmp_path, monkeypatch):
        cluster = PretendedCluster()
        monkeypatch.setattr(cluster, "refusals", lambda path: {"h": "sees no run", "g": ""})
        with pytest.raises(UserError, match="the worker on h sees no run"):
            list(cluster.run(self.jobs(tmp_path, 3), RunDirectory(tmp_path)))
        assert not cluster.waiting

    def test_nothing_to_do_asks_nobody(self, tmp_path):
        assert list(PretendedCluster().run(iter(()), RunDirectory(tmp_path))) == []
        assert not list(tmp_path.iterdir())


class TestLocal:
    """Without processes: an executor that runs a job when it is handed over."""

    @pytest.fixture
    def executor(self, monkeypatch):
        made = []

        class Executor:
            def __init__(self, workers, **_):
                self.workers, self.handed = workers, 0
                made.append(self)

            def submit(self, function, group):
                self.handed += 1
                future = Future()
                if any(job.trial.seed in self.deadly for job in group):
                    future.set_exception(BrokenProcessPool("gone"))
                else:
                    future.set_result([TrialOutcome(job.trial.id, "done", "") for job in group])
                return future

            def shutdown(self, *, wait, kill_workers):
                self.killed = kill_workers

        Executor.deadly = ()
        monkeypatch.setattr("priorbench.backends.local.ProcessPoolExecutor", Executor)
        return SimpleNamespace(made=made, type=Executor)

    def test_a_hundred_thousand_jobs_are_never_made_at_once(self, executor, tmp_path):
        taken = []
        engine = LocalEngine(2)
        engine.device("cpu")
        jobs = TestDealing().jobs(tmp_path, 100_000, taken)
        ends = engine.run(jobs, RunDirectory(tmp_path))
        next(ends)
        assert len(taken) <= 2 + 4
        ends.close()
        assert executor.made[0].killed

    def test_no_more_workers_than_jobs(self, executor, tmp_path):
        engine = LocalEngine(64)
        engine.device("cpu")
        ends = list(engine.run(TestDealing().jobs(tmp_path, 3), RunDirectory(tmp_path)))
        assert len(ends) == 3
        assert executor.made[0].workers == 3
        assert not executor.made[0].killed

    def test_every_job_ends_once_though_its_worker_dies(self, executor, tmp_path):
        executor.type.deadly = (4,)
        engine, run = LocalEngine(2), RunDirectory(tmp_path)
        engine.device("cpu")
        outcomes = []
        for outcome in engine.run(TestDealing().jobs(tmp_path, 20), run):
            outcomes.append(outcome)
            gc.collect()  # what the broken pool leaves behind must not take the jobs with it
        assert sorted(outcome.trial for outcome in outcomes) == sorted(
            job.trial.id for (job,) in TestDealing().jobs(tmp_path, 20)
        )
        (failed,) = (outcome for outcome in outcomes if outcome.status == "failed")
        assert failed == TrialOutcome(job(4, tmp_path).trial.id, "failed", DIED_TWICE)


class TestAdmitted:
    def test_a_job_of_a_run_that_is_over_is_refused(self, tmp_path):
        refused = run_admitted(str(tmp_path / ".session-x"), (job(0, tmp_path),))
        assert isinstance(refused, Refused)
        assert "sees no" in refused.reason

    def test_a_job_whose_workers_died_twice_is_given_up(self, tmp_path):
        run, lost = RunDirectory(tmp_path), job(0, tmp_path)
        with (
            worker_check.session(run, [], []) as path,
            run.in_progress(lost.trial.id),
            run.in_progress(lost.trial.id),
        ):
            outcomes = run_admitted(str(path), (lost,))
        assert outcomes == [TrialOutcome(lost.trial.id, "failed", DIED_TWICE)]
        assert run.record(lost.trial.id)["reason"] == DIED_TWICE
