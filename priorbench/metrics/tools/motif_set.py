"""The motifs that were discovered in the attributions of a trial."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class FoundMotif:
    """A motif that was discovered.

    Attributes:
        matrix: (4, width) float64 probabilities of A C G T.
        seqlets: number of stretches of attribution that the motif was made of.
        sign: 1 where these stretches are positive, -1 where they are negative.
    """

    matrix: NDArray[np.float64]
    seqlets: int
    sign: int


@dataclass(frozen=True)
class MotifSet:
    """The motifs that were discovered in the attributions of one trial.

    Attributes:
        motifs: the motifs, those with the most seqlets first.
        both_strands: whether a motif and its reverse complement are the same.
    """

    motifs: Sequence[FoundMotif]
    both_strands: bool

    @property
    def matrices(self) -> list[NDArray[np.float64]]:
        """Matrices of the motifs, (4, width) each."""
        return [motif.matrix for motif in self.motifs]


NOTHING_FOUND = MotifSet((), True)
