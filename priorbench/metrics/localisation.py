"""Whether attribution lies where the motifs are.

Known positions are those of planted motifs, of matches of known matrices, or of footprints.
Positions of a motif that say next to nothing (below 0.2 bits) and background that cannot be told
from an instance are neutral: they are left out of every score, neither reward nor punishment.
Decoys count as background. Sequences without a motif are left out; a score is NaN if there is no
other.
"""

from __future__ import annotations

from functools import partial

import numpy as np
from numpy.typing import NDArray

from priorbench.components.metric import Metric, TrialArrays
from priorbench.data.codes import BACKGROUND, DECOY, MOTIF, NEUTRAL, SUBOPTIMAL
from priorbench.data.instances import END, ROW, START

from .tools.definition import define
from .tools.rankings import average_precision, mean_of_defined, roc_area, share_at_top

MOTIFS = (MOTIF, SUBOPTIMAL)
"""position codes that an attribution should find"""
_TOP = 10
"""positions of enrichment-at-10"""

METRICS: list[Metric] = []
_metric = partial(
    define, METRICS, axis="localisation", higher_is_better=True, scope="trial", perfect=1.0
)


def _sequences_with_motif(
    arrays: TrialArrays,
) -> tuple[NDArray[np.float64], NDArray[np.uint8], NDArray[np.bool_]]:
    """Return |attribution|, position codes and motif positions of the sequences with a motif.

    The magnitude of neutral positions is -1: they come last in every ranking.
    """
    attribution, truth = arrays.attribution, arrays.truth
    if truth is None:
        truth = np.full(attribution.shape, BACKGROUND, dtype=np.uint8)
    relevant = np.isin(truth, MOTIFS)
    known = relevant.any(axis=1)
    size = np.where(truth != NEUTRAL, np.abs(attribution.astype(np.float64)), -1.0)
    return size[known], truth[known], relevant[known]


@_metric(
    "motif-auprc",
    "average precision of |attribution| against motif positions, mean over sequences",
    main=True,
)
def motif_auprc(arrays: TrialArrays) -> float:
    """Mean over sequences of the average precision of |a| against motif positions.

    The average precision is the sum over distinct values t of |a| of (R_t - R_{t+}) P_t, with P
    and R precision and recall of the positions at or above t.
    """
    size, _, relevant = _sequences_with_motif(arrays)
    return mean_of_defined(average_precision(size, relevant))


@_metric("motif-auroc", "area under the ROC curve of the same")
def motif_auroc(arrays: TrialArrays) -> float:
    """Mean over sequences of the area under the ROC curve of |a| against motif positions.

    The probability that |a| is larger at a motif position than at another, ties counting one
    half (Mann & Whitney 1947).
    """
    size, truth, relevant = _sequences_with_motif(arrays)
    return mean_of_defined(roc_area(size, relevant, truth != NEUTRAL))


@_metric(
    "mass-enrichment",
    "share of |attribution| inside motifs over their share of the length",
    perfect=None,
)
def mass_enrichment(arrays: TrialArrays) -> float:
    """Share of sum |a| inside motifs over the motifs' share of the length, mean over sequences.

    1 is what chance gives, and an attribution that is zero everywhere.
    """
    size, truth, relevant = _sequences_with_motif(arrays)
    counts = truth != NEUTRAL
    total = (size * counts).sum(axis=1)
    expected = relevant.sum(axis=1) / counts.sum(axis=1)
    share = (size * relevant).sum(axis=1) / np.where(total > 0, total, 1)
    return mean_of_defined(np.where(total > 0, share / expected, 1.0))


@_metric("rank-accuracy", "share of motif positions among as many of the largest |attribution|")
def rank_accuracy(arrays: TrialArrays) -> float:
    """Share of motif positions among the K largest |a|, K the number of motif positions.

    Mean over sequences; ties count by the mean over all their orders. It is the 'relevance rank
    accuracy' of Arras, Osman & Samek (2022).
    """
    size, _, relevant = _sequences_with_motif(arrays)
    return mean_of_defined(share_at_top(size, relevant, relevant.sum(axis=1)))


@_metric(
    "enrichment-at-10",
    "motif positions among the 10 largest |attribution|, over what chance gives",
    perfect=None,
)
def enrichment_at_ten(arrays: TrialArrays) -> float:
    """Share of motif positions among the 10 largest |a|, over their share of all positions.

    Mean over sequences; ties count by the mean over all their orders. 1 is what chance gives.
    """
    size, truth, relevant = _sequences_with_motif(arrays)
    counts = (truth != NEUTRAL).sum(axis=1)
    expected = relevant.sum(axis=1) / counts
    return mean_of_defined(share_at_top(size, relevant, np.minimum(_TOP, counts)) / expected)


