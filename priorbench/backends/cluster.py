"""What the engines of clusters share: who may take part, and how trials are dealt.

Workers write whole trial folders to the run directory, which must be on a file system that all
of them share; they need it anyway, for the encoded data. That is safe because

- a folder is filled aside and renamed when it is whole (``store.RunDirectory``);
- a trial that two workers finish, as one was thought dead, has the same bits from both on CPU, or
  was trained at once with others by one of them, which is as good;
- a worker takes part only while it sees the session file that the driver wrote for this very run,
  and only with the driver's code and versions. One that still works for an earlier driver finds
  its half-filled folder gone, and finishes nothing.

The driver alone writes everything else.
"""

from __future__ import annotations

import math
import os
import platform
import time
from abc import ABC, abstractmethod
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import Any

import torch

from priorbench.errors import UserError
from priorbench.execution.devices import CUDA
from priorbench.execution.environment import PACKAGES
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
from .worker_check import refusal, session

PATIENCE = 10.0
"""seconds that a scheduler has to answer"""

SILENCE = 60.0
"""seconds without news after which the user is told why"""

_GLANCE = 5.0  # seconds after which the cluster is asked again how large it is
# Losses beyond what the engine itself mends, of a trial, and of all while nothing else ends.
_MOST_LOSSES, _MOST_IN_A_ROW = 3, 9


@dataclass(frozen=True)
class Refused:
    """A worker would not run a job, and why."""

    reason: str


@dataclass
class _Losses:
    """Jobs whose workers died more often than the engine itself mends."""

    of_trial: Counter[str] = field(default_factory=Counter)
    in_a_row: int = 0


def run_admitted(path: str, group: Group) -> list[TrialOutcome] | Refused:
    """Run jobs if this process may; what a worker of a cluster calls.

    Args:
        path: of the session file.
        group: what to run.
    """
    from threadpoolctl import threadpool_limits

    reason = refusal(path) or _lacks_gpu(group[0])
    if reason:
        return Refused(f"the worker on {platform.node()} {reason}")
    os.environ.update(ENVIRONMENT)
    # engines run jobs again whose worker has died; the folders that it left say how often
    begun = Counter(RunDirectory(group[0].run).in_flight())
    left = tuple(job for job in group if not is_finished(job))
    found = [ended(job) for job in group if job not in left]
    with threadpool_limits(1):
        if left and not any(begun[job.trial.id] for job in left):
            return found + run_group(left)
        for job in left:
            if begun[job.trial.id] > 1:
                found.append(given_up(job, DIED_TWICE))
            else:
                found += run_group((job,))
    return found


def _lacks_gpu(job: Job) -> str:
    if job.trial.device != CUDA or torch.cuda.device_count():
        return ""
    return "offers a GPU, but torch sees none there; look at CUDA_VISIBLE_DEVICES and at the driver"


class Cluster(ABC):
    """Deals jobs to the workers of a cluster, a few more at a time than they have room for.

    Attributes:
        name: of the engine, and where it is, for messages.
        jobs: how many trials at once, if the user wants it so.
        gpu: whether a trial needs one.
    """

    def __init__(self, name: str, jobs: int | None, say: Callable[[str], None]) -> None:
        """Connect to nothing yet."""
        self.name, self.jobs, self.say = name, jobs, say
        self.gpu = False
        self._slots, self._looked, self._news = 0, -math.inf, 0.0

    @abstractmethod
    def slots(self) -> int:
        """How many trials there is room for now; 0 while no worker is there."""

    @abstractmethod
    def refusals(self, path: str) -> Mapping[str, str]:
        """What :func:`refusal` says on every worker that is there, by its name."""

    @abstractmethod
    def submit(self, path: str, group: Group) -> Any:
        """Hand jobs over that belong together; gives a handle that can be a key."""

    @abstractmethod
    def ended(self, handles: Collection[Any], timeout: float) -> list[Any]:
        """The handles that have ended, after some seconds at the latest."""

    @abstractmethod
    def result(self, handle: Any) -> list[TrialOutcome] | Refused | None:
        """What became of a handle that has ended; None if its workers died too often."""

    @abstractmethod
    def cancel(self, handles: Collection[Any]) -> None:
        """Forget jobs that have not begun."""

    @abstractmethod
    def close(self) -> None:
        """Leave the cluster."""

    def run(self, groups: Iterable[Group], run: RunDirectory) -> Iterator[TrialOutcome]:
        """As :meth:`engines.Engine.run`."""
        source = iter(groups)
        first = next(source, None)
        if first is None:
            return
        one = first[0]
        packages = [*PACKAGES, *(["modisco-lite"] if one.wanted.discovery else [])]
        with session(run, packages, [str(path) for path in one.plugins]) as path:
            for worker, reason in self.refusals(str(path)).items():
                if reason:
                    raise UserError(f"{self.name}: the worker on {worker} {reason}")
            yield from self._dealt(str(path), chain([first], source))

    def _dealt(self, path: str, groups: Iterator[Group]) -> Iterator[TrialOutcome]:
        flying: dict[Any, Group] = {}
        lost = _Losses()
        back: deque[Group] = deque()
        self._news = time.monotonic()
        try:
            while True:
                room = self._ahead() - len(flying)
                again = [back.popleft() for _ in range(min(len(back), room))]
                for group in chain(again, islice(groups, max(room - len(again), 0))):
                    flying[self.submit(path, group)] = group
                if not flying:
                    return
                handles = self.ended(flying, _GLANCE)
                self._tell_silence(bool(handles))
                for handle in handles:
                    group = flying.pop(handle)
                    known = self._judged(group, self.result(handle), lost)
                    if known is None:
                        back.extend((job,) for job in group if not is_finished(job))
                        yield from (ended(job) for job in group if is_finished(job))
                    else:
                        yield from known
        finally:
            self.cancel(flying)

    def _judged(
        self, group: Group, result: list[TrialOutcome] | Refused | None, lost: _Losses
    ) -> list[TrialOutcome] | None:
        """What became of jobs; None if they are to be handed over again."""
        if isinstance(result, Refused):
            raise UserError(f"{self.name}: {result.reason}")
        if result is not None:
            lost.in_a_row = 0
            return result
        lost.of_trial[group[0].trial.id] += 1
        lost.in_a_row += 1
        if lost.in_a_row > _MOST_IN_A_ROW:
            raise UserError(
                f"{self.name}: workers die as soon as they have a trial; its own logs say why; the "
                "same command goes on where it stopped"
            )
        if lost.of_trial[group[0].trial.id] < _MOST_LOSSES:
            return None
        return [
            ended(job) if is_finished(job) else given_up(job, "its workers died again and again")
            for job in group
        ]

    def _ahead(self) -> int:
        """How many jobs may be with the cluster: one runs and one waits where there is room.

        Where there is none, one that waits makes clusters grow that grow by themselves.
        """
        now = time.monotonic()
        if now - self._looked > _GLANCE:
            self._slots, self._looked = self.slots(), now
        return self.jobs or max(2 * self._slots, 1)

    def _tell_silence(self, news: bool) -> None:
        now = time.monotonic()
        if news:
            self._news = now
        elif now - self._news > SILENCE:
            self._news = now
            if not self.slots():
                self.say(f"{self.name} has no worker; waiting for one")
