"""What all backends share: the protocol of engines, and where a user wants trials to run."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from priorbench.execution.devices import Device
from priorbench.execution.run_group import Group, TrialOutcome
from priorbench.execution.run_trial import in_one_line
from priorbench.machine.signals import is_stopping
from priorbench.storage.run_directory import RunDirectory

LOKY, DASK, RAY = "loky", "dask", "ray"
STARTS_ONE = (None, "local")
"""addresses for which Ray starts a cluster on this machine"""

# one thread a worker, and deterministic matrix products on a GPU; numba matches motifs
_THREADS = ("OMP", "MKL", "OPENBLAS", "NUMEXPR", "VECLIB_MAXIMUM", "NUMBA")
ENVIRONMENT = {
    **{f"{library}_NUM_THREADS": "1" for library in _THREADS},
    "CUBLAS_WORKSPACE_CONFIG": ":4096:8",
}
"""environment variables of every worker"""


@dataclass(frozen=True)
class RunPlacement:
    """The place and manner in which the user wants trials to run.

    Attributes:
        backend: ``loky`` for this machine, ``dask`` or ``ray`` for a cluster.
        scheduler: address of the cluster, or None.
        jobs: how many groups run at once; on a cluster, how many are with it at once, waiting ones
            included. None for as many as there is room for; on a cluster, twice as many.
        ensemble: how many trials of a group train at once, at most.
    """

    backend: str = LOKY
    scheduler: str | None = None
    jobs: int | None = None
    ensemble: int = 1


class Engine(Protocol):
    """An object that runs jobs on a backend, as many at once as there is room for."""

    def device(self, requested: str) -> Device:
        """Choose what trials run on.

        Args:
            requested: ``auto``, ``cpu`` or ``cuda``.

        Raises:
            UserError: if ``cuda`` is requested and there is no GPU.
        """

    def facts(self) -> dict[str, Any]:
        """Return what environment.json says of the backend, as plain values."""

    def run(
        self, groups: Iterable[Group], run: RunDirectory
    ) -> Generator[TrialOutcome, None, None]:
        """Run all jobs and yield the outcome of each, once, when its group has ended.

        Groups are taken from the iterable a few at a time, so that a hundred thousand of them are
        never in memory at once. If the generator is closed, groups that have not begun never will.

        Args:
            groups: groups of jobs; no trial is in two of them.
            run: where the trials are written; the caller holds its lock, and nothing is in flight
                there.

        Raises:
            UserError: if the backend cannot be used.
        """

    def close(self) -> None:
        """Leave the backend."""


@contextmanager
def reported_errors(action: str, say: Callable[[str], None]) -> Iterator[None]:
    """Say in one line if an action fails with which a backend is left, and go on.

    How the run ended counts more than that; nothing is said of it when the program was told to end.
    """
    try:
        yield
    except Exception as error:
        if not is_stopping():
            say(f"{action} failed ({in_one_line(error)})")


@dataclass(frozen=True)
class Workforce:
    """What runs the trials of a study.

    Attributes:
        engine: the open engine.
        device: what trials run on.
        ensemble: how many trials train at once in a group, at most.
    """

    engine: Engine
    device: Device
    ensemble: int = 1

    def ensemble_size(self, trials: int) -> int:
        """Return how many of so many trials train at once, such that no worker is left idle."""
        return max(1, min(self.ensemble, math.ceil(trials / self.device.slots)))
