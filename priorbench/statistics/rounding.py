"""Numbers that are equal up to the rounding of float32, in which networks compute."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

SINGLE = 1e-6
"""share of the largest magnitude up to which numbers are equal: float32 rounds by 6e-8 of a number,
and a mean or a sum of a few by some times that"""


def constant(values: NDArray[Any], axis: int) -> NDArray[np.bool_]:
    """Return whether values are equal up to rounding along an axis, which stays with length 1.

    A correlation with such values would be one with rounding errors.
    """
    least, most = values.min(axis=axis, keepdims=True), values.max(axis=axis, keepdims=True)
    equal: NDArray[np.bool_] = most - least <= SINGLE * np.maximum(np.abs(least), np.abs(most))
    return equal
