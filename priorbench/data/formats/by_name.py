"""Rows grouped by a name, such as that of their chromosome, in time linear in names and rows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def rows_by_name(names: NDArray[np.str_]) -> dict[str, NDArray[np.int64]]:
    """Return the ascending rows of each name, the names in alphabetical order.

    Args:
        names: (n,) str.
    """
    if not len(names):
        return {}
    different, number = np.unique(names, return_inverse=True)
    rows = np.argsort(number, kind="stable")
    borders = np.cumsum(np.bincount(number))[:-1]
    return dict(zip(different.tolist(), np.split(rows, borders), strict=True))
