"""Random streams by purpose, so that every prior sees the same luck.

A stream is derived from (root seed, scope, purpose) and never from the prior, apart from
the stream that the prior itself draws from (``prior``: dropout masks, input noise).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np


def derive(root: int, *scope: str | int) -> int:
    """A 63-bit seed from a root seed and a scope.

    Args:
        root: the study's root seed.
        scope: what the stream is for, such as ``("binary", "simulated", 3, "order", 0)``.

    Returns:
        an integer in [0, 2**63), the same on every platform and in every process.
    """
    text = "\x1f".join(f"{type(part).__name__}:{part}" for part in (root, *scope))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def generator(root: int, *scope: str | int) -> np.random.Generator:
    """A NumPy generator seeded by :func:`derive`."""
    return np.random.default_rng(derive(root, *scope))


@dataclass(frozen=True)
class RandomStreams:
    """Where the random streams of a trial come from; the prior has no part in it.

    Attributes:
        root: the study's root seed.
        scope: task and dataset.
        seed: the trial's seed.
    """

    root: int
    scope: tuple[str, ...]
    seed: int

    def derive(self, purpose: str, *more: int) -> int:
        """A 63-bit seed for one purpose."""
        return derive(self.root, *self.scope, self.seed, purpose, *more)