@_metric(
    "decoy-precision", "average precision of |attribution|, motif positions against decoys alone"
)
def decoy_precision(arrays: TrialArrays) -> float:
    """Average precision of |a| among positions of motifs and decoys alone, mean over sequences.

    NaN unless some sequence has both.
    """
    size, truth, relevant = _sequences_with_motif(arrays)
    decoys = truth == DECOY
    both = decoys.any(axis=1)
    size = np.where(relevant | decoys, size, -1.0)
    return mean_of_defined(average_precision(size[both], relevant[both]))


@_metric(
    "suboptimal-sign", "share of mutated motif positions with a negative attribution", main=True
)
def suboptimal_sign(arrays: TrialArrays) -> float:
    """Share of the mutated motif positions whose attribution is negative; NaN if there are none.

    One half is what chance gives; a zero attribution counts as not negative. NaN, too, for
    attributions without a sign, which are negative nowhere.
    """
    if arrays.truth is None or not (arrays.truth == SUBOPTIMAL).any():
        return float("nan")
    if not (arrays.attribution < 0).any():
        return float("nan")
    return float((arrays.attribution[arrays.truth == SUBOPTIMAL] < 0).mean())


@_metric(
    "suboptimal-error",
    "error of the mutated position's share of its motif's attribution, against the log-odds",
    higher_is_better=False,
    perfect=0.0,
    main=True,
)
def suboptimal_error(arrays: TrialArrays) -> float:
    """Mean over sequences of |s - s*|, with s the mutated position's share of its motif.

    s = a_mutated / sum_{i in motif} |a_i| of the attribution a, between -1 and 1, and s* is the
    same of the oracle. s is 0 where the motif has no attribution at all. NaN if no sequence has a
    mutated motif and an oracle.
    """
    if arrays.truth is None or arrays.oracle is None:
        return float("nan")
    mutated = arrays.truth == SUBOPTIMAL
    rows = mutated.sum(axis=1) == 1
    if not rows.any():
        return float("nan")
    within = np.isin(arrays.truth[rows], MOTIFS)
    shares = [
        _share(track[rows].astype(np.float64), within, mutated[rows])
        for track in (arrays.attribution, arrays.oracle)
    ]
    return float(np.abs(shares[0] - shares[1]).mean())


def _share(
    track: NDArray[np.float64], within: NDArray[np.bool_], mutated: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Return the (k,) share of every motif's attribution that its mutated position has."""
    mass = (np.abs(track) * within).sum(axis=1)
    share: NDArray[np.float64] = (track * mutated).sum(axis=1) / np.where(mass > 0, mass, 1)
    return share


@_metric(
    "rule-satisfaction",
    "share of sequences whose signed attributions satisfy the rule that made the label",
)
def rule_satisfaction(arrays: TrialArrays) -> float:
    """Share of the sequences with true motifs that meet every condition of the rule.

    The rule of a positive is that all of its motifs are there, and that a base of low affinity is
    one: the attributions of every instance add up to more than 0, bases of low affinity left out,
    and those are below 0. Instances whose oracle does not speak for the motif, as they were drawn
    with many wrong bases, are left out. Random signs meet c conditions in a share of 2 ** -c of
    the sequences. NaN where instances or the oracle are unknown, and for attributions without a
    sign.
    """
    if arrays.truth is None or arrays.oracle is None or arrays.instances is None:
        return float("nan")
    if not (arrays.attribution < 0).any():
        return float("nan")
    low = arrays.truth == SUBOPTIMAL
    own, oracle = (
        np.where(low, 0, track).astype(np.float64).cumsum(axis=1)
        for track in (arrays.attribution, arrays.oracle)
    )
    length = own.shape[1]
    row, start, end = arrays.instances[:, ROW], arrays.instances[:, START], arrays.instances[:, END]
    start, end = start.clip(0, length), end.clip(0, length)

    def sums(track: NDArray[np.float64]) -> NDArray[np.float64]:
        before = np.pad(track, ((0, 0), (1, 0)))
        total: NDArray[np.float64] = before[row, end] - before[row, start]
        return total

    expected = sums(oracle) > 0
    known = np.zeros(len(own), dtype=bool)
    known[row[expected]] = True
    if not known.any():
        return float("nan")
    met = ~(low & (arrays.attribution >= 0)).any(axis=1)
    met[row[expected & ~(sums(own) > 0)]] = False
    return float(met[known].mean())
