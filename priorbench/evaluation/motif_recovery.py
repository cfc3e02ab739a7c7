"""Which known motifs were discovered, prior by prior and seed by seed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from priorbench.metrics.motif_set import MotifSet
from priorbench.metrics.motifs import Q_VALUE, match_q


@dataclass(frozen=True)
class MotifRecovery:
    """How often a known motif was found.

    Attributes:
        motif: its name.
        seeds: ascending; those in which some discovered motif matches it, q at most 0.05.
        smallest_q: of all discovered motifs of all seeds; 1 if nothing was discovered.
    """

    motif: str
    seeds: tuple[int, ...]
    smallest_q: float


@dataclass(frozen=True)
class BestMatch:
    """The known motif that a discovered one is most like.

    Attributes:
        motif: its name; "" where none is known.
        q: of the match, adjusted over the known motifs; 1 where none is known.
    """

    motif: str
    q: float

    @property
    def matches(self) -> bool:
        """Whether it counts as found."""
        return self.q <= Q_VALUE


def recovered(
    found: Mapping[int, MotifSet], known: Mapping[str, NDArray[np.float64]]
) -> list[MotifRecovery]:
    """One entry per known motif, in the order of ``known``.

    Args:
        found: what was discovered, by seed.
        known: (4, width) matrices by name.
    """
    seeds = sorted(found)
    smallest = np.ones((len(seeds), len(known)))
    for row, seed in zip(smallest, seeds, strict=True):
        row[:] = _q(found[seed], known).min(axis=0, initial=1)
    return [
        MotifRecovery(
            name,
            tuple(seed for seed, q in zip(seeds, column, strict=True) if q <= Q_VALUE),
            float(column.min(initial=1)),
        )
        for name, column in zip(known, smallest.T, strict=True)
    ]


def best_matches(found: MotifSet, known: Mapping[str, NDArray[np.float64]]) -> list[BestMatch]:
    """One entry per discovered motif, in their order.

    Args:
        found: what was discovered in one trial.
        known: (4, width) matrices by name.
    """
    if not known:
        return [BestMatch("", 1.0) for _ in found.motifs]
    names = list(known)
    q = _q(found, known)
    return [BestMatch(names[int(row.argmin())], float(row.min())) for row in q]


def _q(found: MotifSet, known: Mapping[str, NDArray[np.float64]]) -> NDArray[np.float64]:
    return match_q(found.matrices, list(known.values()), both_strands=found.both_strands)
