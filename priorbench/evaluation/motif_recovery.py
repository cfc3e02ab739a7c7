"""Which known motifs were discovered, prior by prior and seed by seed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from priorbench.metrics.tools.motif_matching import Q_VALUE, match_q
from priorbench.metrics.tools.motif_set import MotifSet


@dataclass(frozen=True)
class MotifRecovery:
    """A known motif and the seeds in which it was discovered.

    Attributes:
        motif: name of the known motif.
        seeds: ascending seeds in which a discovered motif matches it, with q at most 0.05.
        smallest_q: smallest q of all discovered motifs of all seeds; 1 if there are none.
    """

    motif: str
    seeds: tuple[int, ...]
    smallest_q: float


@dataclass(frozen=True)
class BestMatch:
    """The known motif that a discovered one is most like.

    Attributes:
        motif: name of the known motif; "" where none is known.
        q: p of the match, adjusted over the known motifs; 1 where none is known.
    """

    motif: str
    q: float

    @property
    def matches(self) -> bool:
        """Whether the match is close enough for the known motif to count as discovered."""
        return self.q <= Q_VALUE


def recovered(
    discovered: Mapping[int, MotifSet], known: Mapping[str, NDArray[np.float64]]
) -> list[MotifRecovery]:
    """Return an entry for each known motif, (4, width) by name, from those discovered by seed."""
    seeds = sorted(discovered)
    smallest = np.ones((len(seeds), len(known)))
    for row, seed in zip(smallest, seeds, strict=True):
        row[:] = _q(discovered[seed], known).min(axis=0, initial=1)
    return [
        MotifRecovery(
            name,
            tuple(seed for seed, q in zip(seeds, column, strict=True) if q <= Q_VALUE),
            float(column.min(initial=1)),
        )
        for name, column in zip(known, smallest.T, strict=True)
    ]


def best_matches(discovered: MotifSet, known: Mapping[str, NDArray[np.float64]]) -> list[BestMatch]:
    """Return an entry for each discovered motif, in order; known ones are (4, width) by name."""
    if not known:
        return [BestMatch("", 1.0) for _ in discovered.motifs]
    names = list(known)
    return [BestMatch(names[int(q.argmin())], float(q.min())) for q in _q(discovered, known)]


def _q(discovered: MotifSet, known: Mapping[str, NDArray[np.float64]]) -> NDArray[np.float64]:
    """Return the (discovered, known) q of every match."""
    return match_q(discovered.matrices, list(known.values()), both_strands=discovered.both_strands)
