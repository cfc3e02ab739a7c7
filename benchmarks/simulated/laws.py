"""Random values of known laws, and scores and attributions of two arms or more made of them."""

from dataclasses import dataclass

import numpy as np
from measuring import Row
from numpy.typing import NDArray
from scipy.special import ndtr
from scipy.stats import t as student

from priorbench.statistics.agreement import agreement_pseudo_values, leave_one_out

Array = NDArray[np.float64]
NORMAL, HEAVY, SKEWED, TIES = "normal", "heavy tails", "skewed", "ties"
UNEQUAL = "skewed differences"
"""the prior's runs have a long tail of losses and the baseline's have none"""
SHAPES, CORRELATIONS = (NORMAL, HEAVY, SKEWED), (0.0, 0.7)
SYMMETRIC = (NORMAL, HEAVY, SKEWED, TIES)
"""laws of scores; differences of arms that have the same are symmetric"""


def shaped(normal: Array, law: str) -> Array:
    """Return standard normal values turned into values of another law, mean 0 and deviation 1.

    Heavy tails (Student's t with 3 degrees of freedom) are scaled by their true deviation, sqrt(3).
    Skewed values are log-normal; for other laws values stay normal.
    """
    if law == HEAVY:
        return student.ppf(ndtr(normal), 3) / np.sqrt(3)
    if law == SKEWED:
        return (np.exp(normal) - np.exp(0.5)) / np.sqrt((np.e - 1) * np.e)
    return normal


@dataclass(frozen=True)
class Cell:
    """A kind of study; the correlation is that of the normal scores that the shape is given to."""

    shape: str
    correlation: float
    seeds: int
    datasets: int = 1

    def generator(self, purpose: int) -> np.random.Generator:
        kind = (SHAPES.index(self.shape), round(100 * self.correlation), self.seeds, self.datasets)
        return np.random.default_rng([purpose, *kind])

    def row(self, detail: str = "") -> Row:
        cells = (self.datasets, self.seeds, self.shape + detail, self.correlation)
        return dict(zip(("datasets", "seeds", "scores", "r"), cells, strict=True))


def null_scores(cell: Cell, arms: int, studies: int, generator: np.random.Generator) -> Array:
    """Return (studies, datasets, arms, seeds) scores of arms that do not differ, with deviation 1.

    Datasets have levels of their own, and seeds too, which is what correlates the arms.
    """
    shared = generator.standard_normal((studies, cell.datasets, 1, cell.seeds))
    own = generator.standard_normal((studies, cell.datasets, arms, cell.seeds))
    normal = np.sqrt(cell.correlation) * shared + np.sqrt(1 - cell.correlation) * own
    levels = 5 * generator.standard_normal((studies, cell.datasets, 1, 1))
    return shaped(normal, cell.shape) + levels


class AttributionArms:
    """Two arms of attributions of 100 positions: a signal each, and noise half shared by a seed."""

    def __init__(
        self, purpose: int, seeds: int, heavy: bool, *, gain: float = 1.0, cosine: float = 1.0
    ) -> None:
        """Draw the two signals, of length 10 but for the gain.

        In heavy arms trials differ in how noisy they are. With a gain above 1 the prior's trials
        agree better; with a cosine below 1 the arms attribute different things.
        """
        self.seeds, self.heavy = seeds, heavy
        noise = "noise differs by trial" if heavy else "noise alike"
        self.text = f"{noise}, gain {gain:g}, cosine {cosine:g}"
        kind = (purpose, seeds, int(heavy), round(100 * gain), round(100 * cosine))
        self.generator = np.random.default_rng(kind)
        first, other = np.linalg.qr(self.generator.standard_normal((100, 2)))[0].T
        second = cosine * first + np.sqrt(1 - cosine**2) * other
        self.signals = (10 * first, 10 * gain * second)

    def pseudo_values(self, count: int) -> Array:
        """Return (count,) pseudo-values of the difference in agreement between drawn trials."""
        shared = self.generator.standard_normal((count, 100))
        arms = []
        for signal in self.signals:
            size = self.generator.gamma(2, 1, (count, 1)) if self.heavy else 1.5
            own = self.generator.standard_normal((count, 100))
            track = signal + size * np.sqrt(0.5) * (shared + own)
            arms.append(track / np.linalg.norm(track, axis=1, keepdims=True))
        return agreement_pseudo_values(*(leave_one_out(arm @ arm.T) for arm in arms))
