"""What runs trials: processes of this machine, or the workers of a cluster."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from priorbench.execution.devices import Device
from priorbench.execution.run_group import Group, TrialOutcome
from priorbench.run_directory import RunDirectory

LOKY, DASK, RAY = "loky", "dask", "ray"

# one thread a worker, and deterministic matrix products on a GPU
_THREADS = ("OMP", "MKL", "OPENBLAS", "NUMEXPR", "VECLIB_MAXIMUM")
ENVIRONMENT = {
    **{f"{library}_NUM_THREADS": "1" for library in _THREADS},
    "CUBLAS_WORKSPACE_CONFIG": ":4096:8",
}


@dataclass(frozen=True)
class RunPlacement:
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


class Engine(Protocol):
    """Runs jobs, as many at once as it has room for."""

    def device(self, wanted: str) -> Device:
        """Where trials run if ``auto``, ``cpu`` or ``cuda`` is wanted.

        Raises:
            UserError: for ``cuda`` where there is no GPU.
        """

    def facts(self) -> dict[str, Any]:
        """What to write down about the machines, as plain values."""

    def run(self, groups: Iterable[Group], run: RunDirectory) -> Iterator[TrialOutcome]:
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
class Workforce:
    """What runs the trials of a study.

    Attributes:
        engine: open.
        device: what trials run on.
        ensemble: how many train at once, at most.
    """

    engine: Engine
    device: Device
    ensemble: int = 1

    def at_once(self, trials: int) -> int:
        """How many of so many train at once, so that there is work for everyone."""
        return max(1, min(self.ensemble, math.ceil(trials / self.device.slots)))
