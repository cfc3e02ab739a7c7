"""What runs trials: processes of this machine, or the workers of a cluster."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from priorbench.files import write_json
from priorbench.run_directory import FAILED, RunDirectory

from .run_ensemble import run_ensemble
from .run_trial import Job, in_one_line, is_outdated, measure_trial, run_trial

DIED_TWICE = "its worker died twice (killed, or out of memory?)"


Group = tuple[Job, ...]
"""jobs that are handed over together, and train at once"""


@dataclass(frozen=True)
class TrialOutcome:
    """What became of a job.

    Attributes:
        trial: id.
        status: ``done``, ``collapsed`` or ``failed``.
        reason: why it collapsed or failed, or "".
        note: what else the user should know of how it ran, or "".
    """

    trial: str
    status: str
    reason: str
    note: str = ""


def run_group(group: Group) -> list[TrialOutcome]:
    """Run or score trials; what a worker process calls."""
    if len(group) > 1:
        note = run_ensemble(group)
        found = [ended(job) for job in group]
        return [dataclasses.replace(found[0], note=note), *found[1:]]
    job = group[0]
    run, trial = RunDirectory(job.run), job.trial.id
    if not job.again:
        run_trial(job)
        return [ended(job)]
    try:
        with run.in_progress(trial):
            measure_trial(job)
    except Exception as error:  # one trial's trouble must not keep the others from their scores
        return [unscored(job, in_one_line(error))]
    return [ended(job)]


def is_finished(job: Job) -> bool:
    """Whether somebody has run it already."""
    record = RunDirectory(job.run).record(job.trial.id)
    return record is not None and record["status"] != FAILED and not is_outdated(record, job.wanted)


def ended(job: Job) -> TrialOutcome:
    """What the record says."""
    record = RunDirectory(job.run).record(job.trial.id)
    if record is None:
        return TrialOutcome(job.trial.id, FAILED, "its record could not be read back")
    return TrialOutcome(job.trial.id, str(record["status"]), str(record.get("reason", "")))


def unscored(job: Job, problem: str) -> TrialOutcome:
    """A trial that was trained before and could not be scored again; it stays as it is."""
    return TrialOutcome(job.trial.id, FAILED, f"could not be scored again: {problem}")


def given_up(job: Job, reason: str, traceback: str = "") -> TrialOutcome:
    """Record that a trial failed which nobody lived to record."""
    if job.again:
        return unscored(job, reason)
    with RunDirectory(job.run).new_trial(job.trial.id) as folder:
        record = {
            "trial": job.trial.id,
            **dataclasses.asdict(job.trial),
            "status": FAILED,
            "reason": reason,
            "traceback": traceback,
        }
        write_json(folder / "record.json", record)
    return TrialOutcome(job.trial.id, FAILED, reason)
