"""Runs the trials of a plan that have not been run, in worker processes."""

from __future__ import annotations

import dataclasses
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from .errors import UserError
from .plan import Plan
from .store import FAILED, RunDirectory, write_json
from .trial import Trial
from .worker import Job, run_trial

_ATTEMPTS = 2


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
    """Run what is pending; a trial whose worker dies is tried once more, then recorded as failed.

    Args:
        plan: all trials.
        run: where they are written; the caller holds its lock.
        workers: processes, one torch thread each.
        ended: called after every trial.
    """
    run.clear_in_flight()
    todo = pending(plan, run)
    deaths: Counter[str] = Counter()
    while todo:
        left = {trial.id: trial for trial in todo}
        try:
            for event in _run(plan, run, todo, workers):
                del left[event.trial.id]
                ended(event)
        except _worker_death() as error:
            guilty = [i for i in run.in_flight() if i in left] or list(left)[:1]
            run.clear_in_flight()
            finished = [t for t in left.values() if _finished(run, t)]
            for trial in finished:
                del left[trial.id]
                ended(_event(run, trial))
            deaths.update(i for i in guilty if i in left)
            for trial_id in [i for i, count in deaths.items() if count >= _ATTEMPTS and i in left]:
                _record_death(run, left[trial_id], error)
                ended(_event(run, left.pop(trial_id)))
        todo = list(left.values())


def _worker_death() -> type[Exception]:
    from joblib.externals.loky.process_executor import BrokenProcessPool

    death: type[Exception] = BrokenProcessPool
    return death


def _run(plan: Plan, run: RunDirectory, trials: Sequence[Trial], workers: int) -> Iterator[Event]:
    from joblib import Parallel, delayed, parallel_config

    jobs = [
        Job(
            trial,
            plan.datasets[f"{trial.task}/{trial.dataset}"].resolve(),
            plan.study.plugins,
            run.root.resolve(),
        )
        for trial in trials
    ]
    by_id = {trial.id: trial for trial in trials}
    with parallel_config("loky", n_jobs=min(workers, len(jobs)), inner_max_num_threads=1):
        results = Parallel(return_as="generator_unordered", batch_size=1, pre_dispatch="n_jobs")(
            delayed(_run_job)(job, os.getpid()) for job in jobs
        )
        for trial_id in results:
            yield _event(run, by_id[trial_id])


def _run_job(job: Job, driver: int) -> str:
    _die_with(driver)
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # deterministic matrix products
    run_trial(job)
    return job.trial.id


@cache
def _die_with(driver: int) -> None:
    """End this worker soon after its driver, which may be killed without a chance to say so."""

    def watch() -> None:
        while os.getppid() == driver:
            time.sleep(0.5)
        os._exit(1)

    if os.getppid() == driver:
        threading.Thread(target=watch, daemon=True).start()


def _event(run: RunDirectory, trial: Trial) -> Event:
    record = run.record(trial.id)
    if record is None:
        return Event(trial, FAILED, "its record could not be read back")
    return Event(trial, str(record["status"]), str(record.get("reason", "")))


def _finished(run: RunDirectory, trial: Trial) -> bool:
    record = run.record(trial.id)
    return record is not None and record["status"] != FAILED


def _record_death(run: RunDirectory, trial: Trial, error: Exception) -> None:
    with run.new_trial(trial.id) as folder:
        write_json(
            Path(folder) / "record.json",
            {
                "trial": trial.id,
                **dataclasses.asdict(trial),
                "status": FAILED,
                "reason": f"its worker died {_ATTEMPTS} times (killed, or out of memory?)",
                "traceback": str(error),
            },
        )
