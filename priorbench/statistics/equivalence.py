"""Claims that a prior costs nothing that matters: non-inferiority and equivalence."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .signflip import sign_flip_greater_p


@dataclass(frozen=True)
class Margin:
    """The smallest loss in a metric that matters, declared before the run.

    Attributes:
        absolute: loss in units of the metric.
        relative: loss as a share of the baseline's gain over a floor, run by run.
        floor: score of a model that knows nothing, from which the baseline's gain is counted.
        sign: 1 where a higher score is better, -1 where a lower one is; a baseline worse than the
            floor has no gain.
    """

    absolute: float = 0.0
    relative: float = 0.0
    floor: float = 0.0
    sign: float = 1.0

    def allowance(self, baseline: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the (n,) loss that the prior may have, run by run, in units of the metric."""
        gain = np.maximum(self.sign * (baseline - self.floor), 0)
        result: NDArray[np.float64] = self.absolute + self.relative * gain
        return result


def noninferiority_p(gain: NDArray[np.float64], allowance: NDArray[np.float64]) -> float:
    """Return the one-sided sign-flip p against a mean loss as large as the margin.

    A relative margin moves with the baseline's runs, so its estimate is tested along with the
    difference.

    Args:
        gain: (n,) paired differences, positive where the prior is better.
        allowance: (n,) loss that is allowed.
    """
    return sign_flip_greater_p(gain + allowance)


def equivalence_p(gain: NDArray[np.float64], allowance: NDArray[np.float64]) -> float:
    """Return the p of the claim that the prior is neither worse nor better by the margin.

    It is the larger p of two one-sided tests (TOST; Schuirmann 1987).

    Args:
        gain: (n,) paired differences, positive where the prior is better.
        allowance: (n,) loss that is allowed, and gain that does not matter.
    """
    return max(noninferiority_p(gain, allowance), noninferiority_p(-gain, allowance))
