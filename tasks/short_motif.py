"""A motif of any length at constant detectability: from which length on does a prior hurt?"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from priorbench import UserError
from priorbench.data.codes import MOTIF
from priorbench.data.simulated_examples import SimulatedExamples
from priorbench.data.simulation import (
    Motif,
    mark_lookalikes,
    markov_background,
    motif_from_consensus,
    nothing_planted,
    plant,
    scan,
)

from ._logit import LogitTask, alternate

_CONSENSUS = "TGACGTCACTTGCA"  # motifs are its middle
_DETECTABILITY = 0.95
_CALIBRATION = 2000


@dataclass(frozen=True)
class ShortMotif(LogitTask):
    """Positives hold a motif in as many copies as make every width equally easy to detect.

    Short motifs occur by chance, so few of them tell nothing; chance instances that look like
    typical ones neither reward nor punish. The number of instances in a positive is chosen so that
    a scan with the true matrix (the mean over all places and both strands of the likelihood ratio)
    tells the classes apart with an auROC of 0.95, whatever the motif's length and information. So
    tasks differ in the length, against the cut of a low-pass prior (0.15 cycles per base are
    6.7 bp), and with it in the number of copies. The prior applies to positives.

    Attributes:
        width: width of the motif in bp.
        fidelity: probability of the consensus base in every motif column: 0.97 gives 1.76 bits a
            column, 0.8 gives 0.96, 0.6 gives 0.39.
    """

    summary: ClassVar[str] = "a motif of 3 to 14 bp at constant detectability"
    citation: ClassVar[str] = "Tseng, Shrikumar & Kundaje, NeurIPS 2020"
    motif_length_option: ClassVar[str] = "width"

    width: int = 6
    fidelity: float = 0.9

    def __post_init__(self) -> None:
        """Refuse options outside their range."""
        super().__post_init__()
        if not 3 <= self.width <= len(_CONSENSUS):
            raise UserError(f"width {self.width} is not between 3 and {len(_CONSENSUS)} bp")
        if not 0.4 <= self.fidelity < 1:
            raise UserError(f"fidelity {self.fidelity:g} is not between 0.4 and 1")

    @property
    def motif(self) -> Motif:
        """Middle of the consensus, at the option's width."""
        start = (len(_CONSENSUS) - self.width) // 2
        return motif_from_consensus("motif", _CONSENSUS[start:][: self.width], self.fidelity)

    def room(self) -> int:
        """Return the shortest window in bp into which the motifs fit."""
        return 2 * self.width

    def draw(self, count: int, length: int, generator: np.random.Generator) -> SimulatedExamples:
        """Draw windows; UserError if no number of instances makes the motif visible."""
        labels = alternate(count)
        copies = copies_for(self.width, self.fidelity, length)
        drawn = _draw(self.motif, labels, (copies, length), generator)
        mark_lookalikes(drawn.planted, self.motif)
        return drawn


def _draw(
    motif: Motif,
    labels: NDArray[np.float32],
    size: tuple[float, int],
    generator: np.random.Generator,
) -> SimulatedExamples:
    """Draw positives with instances, and negatives without.

    The size is the mean number of instances in a positive, and the window in bp.
    """
    copies, length = size
    count = len(labels)
    planted = nothing_planted(markov_background(count, length, generator))
    number = np.floor(copies + generator.random(count)).astype(np.int64)
    rows = np.repeat(np.arange(count), np.where(labels == 1, number, 0))
    plant(planted, motif, rows, generator, code=MOTIF)
    return SimulatedExamples(labels, planted)


@lru_cache
def copies_for(width: int, fidelity: float, length: int) -> float:
    """Return the mean instances in a positive for an auROC of 0.95 of a scan with the matrix.

    The number is searched by bisection, on sequences that are always the same.

    Raises:
        UserError: not even as many as fit into the window are enough.
    """
    motif = ShortMotif(width, fidelity).motif
    most = (length + width - 1) // (2 * width - 1)  # so many fit, wherever the earlier ones fell
    low, high = 0.0, float(most)
    if _visible(motif, high, length) < _DETECTABILITY:
        raise UserError(
            f"a motif of {width} bp at fidelity {fidelity:g} cannot be told from background in "
            f"{length} bp, even {most} times; use another width, more fidelity or a larger --scale"
        )
    while high - low > 0.02:
        middle = (low + high) / 2
        enough = _visible(motif, middle, length) >= _DETECTABILITY
        low, high = (low, middle) if enough else (middle, high)
    return high


def _visible(motif: Motif, copies: float, length: int) -> float:
    """Return the auROC of the mean likelihood ratio over all places and both strands."""
    from sklearn.metrics import roc_auc_score

    labels = alternate(_CALIBRATION)
    drawn = _draw(motif, labels, (copies, length), np.random.default_rng(0))
    strands = [np.exp(s).mean(axis=1) for s in scan(motif, drawn.planted.sequences)]
    return float(roc_auc_score(labels, np.mean(strands, axis=0)))
