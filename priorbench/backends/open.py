"""Opens the engine of a backend; the packages of the others need not be installed."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from priorbench.errors import UserError

from .base import DASK, LOKY, RAY, STARTS_ONE, Engine, RunPlacement, reported_errors

# Ray reads it when it is imported: a cluster that it starts listens on 127.0.0.1 then, as it does
# on Windows and macOS by default, and nobody else can have its workers run code
_THIS_MACHINE_ONLY = ("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
_PACKAGES = {DASK: "distributed", RAY: "ray"}


@contextmanager
def running_engine(placement: RunPlacement, say: Callable[[str], None]) -> Iterator[Engine]:
    """Open an engine as :func:`open_engine` does, and close it in the end, come what may."""
    engine = open_engine(placement, say)
    try:
        yield engine
    finally:
        with reported_errors(f"leaving --backend {placement.backend}", say):
            engine.close()


def open_engine(placement: RunPlacement, say: Callable[[str], None]) -> Engine:
    """Open the engine that runs trials where the user wants them; the caller closes it.

    Raises:
        UserError: if options do not fit, a package is missing, or nobody answers at the address.
    """
    backend, address = placement.backend, placement.scheduler
    if backend == LOKY:
        if address is not None:
            raise UserError(
                f"--scheduler {address}: goes with --backend dask or ray; name the backend, or "
                "leave the address out to run on this machine"
            )
        from .local import LocalEngine

        return LocalEngine(placement.jobs)
    try:
        if backend == DASK:
            from .dask import DaskEngine

            if address is None:
                raise UserError(
                    "--backend dask: needs the address of a scheduler that is running, such as "
                    "--scheduler tcp://HOST:8786; `dask scheduler` starts one and names it"
                )
            return DaskEngine(address, placement.jobs, say)
        if address in STARTS_ONE:
            os.environ.setdefault(*_THIS_MACHINE_ONLY)
        from .ray import RayEngine

        return RayEngine(address, placement.jobs, say)
    except ModuleNotFoundError as error:
        raise UserError(
            f"--backend {backend}: the package {_PACKAGES[backend]} is not installed "
            f"({error.name} is missing); pip install 'priorbench[{backend}]', here and on the "
            "workers"
        ) from error
