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
from priorbench.storage.run_directory import FAILED, RunDirectory
from priorbench.storage.sealed_files import DamagedFile
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


def pending_trials(
    plan: Plan, run: RunDirectory, on_damage: Callable[[DamagedFile], None] | None = None
) -> list[PendingTrial]:
    """Return the trials without a record, those that failed, and those that lack a score.

    They come in the plan's order; every file of a trial is compared with its digest, once.

    Args:
        plan: the plan.
        run: the run directory.
        on_damage: function that is called with what is wrong with a trial's files; the trial is
            then to be run again. Without it, the first damaged file is an error.

    Raises:
        DamagedFile: if a file is not as it was written, and nobody is to be told.
    """
    pending = []
    records = run.records((trial.id for trial in plan.trials), on_damage)
    for trial, (_, record) in zip(plan.trials, records, strict=True):
        intact = record is not None and _has_its_files(trial, run, on_damage)
        if record is None or not intact or record["status"] == FAILED:
            pending.append(PendingTrial(trial, score_only=False))
        elif needs_scoring(record, plan.measurements(trial)):
            pending.append(PendingTrial(trial, score_only=True))
    return pending


def _has_its_files(
    trial: Trial, run: RunDirectory, on_damage: Callable[[DamagedFile], None] | None
) -> bool:
    """Return whether the files beside a trial's record are as they were written."""
    try:
        run.check_files(trial.id)
        return True
    except DamagedFile as problem:
        if on_damage is None:
            raise
        on_damage(problem)
        return False


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
