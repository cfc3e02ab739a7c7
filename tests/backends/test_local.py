"""Worker processes of this machine, pretended: an executor runs a group when it is handed over."""

from __future__ import annotations

import gc
import os
import signal
import threading
import time
from concurrent.futures import Future
from multiprocessing import active_children
from types import SimpleNamespace

import pytest
import torch
from fixtures.engines import pretended_job, single_jobs
from joblib.externals.loky import ProcessPoolExecutor
from joblib.externals.loky.process_executor import BrokenProcessPool

from priorbench import UserError
from priorbench.backends import local
from priorbench.backends.base import ENVIRONMENT
from priorbench.backends.local import (
    LocalEngine,
    _begin_worker,
    _end_what_is_left,
    _manager_may_fail,
)
from priorbench.execution import run_group as run_group_module
from priorbench.execution.run_group import DIED_TWICE, TrialOutcome
from priorbench.storage.run_directory import RunDirectory


def test_this_machine(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    assert LocalEngine(None).device("auto").slots == 3
    assert LocalEngine(None).device("cpu").kind == "cpu"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UserError, match="torch finds no GPU here"):
        LocalEngine(None).device("cuda")


@pytest.fixture
def pool(monkeypatch):
    """Let an executor run a group when it is handed over, or break; return what it did.

    Seeds in ``finishes`` leave a record, those in ``deadly`` kill their worker, and a group of the
    seeds in ``refuses`` is not taken the first time.
    """
    log = SimpleNamespace(executors=[], begun=[], deadly=set(), refuses=set(), finishes=set())

    class Executor:
        def __init__(self, workers, **start):
            self.workers, self.start = workers, start
            log.executors.append(self)

        def submit(self, function, group):
            seeds = tuple(job.trial.seed for job in group)
            if seeds in log.refuses:
                log.refuses.remove(seeds)
                raise BrokenProcessPool("gone before")
            log.begun.append(seeds)
            future = Future()
            for job in group:
                if job.trial.seed in log.finishes:
                    folder = RunDirectory(job.run).trial(job.trial.id)
                    folder.mkdir(parents=True, exist_ok=True)
                    record = {"trial": job.trial.id, "status": "done"}
                    RunDirectory(job.run).seal_trial(folder, record)
            if log.deadly & set(seeds):
                future.set_exception(BrokenProcessPool("gone"))
            else:
                future.set_result([TrialOutcome(job.trial.id, "done", "") for job in group])
            return future

        def shutdown(self, *, wait, kill_workers):
            self.killed = kill_workers

    monkeypatch.setattr("priorbench.backends.local.ProcessPoolExecutor", Executor)
    return log


def open_local(jobs):
    engine = LocalEngine(jobs)
    engine.device("cpu")
    return engine


