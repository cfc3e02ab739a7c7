"""Which motifs are alike, by TOMTOM (Gupta et al. 2007)."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.stats import false_discovery_control

Q_VALUE = 0.05
"""largest q of two motifs that match"""
_SMALLEST_P = 1e-15
_BACKGROUND_MOTIFS = 100
_CONCENTRATION = 0.3
"""concentration of the Dirichlet distribution that background columns are drawn from: about 1 bit a
column, as in databases"""
Matrix = NDArray[np.float64]


@cache
def _background() -> tuple[Matrix, ...]:
    """Return the random matrices, always the same ones."""
    generator = np.random.default_rng(0)
    widths = generator.integers(8, 16, _BACKGROUND_MOTIFS).tolist()
    return tuple(generator.dirichlet(np.full(4, _CONCENTRATION), width).T for width in widths)


def match_p(motifs: Sequence[Matrix], targets: Sequence[Matrix], *, both_strands: bool) -> Matrix:
    """Return TOMTOM's p of every motif and every target.

    Args:
        motifs: P matrices (4, width).
        targets: K matrices (4, width).
        both_strands: whether the reverse complement of a target counts as the target.

    Returns:
        (P, K), at least 1e-15.
    """
    if not motifs or not targets:
        return np.ones((len(motifs), len(targets)))
    from memelite import tomtom

    pool = [*targets, *_background()]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # on few targets, which the background makes up for
        p = tomtom(list(motifs), pool, reverse_complement=both_strands, n_jobs=1)[0]
    return np.maximum(np.asarray(p, dtype=np.float64)[:, : len(targets)], _SMALLEST_P)


def match_q(motifs: Sequence[Matrix], targets: Sequence[Matrix], *, both_strands: bool) -> Matrix:
    """Return the (P, K) p of `match_p`, adjusted over the K targets by Benjamini & Hochberg."""
    p = match_p(motifs, targets, both_strands=both_strands)
    if not p.size:
        return p
    q: Matrix = false_discovery_control(np.minimum(p, 1), axis=1)
    return q
