"""Trials in processes of this machine, by loky."""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, wait
from functools import partial
from itertools import islice
from typing import Any

import torch
from joblib import cpu_count
from joblib.externals.loky import ProcessPoolExecutor
from joblib.externals.loky.process_executor import BrokenProcessPool

from priorbench.execution.devices import Device, choose_device
from priorbench.execution.run_group import (
    DIED_TWICE,
    Group,
    TrialOutcome,
    ended,
    given_up,
    is_finished,
    run_group,
)
from priorbench.execution.run_trial import Job
from priorbench.run_directory import RunDirectory

from .base import ENVIRONMENT

_AHEAD = 4  # groups that wait at the workers' door, so that none of them waits for one


class LocalEngine:
    """Worker processes of this machine, one torch thread each."""

    def __init__(self, jobs: int | None) -> None:
        """Start nothing yet.

        Args:
            jobs: how many trials at once; None for one a core, or one a GPU.
        """
        self._jobs = jobs
        self._workers = jobs or 1

    def device(self, wanted: str) -> Device:
        """As :meth:`engines.Engine.device`: what this machine has."""
        gpus = torch.cuda.device_count() if wanted != "cpu" and torch.cuda.is_available() else 0
        found = choose_device(
            wanted,
            gpus=gpus,
            cores=int(cpu_count()),
            jobs=self._jobs,
            hint="torch finds no GPU here; use --device cpu, or install a CUDA build of torch",
        )
        self._workers = found.slots
        return found

    def facts(self) -> dict[str, Any]:
        """Nothing that environment.json would not say anyway."""
        return {}

    def close(self) -> None:
        """Do nothing: processes end with :meth:`run`."""

    def run(self, groups: Iterable[Group], run: RunDirectory) -> Iterator[TrialOutcome]:
        """As :meth:`engines.Engine.run`.

        When a worker dies, loky gives up all jobs that were in flight. Each of those is tried
        once more, alone; the one whose worker dies again has failed. Trials that trained at once
        are tried one by one first.
        """
        source, back = iter(groups), deque[Group]()
        while True:
            flying: dict[Any, Group] = {}
            try:
                yield from _pooled(back, source, self._workers, flying)
                return
            except BrokenProcessPool:
                lost = list(flying.values())
                begun = set(run.in_flight())
                run.clear_in_flight()
                suspects = [
                    group for group in lost if any(job.trial.id in begun for job in group)
                ] or lost[:1]
                for group in lost:
                    left = tuple(job for job in group if not is_finished(job))
                    yield from (ended(job) for job in group if job not in left)
                    if not left:
                        continue
                    if group not in suspects:
                        back.append(left)
                    elif len(group) > 1:
                        back.extend((job,) for job in left)
                    else:
                        yield _alone(group[0], run)


def _take(back: deque[Group], source: Iterator[Group]) -> Group | None:
    return back.popleft() if back else next(source, None)


def _pooled(
    back: deque[Group], source: Iterator[Group], workers: int, flying: dict[Any, Group]
) -> Iterator[TrialOutcome]:
    """What ended, from worker processes that end with this generator.

    Args:
        back: groups that are handed over first; those that cannot be go back there.
        source: of the others.
        workers: how many processes, at most.
        flying: holds the groups that were handed over and have not ended, by their futures.
    """
    first = list(islice(iter(partial(_take, back, source), None), workers))
    back.extendleft(reversed(first))
    if not first:
        return
    executor = ProcessPoolExecutor(
        len(first), env=ENVIRONMENT, initializer=_die_with, initargs=(os.getpid(),)
    )
    finished, most = False, workers + max(workers, _AHEAD)
    try:
        while True:
            while len(flying) < most and (group := _take(back, source)) is not None:
                try:
                    flying[executor.submit(run_group, group)] = group
                except BrokenProcessPool:
                    back.appendleft(group)
                    raise
            if not flying:
                break
            for future in wait(flying, return_when=FIRST_COMPLETED).done:
                results = future.result()
                del flying[future]
                yield from results
        finished = True
    finally:
        # a worker that ends by itself gives back its semaphores, and leaves no warning about them
        executor.shutdown(wait=True, kill_workers=not finished)


def _die_with(driver: int) -> None:
    """End this worker soon after its driver, which may be killed without a chance to say so."""

    def watch() -> None:
        while os.getppid() == driver:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _alone(job: Job, run: RunDirectory) -> TrialOutcome:
    try:
        return next(_pooled(deque([(job,)]), iter(()), 1, {}))
    except BrokenProcessPool as error:
        run.clear_in_flight()
        return ended(job) if is_finished(job) else given_up(job, DIED_TWICE, str(error))
