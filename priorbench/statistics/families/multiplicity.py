"""Corrections of p for the number of tests in a family."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

JOINT, HOLM, BENJAMINI_HOCHBERG = "joint", "holm", "benjamini-hochberg"
CORRECTIONS = (JOINT, HOLM, BENJAMINI_HOCHBERG)


def adjust(p: Sequence[float] | NDArray[np.float64], correction: str) -> NDArray[np.float64]:
    """Return the adjusted p of one family.

    Args:
        p: (k,) values in (0, 1]; NaN where nothing was tested, which does not count.
        correction: ``holm`` (Holm 1979) or ``benjamini-hochberg`` (Benjamini & Hochberg 1995). The
            joint correction needs more than p: ``joint.step_down_p``.

    Returns:
        (k,) adjusted values in the same order; NaN stays.
    """
    values = np.asarray(p, dtype=float)
    tested = np.isfinite(values)
    result = np.full(len(values), np.nan)
    if tested.any():
        result[tested] = _ADJUSTED[correction](values[tested])
    return result


def _holm(p: NDArray[np.float64]) -> NDArray[np.float64]:
    # statsmodels.stats.multitest collects all garbage of the process at every call: 0.1 s a family
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    result = np.empty(len(p))
    result[order] = stepped.clip(max=1)
    return result


def _benjamini_hochberg(p: NDArray[np.float64]) -> NDArray[np.float64]:
    from scipy.stats import false_discovery_control

    result: NDArray[np.float64] = false_discovery_control(p, method="bh")
    return result


_ADJUSTED = {HOLM: _holm, BENJAMINI_HOCHBERG: _benjamini_hochberg}
