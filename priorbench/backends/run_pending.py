"""Runs the trials of a plan that have not been run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from priorbench.execution.ensemble_groups import grouped
from priorbench.execution.run_group import Group
from priorbench.execution.run_trial import Job, is_outdated
from priorbench.run_directory import FAILED, RunDirectory
from priorbench.study.plan import Plan
from priorbench.study.trial import Trial

from .base import Workforce
from .worker_check import end_sessions


@dataclass(frozen=True)
class PendingTrial:
    """A trial that is to be run.

    Attributes:
        trial: which one.
        again: whether it was trained before, and is only to be scored.
    """

    trial: Trial
    again: bool


@dataclass(frozen=True)
class TrialEnded:
    """A trial has ended.

    Attributes:
        trial: which one.
        status: ``done``, ``collapsed`` or ``failed``.
        reason: why it collapsed or failed, or "".
        note: what else the user should know of how it ran, or "".
    """

    trial: Trial
    status: str
    reason: str
    note: str = ""


def pending(plan: Plan, run: RunDirectory) -> list[PendingTrial]:
    """Trials without a record, those that failed before, and those that lack a score.

    In the plan's order. Reads every record once.
    """
    found = []
    records = run.records(trial.id for trial in plan.trials)
    for trial, (_, record) in zip(plan.trials, records, strict=True):
        if record is None or record["status"] == FAILED:
            found.append(PendingTrial(trial, again=False))
        elif is_outdated(record, plan.measurements(trial)):
            found.append(PendingTrial(trial, again=True))
    return found


def run_pending(
    plan: Plan,
    run: RunDirectory,
    todo: Sequence[PendingTrial],
    *,
    crew: Workforce,
    ended: Callable[[TrialEnded], None],
) -> None:
    """Run what is pending.

    Args:
        plan: all trials.
        run: where they are written; the caller holds its lock.
        todo: of :func:`pending`.
        crew: what runs them.
        ended: called after every trial.
    """
    end_sessions(run)
    run.clear_in_flight()
    trials = {one.trial.id: one.trial for one in todo}
    if trials:
        for one in crew.engine.run(grouped_jobs(plan, run, todo, crew), run):
            ended(TrialEnded(trials[one.trial], one.status, one.reason, one.note))
    run.clear_in_flight()


def grouped_jobs(
    plan: Plan, run: RunDirectory, todo: Sequence[PendingTrial], crew: Workforce
) -> Iterator[Group]:
    """Trials that are to be trained, some at once, in the plan's order; then those to score."""
    root = run.root.resolve()
    folders = {name: folder.resolve() for name, folder in plan.datasets.items()}

    def job(trial: Trial, *, again: bool) -> Job:
        folder = folders[f"{trial.task}/{trial.dataset}"]
        return Job(trial, folder, plan.study.plugins, root, plan.measurements(trial), again=again)

    new = [one.trial for one in todo if not one.again]
    for group in grouped(new, crew.at_once(len(new))):
        yield tuple(job(trial, again=False) for trial in group)
    for one in todo:
        if one.again:
            yield (job(one.trial, again=True),)
