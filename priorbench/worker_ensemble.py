"""Runs trials that train at once, and writes the folder of each as soon as it ends."""

from __future__ import annotations

import gc
import time
from collections.abc import Sequence
from contextlib import ExitStack

import torch

from .devices import claim_device
from .ensemble import Terms, fit_ensemble
from .ensemble_objective import Part
from .schedules import schedule_of
from .store import RunDirectory
from .worker import (
    Job,
    Parts,
    evaluate,
    failure,
    in_one_line,
    peak_memory_mib,
    prepare,
    refuse_changed_code,
    run_trial,
    write_record,
)


def run_ensemble(jobs: Sequence[Job]) -> str:
    """Train trials at once; evaluate and score each, and write its folder, as soon as it ends.

    Where memory does not suffice, halves of them are trained at once; where they cannot be trained
    at once, each alone. Never raises for a trial's failure.

    Args:
        jobs: trials that differ in their seed, weight and options of the prior only.

    Returns:
        why they were not all trained at once, or "".
    """
    if len(jobs) == 1:
        run_trial(jobs[0])
        return ""
    left = list(jobs)
    try:
        _train_at_once(jobs, left)
    except Exception as error:  # whatever it is, a trial alone shows whether it is the trial's own
        too_large, reason = is_out_of_memory(error), in_one_line(error)
    else:
        return ""
    # after the block: the error holds the tensors of its frames
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    if too_large:
        for half in filter(None, (left[::2], left[1::2])):
            run_ensemble(half)
        return f"not enough memory for {len(jobs)} at once, so halves of them were"
    for job in left:
        run_trial(job)
    return f"{len(left)} were trained one by one: {reason}"


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that there was not enough memory, of a GPU or of the machine."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return isinstance(error, RuntimeError) and "can't allocate memory" in str(error)


def _train_at_once(jobs: Sequence[Job], left: list[Job]) -> None:
    """Those whose folders are written are taken out of ``left``."""
    prepare()
    started = time.perf_counter()
    made = [Parts.of(job) for job in jobs]
    for job in jobs:
        refuse_changed_code(job.trial)
    run, trial, task = RunDirectory(jobs[0].run), jobs[0].trial, made[0].task
    device = claim_device(trial.device, jobs[0].run)
    schedule = schedule_of(task, trial.scale, trial.precision)
    terms = Terms(task, made[0].dataset, schedule, device)
    members = [Part(one.regularisation, one.luck) for one in made]
    with ExitStack() as stack:
        folders = [stack.enter_context(run.in_progress(job.trial.id)) for job in jobs]
        for index, trained in fit_ensemble([one.model() for one in made], members, terms):
            now = time.perf_counter()
            memory = peak_memory_mib(device) / len(jobs)
            try:
                record = evaluate(made[index], trained, folders[index], device, memory)
            except (Exception, SystemExit) as error:  # what went wrong is the trial's result
                if is_out_of_memory(error):
                    raise
                record = failure(error)
            record["ensemble"] = len(jobs)
            seconds = (now - started) / len(jobs) + time.perf_counter() - now
            write_record(jobs[index], folders[index], record, seconds)
            run.finish(folders[index], jobs[index].trial.id)
            left.remove(jobs[index])
