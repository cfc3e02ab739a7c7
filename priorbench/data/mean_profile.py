"""The mean of the profiles of many windows, as logits that a network or a floor starts from."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .codes import TRAIN


class MeanProfile:
    """The mean profile of the training windows, summed up chunk by chunk."""

    def __init__(self) -> None:
        """Start with no windows."""
        self._total: NDArray[np.float64] | None = None

    def add(self, reads: NDArray[Any], split: NDArray[np.uint8] | None = None) -> None:
        """Add (k, strands, L) reads; with (k,) splits, those of the training rows alone."""
        total = (reads if split is None else reads[split == TRAIN]).sum(axis=0, dtype=np.float64)
        self._total = total if self._total is None else self._total + total

    @property
    def logits(self) -> NDArray[np.float64]:
        """(strands, L) log probabilities, as if there were a read more at every position.

        So no position is impossible. ValueError before any windows were added.
        """
        if self._total is None:
            raise ValueError("no windows were added")
        more = self._total + 1
        logits: NDArray[np.float64] = np.log(more / more.sum(axis=1, keepdims=True))
        return logits
