"""Runs the trials of a plan that have not been run, in worker processes."""

from __future__ import annotations

import dataclasses
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from joblib.externals.loky import ProcessPoolExecutor, as_completed
from joblib.externals.loky.process_executor import BrokenProcessPool

from .errors import UserError
from .plan import Plan
from .store import FAILED, RunDirectory, write_json
from .trial import Trial
from .worker import Job, is_outdated, measure_trial, run_trial

# one thread a worker, and deterministic matrix products on a GPU
_THREADS = ("OMP", "MKL", "OPENBLAS", "NUMEXPR", "VECLIB_MAXIMUM")
_ENVIRONMENT = {
    **{f"{library}_NUM_THREADS": "1" for library in _THREADS},
    "CUBLAS_WORKSPACE_CONFIG": ":4096:8",
}


@dataclass(frozen=True)
class Event:
    """A trial has ended.

    Attributes:
        trial: which one.
        status: ``done``, ``collapsed`` or ``failed``.
        reason: why it collapsed or failed, or "".
    """

    trial: Trial
    status: str
    reason: str


def choose_device(wanted: str) -> tuple[str, int]:
    """The kind of device and how many trials may run on it at once.

    Args:
        wanted: ``auto``, ``cpu`` or ``cuda``.

    Returns:
        ``cpu`` and the number of cores this process may use, or ``cuda`` and the number of GPUs.

    Raises:
        UserError: for ``cuda`` where there is no GPU.
    """
    from joblib import cpu_count

    if wanted != "cpu":
        import torch

        if torch.cuda.is_available():
            return "cuda", torch.cuda.device_count()
        if wanted == "cuda":
            raise UserError(
                "--device cuda: torch finds no GPU here; use --device cpu, or install a CUDA "
                "build of torch"
            )
    return "cpu", int(cpu_count())


def pending(plan: Plan, run: RunDirectory) -> list[Trial]:
    """Trials without a record, those that failed before, and those that lack a score.

    In the plan's order.
    """
    return [
        trial
        for trial in plan.trials
        if (record := run.record(trial.id)) is None
        or record["status"] == FAILED
        or is_outdated(record, plan.wanted(trial))
    ]


def run_pending(
    plan: Plan, run: RunDirectory, *, workers: int, ended: Callable[[Event], None]
) -> None:
    """Run what is pending.

    When a worker dies, loky gives up all trials that were in flight. Each of them is tried once
    more, alone; the one whose worker dies again is recorded as failed.

    Args:
        plan: all trials.
        run: where they are written; the caller holds its lock.
        workers: processes, one torch thread each.
        ended: called after every trial.
    """
    run.clear_in_flight()
    left = {trial.id: trial for trial in pending(plan, run)}
    while left:
        jobs = [_job(plan, run, trial) for trial in left.values()]
        try:
            for trial_id, problem in _run(jobs, workers):
                ended(_event(run, left.pop(trial_id), problem))
        except BrokenProcessPool:
            suspects = [i for i in run.in_flight() if i in left] or list(left)[:1]
            run.clear_in_flight()
            for trial in [t for t in left.values() if _finished(plan, run, t)]:
                ended(_event(run, left.pop(trial.id)))
            for trial in [left.pop(i) for i in suspects if i in left]:
                ended(_event(run, trial, _try_alone(plan, run, trial)))


def _job(plan: Plan, run: RunDirectory, trial: Trial) -> Job:
    dataset = plan.datasets[f"{trial.task}/{trial.dataset}"]
    return Job(
        trial,
        dataset.resolve(),
        plan.study.plugins,
        run.root.resolve(),
        plan.wanted(trial),
        again=_trained(run, trial),
    )


def _trained(run: RunDirectory, trial: Trial) -> bool:
    record = run.record(trial.id)
    return record is not None and record["status"] != FAILED


def _try_alone(plan: Plan, run: RunDirectory, trial: Trial) -> str:
    """Why a trial that was trained before could not be scored again, or ""."""
    job = _job(plan, run, trial)
    try:
        return next(problem for _, problem in _run([job], 1))
    except BrokenProcessPool as error:
        run.clear_in_flight()
        if job.again:
            return "its worker died twice while it was scored (killed, or out of memory?)"
        with run.new_trial(trial.id) as folder:
            record = {
                "trial": trial.id,
                **dataclasses.asdict(trial),
                "status": FAILED,
                "reason": "its worker died twice (killed, or out of memory?)",
                "traceback": str(error),
            }
            write_json(folder / "record.json", record)
        return ""


def _run(jobs: Sequence[Job], workers: int) -> Iterator[tuple[str, str]]:
    """Ids of trials as they end, with why they could not be scored again, if they could not.

    From worker processes that end with this generator.
    """
    executor = ProcessPoolExecutor(
        min(workers, len(jobs)), env=_ENVIRONMENT, initializer=_die_with, initargs=(os.getpid(),)
    )
    finished = False
    try:
        futures = [executor.submit(_run_job, job) for job in jobs]
        for future in as_completed(futures):
            yield future.result()
        finished = True
    finally:
        # a worker that ends by itself gives back its semaphores, and leaves no warning about them
        executor.shutdown(wait=True, kill_workers=not finished)


def _run_job(job: Job) -> tuple[str, str]:
    if not job.again:
        run_trial(job)
        return job.trial.id, ""
    try:
        measure_trial(job)
    except Exception as error:  # one trial's trouble must not keep the others from their scores
        return job.trial.id, f"{type(error).__name__}: {error}".splitlines()[0]
    return job.trial.id, ""


def _die_with(driver: int) -> None:
    """End this worker soon after its driver, which may be killed without a chance to say so."""

    def watch() -> None:
        while os.getppid() == driver:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _event(run: RunDirectory, trial: Trial, problem: str = "") -> Event:
    record = run.record(trial.id)
    if problem:
        return Event(trial, FAILED, f"could not be scored again: {problem}")
    if record is None:
        return Event(trial, FAILED, "its record could not be read back")
    return Event(trial, str(record["status"]), str(record.get("reason", "")))


def _finished(plan: Plan, run: RunDirectory, trial: Trial) -> bool:
    record = run.record(trial.id)
    return (
        record is not None
        and record["status"] != FAILED
        and not is_outdated(record, plan.wanted(trial))
    )
