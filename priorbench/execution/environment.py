"""What a run was made with."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import sys
from collections.abc import Sequence
from typing import Any

PACKAGES = (
    "priorbench",
    "torch",
    "numpy",
    "scipy",
    "pandas",
    "scikit-learn",
    "statsmodels",
    "joblib",
    "tangermeme",
    "memelite",
)


def environment(device: str, workers: int) -> dict[str, Any]:
    """Versions, platform, device and threads, as plain values."""
    import torch

    found: dict[str, Any] = {
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
        found["gpus"] = [
            torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())
        ]
    return found


def command_line(arguments: Sequence[str] | None = None) -> str:
    """The command that was given, quoted for a shell."""
    import shlex

    return shlex.join(["priorbench", *(sys.argv[1:] if arguments is None else arguments)])
