"""Random streams by purpose, the same for every prior.

A stream is derived from (root seed, scope, purpose) and never from the prior; the stream that a
prior itself draws from (dropout masks, input noise) has the purpose ``prior``.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np


def derive(root: int, *scope: str | int) -> int:
    """Return a 63-bit seed that is derived from a root seed and a scope.

    Args:
        root: the study's root seed.
        scope: purpose of the stream, such as ``("binary", "simulated", 3, "order", 0)``.

    Returns:
        an integer in [0, 2**63), the same on every platform and in every process.
    """
    text = "\x1f".join(f"{type(part).__name__}:{part}" for part in (root, *scope))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def generator(root: int, *scope: str | int) -> np.random.Generator:
    """Return a NumPy generator seeded by :func:`derive`."""
    return np.random.default_rng(derive(root, *scope))


@dataclass(frozen=True)
class RandomStreams:
    """The random streams of a trial, which do not depend on its prior.

    Attributes:
        root: the study's root seed.
        scope: task and dataset.
        seed: the trial's seed.
    """

    root: int
    scope: tuple[str, ...]
    seed: int

    def of_teacher(self, number: int) -> RandomStreams:
        """Return the streams of a network that is trained first, the same for every prior."""
        return RandomStreams(self.root, (*self.scope, "teacher", str(number)), self.seed)

    def derive(self, purpose: str, *more: int) -> int:
        """Return a 63-bit seed for one purpose, and for numbers such as an epoch's."""
        return derive(self.root, *self.scope, self.seed, purpose, *more)
