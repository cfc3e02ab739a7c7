"""Whether the motifs that attributions show are the true ones, and the same under every seed.

Motifs are compared by TOMTOM (Gupta et al. 2007), with the p-value of their best alignment against
the columns of the targets and of 100 random matrices that are always the same. A motif matches a
target where q, by Benjamini & Hochberg over the targets, is at most 0.05.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from priorbench.components.metric import Metric

from .tools.definition import define
from .tools.motif_matching import Q_VALUE, Matrix, match_p, match_q

if TYPE_CHECKING:
    from .tools.motif_set import MotifSet

_SHARE_OF_SEEDS = 0.8
"""share of the seeds that a reproducible motif is discovered in, at least"""

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
