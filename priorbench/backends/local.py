"""Runs groups of jobs in worker processes of this machine, by loky.

`run_pending.py` hands over the groups; every worker runs `execution/run_group.py`.
"""

from __future__ import annotations

import os
import resource
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, wait
from contextlib import contextmanager, nullcontext, suppress
from functools import partial
from itertools import islice
from multiprocessing import active_children
from typing import Any

import torch
from joblib import cpu_count
from joblib.externals.loky import ProcessPoolExecutor
from joblib.externals.loky.process_executor import BrokenProcessPool
from tqdm import tqdm

from priorbench.errors import UserError
from priorbench.execution.devices import Device, choose_device
from priorbench.execution.job import Job
from priorbench.execution.run_group import (
    DIED_TWICE,
    Group,
    TrialOutcome,
    give_up,
    run_group,
    split_finished,
)
from priorbench.machine.memory import memory_at_hand
from priorbench.machine.signals import postponed
from priorbench.storage.run_directory import RunDirectory

from .base import ENVIRONMENT

_POOL_THREADS = ("ExecutorManagerThread", "QueueFeederThread")
"""names of the threads that loky's pool runs in this process"""
_WORKER = "LokyProcess"  # beginning of the names of its processes
_WORKER_MEMORY = 300 * 2**20
"""bytes that a worker takes with torch alone, before it has data or a network"""
_PATIENCE = 2.0  # seconds that such a thread has to end
_AHEAD = 4  # groups that wait at the workers' door, so that no worker has to wait for one