class TestHandingOut:
    def test_a_hundred_thousand_jobs_are_never_made_at_once(self, pool, tmp_path):
        taken = []
        jobs = single_jobs(tmp_path, 100_000, taken)
        ends = open_local(2).run(jobs, RunDirectory(tmp_path))
        next(ends)
        assert len(taken) <= 2 + 4
        ends.close()
        assert pool.executors[0].killed

    def test_no_more_workers_than_jobs(self, pool, tmp_path):
        ends = list(open_local(16).run(single_jobs(tmp_path, 3), RunDirectory(tmp_path)))
        assert len(ends) == 3
        assert pool.executors[0].workers == 3
        assert not pool.executors[0].killed

    def test_workers_have_one_thread_the_same_bits_and_die_with_the_driver(self, pool, tmp_path):
        list(open_local(2).run(single_jobs(tmp_path, 2), RunDirectory(tmp_path)))
        start = pool.executors[0].start
        assert start["env"] == ENVIRONMENT
        one_thread = {name for name, value in start["env"].items() if value == "1"}
        libraries = ("OMP", "MKL", "OPENBLAS", "NUMBA")
        assert one_thread >= {f"{library}_NUM_THREADS" for library in libraries}
        assert start["env"]["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
        assert (start["initializer"], start["initargs"]) == (_begin_worker, (os.getpid(),))

    def test_every_job_ends_once_though_its_worker_dies(self, pool, tmp_path):
        pool.deadly = {4}
        outcomes = []
        for outcome in open_local(2).run(single_jobs(tmp_path, 20), RunDirectory(tmp_path)):
            outcomes.append(outcome)
            gc.collect()  # what the broken pool leaves behind must not take the jobs with it
        assert sorted(outcome.trial for outcome in outcomes) == sorted(
            job.trial.id for (job,) in single_jobs(tmp_path, 20)
        )
        (failed,) = (outcome for outcome in outcomes if outcome.status == "failed")
        lost = pretended_job(4, tmp_path).trial.id
        assert failed == TrialOutcome(lost, "failed", DIED_TWICE)


class TestPoolsThatBreak:
    def groups(self, root, count, size):
        some = [pretended_job(seed, root) for seed in range(count)]
        return [tuple(some[start : start + size]) for start in range(0, count, size)]

    def run(self, groups):
        outcomes = list(open_local(2).run(iter(groups), RunDirectory(groups[0][0].run)))
        expected = sorted(job.trial.id for group in groups for job in group)
        assert sorted(outcome.trial for outcome in outcomes) == expected
        return {outcome.trial: outcome for outcome in outcomes}

    def test_a_group_whose_worker_dies_is_tried_one_by_one(self, tmp_path, pool):
        groups = self.groups(tmp_path, 12, 3)
        pool.deadly = {4}
        outcomes = self.run(groups)
        assert (3, 4, 5) in pool.begun
        assert {(3,), (4,), (5,)} <= set(pool.begun)
        assert [outcome.status for outcome in outcomes.values()].count("failed") == 1
        assert outcomes[groups[1][1].trial.id].reason == DIED_TWICE

    def test_members_that_were_finished_are_not_begun_again(self, tmp_path, pool):
        groups = self.groups(tmp_path, 6, 3)
        pool.deadly, pool.finishes = {2}, {0, 1}
        outcomes = self.run(groups)
        assert not {(0,), (1,)} & set(pool.begun)
        assert [outcome.status for outcome in outcomes.values()].count("failed") == 1

    def test_a_group_that_was_finished_is_not_begun_again(self, tmp_path, pool):
        groups = self.groups(tmp_path, 4, 1)
        pool.deadly, pool.finishes = {1}, {0, 1, 2, 3}
        outcomes = self.run(groups)
        assert all(outcome.status == "done" for outcome in outcomes.values())
        assert len(pool.begun) == len(set(pool.begun))

    def test_a_trial_that_was_finished_before_its_worker_died_stays_so(self, tmp_path, pool):
        (group,) = self.groups(tmp_path, 1, 1)
        pool.deadly = {0}
        run = RunDirectory(tmp_path)
        with pytest.MonkeyPatch.context() as patch:
            finished = iter([False, True])
            patch.setattr(run_group_module, "_is_finished", lambda job: next(finished))
            patch.setattr(
                run_group_module, "outcome_of", lambda job: TrialOutcome(job.trial.id, "done", "")
            )
            (outcome,) = open_local(1).run(iter([group]), run)
        assert outcome.status == "done"
        assert run.record(group[0].trial.id) is None

    @pytest.mark.parametrize("refused", [(0,), (1,), (5,)])
    def test_a_pool_that_breaks_while_it_is_filled_loses_nothing(self, tmp_path, pool, refused):
        groups = self.groups(tmp_path, 10, 1)
        pool.refuses = {refused}
        outcomes = self.run(groups)
        assert all(outcome.status == "done" for outcome in outcomes.values())


@pytest.mark.parametrize(
    ("name", "reported"),
    [("ExecutorManagerThread", False), ("QueueFeederThread", False), ("other", True)],
)
def test_only_the_pools_own_threads_may_fail_while_workers_are_killed(monkeypatch, name, reported):
    failures = []
    monkeypatch.setattr(threading, "excepthook", lambda failure: failures.append(failure.exc_value))

    def fail():
        raise EOFError("a pipe went with its worker")

    def run_thread():
        thread = threading.Thread(target=fail, name=name)
        thread.start()
        thread.join()

    with _manager_may_fail():
        run_thread()
    assert len(failures) == reported
    run_thread()
    assert len(failures) == reported + 1


def test_workers_that_the_pools_manager_left_are_killed():
    executor = ProcessPoolExecutor(1)
    executor.submit(time.sleep, 600)
    (worker,) = active_children()
    with _manager_may_fail():
        _end_what_is_left()
        executor.shutdown(wait=True)
    assert not worker.is_alive()
    assert active_children() == []


def test_a_worker_that_dies_while_it_starts_loses_nothing(tmp_path, pool, monkeypatch):
    real, refused = local.ProcessPoolExecutor.submit, []

    def submit(executor, function, group):
        if not refused:
            refused.append(group)
            raise BrokenPipeError(32, "Broken pipe")
        return real(executor, function, group)

    monkeypatch.setattr(local.ProcessPoolExecutor, "submit", submit)
    outcomes = list(open_local(2).run(single_jobs(tmp_path, 4), RunDirectory(tmp_path)))
    assert [outcome.status for outcome in outcomes] == ["done"] * 4


@pytest.mark.slow
def test_a_worker_that_alone_is_told_to_end_goes_on():
    pool = ProcessPoolExecutor(1, initializer=_begin_worker, initargs=(os.getpid(),))
    try:
        for number in (signal.SIGINT, signal.SIGHUP):
            assert pool.submit(signal.raise_signal, number).result() is None
    finally:
        pool.shutdown(kill_workers=True)
