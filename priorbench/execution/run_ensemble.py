"""Runs trials that train at once, and writes the folder of each as soon as it ends."""

from __future__ import annotations

import gc
import time
from collections.abc import Hashable, Sequence
from contextlib import ExitStack
from pathlib import Path

import torch

from priorbench.components import registry
from priorbench.run_directory import RunDirectory
from priorbench.training.ensemble.fit import fit_ensemble
from priorbench.training.ensemble.objective import MemberTraining
from priorbench.training.ensemble.trainer import CommonTraining
from priorbench.training.schedules import schedule_of

from .devices import claim_device
from .ensemble_groups import common, form_of
from .run_trial import (
    Job,
    TrainingPrice,
    TrialParts,
    evaluate,
    failure,
    forget_peak_memory,
    in_one_line,
    peak_memory_mib,
    prepare,
    refuse_changed_code,
    run_trial,
    step_time_alone,
    write_record,
)

_NO_MEMORY = ("can't allocate memory", "out of memory", "ALLOC_FAILED")
# how many fit into memory, by what they have in common, as this process has found out
_room: dict[Hashable, int] = {}


class FoldersTakenOver(FileNotFoundError):
    """The folders that were being filled are gone: another driver has taken over."""


def run_ensemble(jobs: Sequence[Job]) -> str:
    """Train trials at once; evaluate and score each, and write its folder, as soon as it ends.

    Where memory does not suffice, halves of them are trained at once; where they cannot be trained
    at once, each alone. Never raises for a trial's failure.

    Args:
        jobs: trials that differ in their seed, weight and options of the prior only.

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
        kind = _kind(jobs[0])
        if len(jobs) <= _room.get(kind, len(jobs)):
            _train_at_once(jobs, left)
            return ""
        too_large, reason = True, ""
    except FoldersTakenOver:
        raise
    except (Exception, SystemExit) as error:  # if it is a trial's own, it fails alone too
        too_large, reason = is_out_of_memory(error), in_one_line(error)
        if too_large:
            _room[_kind(jobs[0])] = len(jobs) // 2
    # after the block: the error holds the tensors of its frames
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    if too_large:
        return _in_halves(left)
    for job in left:
        run_trial(job)
    return f"{len(left)} were trained one by one: {reason}"


def _in_halves(jobs: Sequence[Job]) -> str:
    notes = [run_ensemble(half) for half in (jobs[::2], jobs[1::2]) if half]
    size = max(1, _room[_kind(jobs[0])])
    told = f"there was not enough memory for all, but for {size} at once"
    return next((note for note in notes if note), told)


def _kind(job: Job) -> Hashable:
    return common(job.trial, form_of(job.trial.prior))


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that there was not enough memory, of a GPU or of the machine."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(text in str(error) for text in _NO_MEMORY)


def _train_at_once(jobs: Sequence[Job], left: list[Job]) -> None:
    """Those whose folders are written are taken out of ``left``."""
    prepare()
    made = [TrialParts.of(job) for job in jobs]
    for job in jobs:
        refuse_changed_code(job.trial)
    run, trial, task = RunDirectory(jobs[0].run), jobs[0].trial, made[0].task
    device = claim_device(trial.device, jobs[0].run)
    schedule = schedule_of(task, trial.scale, trial.precision)
    terms = CommonTraining(task, made[0].dataset, schedule, device)
    with ExitStack() as stack:
        folders = [stack.enter_context(run.in_progress(job.trial.id)) for job in jobs]
        try:
            _fill(jobs, made, folders, terms, left)
        except Exception as error:
            waiting = [folders[jobs.index(job)] for job in left]
            if not all(folder.exists() for folder in waiting):
                raise FoldersTakenOver(str(folders[0])) from error
            raise


def _fill(
    jobs: Sequence[Job],
    made: Sequence[TrialParts],
    folders: Sequence[Path],
    terms: CommonTraining,
    left: list[Job],
) -> None:
    run, started = RunDirectory(jobs[0].run), time.perf_counter()
    # what a prior costs is told by a training alone: sizes of ensembles differ
    prices = [_price(parts, terms) for parts in made]
    models = [parts.model() for parts in made]
    own = [MemberTraining(parts.regularisation, parts.streams) for parts in made]
    training = 0.0
    for index, trained in fit_ensemble(models, own, terms):
        now = time.perf_counter()
        training += now - started
        try:
            record = evaluate(made[index], trained, folders[index], terms.device, prices[index])
        except (Exception, SystemExit) as error:  # what went wrong is the trial's result
            if is_out_of_memory(error):
                raise
            record = failure(error)
        record["ensemble"] = len(jobs)
        seconds = training / len(jobs) + time.perf_counter() - now
        write_record(jobs[index], folders[index], record, seconds)
        run.finish(folders[index], jobs[index].trial.id)
        left.remove(jobs[index])
        started = time.perf_counter()


def _price(parts: TrialParts, terms: CommonTraining) -> TrainingPrice:
    """Time per step and memory of a network alone, by some of its steps."""
    forget_peak_memory()
    seconds = step_time_alone(parts, terms.schedule, terms.device)
    return TrainingPrice(seconds, peak_memory_mib(terms.device))