class LocalEngine:
    """An engine of worker processes on this machine, one torch thread each."""

    def __init__(self, jobs: int | None) -> None:
        """Start nothing yet; by default, one group a core or a GPU will run at once.

        Raises:
            UserError: if the memory at hand is too small for so many processes.
        """
        most = max(1, memory_at_hand() // _WORKER_MEMORY)
        if jobs is not None and jobs > most:
            raise UserError(
                f"--jobs {jobs}: each worker takes {_WORKER_MEMORY / 2**30:.1f} GiB of memory at "
                f"least, and {memory_at_hand() / 2**30:.1f} GiB are at hand; give {most} or fewer"
            )
        self._jobs = jobs
        self._workers = jobs or 1

    def device(self, requested: str) -> Device:
        """Choose among what this machine has."""
        gpus = torch.cuda.device_count() if requested != "cpu" and torch.cuda.is_available() else 0
        device = choose_device(
            requested,
            gpus=gpus,
            cores=int(cpu_count()),
            jobs=self._jobs,
            hint="torch finds no GPU here; use --device cpu, or install a CUDA build of torch",
        )
        self._workers = device.slots
        return device

    def facts(self) -> dict[str, Any]:
        """Return nothing that environment.json would not say anyway."""
        return {}

    def close(self) -> None:
        """Do nothing: processes end with :meth:`run`."""

    def run(
        self, groups: Iterable[Group], run: RunDirectory
    ) -> Generator[TrialOutcome, None, None]:
        """Run all jobs, though workers may die, and yield the outcome of each.

        When a worker dies, loky gives up all groups that were in flight. Of those that had begun,
        each is tried once more, alone, and fails if its worker dies again; the jobs of a group
        that trained at once are first handed out one by one.
        """
        source, back = iter(groups), deque[Group]()
        while True:
            in_flight: dict[Any, Group] = {}
            try:
                yield from _run_in_pool(back, source, self._workers, in_flight)
                return
            except BrokenProcessPool:
                lost = list(in_flight.values())
                begun = set(run.in_flight())
                run.clear_in_flight()
                suspects = [
                    group for group in lost if any(job.trial.id in begun for job in group)
                ] or lost[:1]
                for group in lost:
                    outcomes, left = split_finished(group)
                    yield from outcomes
                    if not left:
                        continue
                    if group not in suspects:
                        back.append(left)
                    elif len(group) > 1:
                        back.extend((job,) for job in left)
                    else:
                        yield _run_alone(group[0], run)


def _run_in_pool(
    back: deque[Group], source: Iterator[Group], workers: int, in_flight: dict[Any, Group]
) -> Iterator[TrialOutcome]:
    """Yield the outcomes of jobs, run by worker processes that end with this generator.

    Args:
        back: groups that are handed over first; those that cannot be go back there.
        source: the other groups.
        workers: how many processes there are, at most.
        in_flight: filled with the groups that were handed over and have not ended, by future.
    """
    first = list(islice(iter(partial(_take, back, source), None), workers))
    back.extendleft(reversed(first))
    if not first:
        return
    with _starting(len(first)):
        executor = ProcessPoolExecutor(
            len(first), env=ENVIRONMENT, initializer=_begin_worker, initargs=(os.getpid(),)
        )
    finished, most = False, workers + max(workers, _AHEAD)
    try:
        while True:
            while len(in_flight) < most and (group := _take(back, source)) is not None:
                try:
                    with _starting(len(first)):
                        in_flight[executor.submit(run_group, group)] = group
                except BrokenProcessPool:
                    back.appendleft(group)
                    raise
            if not in_flight:
                break
            for future in wait(in_flight, return_when=FIRST_COMPLETED).done:
                outcomes = future.result()
                del in_flight[future]
                yield from outcomes
        finished = True
    finally:
        with postponed(), nullcontext() if finished else _manager_may_fail():
            executor.shutdown(wait=True, kill_workers=not finished)
            if not finished:
                _end_what_is_left()


@contextmanager
def _starting(workers: int) -> Iterator[None]:
    """Let no signal cut short what starts worker processes, and say what they lack.

    Raises:
        UserError: the system has no room for the processes, or for their semaphores.
    """
    try:
        with postponed():
            yield
    except BrokenPipeError as error:
        raise BrokenProcessPool("a worker died when it started") from error
    except OSError as error:
        raise UserError(
            f"{workers} worker processes cannot be started: {error.strerror}; make room for their "
            "semaphores in /dev/shm (`--shm-size` of a container), or take fewer --jobs"
        ) from error


@contextmanager
def _manager_may_fail() -> Iterator[None]:
    """Keep quiet if the pool's own threads fail over workers that are being killed.

    They read from pipes that the workers take with them; nothing is left that they could lose, and
    a traceback would hide the line that says what an interrupted run needs.
    """
    earlier = threading.excepthook

    def hook(failure: threading.ExceptHookArgs) -> None:
        name = failure.thread.name if failure.thread else ""
        if not name.startswith(_POOL_THREADS):
            earlier(failure)

    threading.excepthook = hook
    try:
        yield
    finally:
        threading.excepthook = earlier


def _end_what_is_left() -> None:
    """Kill workers that the pool's manager did not, because it failed, and wait for its threads.

    A worker that lives on, or a thread that still holds a semaphore, would leave it behind.
    """
    for process in active_children():
        if process.name.startswith(_WORKER) and process.pid is not None:
            with suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGKILL)
            process.join()
    for thread in threading.enumerate():
        if thread.name.startswith(_POOL_THREADS):
            thread.join(_PATIENCE)


def _take(back: deque[Group], source: Iterator[Group]) -> Group | None:
    return back.popleft() if back else next(source, None)


def _begin_worker(driver: int) -> None:
    """Let this worker end with its driver and not before, and leave nothing behind when killed."""
    # the tracker of semaphores unblocks SIGINT in the driver, so that workers may begin with it
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    # bars of progress would lock each other by a semaphore of the system
    tqdm.set_lock(threading.RLock())
    _die_with(driver)


def _die_with(driver: int) -> None:
    """End this worker soon after its driver, which may be killed without a chance to say so."""

    def watch() -> None:
        while os.getppid() == driver:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _run_alone(job: Job, run: RunDirectory) -> TrialOutcome:
    """Run a job in a worker of its own; give it up if that worker dies too."""
    try:
        return next(_run_in_pool(deque([(job,)]), iter(()), 1, {}))
    except BrokenProcessPool as error:
        run.clear_in_flight()
        return give_up(job, _cause_of_death(error), str(error))


def _cause_of_death(error: BrokenProcessPool) -> str:
    """Return why a trial was given up whose worker died again, alone, as far as the pool knows."""
    if "SIGKILL" not in str(error):
        return DIED_TWICE
    # of all workers so far; one that lacks memory is the largest
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    mib = peak // (2**20 if sys.platform == "darwin" else 2**10)
    return (
        "its worker was killed twice, the second time alone, probably for lack of memory (it had "
        f"up to {mib} MiB)"
    )
