"""What the engines of clusters share: how groups of jobs are dealt, and what a worker runs.

`run_pending.py` hands over the groups; `dask.py` and `ray.py` know how to reach the workers, each
of which calls :func:`run_admitted` and so `execution/run_group.py`.

Workers write whole trial folders to the run directory, which must be on a file system that all
of them share; they need it anyway, for the encoded data. That is safe because

- a folder is filled aside and renamed when it is whole (`run_directory.py`);
- if a worker was thought dead and two workers finish the same trial, both results have the same
  bits on CPU, or one of them was trained at once with others, which is as good;
- a worker takes part only while it sees the session file that the driver wrote for this very run,
  and only with the driver's code and versions (`worker_check.py`). One that still works for an
  earlier driver finds its half-filled folder gone, and finishes nothing.

The driver alone writes everything else.
"""

from __future__ import annotations

import math
import os
import platform
import time
from abc import ABC, abstractmethod
from collections import Counter, deque
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import Any

import torch

from priorbench.errors import UserError
from priorbench.execution.devices import CUDA, Device
from priorbench.execution.job import Job
from priorbench.execution.run_group import (
    DIED_TWICE,
    Group,
    TrialOutcome,
    give_up,
    run_group,
    split_finished,
)
from priorbench.machine.caches import use_caches
from priorbench.storage.files import explain, is_disk_error
from priorbench.storage.run_directory import RunDirectory

from .base import ENVIRONMENT, reported_errors
from .environment import PACKAGES
from .worker_check import refusal, session

PATIENCE = 30.0
"""seconds that a scheduler has to answer, which may have been started a moment ago"""

SILENCE = 60.0
"""seconds without news after which the user is told why"""

_GLANCE = 5.0  # seconds after which the size of the cluster is looked up again
# losses beyond what the engine itself mends, of a trial, and of all while nothing else ends
_MOST_LOSSES, _MOST_IN_A_ROW = 3, 9


@dataclass(frozen=True)
class Refused:
    """A worker's refusal to run jobs, and why, as a sentence."""

    reason: str


@dataclass
class _Losses:
    """Jobs whose workers died more often than the engine itself mends."""

    of_trial: Counter[str] = field(default_factory=Counter)
    in_a_row: int = 0


