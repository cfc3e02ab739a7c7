"""Whether the motifs that attributions show are the true ones, and the same under every seed.

Motifs are compared by TOMTOM (Gupta et al. 2007), with the p-value of their best alignment against
the columns of the targets and of 100 random matrices that are always the same. A motif matches a
target where q, by Benjamini & Hochberg over the targets, is at most 0.05.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from functools import cache, partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.stats import false_discovery_control

from priorbench.components.metric import Metric

from .definition import define

if TYPE_CHECKING:
    from .motif_set import MotifSet

Q_VALUE = 0.05
"""largest q of two motifs that match"""
_SHARE_OF_SEEDS = 0.8
"""share of the seeds that a reproducible motif is discovered in, at least"""
_SMALLEST_P = 1e-15
_BACKGROUND_MOTIFS = 100
_CONCENTRATION = 0.3
"""concentration of the Dirichlet distribution that background columns are drawn from: about 1 bit a
column, as in databases"""

Matrix = NDArray[np.float64]


METRICS: list[Metric] = []
_metric = partial(
    define,
    METRICS,
    axis="localisation",
    higher_is_better=True,
    scope="motifs",
    floor=0.0,
    perfect=1.0,
)


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


def _matches(discovered: MotifSet, targets: Sequence[Matrix]) -> NDArray[np.bool_]:
    """Return (P, K) bool: which discovered motif matches which target."""
    q = match_q(discovered.matrices, targets, both_strands=discovered.both_strands)
    return np.asarray(q <= Q_VALUE)


@_metric(
    "motif-recall", "share of the known motifs that TF-MoDISco finds in the attributions", main=True
)
def motif_recall(discovered: MotifSet, known: Mapping[str, Matrix]) -> float:
    """Share of the known motifs that a discovered one matches; NaN if none is known."""
    if not known:
        return float("nan")
    return float(_matches(discovered, list(known.values())).any(axis=0).mean())


@_metric("motif-precision", "share of the motifs that TF-MoDISco finds that are known")
def motif_precision(discovered: MotifSet, known: Mapping[str, Matrix]) -> float:
    """Share of the discovered motifs that match a known one; 0 if nothing was discovered.

    NaN if no motif is known.
    """
    if not known:
        return float("nan")
    if not discovered.motifs:
        return 0.0
    return float(_matches(discovered, list(known.values())).any(axis=1).mean())


@_metric("motif-best-match", "-log10 p of the best match of a known motif", perfect=None)
def best_match(discovered: MotifSet, known: Mapping[str, Matrix]) -> float:
    """Mean over the known motifs of -log10 of the smallest p of a discovered one.

    0 if nothing was discovered, at most 15; NaN if no motif is known.
    """
    if not known:
        return float("nan")
    both_strands = discovered.both_strands
    p = match_p(discovered.matrices, list(known.values()), both_strands=both_strands)
    return float(np.log10(1 / np.minimum(p.min(axis=0, initial=1), 1)).mean())


@_metric(
    "motifs-found",
    "number of motifs that TF-MoDISco finds",
    higher_is_better=None,
    floor=None,
    perfect=None,
)
def motifs_found(discovered: MotifSet, known: Mapping[str, Matrix]) -> float:
    """Number of discovered motifs."""
    return float(len(discovered.motifs))


@_metric(
    "motif-agreement",
    "share of the motifs found that the other seeds have too",
    axis="stability",
    scope="motif-sets",
    main=True,
)
def motif_agreement(sets: Sequence[MotifSet]) -> Matrix:
    """Share of all motifs of two trials that match a motif of the other trial.

    0 where neither trial has any.

    Args:
        sets: the motifs of S trials.

    Returns:
        (S, S) float64, symmetric.
    """
    again = np.array([[_matches(a, b.matrices).any(axis=1).sum() for b in sets] for a in sets])
    sizes = np.array([len(motif_set.motifs) for motif_set in sets])
    shared: Matrix = (again + again.T) / np.maximum(sizes[:, None] + sizes, 1)
    return shared


@_metric(
    "motif-reproducibility",
    "share of a seed's motifs that at least 80% of the seeds have",
    axis="stability",
    higher_is_better=None,
    scope="arm",
    perfect=None,
)
def motif_reproducibility(sets: Sequence[MotifSet]) -> Matrix:
    """Share of a trial's motifs that at least 80% of the seeds have, its own seed included.

    0 for a trial without motifs. The values of an arm share trials, so they are shown and not
    tested; ``motif-agreement`` is tested.

    Args:
        sets: the motifs of S trials.

    Returns:
        (S,) float64.
    """
    shares = np.zeros(len(sets))
    for i, own in enumerate(sets):
        if own.motifs:
            others = (other.matrices for j, other in enumerate(sets) if j != i)
            again = 1 + sum(_matches(own, matrices).any(axis=1) for matrices in others)
            shares[i] = np.mean(again / len(sets) >= _SHARE_OF_SEEDS - 1e-9)
    return shares
