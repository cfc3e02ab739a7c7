"""Whether the motifs that attributions show are the true ones, and the same under every seed.

Motifs are compared by TOMTOM (Gupta et al. 2007): the p-value of their best alignment, against
columns of the targets and of 100 random matrices that are always the same. A motif matches a
target where q, by Benjamini & Hochberg over the targets, is at most 0.05.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.stats import false_discovery_control

from priorbench.components.contracts import Axis, Metric

if TYPE_CHECKING:
    from .motif_set import MotifSet

Q_VALUE = 0.05
"""at most, where two motifs match"""
_SHARE_OF_SEEDS = 0.8
_SMALLEST_P = 1e-15
_BACKGROUND_MOTIFS = 100
_CONCENTRATION = 0.3
"""of the Dirichlet distribution of background columns: about 1 bit a column, as in databases"""

Matrix = NDArray[np.float64]


@cache
def _background() -> tuple[Matrix, ...]:
    generator = np.random.default_rng(0)
    widths = generator.integers(8, 16, _BACKGROUND_MOTIFS).tolist()
    return tuple(generator.dirichlet(np.full(4, _CONCENTRATION), width).T for width in widths)


def match_p(found: Sequence[Matrix], targets: Sequence[Matrix], *, both_strands: bool) -> Matrix:
    """TOMTOM's p of every two motifs.

    Args:
        found: P matrices (4, width).
        targets: K matrices (4, width).
        both_strands: whether the reverse complement of a target counts as the target.

    Returns:
        (P, K), at least 1e-15.
    """
    if not found or not targets:
        return np.ones((len(found), len(targets)))
    from memelite import tomtom

    pool = [*targets, *_background()]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about few targets: the background is there for that
        p = tomtom(list(found), pool, reverse_complement=both_strands, n_jobs=1)[0]
    result: Matrix = np.maximum(np.asarray(p, dtype=np.float64)[:, : len(targets)], _SMALLEST_P)
    return result


def match_q(found: Sequence[Matrix], targets: Sequence[Matrix], *, both_strands: bool) -> Matrix:
    """(P, K) p of :func:`match_p` adjusted over the K targets by Benjamini & Hochberg."""
    p = match_p(found, targets, both_strands=both_strands)
    if not p.size:
        return p
    q: Matrix = false_discovery_control(np.minimum(p, 1), axis=1)
    return q


def _known(found: MotifSet, known: Mapping[str, Matrix]) -> Matrix:
    return match_q(found.matrices, list(known.values()), both_strands=found.both_strands)


def motif_recall(found: MotifSet, known: Mapping[str, Matrix]) -> float:
    """Share of the known motifs that a discovered one matches; NaN if none is known."""
    if not known:
        return float("nan")
    return float((_known(found, known) <= Q_VALUE).any(axis=0).mean())


def motif_precision(found: MotifSet, known: Mapping[str, Matrix]) -> float:
    """Share of the discovered motifs that match a known one; 0 if nothing was discovered.

    NaN if no motif is known.
    """
    if not known:
        return float("nan")
    if not found.motifs:
        return 0.0
    return float((_known(found, known) <= Q_VALUE).any(axis=1).mean())


def best_match(found: MotifSet, known: Mapping[str, Matrix]) -> float:
    """Mean over the known motifs of -log10 of the smallest p of a discovered one.

    0 if nothing was discovered, at most 15; NaN if no motif is known.
    """
    if not known:
        return float("nan")
    p = match_p(found.matrices, list(known.values()), both_strands=found.both_strands)
    return float(np.log10(1 / np.minimum(p.min(axis=0, initial=1), 1)).mean())


def motifs_found(found: MotifSet, known: Mapping[str, Matrix]) -> float:
    """Number of discovered motifs."""
    return float(len(found.motifs))


def _found_again(sets: Sequence[MotifSet], i: int, j: int) -> NDArray[np.bool_]:
    """(P,) bool: which motifs of trial i match one of trial j."""
    q = match_q(sets[i].matrices, sets[j].matrices, both_strands=sets[i].both_strands)
    return np.asarray((q <= Q_VALUE).any(axis=1))


def motif_agreement(sets: Sequence[MotifSet]) -> Matrix:
    """Motifs of two trials that match one of the other's, over all motifs of both.

    0 where neither has any.

    Args:
        sets: what was discovered in S trials.

    Returns:
        (S, S) float64, symmetric.
    """
    count = len(sets)
    again = np.zeros((count, count))
    sizes = np.array([len(one.motifs) for one in sets])
    for i in range(count):
        for j in range(count):
            again[i, j] = _found_again(sets, i, j).sum()
    total = sizes[:, None] + sizes[None, :]
    shared: Matrix = (again + again.T) / np.maximum(total, 1)
    return shared


def motif_reproducibility(sets: Sequence[MotifSet]) -> Matrix:
    """Share of a trial's motifs that are found in at least 80% of the seeds, its own counted.

    0 for a trial without motifs. The values of an arm share trials, so they are shown and not
    tested; ``motif-agreement`` is.

    Args:
        sets: what was discovered in S trials.

    Returns:
        (S,) float64.
    """
    count = len(sets)
    shares = np.zeros(count)
    for i in range(count):
        if sets[i].motifs:
            seen = np.mean(
                [
                    np.ones(len(sets[i].motifs)) if i == j else _found_again(sets, i, j)
                    for j in range(count)
                ],
                axis=0,
            )
            shares[i] = np.mean(seen >= _SHARE_OF_SEEDS - 1e-9)
    return shares


def _metric(
    name: str, summary: str, function: Callable[..., float], *, main: bool = False
) -> Metric:
    axis: Axis = "localisation"
    higher = None if function is motifs_found else True
    floor = None if function is motifs_found else 0.0
    return Metric(name, axis, "", higher, summary, "motifs", function, floor=floor, main=main)


METRICS = (
    _metric(
        "motif-recall",
        "share of the known motifs that TF-MoDISco finds in the attributions",
        motif_recall,
        main=True,
    ),
    _metric(
        "motif-precision",
        "share of the motifs that TF-MoDISco finds that are known",
        motif_precision,
    ),
    _metric("motif-best-match", "-log10 p of the best match of a known motif", best_match),
    _metric("motifs-found", "number of motifs that TF-MoDISco finds", motifs_found),
    Metric(
        "motif-agreement",
        "stability",
        "",
        True,
        "share of the motifs found that the other seeds have too",
        "motif-sets",
        motif_agreement,
        floor=0.0,
        main=True,
    ),
    Metric(
        "motif-reproducibility",
        "stability",
        "",
        None,
        "share of a seed's motifs that at least 80% of the seeds have",
        "arm",
        motif_reproducibility,
        floor=0.0,
    ),
)
