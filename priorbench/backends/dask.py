"""The engine of a Dask cluster that is running, by Dask's own client.

A trial on a GPU asks its worker for one unit of the resource ``GPU`` (:meth:`DaskEngine.submit`),
so only workers that were started with ``--resources GPU=1`` get one; which GPU that is, a worker
finds out in `execution/devices.py`.

Joblib's backend for Dask is not used: it runs everything in the driver where the cluster has room
for one task, and hands over no more than what the workers that were there at the start have room
for.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import secrets
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import CancelledError
from typing import Any

import distributed
from distributed.comm import connect

from priorbench.errors import UserError
from priorbench.execution.devices import CUDA, Device, choose_device
from priorbench.execution.run_group import Group, TrialOutcome

from .cluster import PATIENCE, Cluster, Refused, run_admitted
from .worker_check import refusal

_GPU = "GPU"


class DaskEngine(Cluster):
    """The engine whose workers are those of a Dask scheduler."""

    def __init__(self, address: str, jobs: int | None, say: Callable[[str], None]) -> None:
        """Connect to the scheduler at an address such as ``tcp://host:8786``.

        Raises:
            UserError: if nobody answers there.
        """
        super().__init__(f"--scheduler {address}", jobs, say)
        _require_answer(address)
        # what is lost is said in one line; tornado logs a traceback where Ctrl-C comes before
        # distributed.utils.sync has begun what it then cancels
        for logger in ("distributed", "distributed.client", "tornado.application"):
            logging.getLogger(logger).setLevel(logging.CRITICAL)
        self._client = distributed.Client(
            address, timeout=PATIENCE, set_as_default=False, name="priorbench"
        )
        self._ended: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def device(self, requested: str) -> Device:
        """Choose among what the workers offer, once there is a worker."""
        if not self._workers():
            self.say(f"{self.name} has no worker yet; waiting for one")
            self._client.wait_for_workers(1)
        workers = self._workers().values()
        gpus = sum(map(_offers_gpu, workers))
        device = choose_device(
            requested,
            gpus=gpus,
            cores=len(workers),
            jobs=self.jobs,
            hint=f"no worker of {self.name} offers a GPU; start each with one GPU visible to it "
            "and --resources GPU=1",
        )
        self.gpu = device.kind == CUDA
        return device

    def facts(self) -> dict[str, Any]:
        """Return the version of Dask and the hosts of the workers."""
        hosts = sorted({str(worker["host"]) for worker in self._workers().values()})
        return {"backend": f"dask {distributed.__version__}", "hosts": hosts}

    def slots(self) -> int:
        """Count the workers; those that offer a GPU, if trials need one."""
        workers = self._workers().values()
        return sum(map(_offers_gpu, workers)) if self.gpu else len(workers)

    def _workers(self) -> Mapping[str, Any]:
        # -1 for all of them: by default, versions before 2026.8 list five
        workers: Mapping[str, Any] = self._client.scheduler_info(n_workers=-1)["workers"]
        return workers

    def refusals(self, path: str) -> Mapping[str, str]:
        """Return what each worker says that trials would go to."""
        refusals = {}
        workers = self._workers()
        answers = self._client.run(refusal, path, on_error="return")
        for address, answer in answers.items():
            worker = workers.get(address, {})
            if _offers_gpu(worker) or not self.gpu:
                name = f"{worker.get('host', address)} ({address})"
                refusals[name] = _refusal_in(answer, worker.get("nthreads", 1))
        return refusals

    def submit(self, path: str, group: Group) -> Any:
        """Hand a group over as a task, which takes a worker's GPU if trials need one."""
        future = self._client.submit(
            _run_on_worker,
            path,
            group,
            key=f"{group[0].trial.id}-{secrets.token_hex(4)}",
            pure=False,
            resources={_GPU: 1} if self.gpu else None,
        )
        future.add_done_callback(self._ended.put)
        return future

    def ended_handles(self, handles: Collection[Any], timeout: float) -> list[Any]:
        """Wait until futures are done, and return them."""
        ended = []
        try:
            ended.append(self._ended.get(timeout=timeout))
            while True:
                ended.append(self._ended.get_nowait())
        except queue.Empty:
            return [future for future in ended if future in handles]

    def result(self, handle: Any) -> list[TrialOutcome] | Refused | None:
        """Return the result of a future; None if Dask gave it up because its workers died."""
        try:
            result: list[TrialOutcome] | Refused = handle.result()
        except distributed.KilledWorker:
            return None
        except CancelledError:
            raise UserError(
                f"{self.name}: the scheduler went away; the same command goes on where it stopped"
            ) from None
        return result

    def cancel(self, handles: Collection[Any]) -> None:
        """Forget tasks that have not begun; those that have go on to their end."""
        if handles and self._client.status == "running":
            self._client.cancel(list(handles))

    def close(self) -> None:
        """Disconnect."""
        self._client.close()


def _require_answer(address: str) -> None:
    """Fail soon where no scheduler answers; the client would wait for ever for what is no Dask."""

    async def ask() -> None:
        arguments = distributed.Security().get_connection_args("client")
        async with asyncio.timeout(PATIENCE):
            comm = await connect(address, timeout=PATIENCE, **arguments)
        comm.abort()

    try:
        asyncio.run(ask())
    # no time left, no address, no certificate, no such port
    except (OSError, ValueError, TypeError, OverflowError) as error:
        what = str(error) or f"nothing within {PATIENCE:.0f} s"
        raise UserError(
            f"--scheduler {address}: no Dask scheduler answers there ({what}); `dask scheduler` "
            "starts one and names its address"
        ) from error


def _offers_gpu(worker: Mapping[str, Any]) -> bool:
    return bool(worker.get("resources", {}).get(_GPU, 0) >= 1)


def _refusal_in(answer: str | Exception, threads: int) -> str:
    """Return why a worker with that many threads may not take part, by its answer, or ""."""
    if isinstance(answer, Exception):
        return f"cannot load priorbench as it is here: {type(answer).__name__}: {answer}"
    return answer or _too_many_threads(threads)


def _run_on_worker(path: str, group: Group) -> list[TrialOutcome] | Refused:
    worker = distributed.get_worker()
    if reason := _too_many_threads(worker.state.nthreads):
        return Refused(f"the worker at {worker.address} {reason}")
    return run_admitted(path, group)


def _too_many_threads(threads: int) -> str:
    """Return why a worker process with that many threads is refused, or ""."""
    if threads <= 1:
        return ""
    return (
        f"runs {threads} tasks at once in one process, and trials need one each: start workers "
        f"with `dask worker --nworkers {threads} --nthreads 1`"
    )
