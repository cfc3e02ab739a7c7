"""What runs trials: processes of this machine, or the workers of a cluster."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from .devices import Device
from .errors import UserError
from .store import FAILED, RunDirectory, write_json
from .worker import Job, in_one_line, is_outdated, measure_trial, run_trial
from .worker_ensemble import run_ensemble

LOKY, DASK, RAY = "loky", "dask", "ray"
_PACKAGES = {DASK: "distributed", RAY: "ray"}
DIED_TWICE = "its worker died twice (killed, or out of memory?)"

# one thread a worker, and deterministic matrix products on a GPU
_THREADS = ("OMP", "MKL", "OPENBLAS", "NUMEXPR", "VECLIB_MAXIMUM")
ENVIRONMENT = {
    **{f"{library}_NUM_THREADS": "1" for library in _THREADS},
    "CUBLAS_WORKSPACE_CONFIG": ":4096:8",
}


@dataclass(frozen=True)
class Machines:
    """Where the user wants trials to run.

    Attributes:
        backend: ``loky`` for this machine, or the cluster's engine, ``dask`` or ``ray``.
        scheduler: its address.
        jobs: how many groups at once; None for as many as there is room for.
        ensemble: how many trials train at once in a group, at most, where they can.
    """

    backend: str = LOKY
    scheduler: str | None = None
    jobs: int | None = None
    ensemble: int = 1


Group = tuple[Job, ...]
"""jobs that are handed over together, and train at once"""


@dataclass(frozen=True)
class Ended:
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


class Engine(Protocol):
    """Runs jobs, as many at once as it has room for."""

    def device(self, wanted: str) -> Device:
        """Where trials run if ``auto``, ``cpu`` or ``cuda`` is wanted.

        Raises:
            UserError: for ``cuda`` where there is no GPU.
        """

    def facts(self) -> dict[str, Any]:
        """What to write down about the machines, as plain values."""

    def run(self, groups: Iterable[Group], run: RunDirectory) -> Iterator[Ended]:
        """Run all jobs; what ended is given as its group ends, every job once.

        Groups are taken from the iterable a few at a time, so that a hundred thousand of them are
        never in memory at once. If the iterator is closed, what has not begun never will.

        Args:
            groups: of different trials.
            run: where their trials are written; the caller holds its lock, and nothing is in
                flight there.

        Raises:
            UserError: if the machines cannot be used.
        """

    def close(self) -> None:
        """Leave the machines."""


@dataclass(frozen=True)
class Crew:
    """What runs the trials of a study.

    Attributes:
        engine: open.
        device: what trials run on.
        ensemble: how many train at once, at most.
        forecasts: whether it can be tried here how long trials will take.
    """

    engine: Engine
    device: Device
    ensemble: int = 1
    forecasts: bool = False

    def at_once(self, trials: int) -> int:
        """How many of so many train at once, so that there is work for everyone."""
        return max(1, min(self.ensemble, math.ceil(trials / self.device.slots)))


def open_engine(machines: Machines, say: Callable[[str], None]) -> Engine:
    """What runs trials there; the caller closes it.

    Raises:
        UserError: if options do not fit, a package is missing, or nobody answers at the address.
    """
    backend, address = machines.backend, machines.scheduler
    if backend == LOKY:
        if address is not None:
            raise UserError(
                f"--scheduler {address}: goes with --backend dask or ray; name the backend, or "
                "leave the address out to run on this machine"
            )
        from .local import LocalEngine

        return LocalEngine(machines.jobs)
    try:
        if backend == DASK:
            from .on_dask import DaskEngine

            if address is None:
                raise UserError(
                    "--backend dask: needs the address of a scheduler that is running, such as "
                    "--scheduler tcp://HOST:8786; `dask scheduler` starts one and names it"
                )
            return DaskEngine(address, machines.jobs, say)
        from .on_ray import RayEngine

        return RayEngine(address, machines.jobs, say)
    except ModuleNotFoundError as error:
        raise UserError(
            f"--backend {backend}: the package {_PACKAGES[backend]} is not installed "
            f"({error.name} is missing); pip install 'priorbench[{backend}]', here and on the "
            "workers"
        ) from error


def run_group(group: Group) -> list[Ended]:
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


def ended(job: Job) -> Ended:
    """What the record says."""
    record = RunDirectory(job.run).record(job.trial.id)
    if record is None:
        return Ended(job.trial.id, FAILED, "its record could not be read back")
    return Ended(job.trial.id, str(record["status"]), str(record.get("reason", "")))


def unscored(job: Job, problem: str) -> Ended:
    """A trial that was trained before and could not be scored again; it stays as it is."""
    return Ended(job.trial.id, FAILED, f"could not be scored again: {problem}")


def given_up(job: Job, reason: str, traceback: str = "") -> Ended:
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
    return Ended(job.trial.id, FAILED, reason)
