"""Which device trials run on, and which GPU a worker takes."""

from __future__ import annotations

import fcntl
import itertools
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import torch

from priorbench.errors import UserError

CPU, CUDA = "cpu", "cuda"
_CLAIMED: list[IO[str]] = []
"""the lock of the GPU that this process has claimed, kept open"""


@dataclass(frozen=True)
class Device:
    """What trials run on.

    Attributes:
        kind: ``cpu`` or ``cuda``.
        slots: how many trials run at once.
        why: why this kind was chosen.
    """

    kind: str
    slots: int
    why: str

    @property
    def summary(self) -> str:
        """A line such as ``cpu, 2 workers (auto: no GPU found)``."""
        return f"{self.kind}, {self.slots} worker{'s' if self.slots != 1 else ''} ({self.why})"


def choose_device(requested: str, *, gpus: int, cores: int, jobs: int | None, hint: str) -> Device:
    """Choose the device of a run, and how many trials it runs at once.

    Args:
        requested: ``auto``, ``cpu`` or ``cuda``.
        gpus: number of GPUs.
        cores: how many trials can run at once on processors.
        jobs: how many trials the user wants at once; None for one a core, or one a GPU.
        hint: what the user can do where there is no GPU.

    Raises:
        UserError: if ``cuda`` is requested and there is no GPU.
    """
    if requested == CUDA and not gpus:
        raise UserError(f"--device cuda: {hint}")
    if requested == CPU or not gpus:
        why = "as asked" if requested == CPU else "auto: no GPU found"
        if jobs and jobs > cores:
            why += f"; more than the {cores} cores, so that trials wait for each other"
        return Device(CPU, jobs or cores, why)
    count = f"{gpus} GPU{'s' if gpus > 1 else ''}"
    return Device(CUDA, jobs or gpus, count if requested == CUDA else f"auto: {count} found")


def claim_device(kind: str, folder: Path) -> torch.device:
    """Return the CPU, or claim the GPU that the fewest processes use and keep it to the end.

    A process claims a GPU by locking a file in the folder, which the system unlocks when the
    process dies. Files are named after the machine and the GPU itself, as processes that share the
    folder may be on several machines, and may number their GPUs differently.

    Args:
        kind: ``cpu`` or ``cuda``.
        folder: a folder that is the same for all processes that share the GPUs.

    Raises:
        RuntimeError: if this process sees no GPU.
    """
    if kind == CPU:
        return torch.device(CPU)
    if not _CLAIMED:
        count = torch.cuda.device_count()
        if not count:
            raise RuntimeError(f"the worker on {platform.node()} sees no GPU")
        for turn in itertools.count():
            share, index = divmod(turn, count)  # every GPU is taken once before one is shared
            file = _locked(folder / f".gpu-{platform.node()}-{_identity(index)}-{share}.lock")
            if file is not None:
                _CLAIMED.append(file)
                torch.cuda.set_device(index)
                break
    return torch.device(CUDA, torch.cuda.current_device())


def _identity(index: int) -> str:
    """Return the GPU's own name, which does not depend on CUDA_VISIBLE_DEVICES."""
    return str(getattr(torch.cuda.get_device_properties(index), "uuid", index))


def _locked(path: Path) -> IO[str] | None:
    """Lock a file and return it, or None if another process holds its lock."""
    file = path.open("a")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    return file