class Cluster(ABC):
    """An engine that deals jobs to a cluster's workers, a few more than they have room for.

    The argument ``path`` of its methods is the path of the session file.

    Attributes:
        name: how messages name the engine: the option that says where it is.
        jobs: how many groups are with the cluster at once, waiting ones included, if the user has
            set it.
        gpu: whether a trial needs a GPU.
    """

    def __init__(self, name: str, jobs: int | None, say: Callable[[str], None]) -> None:
        """Connect to nothing yet."""
        self.name, self.jobs, self.say = name, jobs, say
        self.gpu = False
        self._slots, self._looked, self._news = 0, -math.inf, 0.0

    @abstractmethod
    def device(self, requested: str) -> Device:
        """Choose among what the workers offer; see :meth:`base.Engine.device`."""

    @abstractmethod
    def slots(self) -> int:
        """Return how many groups there is room for now; 0 while no worker is there."""

    @abstractmethod
    def refusals(self, path: str) -> Mapping[str, str]:
        """Return what :func:`worker_check.refusal` says on each worker, by the worker's name."""

    @abstractmethod
    def submit(self, path: str, group: Group) -> Any:
        """Hand a group over to :func:`run_admitted` and return a handle that can be a key."""

    @abstractmethod
    def ended_handles(self, handles: Collection[Any], timeout: float) -> list[Any]:
        """Wait until groups have ended, ``timeout`` seconds at most, and return their handles."""

    @abstractmethod
    def result(self, handle: Any) -> list[TrialOutcome] | Refused | None:
        """Return what became of a group that has ended; None if its workers died too often."""

    @abstractmethod
    def cancel(self, handles: Collection[Any]) -> None:
        """Forget groups that have not ended, unless :meth:`close` does."""

    @abstractmethod
    def close(self) -> None:
        """Leave the cluster."""

    def run(
        self, groups: Iterable[Group], run: RunDirectory
    ) -> Generator[TrialOutcome, None, None]:
        """Run all jobs and yield the outcome of each; see :meth:`base.Engine.run`."""
        source = iter(groups)
        first = next(source, None)
        if first is None:
            return
        job = first[0]
        packages = [*PACKAGES, *(["modisco-lite"] if job.measurements.discovery else [])]
        with session(run, packages, [str(path) for path in job.plugins]) as path:
            for worker, reason in self.refusals(str(path)).items():
                if reason:
                    raise UserError(f"{self.name}: the worker on {worker} {reason}")
            yield from self._deal(str(path), chain([first], source))

    def _deal(self, path: str, groups: Iterator[Group]) -> Iterator[TrialOutcome]:
        in_flight: dict[Any, Group] = {}
        losses = _Losses()
        back: deque[Group] = deque()
        self._news = time.monotonic()
        try:
            while True:
                room = self._most_in_flight() - len(in_flight)
                again = [back.popleft() for _ in range(min(len(back), room))]
                for group in chain(again, islice(groups, max(room - len(again), 0))):
                    in_flight[self.submit(path, group)] = group
                if not in_flight:
                    return
                handles = self.ended_handles(in_flight, _GLANCE)
                self._explain_silence(bool(handles))
                for handle in handles:
                    group = in_flight.pop(handle)
                    outcomes = self._outcomes(group, self.result(handle), losses)
                    if outcomes is None:
                        outcomes, left = split_finished(group)
                        back.extend((job,) for job in left)
                    yield from outcomes
        finally:
            with reported_errors(f"{self.name}: cancelling what has not ended", self.say):
                self.cancel(in_flight)

    def _most_in_flight(self) -> int:
        """Return how many groups may be with the cluster: where there is room, one runs, one waits.

        Where there is no room, one that waits lets clusters grow that grow by themselves.
        """
        now = time.monotonic()
        if now - self._looked > _GLANCE:
            self._slots, self._looked = self.slots(), now
        return self.jobs or max(2 * self._slots, 1)

    def _explain_silence(self, news: bool) -> None:
        """Tell the user about a cluster without workers when there was no news for long."""
        now = time.monotonic()
        if news:
            self._news = now
        elif now - self._news > SILENCE:
            self._news = now
            if not self.slots():
                self.say(f"{self.name} has no worker; waiting for one")

    def _outcomes(
        self, group: Group, result: list[TrialOutcome] | Refused | None, losses: _Losses
    ) -> list[TrialOutcome] | None:
        """Return what became of a group's jobs; None if they are to be handed over again."""
        if isinstance(result, Refused):
            raise UserError(f"{self.name}: {result.reason}")
        if result is not None:
            losses.in_a_row = 0
            return result
        losses.of_trial[group[0].trial.id] += 1
        losses.in_a_row += 1
        if losses.in_a_row > _MOST_IN_A_ROW:
            raise UserError(
                f"{self.name}: workers die as soon as they have a trial; its own logs say why; the "
                "same command goes on where it stopped"
            )
        if losses.of_trial[group[0].trial.id] < _MOST_LOSSES:
            return None
        return [give_up(job, "its workers died again and again") for job in group]


def run_admitted(path: str, group: Group) -> list[TrialOutcome] | Refused:
    """Run a group if this process may; this is what a worker of a cluster calls.

    Engines hand a group over again when its worker has died; the folders that the dead worker left
    say how often each trial was begun. Jobs that were begun before are tried one by one, and given
    up the third time.

    Args:
        path: path of the session file.
        group: what to run.
    """
    reason = refusal(path) or _lacks_gpu(group[0])
    if reason:
        return Refused(f"the worker on {platform.node()} {reason}")
    use_caches()
    os.environ.update(ENVIRONMENT)
    try:
        return _run_or_give_up(group)
    except OSError as error:
        if not is_disk_error(error):
            raise
        return Refused(f"the worker on {platform.node()} cannot write {explain(error)}")


def _run_or_give_up(group: Group) -> list[TrialOutcome]:
    """Run those jobs of a group that are left and may not have killed two workers already."""
    from threadpoolctl import threadpool_limits

    begun = Counter(RunDirectory(group[0].run).in_flight())
    outcomes, left = split_finished(group)
    with threadpool_limits(1):
        if left and not any(begun[job.trial.id] for job in left):
            return outcomes + run_group(left)
        for job in left:
            if begun[job.trial.id] > 1:
                outcomes.append(give_up(job, DIED_TWICE))
            else:
                outcomes += run_group((job,))
    return outcomes


def _lacks_gpu(job: Job) -> str:
    """Return why this process cannot run a job that needs a GPU, or ""."""
    if job.trial.device != CUDA or torch.cuda.device_count():
        return ""
    return "offers a GPU, but torch sees none there; look at CUDA_VISIBLE_DEVICES and at the driver"
