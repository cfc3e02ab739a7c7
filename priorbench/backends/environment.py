"""What a run was made with: versions, machine, command."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shlex
import sys
from typing import Any

PACKAGES = (
    *("priorbench", "torch", "numpy", "scipy", "pandas", "scikit-learn", "statsmodels", "joblib"),
    *("tangermeme", "memelite"),
)


def environment(device: str, workers: int) -> dict[str, Any]:
    """Return versions, platform, device and threads, as plain values."""
    import torch

    facts: dict[str, Any] = {
        "python": platform.python_version(),
        "packages": {name: importlib.metadata.version(name) for name in PACKAGES},
        "platform": platform.platform(),
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "device": device,
        "workers": workers,
        "threads_per_worker": 1,
    }
    if device == "cuda":
        gpus = range(torch.cuda.device_count())
        facts["gpus"] = [torch.cuda.get_device_name(index) for index in gpus]
    return facts


def command_line() -> str:
    """Return the command that this process was started with, quoted for a shell."""
    return shlex.join(["priorbench", *sys.argv[1:]])
