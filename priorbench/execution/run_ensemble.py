"""Trains several trials at once, and writes the folder of each as soon as it ends.

`run_group.py` hands over the jobs, in a worker process; `training/ensemble/fit.py` trains them.
Where that is not possible, smaller ensembles, or `run_trial.py`, take over.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Hashable, Sequence
from contextlib import ExitStack
from pathlib import Path

import torch

from priorbench.components import registry
from priorbench.storage.files import is_disk_error
from priorbench.storage.run_directory import RunDirectory
from priorbench.training.ensemble.fit import fit_ensemble
from priorbench.training.ensemble.objective import MemberTraining
from priorbench.training.ensemble.trainer import CommonTraining
from priorbench.training.schedules import schedule_of

from .devices import claim_device
from .ensemble_groups import ensemble_key, shared_names
from .job import Job, TrialParts
from .process_state import is_out_of_memory, prepare_process
from .run_trial import (
    evaluate,
    failure_record,
    in_one_line,
    refuse_changed_code,
    run_trial,
    write_record,
)
from .training_price import price_of_some_steps

_most_at_once: dict[Hashable, int] = {}
"""how many trials fit into memory, by what they have in common, as this process has learnt"""


class FoldersTakenOver(FileNotFoundError):
    """The folders that were being filled are gone: another driver has taken over."""


def run_ensemble(jobs: Sequence[Job]) -> str:
    """Train trials at once; evaluate each and write its folder as soon as it ends.

    Where memory does not suffice, halves of them are trained at once; where they cannot be trained
    at once, each alone. Never raises for a trial's failure.

    Args:
        jobs: jobs whose trials differ in their seed, weight and options of the prior only.

    Returns:
        why they were not all trained at once, or "".

    Raises:
        FileNotFoundError: if the folders that are being filled were cleared away.
    """
    if len(jobs) == 1:
        run_trial(jobs[0])
        return ""
    left = list(jobs)
    try:
        # once for all, so that equal priors are of one class
        registry.use_plugins(jobs[0].plugins)
        key = _key(jobs[0])
        if len(jobs) <= _most_at_once.get(key, len(jobs)):
            _train_at_once(jobs, left)
            return ""
        too_large, reason = True, ""
    except FoldersTakenOver:
        raise
    except (Exception, SystemExit) as error:  # an error of one trial will fail that trial alone
        if is_disk_error(error):
            raise
        too_large, reason = is_out_of_memory(error), in_one_line(error)
        if too_large:
            _most_at_once[_key(jobs[0])] = len(jobs) // 2
    # outside of the except clause, in which the error still holds the tensors of its frames
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    if too_large:
        return _train_in_halves(left)
    for job in left:
        run_trial(job)
    return f"{len(left)} were trained one by one: {reason}"


def _train_in_halves(jobs: Sequence[Job]) -> str:
    notes = [run_ensemble(half) for half in (jobs[::2], jobs[1::2]) if half]
    size = max(1, _most_at_once[_key(jobs[0])])
    own_note = f"there was not enough memory for all, but for {size} at once"
    return next((note for note in notes if note), own_note)


def _key(job: Job) -> Hashable:
    return ensemble_key(job.trial, shared_names(job.trial.prior))


def _train_at_once(jobs: Sequence[Job], left: list[Job]) -> None:
    """Run jobs at once; take each out of ``left`` when its folder is written."""
    prepare_process()
    parts = [TrialParts.of(job) for job in jobs]
    for job in jobs:
        refuse_changed_code(job.trial)
    run, trial, task = RunDirectory(jobs[0].run), jobs[0].trial, parts[0].task
    device = claim_device(trial.device, jobs[0].run)
    schedule = schedule_of(task, trial.scale, trial.precision, trial.schedule)
    common = CommonTraining(task, parts[0].dataset, schedule, device)
    with ExitStack() as stack:
        folders = [stack.enter_context(run.in_progress(job.trial.id)) for job in jobs]
        try:
            _fill_folders(parts, folders, common, left)
        except Exception as error:
            waiting = [folders[jobs.index(job)] for job in left]
            if not all(folder.exists() for folder in waiting):
                raise FoldersTakenOver(str(folders[0])) from error
            raise


def _fill_folders(
    parts: Sequence[TrialParts], folders: Sequence[Path], common: CommonTraining, left: list[Job]
) -> None:
    run, started = RunDirectory(parts[0].job.run), time.perf_counter()
    # what a prior costs is measured alone: ensembles differ in their size
    prices = [price_of_some_steps(member, common.schedule, common.device) for member in parts]
    models = [member.model() for member in parts]
    own = [MemberTraining(member.regularisation, member.streams) for member in parts]
    training = 0.0
    for index, trained in fit_ensemble(models, own, common):
        member, folder = parts[index], folders[index]
        now = time.perf_counter()
        training += now - started
        try:
            record = evaluate(member, trained, folder, common.device, prices[index])
        except (Exception, SystemExit) as error:  # what went wrong is the trial's result
            if is_out_of_memory(error) or is_disk_error(error):
                raise
            record = failure_record(error)
        record["ensemble"] = len(parts)
        seconds = training / len(parts) + time.perf_counter() - now
        write_record(member.job, folder, record, seconds)
        run.finish(folder, member.job.trial.id)
        left.remove(member.job)
        started = time.perf_counter()
