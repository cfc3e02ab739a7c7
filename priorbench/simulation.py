"""Simulated sequences: Markov background, motifs drawn from position weight matrices."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .dataset import MOTIF
from .sequences import reverse_complement

# Dinucleotide frequencies of the human genome, both strands, rounded to three digits; rows are
# the first base, columns the second, A C G T. The depletion of CG is what uniform bases lack.
HUMAN_DINUCLEOTIDES = np.array(
    [
        [0.098, 0.050, 0.070, 0.077],
        [0.073, 0.052, 0.010, 0.070],
        [0.059, 0.043, 0.052, 0.050],
        [0.066, 0.059, 0.073, 0.098],
    ]
)

_IUPAC = {
    **{"A": "A", "C": "C", "G": "G", "T": "T", "R": "AG", "Y": "CT", "S": "CG", "W": "AT"},
    **{"K": "GT", "M": "AC", "B": "CGT", "D": "AGT", "H": "ACT", "V": "ACG", "N": "ACGT"},
}


@dataclass(frozen=True)
class Motif:
    """A position weight matrix.

    Attributes:
        name: for reports.
        matrix: (width, 4) probabilities of A C G T, every one above 0.
    """

    name: str
    matrix: NDArray[np.float64]

    @property
    def width(self) -> int:
        """Width in bp."""
        return len(self.matrix)

    def log_odds(self) -> NDArray[np.float64]:
        """(width, 4) natural log of probability over 0.25."""
        return np.log(self.matrix / 0.25)


def motif_from_consensus(name: str, consensus: str, fidelity: float) -> Motif:
    """A matrix that gives the consensus bases ``fidelity`` in all and the others the rest.

    Args:
        name: for reports.
        consensus: IUPAC letters; those that stand for several bases share the probability.
        fidelity: probability of the consensus at each position, below 1.
    """
    matrix = np.empty((len(consensus), 4))
    for row, letter in zip(matrix, consensus, strict=True):
        chosen = np.array([base in _IUPAC[letter] for base in "ACGT"])
        if chosen.all():
            row[:] = 0.25
        else:
            row[:] = np.where(chosen, fidelity / chosen.sum(), (1 - fidelity) / (~chosen).sum())
    return Motif(name, matrix)


def markov_background(count: int, length: int, generator: np.random.Generator) -> NDArray[np.uint8]:
    """(count, length) uint8 codes from a first-order Markov chain of human dinucleotides."""
    transition = HUMAN_DINUCLEOTIDES / HUMAN_DINUCLEOTIDES.sum(axis=1, keepdims=True)
    cumulative = transition.cumsum(axis=1)
    start = HUMAN_DINUCLEOTIDES.sum(axis=1).cumsum()
    draws = generator.random((length, count))
    codes = np.empty((length, count), dtype=np.uint8)
    codes[0] = np.searchsorted(start / start[-1], draws[0], side="right").clip(max=3)
    for i in range(1, length):
        thresholds = cumulative[codes[i - 1], :3]
        codes[i] = (draws[i][:, None] >= thresholds).sum(axis=1)
    return np.ascontiguousarray(codes.T)


def draw_instances(motif: Motif, count: int, generator: np.random.Generator) -> NDArray[np.uint8]:
    """(count, width) uint8 codes, every base drawn from its column of the matrix."""
    cumulative = motif.matrix.cumsum(axis=1)[None, :, :3]
    draws = generator.random((count, motif.width, 1))
    codes: NDArray[np.uint8] = (draws >= cumulative).sum(axis=2).astype(np.uint8)
    return codes


@dataclass(frozen=True)
class Planted:
    """Where motifs were planted.

    Attributes:
        codes: (N, L) uint8 position codes of ``priorbench.dataset``.
        oracle: (N, L) float32 log-odds of the planted base at motif positions, else 0.
        occupied: (N, L) bool, positions that are taken.
    """

    codes: NDArray[np.uint8]
    oracle: NDArray[np.float32]
    occupied: NDArray[np.bool_]


def nothing_planted(count: int, length: int) -> Planted:
    """Empty tracks for :func:`plant`."""
    return Planted(
        np.zeros((count, length), dtype=np.uint8),
        np.zeros((count, length), dtype=np.float32),
        np.zeros((count, length), dtype=bool),
    )


def plant(
    sequences: NDArray[np.uint8],
    motif: Motif,
    rows: NDArray[np.int64],
    planted: Planted,
    *,
    code: int,
    generator: np.random.Generator,
) -> None:
    """Write one instance of a motif into each of the given rows, on a random strand.

    Instances do not overlap; the oracle records log-odds where ``code`` is MOTIF.

    Args:
        sequences: (N, L) uint8, changed in place.
        motif: what to plant.
        rows: (k,) rows to plant in; a row may occur several times.
        planted: tracks to update in place.
        code: position code, ``dataset.MOTIF`` or ``dataset.DECOY``.
        generator: draws instances, strands and places.

    Raises:
        ValueError: if a row has no room left.
    """
    width = motif.width
    instances = draw_instances(motif, len(rows), generator)
    weights = np.take_along_axis(
        np.broadcast_to(motif.log_odds(), (len(rows), width, 4)), instances[:, :, None], axis=2
    )[:, :, 0]
    flip = generator.random(len(rows)) < 0.5
    instances[flip] = reverse_complement(instances[flip])
    weights[flip] = weights[flip][:, ::-1]
    for row, instance, weight in zip(rows, instances, weights, strict=True):
        start = _free_start(planted.occupied[row], width, generator)
        place = slice(start, start + width)
        sequences[row, place] = instance
        planted.codes[row, place] = code
        planted.occupied[row, place] = True
        if code == MOTIF:
            planted.oracle[row, place] = weight


def _free_start(occupied: NDArray[np.bool_], width: int, generator: np.random.Generator) -> int:
    taken = np.concatenate([[0], occupied.cumsum()])
    starts = np.flatnonzero(taken[width:] == taken[:-width])
    if not len(starts):
        raise ValueError(f"no room for a motif of {width} bp in {len(occupied)} bp")
    return int(generator.choice(starts))
