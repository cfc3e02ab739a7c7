"""Which jobs are made of pending trials, and what runs them."""

from __future__ import annotations

from types import SimpleNamespace

from fixtures.engines import pretended_job

from priorbench.backends.base import Workforce
from priorbench.backends.local import LocalEngine
from priorbench.backends.run_pending import PendingTrial, grouped_jobs, run_pending
from priorbench.execution.devices import Device
from priorbench.storage.run_directory import RunDirectory


def test_trials_that_are_only_scored_are_not_grouped(tmp_path):
    jobs = [pretended_job(seed, tmp_path) for seed in range(4)]
    plan = SimpleNamespace(
        datasets={"binary/d": tmp_path},
        study=SimpleNamespace(plugins=()),
        measurements=lambda trial: jobs[0].measurements,
    )
    pending = [
        PendingTrial(job.trial, score_only=number % 2 == 1) for number, job in enumerate(jobs)
    ]
    workforce = Workforce(LocalEngine(1), Device("cpu", 1, ""), 4)
    groups = list(grouped_jobs(plan, RunDirectory(tmp_path), pending, workforce))
    assert [[(job.trial.seed, job.score_only) for job in group] for group in groups] == [
        [(0, False), (2, False)],
        [(1, True)],
        [(3, True)],
    ]


def test_sessions_of_killed_drivers_are_over(tmp_path):
    run = RunDirectory(tmp_path)
    (run.root / ".session-old").write_text("{}")
    # although nothing is left to do, as the killed driver's workers finished it
    plan = SimpleNamespace(datasets={})
    workforce = Workforce(LocalEngine(1), Device("cpu", 1, ""))
    run_pending(plan, run, [], workforce=workforce, on_ended=lambda event: None)
    assert not list(run.root.glob(".session-*"))


def test_no_worker_is_left_idle():
    engine = LocalEngine(1)
    assert Workforce(engine, Device("cuda", 4, ""), 16).ensemble_size(20) == 5
    assert Workforce(engine, Device("cuda", 1, ""), 16).ensemble_size(20) == 16
    assert Workforce(engine, Device("cpu", 64, ""), 16).ensemble_size(20) == 1
