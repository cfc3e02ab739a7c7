"""Trials on a Ray cluster that is running, as Ray's own tasks.

Not by joblib's backend: that one runs everything in the driver where the cluster has room for one
task, and gives no result before all have ended.
"""

from __future__ import annotations

import contextlib
import logging
import math
import re
import socket
import sys
from collections.abc import Callable, Collection, Mapping
from typing import Any

import ray
from ray.exceptions import RayError, RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from priorbench.errors import UserError
from priorbench.execution.devices import CUDA, Device, choose_device
from priorbench.execution.run_group import Group, TrialOutcome

from .cluster import PATIENCE, SILENCE, Cluster, Refused, run_admitted
from .worker_check import refusal

_RETRIES = 3  # of a trial whose worker died; cluster.run_admitted gives it up before


class RayEngine(Cluster):
    """The nodes of a Ray cluster."""

    def __init__(self, address: str | None, jobs: int | None, say: Callable[[str], None]) -> None:
        """Connect.

        Args:
            address: as of ``ray.init``: ``auto``, ``host:port``, ``ray://host:port``, or ``local``
                to start one; None for one that is running here, or else to start one.
            jobs: how many trials at once; None for as many as there is room for.
            say: called with a line for the user.

        Raises:
            UserError: if nobody answers there.
        """
        super().__init__(f"--scheduler {address}" if address else "--backend ray", jobs, say)
        _require_answer(address)
        with contextlib.ExitStack() as stack:
            # Ray prints its news where a run names its files, and nothing else
            stack.enter_context(contextlib.redirect_stdout(sys.stderr))
            try:
                ray.init(address=address, logging_level=logging.ERROR, log_to_driver=False)
            except (ConnectionError, RuntimeError, ValueError, ImportError) as error:
                what = str(error).splitlines()[0] if str(error) else type(error).__name__
                raise UserError(
                    f"{self.name}: no Ray cluster can be used there ({what}); `ray start --head` "
                    "starts one and names its address"
                ) from error
            stack.callback(ray.shutdown)
            self._left = stack.pop_all()
        self._share = 1.0
        self._task: Any = None

    def device(self, wanted: str) -> Device:
        """As :meth:`engines.Engine.device`: what nodes offer."""
        gpus, cores = self._offered("GPU"), self._offered("CPU")
        found = choose_device(
            wanted,
            gpus=gpus,
            cores=cores,
            jobs=self.jobs,
            hint="no node of the Ray cluster offers a GPU; `ray status` says what they offer",
        )
        self.gpu = found.kind == CUDA
        if self.gpu and self.jobs:
            self._share = 1 / math.ceil(self.jobs / gpus)
        self._task = ray.remote(run_admitted).options(
            num_cpus=1, num_gpus=self._share if self.gpu else 0, max_retries=_RETRIES
        )
        return found

    def facts(self) -> dict[str, Any]:
        """The engine, and the hosts of its nodes."""
        hosts = sorted({str(node["NodeManagerHostname"]) for node in self._nodes().values()})
        return {"backend": f"ray {ray.__version__}", "hosts": hosts}

    def slots(self) -> int:
        """As :meth:`cluster.Cluster.slots`."""
        cores = self._offered("CPU")
        return min(cores, int(self._offered("GPU") / self._share)) if self.gpu else cores

    def _offered(self, resource: str) -> int:
        return int(ray.cluster_resources().get(resource, 0))

    def _nodes(self) -> Mapping[str, Any]:
        """Nodes that trials may go to."""
        needed = "GPU" if self.gpu else "CPU"
        return {
            node["NodeID"]: node
            for node in ray.nodes()
            if node["Alive"] and node["Resources"].get(needed)
        }

    def refusals(self, path: str) -> Mapping[str, str]:
        """As :meth:`cluster.Cluster.refusals`; one answer a node."""
        look = ray.remote(refusal)
        asked = {
            node["NodeManagerHostname"]: look.options(
                num_cpus=0, scheduling_strategy=NodeAffinitySchedulingStrategy(name, soft=False)
            ).remote(path)
            for name, node in self._nodes().items()
        }
        left = list(asked.values())
        while left:
            _, left = ray.wait(left, num_returns=len(left), timeout=SILENCE)
            if left:
                self.say(f"{self.name}: waiting for {len(left)} of {len(asked)} nodes to answer")
        return {host: _answer(reference) for host, reference in asked.items()}

    def submit(self, path: str, group: Group) -> Any:
        """As :meth:`cluster.Cluster.submit`."""
        return self._task.remote(path, group)

    def ended(self, handles: Collection[Any], timeout: float) -> list[Any]:
        """As :meth:`cluster.Cluster.ended`."""
        found: list[Any] = ray.wait(list(handles), num_returns=1, timeout=timeout)[0]
        return found

    def result(self, handle: Any) -> list[TrialOutcome] | Refused | None:
        """As :meth:`cluster.Cluster.result`."""
        try:
            result: list[TrialOutcome] | Refused = ray.get(handle)
        except RayTaskError as error:
            raise error.cause from None
        except RayError:
            return None
        return result

    def cancel(self, handles: Collection[Any]) -> None:
        """As :meth:`cluster.Cluster.cancel`; what has begun is killed."""
        if ray.is_initialized():
            for handle in handles:
                with contextlib.suppress(RayError):
                    ray.cancel(handle, force=True)

    def close(self) -> None:
        """As :meth:`cluster.Cluster.close`."""
        self._left.close()


def _require_answer(address: str | None) -> None:
    """Fail soon where nobody listens; Ray itself tries for minutes, and then aborts the process."""
    found = re.fullmatch(r"(?:ray://)?(?P<host>[^/:]+|\[[^]]+\]):(?P<port>\d+)", address or "")
    if not found:
        return
    try:
        socket.create_connection(
            (found["host"].strip("[]"), int(found["port"])), timeout=PATIENCE
        ).close()
    except OSError as error:
        raise UserError(
            f"--scheduler {address}: no Ray cluster listens there ({error.strerror or error}); "
            "`ray start --head` starts one and names its address"
        ) from error


def _answer(reference: Any) -> str:
    try:
        answer: str = ray.get(reference)
    except RayTaskError as error:
        cause = error.cause
        return f"cannot load priorbench as it is here: {type(cause).__name__}: {cause}"
    except RayError as error:
        return f"cannot run a task: {type(error).__name__}: {str(error).splitlines()[0]}"
    return answer
