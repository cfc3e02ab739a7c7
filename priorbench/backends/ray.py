"""The engine of a Ray cluster that is running, by Ray's own tasks.

A trial on a GPU asks its node for a GPU, or for a share of one where the user wants more trials at
once than there are GPUs (:meth:`RayEngine.device`).

Joblib's backend for Ray is not used: it runs everything in the driver where the cluster has room
for one task, and gives no result before all have ended.
"""

from __future__ import annotations

import contextlib
import logging
import math
import re
import signal
import socket
import sys
import time
from collections.abc import Callable, Collection, Mapping
from typing import Any

import ray
from ray.exceptions import RayError, RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from priorbench.errors import UserError
from priorbench.execution.devices import CUDA, Device, choose_device
from priorbench.execution.run_group import Group, TrialOutcome

from .base import STARTS_ONE
from .cluster import PATIENCE, SILENCE, Cluster, Refused, run_admitted
from .worker_check import refusal

_PAUSE = 0.5  # seconds between two tries to connect
_RETRIES = 3  # of a group whose worker died; cluster.run_admitted gives its trials up before


class RayEngine(Cluster):
    """The engine whose workers are on the nodes of a Ray cluster."""

    def __init__(self, address: str | None, jobs: int | None, say: Callable[[str], None]) -> None:
        """Connect to what ``ray.init`` takes.

        The address is ``auto``, ``host:port``, ``ray://host:port``, or ``local`` to start a
        cluster; None stands for one that is running here, or else starts one.

        Raises:
            UserError: if nobody answers there.
        """
        super().__init__(f"--scheduler {address}" if address else "--backend ray", jobs, say)
        deadline = time.monotonic() + PATIENCE
        _require_listener(address, deadline)
        with contextlib.ExitStack() as stack:
            # Ray prints its news on stdout, where a run names its files and nothing else
            stack.enter_context(contextlib.redirect_stdout(sys.stderr))
            stack.callback(ray.shutdown)
            handler = signal.getsignal(signal.SIGTERM)
            self._connect(address, deadline)
            # Ray's own handler would end the program without a word
            signal.signal(signal.SIGTERM, handler)
            self._left = stack.pop_all()
        self._share = 1.0
        self._task: Any = None

    def _connect(self, address: str | None, deadline: float) -> None:
        """Connect, again and again until the deadline: a port is open before its cluster is."""
        own = {"include_dashboard": False} if address in STARTS_ONE else {}
        while True:
            try:
                ray.init(address, logging_level=logging.ERROR, log_to_driver=False, **own)
                return
            except (ConnectionError, RuntimeError, ValueError, ImportError, RayError) as error:
                ray.shutdown()
                if isinstance(error, ConnectionError) and time.monotonic() < deadline:
                    time.sleep(_PAUSE)
                    continue
                what = str(error).splitlines()[0] if str(error) else type(error).__name__
                raise UserError(
                    f"{self.name}: no Ray cluster can be used there ({what}); `ray start --head` "
                    "starts one and names its address; one that asks for a token needs "
                    "RAY_AUTH_MODE=token here and on its nodes"
                ) from error

    def device(self, requested: str) -> Device:
        """Choose among what the nodes offer, and set what a task takes of it."""
        gpus, cores = self._offered("GPU"), self._offered("CPU")
        device = choose_device(
            requested,
            gpus=gpus,
            cores=cores,
            jobs=self.jobs,
            hint="no node of the Ray cluster offers a GPU; `ray status` says what they offer",
        )
        self.gpu = device.kind == CUDA
        if self.gpu and self.jobs:
            self._share = 1 / math.ceil(self.jobs / gpus)
        self._task = ray.remote(run_admitted).options(
            num_cpus=1, num_gpus=self._share if self.gpu else 0, max_retries=_RETRIES
        )
        return device

    def facts(self) -> dict[str, Any]:
        """Return the version of Ray and the hosts of the nodes."""
        hosts = sorted({str(node["NodeManagerHostname"]) for node in self._nodes().values()})
        return {"backend": f"ray {ray.__version__}", "hosts": hosts}

    def slots(self) -> int:
        """Count the tasks that the cores, and the GPUs if trials need them, have room for."""
        cores = self._offered("CPU")
        return min(cores, int(self._offered("GPU") / self._share)) if self.gpu else cores

    def _offered(self, resource: str) -> int:
        return int(ray.cluster_resources().get(resource, 0))

    def _nodes(self) -> Mapping[str, Any]:
        """Return the nodes that trials may go to, by id."""
        needed = "GPU" if self.gpu else "CPU"
        return {
            node["NodeID"]: node
            for node in ray.nodes()
            if node["Alive"] and node["Resources"].get(needed)
        }

    def refusals(self, path: str) -> Mapping[str, str]:
        """Return what one worker of each node says."""
        look = ray.remote(refusal)
        answers = {
            node["NodeManagerHostname"]: look.options(
                num_cpus=0, scheduling_strategy=NodeAffinitySchedulingStrategy(name, soft=False)
            ).remote(path)
            for name, node in self._nodes().items()
        }
        left = list(answers.values())
        while left:
            _, left = ray.wait(left, num_returns=len(left), timeout=SILENCE)
            if left:
                self.say(f"{self.name}: waiting for {len(left)} of {len(answers)} nodes to answer")
        return {host: _refusal_in(reference) for host, reference in answers.items()}

    def submit(self, path: str, group: Group) -> Any:
        """Hand a group over as a task."""
        return self._task.remote(path, group)

    def ended_handles(self, handles: Collection[Any], timeout: float) -> list[Any]:
        """Wait until a task has ended, and return its reference."""
        ended: list[Any] = ray.wait(list(handles), num_returns=1, timeout=timeout)[0]
        return ended

    def result(self, handle: Any) -> list[TrialOutcome] | Refused | None:
        """Return the result of a task; None if Ray gave it up because its workers died."""
        try:
            result: list[TrialOutcome] | Refused = ray.get(handle)
        except RayTaskError as error:
            raise error.cause from None
        except RayError:
            return None
        return result

    def cancel(self, handles: Collection[Any]) -> None:
        """Do nothing: Ray kills the tasks of a driver that leaves (:meth:`close`).

        Its cancellation of a single task aborts the driver where the task ends in the same moment
        (ray-project/ray, pull requests 54785 and 54798).
        """

    def close(self) -> None:
        """Disconnect."""
        self._left.close()


def _require_listener(address: str | None, deadline: float) -> None:
    """Fail where nobody listens by then; Ray itself tries for minutes, and aborts the process."""
    parts = re.fullmatch(r"(?:ray://)?(?P<host>[^/:]+|\[[^]]+\]):(?P<port>\d+)", address or "")
    while parts:
        try:
            place = (parts["host"].strip("[]"), int(parts["port"]))
            socket.create_connection(place, timeout=PATIENCE).close()
            return
        except (OSError, OverflowError) as error:  # nobody there; no such port
            if time.monotonic() < deadline:
                time.sleep(_PAUSE)
                continue
            reason = getattr(error, "strerror", None) or error
            raise UserError(
                f"--scheduler {address}: no Ray cluster listens there ({reason}); "
                "`ray start --head` starts one and names its address"
            ) from error


def _refusal_in(reference: Any) -> str:
    """Return why a node may not take part, by its answer, or ""."""
    try:
        answer: str = ray.get(reference)
    except RayTaskError as error:
        cause = error.cause
        return f"cannot load priorbench as it is here: {type(cause).__name__}: {cause}"
    except RayError as error:
        return f"cannot run a task: {type(error).__name__}: {str(error).splitlines()[0]}"
    return answer
