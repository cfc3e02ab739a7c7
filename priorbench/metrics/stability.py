"""Whether attributions stay the same when only the random seed changes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..contracts import Metric

_CHUNK = 64


def cosine_agreement(attributions: Sequence[NDArray[np.float32]]) -> NDArray[np.float64]:
    """Mean cosine of every two trials' attributions of the same sequences.

    A sequence whose attribution is all zero agrees with nothing: cosine 0.

    Args:
        attributions: S arrays (M, L), rows in the same order.

    Returns:
        (S, S) float64, symmetric; entry i, j is the mean over sequences of the cosine.
    """
    count = len(attributions)
    total = np.zeros((count, count))
    rows = len(attributions[0]) if count else 0
    for start in range(0, rows, _CHUNK):
        part = np.stack([a[start : start + _CHUNK] for a in attributions]).astype(np.float64)
        norm = np.linalg.norm(part, axis=2, keepdims=True)
        unit = np.divide(part, norm, out=np.zeros_like(part), where=norm > 0)
        flat = unit.reshape(count, -1)
        total += flat @ flat.T
    return total / max(rows, 1)


METRICS = (
    Metric(
        "seed-cosine",
        "stability",
        "",
        True,
        "cosine of attributions with those of the other seeds, mean over sequences",
        "seeds",
        cosine_agreement,
    ),
)
