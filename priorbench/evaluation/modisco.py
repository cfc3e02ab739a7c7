"""Motif discovery on stored attributions, by TF-MoDISco (extra ``modisco``)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from priorbench.metrics.tools.motif_set import FoundMotif, MotifSet

_MATRIX, _SIZE = "motif_matrix", "motif_size"
_WINDOW_DNA, _WINDOW_RNA, _FLANK = 21, 11, 10
"""bp of the window that slides over attributions, on DNA and RNA, and of either flank of a seqlet:
TF-MoDISco's own, and a shorter window for the shorter motifs of RNA"""
_TRIM_BELOW = 0.3
"""share of the largest contribution below which the ends of a motif are cut off"""
_NOISE = 0.02
"""standard deviation of the noise that is added to attributions, as a share of the largest"""
_LEAST_SEQLETS = 20
"""fewest seqlets of a motif"""
_PSEUDOCOUNT = 1e-3
"""added to the share of every base in a motif"""


def discover(
    codes: NDArray[np.uint8], hypothetical: NDArray[np.float32], *, both_strands: bool
) -> MotifSet:
    """Return the motifs in attributions: seqlets, clustered by TF-MoDISco (Shrikumar et al. 2018).

    Noise of 2% of the largest attribution, the same for all trials and for all four bases, gives
    clean ones a background. Motifs are trimmed to positions with 0.3 of the largest contribution.

    Args:
        codes: (M, L) uint8 codes of the bases.
        hypothetical: (M, 4, L) hypothetical contributions, which are the signed attribution at the
            observed base.
        both_strands: whether the reverse complement is the same molecule.

    Returns:
        The motifs of positive and of negative seqlets; none where the windows are too short or
        too few, or nothing stands out.
    """
    import numba
    from modiscolite.tfmodisco import TFMoDISco

    window = _WINDOW_DNA if both_strands else _WINDOW_RNA
    one_hot = (codes[:, :, None] == np.arange(4)).astype(np.float32)
    every_base = hypothetical.transpose(0, 2, 1)
    attribution = (one_hot * every_base).sum(axis=2)
    size = np.abs(attribution).max(initial=0)
    varies = size > 0 and attribution.std() > 1e-9 * size
    if codes.shape[1] <= window + 2 * _FLANK or not varies:
        return MotifSet((), both_strands)
    # scaled for TF-MoDISco's thresholds; noisy, as the background must not be constant
    noise = np.random.default_rng(0).standard_normal(attribution.shape, dtype=np.float32)
    added = _NOISE * noise - _shift_to_both_signs(attribution / size, window)
    contributions = every_base / size + added[:, :, None]
    # with one thread it starts no processes, and the result does not depend on their number
    numba.set_num_threads(1)
    try:
        by_sign = TFMoDISco(one_hot, contributions, sliding_window_size=window, flank_size=_FLANK)
    except (ValueError, ZeroDivisionError):  # too few windows for a background
        return MotifSet((), both_strands)
    motifs = [
        _trimmed(part, sign)
        for sign, patterns in zip((1, -1), by_sign, strict=True)
        for pattern in patterns or []
        for part in ([pattern.seqlets] if both_strands else _of_one_strand(pattern.seqlets))
    ]
    return MotifSet(sorted(motifs, key=lambda motif: -motif.seqlets), both_strands)


def _shift_to_both_signs(attribution: NDArray[np.float32], window: int) -> np.float32:
    """Return the mean of attributions where no window adds up to less, or more, than zero; else 0.

    TF-MoDISco models windows of both signs.
    """
    sums = np.lib.stride_tricks.sliding_window_view(attribution, window, axis=1).sum(axis=2)
    return np.float32(0) if sums.min() < 0 < sums.max() else attribution.mean()


@dataclass(frozen=True)
class _Stretch:
    """A seqlet: (width, 4) one-hot sequence and contributions."""

    sequence: NDArray[np.float64]
    contrib_scores: NDArray[np.float64]


def _of_one_strand(seqlets: Sequence[Any]) -> list[list[Any]]:
    """Return the seqlets of each strand as a group; those that TF-MoDISco turned are turned back.

    TF-MoDISco always searches both strands. The smaller group must have 20 seqlets, the size of
    TF-MoDISco's own smallest cluster.
    """
    kept = [seqlet for seqlet in seqlets if not seqlet.is_revcomp]
    turned = [
        _Stretch(seqlet.sequence[::-1, ::-1], seqlet.contrib_scores[::-1, ::-1])
        for seqlet in seqlets
        if seqlet.is_revcomp
    ]
    larger, smaller = sorted((kept, turned), key=len, reverse=True)
    return [larger, smaller] if len(smaller) >= _LEAST_SEQLETS else [larger]


def _trimmed(seqlets: Sequence[Any], sign: int) -> FoundMotif:
    """Return the mean of aligned seqlets without its flanks."""
    mass = np.abs(np.mean([seqlet.contrib_scores for seqlet in seqlets], axis=0)).sum(axis=1)
    inside = np.flatnonzero(mass >= _TRIM_BELOW * mass.max())
    stack = np.stack([seqlet.sequence for seqlet in seqlets]).astype(np.float64)
    bases: NDArray[np.float64] = stack.mean(axis=0)
    counts = bases[inside[0] : inside[-1] + 1].T + _PSEUDOCOUNT
    return FoundMotif(counts / counts.sum(axis=0), len(seqlets), sign)


def pack_motifs(spec: str, motifs: MotifSet) -> dict[str, NDArray[Any]]:
    """Return an attribution's motifs as stored: matrices, (4, total width), and (P, 3) sizes."""
    sizes = [(m.matrix.shape[1], m.seqlets, m.sign) for m in motifs.motifs]
    matrices = np.concatenate([np.empty((4, 0)), *motifs.matrices], axis=1)
    return {
        f"{_MATRIX}.{spec}": matrices.astype(np.float32),
        f"{_SIZE}.{spec}": np.array(sizes, dtype=np.int64).reshape(-1, 3),
    }


def unpack_motifs(
    stored: Mapping[str, NDArray[Any]], spec: str, *, both_strands: bool
) -> MotifSet | None:
    """Return the motifs discovered in an attribution, or None if it has not been searched."""
    sizes = stored.get(f"{_SIZE}.{spec}")
    if sizes is None:
        return None
    borders = np.cumsum(sizes[:-1, 0])
    matrices = np.split(stored[f"{_MATRIX}.{spec}"].astype(np.float64), borders, axis=1)
    motifs = [
        FoundMotif(matrix, int(seqlets), int(sign))
        for matrix, (_, seqlets, sign) in zip(matrices, sizes.tolist(), strict=False)
    ]
    return MotifSet(motifs, both_strands)


def without_motifs(stored: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Return stored arrays without motifs, which other code than the present discovered."""
    return {name: a for name, a in stored.items() if name.split(".")[0] not in (_MATRIX, _SIZE)}
