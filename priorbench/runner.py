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
from .worker import Job, run_trial

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
    """Trials without a record, and those that failed before, in the plan's order."""
    return [
        trial
        for trial in plan.trials
        if (record := run.record(trial.id)) is None or record["status"] == FAILED
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
            for trial_id in _run(jobs, workers):
                ended(_event(run, left.pop(trial_id)))
        except BrokenProcessPool:
            suspects = [i for i in run.in_flight() if i in left] or list(left)[:1]
            run.clear_in_flight()
            for trial in [t for t in left.values() if _finished(run, t)]:
                ended(_event(run, left.pop(trial.id)))
            for trial in [left.pop(i) for i in suspects if i in left]:
                _try_alone(plan, run, trial)
                ended(_event(run, trial))


def _job(plan: Plan, run: RunDirectory, trial: Trial) -> Job:
    dataset = plan.datasets[f"{trial.task}/{trial.dataset}"]
    return Job(trial, dataset.resolve(), plan.study.plugins, run.root.resolve())


def _try_alone(plan: Plan, run: RunDirectory, trial: Trial) -> None:
    try:
        for _ in _run([_job(plan, run, trial)], 1):
            pass
    except BrokenProcessPool as error:
        run.clear_in_flight()
        with run.new_trial(trial.id) as folder:
            record = {
                "trial": trial.id,
                **dataclasses.asdict(trial),
                "status": FAILED,
                "reason": "its worker died twice (killed, or out of memory?)",
                "traceback": str(error),
            }
            write_json(folder / "record.json", record)


def _run(jobs: Sequence[Job], workers: int) -> Iterator[str]:
    """Ids of trials as they end, from worker processes that end with this generator."""
    executor = ProcessPoolExecutor(
        min(workers, len(jobs)), env=_ENVIRONMENT, initializer=_die_with, initargs=(os.getpid(),)
    )
    try:
        futures = [executor.submit(_run_job, job) for job in jobs]
        for future in as_completed(futures):
            yield future.result()
    finally:
        executor.shutdown(wait=True, kill_workers=True)


def _run_job(job: Job) -> str:
    run_trial(job)
    return job.trial.id


def _die_with(driver: int) -> None:
    """End this worker soon after its driver, which may be killed without a chance to say so."""

    def watch() -> None:
        while os.getppid() == driver:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _event(run: RunDirectory, trial: Trial) -> Event:
    record = run.record(trial.id)
    if record is None:
        return Event(trial, FAILED, "its record could not be read back")
    return Event(trial, str(record["status"]), str(record.get("reason", "")))


def _finished(run: RunDirectory, trial: Trial) -> bool:
    record = run.record(trial.id)
    return record is not None and record["status"] != FAILED
