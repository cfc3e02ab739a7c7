"""Graded answers: how probable it is that a prior is better, practically the same, or worse.

They describe the evidence and are no verdicts: there is no error rate that they keep.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

_DRAWS = 4_000


@dataclass(frozen=True)
class GradedAnswer:
    """Probabilities that sum to 1; NaN where there are fewer than two pairs or no margin.

    Attributes:
        better: that the mean gain is above the margin.
        same: that it is within the margin, the region of practical equivalence.
        worse: that the mean loss is above the margin.
    """

    better: float
    same: float
    worse: float


UNKNOWN = GradedAnswer(float("nan"), float("nan"), float("nan"))


def graded_answer(gain: NDArray[np.float64], allowance: NDArray[np.float64] | None) -> GradedAnswer:
    """Return the posterior probabilities of the mean gain against a margin.

    The posterior is that of the Bayesian bootstrap (Rubin 1981): the pairs have weights of a
    Dirichlet distribution, all parameters 1. The margin is a region of practical equivalence
    (Kruschke 2013; Benavoli et al. 2017).

    Args:
        gain: (n,) paired differences, positive where the prior is better.
        allowance: (n,) loss, and gain, that does not matter; None without a margin.
    """
    if allowance is None or len(gain) < 2 or not np.isfinite(gain).all():
        return UNKNOWN
    means = _weights(len(gain)) @ np.stack([gain, allowance], axis=1)
    better = float((means[:, 0] > means[:, 1]).mean())
    worse = float((means[:, 0] < -means[:, 1]).mean())
    return GradedAnswer(better, 1 - better - worse, worse)


@lru_cache(maxsize=32)
def _weights(n: int) -> NDArray[np.float64]:
    """Return (draws, n) Dirichlet weights, the same at every call."""
    return np.random.default_rng(n).dirichlet(np.ones(n), size=_DRAWS)
