"""Runs a group of jobs in a worker process, and says what became of each.

Engines (`backends/local.py`, `backends/cluster.py`) call :func:`run_group` in their workers;
`run_trial.py` runs a job alone, `run_ensemble.py` several at once, `score_again.py` those of
trials that were trained before. Where a worker died, the engine finds out here what it finished.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from priorbench.storage.files import is_disk_error
from priorbench.storage.run_directory import FAILED, RunDirectory
from priorbench.storage.sealed_files import DamagedFile

from .job import Job
from .run_ensemble import run_ensemble
from .run_trial import in_one_line, run_trial
from .score_again import needs_scoring, score_again

DIED_TWICE = "its worker died twice (killed, or out of memory?)"

Group = tuple[Job, ...]
"""jobs that are handed over together, and train at once"""


@dataclass(frozen=True)
class TrialOutcome:
    """What became of a job.

    Attributes:
        trial: id of the trial.
        status: ``done``, ``collapsed`` or ``failed``.
        reason: why the trial collapsed or failed, or "".
        note: what else the user should know of how it ran, or "".
    """

    trial: str
    status: str
    reason: str
    note: str = ""


def run_group(group: Group) -> list[TrialOutcome]:
    """Run or score the trials of a group, write their folders, and return what became of each."""
    if len(group) > 1:
        note = run_ensemble(group)
        first, *others = map(outcome_of, group)
        return [dataclasses.replace(first, note=note), *others]
    (job,) = group
    if not job.score_only:
        run_trial(job)
        return [outcome_of(job)]
    try:
        with RunDirectory(job.run).in_progress(job.trial.id):
            score_again(job)
    except Exception as error:  # one trial's trouble must not keep the others from their scores
        if is_disk_error(error):
            raise
        return [_unscored(job, in_one_line(error))]
    return [outcome_of(job)]


def outcome_of(job: Job) -> TrialOutcome:
    """Return what the record of a job's trial says."""
    record = _record(job)
    if record is None:
        return TrialOutcome(job.trial.id, FAILED, "its record could not be read back")
    return TrialOutcome(job.trial.id, str(record["status"]), str(record.get("reason", "")))


def _unscored(job: Job, problem: str) -> TrialOutcome:
    """Return the outcome of a job that could not be scored again; its trial stays as it is."""
    return TrialOutcome(job.trial.id, FAILED, f"could not be scored again: {problem}")


def split_finished(group: Group) -> tuple[list[TrialOutcome], Group]:
    """Return the outcomes of the jobs that somebody has finished, and the jobs that are left."""
    left = tuple(job for job in group if not _is_finished(job))
    return [outcome_of(job) for job in group if job not in left], left


def _record(job: Job) -> dict[str, Any] | None:
    try:
        return RunDirectory(job.run).record(job.trial.id)
    except DamagedFile:
        return None


def _is_finished(job: Job) -> bool:
    record = _record(job)
    if record is None or record["status"] == FAILED:
        return False
    return not needs_scoring(record, job.measurements)


def give_up(job: Job, reason: str, traceback: str = "") -> TrialOutcome:
    """Record the failure of a trial whose workers died, unless one of them finished it.

    The traceback is what the engine knows of the death, or "".
    """
    if _is_finished(job):
        return outcome_of(job)
    if job.score_only:
        return _unscored(job, reason)
    run = RunDirectory(job.run)
    with run.new_trial(job.trial.id) as folder:
        record = {"trial": job.trial.id, **job.trial.as_record()}
        record |= {"status": FAILED, "reason": reason, "traceback": traceback}
        run.seal_trial(folder, record)
    return TrialOutcome(job.trial.id, FAILED, reason)
