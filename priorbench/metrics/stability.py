"""Whether attributions stay the same when only what should not matter changes.

Across seeds: a function gives the agreement of every two trials' attributions of the same
sequences, and a trial's value is its mean agreement with the others. What is corrected takes away
the agreement of different sequences' attributions: attributions that have the same values in the
same places whatever the sequence agree by 0 then. Within one model: under reverse complement, and
under mutations outside motifs.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import rankdata

from priorbench.components.metric import Metric
from priorbench.statistics.rounding import constant

from .seed_agreement import (
    Attributions,
    Similarity,
    Track,
    agreement,
    corrected_agreement,
    jaccard_sums,
)
from .tools.definition import define

if TYPE_CHECKING:
    from priorbench.components.metric import Probe

CORRECTED = "-corrected"
"""end of the name of a metric that is corrected for chance; before it is the name of the other"""
_TOP_SHARE = 0.05

METRICS: list[Metric] = []
_seeds = partial(
    define, METRICS, axis="stability", higher_is_better=True, scope="seeds", perfect=1.0
)
_model = partial(_seeds, scope="model", floor=0.0)


def cosine(first: Track, second: Track) -> Track:
    """Return the (k,) cosine of every two rows of (k, L); 0 where one is all zero."""
    product: Track = (_unit(first) * _unit(second)).sum(axis=1)
    return product


def _unit(track: Track) -> Track:
    """Return (k, L) rows over their norms; rows of zeros stay as they are."""
    norm = np.linalg.norm(track, axis=1, keepdims=True)
    unit: Track = np.divide(track, norm, out=np.zeros_like(track), where=norm > 0)
    return unit


_COSINE = Similarity(_unit)


@_seeds(
    f"seed-cosine{CORRECTED}",
    "cosine of attributions with those of the other seeds, corrected for chance",
    main=True,
)
def corrected_cosine_agreement(attributions: Attributions) -> Track:
    """mean_m cos(a_m, b_m) - mean_{m != n} cos(a_m, b_n), for two seeds' attributions a and b.

    m and n are sequences, and all pairs of different ones count. Two seeds that both attribute by
    position, or with one sign, have a high cosine whatever the sequence; the second term takes that
    away. The difference is 1 where the seeds agree and different sequences have nothing in common;
    motifs that tend to lie in the same places keep it below. NaN for a single sequence, which has
    no other.
    """
    return corrected_agreement(attributions, _COSINE)


@_seeds(
    "seed-cosine",
    "cosine of attributions with those of the other seeds, mean over sequences",
    main=True,
)
def cosine_agreement(attributions: Attributions) -> Track:
    """Mean over sequences of a . b / (|a| |b|), for the attributions a and b of two seeds.

    A sequence whose attribution is all zero agrees with nothing: cosine 0.

    Args:
        attributions: S arrays (M, L), rows in the same order.

    Returns:
        (S, S) float64, symmetric.
    """
    return agreement(attributions, _COSINE)


def centred(track: Track, *, of: Track) -> Track:
    """Return (k, L) rows less their mean; zeros where the rows of ``of`` are constant.

    Rows that differ by rounding only count as constant: their ranks are arbitrary.
    """
    deviation: Track = track - track.mean(axis=1, keepdims=True)
    return np.where(constant(of, axis=1), 0, deviation)


def _centred_ranks(track: Track) -> Track:
    size = np.abs(track)
    return _unit(centred(rankdata(size, axis=1), of=size))


_RANKS = Similarity(_centred_ranks)


@_seeds("seed-spearman", "rank correlation of |attribution| with that of the other seeds")
def spearman_agreement(attributions: Attributions) -> Track:
    """Mean over sequences of Spearman's correlation of |a| and |b| over positions.

    0 for an attribution that is constant up to 1e-6 of its size.

    Args:
        attributions: S arrays (M, L), rows in the same order.

    Returns:
        (S, S) float64, symmetric.
    """
    return agreement(attributions, _RANKS)


@_seeds(
    f"seed-spearman{CORRECTED}",
    "rank correlation of |attribution| with that of the other seeds, corrected for chance",
)
def corrected_spearman_agreement(attributions: Attributions) -> Track:
    """Mean of Spearman's correlation of |a_m| and |b_m|, less that of |a_m| and |b_n|.

    m and n are different sequences, and all pairs of them count. NaN for a single sequence.
    """
    return corrected_agreement(attributions, _RANKS)


def _top_members(track: Track) -> Track:
    size = np.abs(track)
    count = max(1, round(_TOP_SHARE * size.shape[1]))
    cut = -np.partition(-size, count - 1, axis=1)[:, count - 1 : count]
    above, tied = size > cut, size == cut
    left = count - above.sum(axis=1, keepdims=True)
    share = above + tied * left / tied.sum(axis=1, keepdims=True)
    member: Track = share / np.sqrt(count)
    return member


_TOP = Similarity(_top_members)


@_seeds("seed-top-overlap", "share of the top 5% of positions that the other seeds have too")
def top_overlap(attributions: Attributions) -> Track:
    """Share of the positions with the largest |a| that are among those of |b| too.

    The k = 5% of positions, at least one; positions that tie at the border count in part, so
    that a constant attribution has the k / L of chance. Mean over sequences.

    Args:
        attributions: S arrays (M, L), rows in the same order.

    Returns:
        (S, S) float64, symmetric.
    """
    return agreement(attributions, _TOP)


# many sets of k positions cannot all be apart: what is best depends on L and M
@_seeds(
    f"seed-top-overlap{CORRECTED}",
    "share of the top 5% of positions that the other seeds have too, corrected for chance",
    perfect=None,
)
def corrected_top_overlap(attributions: Attributions) -> Track:
    """Share of the positions of the largest |a_m| among those of |b_m|, less among those of |b_n|.

    m and n are different sequences, and all pairs of them count. With many sequences it is at most
    1 - k / L, about .95. NaN for a single sequence.
    """
    return corrected_agreement(attributions, _TOP)


def _shares(track: Track) -> Track:
    mass = np.abs(track).sum(axis=1, keepdims=True)
    share: Track = np.divide(track, mass, out=np.zeros_like(track), where=mass > 0)
    return share


_JACCARD = Similarity(_shares, jaccard_sums)


@_seeds(
    "seed-jaccard", "continuous Jaccard similarity with the other seeds, normalised by sequence"
)
def jaccard_agreement(attributions: Attributions) -> Track:
    """Mean over sequences of sum_i s_i min(|a_i|, |b_i|) / sum_i max(|a_i|, |b_i|).

    s_i is 1 where the signs agree and -1 where they do not; a and b are divided by their sums
    of magnitudes first, so that motif weighs more than background: the continuous Jaccard
    similarity of Tseng, Shrikumar & Kundaje (2020), normalised by sequence.

    Args:
        attributions: S arrays (M, L), rows in the same order.

    Returns:
        (S, S) float64, symmetric.
    """
    return agreement(attributions, _JACCARD)


@_seeds(
    f"seed-jaccard{CORRECTED}",
    "continuous Jaccard similarity with the other seeds, corrected for chance",
)
def corrected_jaccard_agreement(attributions: Attributions) -> Track:
    """Mean continuous Jaccard similarity of a_m and b_m, less that of a_m and b_n.

    m and n are different sequences: each is compared with 8 others, the rows being shifted by about
    1/9, 2/9 and so on of their number M; with all others up to M = 9. NaN for a single sequence.
    """
    return corrected_agreement(attributions, _JACCARD)


def _scaled_signs(track: Track) -> Track:
    signs: Track = np.sign(track) / np.sqrt(track.shape[1])
    return signs


_SIGNS = Similarity(_scaled_signs)


@_seeds(
    "seed-jaccard-published",
    "continuous Jaccard similarity as published, each position normalised by itself",
    published="Tseng, Shrikumar & Kundaje, NeurIPS 2020",
)
def published_jaccard_agreement(attributions: Attributions) -> Track:
    """Mean over sequences and positions of s_i min(|a_i|, |b_i|) / max(|a_i|, |b_i|), as published.

    The published form divides by each position's own sum of magnitudes first (Tseng, Shrikumar &
    Kundaje 2020), so that background weighs as much as motif. With one value per position, what is
    left is the mean of s_i, 0 where either is 0.

    Args:
        attributions: S arrays (M, L), rows in the same order.

    Returns:
        (S, S) float64, symmetric.
    """
    return agreement(attributions, _SIGNS)


@_seeds(
    f"seed-jaccard-published{CORRECTED}",
    "continuous Jaccard similarity as published, corrected for chance",
)
def corrected_published_jaccard_agreement(attributions: Attributions) -> Track:
    """Mean of s_i over sequences and positions, less that of different sequences.

    All pairs of different sequences count. NaN for a single sequence.
    """
    return corrected_agreement(attributions, _SIGNS)


@_model("strand-cosine", "cosine of attributions of a sequence and of its reverse complement")
def reverse_complement_cosine(probe: Probe) -> float:
    """Mean over sequences of the cosine of a(x) and a(reverse complement of x), turned back.

    NaN where the reverse complement is another molecule (RNA).
    """
    if not probe.task.reverse_complement:
        return float("nan")
    return float(cosine(probe.own, probe.of_reverse_complement()).mean())


@_model(
    "mutation-cosine", "cosine of attributions before and after one base outside motifs is changed"
)
def mutation_cosine(probe: Probe) -> float:
    """Mean cosine of the attributions of x and of x with one base outside motifs changed.

    Each sequence has four random substitutions, where the truth has background, or, where it is
    unknown, among the half of the positions with the smallest |a|. The changed position itself is
    left out of the cosine.
    """
    cosines = []
    for positions, mutated in probe.of_mutations():
        rows = np.arange(len(positions))
        before, after = probe.own.copy(), mutated.copy()
        before[rows, positions] = after[rows, positions] = 0
        cosines.append(cosine(before, after))
    return float(np.mean(cosines))
