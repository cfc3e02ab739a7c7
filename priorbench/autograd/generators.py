"""Torch's default generators, from which modules such as dropout draw."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

import torch


def forked_generators(device: torch.device) -> AbstractContextManager[Any]:
    """Restore at the end of the block the generators that modules on a device draw from."""
    return torch.random.fork_rng([device] if device.type == "cuda" else [])
