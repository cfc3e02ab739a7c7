"""Runs the trials of a plan that have not been run, through an engine.

The plan comes from `study/plan.py`. Here its pending trials become jobs, which an engine
(`local.py`, or `cluster.py` with `dask.py` or `ray.py`) hands to workers; they run
`execution/run_group.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from typing import NamedTuple

from priorbench.execution.ensemble_groups import group_trials
from priorbench.execution.job import Job
from priorbench.execution.run_group import Group, TrialOutcome
from priorbench.execution.score_again import needs_scoring
from priorbench.run_directory import FAILED, RunDirectory
from priorbench.study.plan import Plan
from priorbench.study.trial import Trial

from .base import Workforce
from .worker_check import end_sessions


class PendingTrial(NamedTuple):
    """A trial that is to be run, or that was trained before and is only to be scored again."""

    trial: Trial
    score_only: bool


class TrialEnded(NamedTuple):
    """The news that a trial has ended, and what became of it."""

    trial: Trial
    outcome: TrialOutcome


def pending_trials(plan: Plan, run: RunDirectory) -> list[PendingTrial]:
    """Return the trials without a record, those that failed, and those that lack a score.

    They come in the plan's order; every record is read once.
    """
    pending = []
    records = run.records(trial.id for trial in plan.trials)
    for trial, (_, record) in zip(plan.trials, records, strict=True):
        if record is None or record["status"] == FAILED:
            pending.append(PendingTrial(trial, score_only=False))
        elif needs_scoring(record, plan.measurements(trial)):
            pending.append(PendingTrial(trial, score_only=True))
    return pending


def run_pending(
    plan: Plan,
    run: RunDirectory,
    pending: Sequence[PendingTrial],
    *,
    workforce: Workforce,
    on_ended: Callable[[TrialEnded], None],
) -> None:
    """Run pending trials and report the end of each; the caller holds the run's lock."""
    end_sessions(run)
    run.clear_in_flight()
    if pending:
        trials = {item.trial.id: item.trial for item in pending}
        groups = grouped_jobs(plan, run, pending, workforce)
        # closed at once: what is raised here keeps the generator alive, and so its workers
        with closing(workforce.engine.run(groups, run)) as outcomes:
            for outcome in outcomes:
                on_ended(TrialEnded(trials[outcome.trial], outcome))
    run.clear_in_flight()


def grouped_jobs(
    plan: Plan, run: RunDirectory, pending: Sequence[PendingTrial], workforce: Workforce
) -> Iterator[Group]:
    """Yield the jobs to be trained in groups, in the plan's order; then those to be scored."""
    root = run.root.resolve()
    folders = {name: folder.resolve() for name, folder in plan.datasets.items()}

    def job(trial: Trial, *, score_only: bool) -> Job:
        folder = folders[f"{trial.task}/{trial.dataset}"]
        return Job(trial, folder, plan.study.plugins, root, plan.measurements(trial), score_only)

    new = [item.trial for item in pending if not item.score_only]
    for group in group_trials(new, workforce.ensemble_size(len(new))):
        yield tuple(job(trial, score_only=False) for trial in group)
    yield from ((job(item.trial, score_only=True),) for item in pending if item.score_only)
