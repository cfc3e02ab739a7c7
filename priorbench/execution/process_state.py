"""The state of a worker process that a trial's result or price may depend on: torch, memory."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
import resource
import sys
from functools import cache
from pathlib import Path

import torch

_NEEDED_BY_SCORING = (
    "sklearn.metrics",
    "tangermeme.deep_lift_shap",
    "tangermeme.ersatz",
    "tangermeme.saturation_mutagenesis",
)
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""numbers of options of mallopt, from malloc.h of the GNU C library"""
_LARGEST_KEPT = 32 * 2**20
"""bytes up to which a block is kept for the next one: the most that the library allows"""
_NO_MEMORY = ("can't allocate memory", "out of memory", "ALLOC_FAILED")


def prepare_process() -> None:
    """Settle all that must not depend on what this process did before the trial."""
    set_torch()
    _keep_memory()
    _load_once()
    forget_peak_memory()


def set_torch() -> None:
    """Let torch use one thread, give the same bits every time, and keep float32 where it is set."""
    torch.set_num_threads(1)
    # as torch.use_deterministic_algorithms does, which loads the compiler for it: a third of the
    # time in which a worker starts
    torch.set_deterministic_debug_mode("error")
    # torch lets convolutions on a GPU round their factors to 10 bits (TF32)
    torch.backends.cudnn.allow_tf32 = False
    # nothing here reads memory that nothing was written to, and filling it takes time at every call
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]


@cache
def _keep_memory() -> None:
    """Let the process keep what a step of training frees, for the next step.

    The GNU C library hands it back to the system and asks for it again, page by page, which takes
    up to a quarter of a step; when it does so depends on what was loaded before.
    """
    with contextlib.suppress(OSError, AttributeError):  # there is no such library
        library = ctypes.CDLL(None)
        library.mallopt(_MMAP_THRESHOLD, _LARGEST_KEPT)
        library.mallopt(_TRIM_THRESHOLD, 2**31 - 1)


@cache
def _load_once() -> None:
    """Load what trials need, once a process, and exclude it from garbage collection.

    Loaded later, it would count as memory of the trial that needs it first; and a search through a
    million objects, none of which goes away, takes longer than a short epoch.
    """
    for module in _NEEDED_BY_SCORING:
        importlib.import_module(module)
    # the first Fourier transform of a process loads code too
    torch.fft.rfft(torch.ones(8, requires_grad=True)).abs().sum().backward()
    gc.collect()
    gc.freeze()


def forget_peak_memory() -> None:
    """Start the measurement of peak memory anew, as far as the system allows."""
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):  # Linux with the GNU C library only
        ctypes.CDLL(None).malloc_trim(0)  # what earlier trials freed goes back to the system
        Path("/proc/self/clear_refs").write_text("5")
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()


def peak_memory_mib(device: torch.device) -> float:
    """Return the peak since :func:`forget_peak_memory`: of this process, or of the GPU's memory."""
    if device.type == "cuda":
        return float(torch.cuda.max_memory_allocated(device)) / 2**20
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 2**10
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error says that the GPU or the machine has not enough memory."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(text in str(error) for text in _NO_MEMORY)
