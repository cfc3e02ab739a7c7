"""Whether attributions stay the same when only the random seed changes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..contracts import Metric


def seed_cosine(attributions: Sequence[NDArray[np.float32]]) -> NDArray[np.float64]:
    """Agreement of each seed's attributions with those of the other seeds.

    The cosine of two seeds' attributions of one sequence, averaged over sequences and over the
    other seeds. A sequence whose attribution is all zero agrees with nothing: cosine 0.

    Args:
        attributions: S arrays (M, L) of the same sequences under one prior.

    Returns:
        (S,) float64; NaN where there is no other seed.
    """
    count = len(attributions)
    if count < 2:
        return np.full(count, np.nan)
    # sum over others of cos(s, o) = <unit_s, sum of units> - <unit_s, unit_s>: linear in seeds
    units = [_unit_rows(attribution) for attribution in attributions]
    total = np.sum(units, axis=0)
    return np.array(
        [float(np.einsum("ml,ml->m", unit, total - unit).mean()) / (count - 1) for unit in units]
    )


def _unit_rows(rows: NDArray[np.float32]) -> NDArray[np.float64]:
    wide = rows.astype(np.float64)
    norm = np.linalg.norm(wide, axis=1, keepdims=True)
    unit: NDArray[np.float64] = np.divide(wide, norm, out=np.zeros_like(wide), where=norm > 0)
    return unit


METRICS = (
    Metric(
        "seed-cosine",
        "stability",
        "",
        True,
        "cosine of attributions with those of the other seeds, mean over sequences",
        "seeds",
        seed_cosine,
    ),
)
