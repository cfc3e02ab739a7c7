"""Contrasts of places: how one trained model attributes sequences near the ends and elsewhere.

A sequence gets three scores: how well its attribution finds its motif, how much of the attribution
lies on it, and how much lies at the end of the window across from it. A contrast gives a trial one
number: the mean score of one kind of sequences minus that of another. `motif_places.py` sorts the
sequences before; `tests_over_seeds.py` tests the contrasts afterwards.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from priorbench.metrics.tools.rankings import average_precision

from .motif_places import PlacedSequences
from .penalty_effects import NEAR

_BINS = 8


@dataclass(frozen=True)
class Contrast:
    """A difference between two kinds of sequences.

    Attributes:
        name: name in tables.
        score: score of a sequence that is compared: ``localisation``, ``mass`` or ``opposite``.
        first: kind of sequences, ``edge`` or ``both``.
        second: kind of sequences that is subtracted, ``centre`` or ``both-middle``; "" for none.
        summary: one line.
    """

    name: str
    score: str
    first: str
    second: str
    summary: str

    @property
    def higher_is_better(self) -> bool:
        """Whether a larger difference is good for the first kind."""
        return self.score != "opposite"


CONTRASTS = (
    Contrast(
        *("edge-alone", "localisation", "edge", ""),
        "average precision of |attribution| against a motif at an end; nothing is subtracted",
    ),
    Contrast(
        *("edge-localisation", "localisation", "edge", "centre"),
        "average precision of |attribution| against the motif: at an end minus in the middle",
    ),
    Contrast(
        *("edge-mass", "mass", "edge", "centre"),
        "share of |attribution| on the motif: at an end minus in the middle",
    ),
    Contrast(
        *("opposite-end", "opposite", "edge", "centre"),
        f"share of |attribution| in the outermost {NEAR} bp, where there is no motif: across from "
        "one at the other end minus far from one in the middle",
    ),
    Contrast(
        *("pair-localisation", "localisation", "both", "both-middle"),
        "average precision against two motifs: at both ends minus both in the middle",
    ),
    Contrast(
        *("pair-mass", "mass", "both", "both-middle"),
        "share of |attribution| on two motifs: at both ends minus both in the middle",
    ),
)


def sequence_scores(
    attribution: NDArray[np.floating], sequences: PlacedSequences
) -> dict[str, NDArray[np.float64]]:
    """Return (M,) ``localisation``, ``mass`` and ``opposite`` of M sequences, (M, L) attributed.

    ``localisation`` is the average precision of |a| against motif positions, ``mass`` the share of
    sum |a| on them, neutral positions left out of both. ``opposite`` is the share of sum |a| at the
    outermost NEAR positions of the end across, or of either end, per end, where the motif is in
    the centre. An attribution of zero has the shares that chance gives.
    """
    size = np.abs(attribution.astype(np.float64))
    size[~size.any(axis=1)] = 1
    counted = np.where(sequences.counts, size, 0)
    ends = np.where(sequences.kinds["centre"], 2, 1)
    ranked = np.where(sequences.counts, size, -1.0)
    return {
        "localisation": average_precision(ranked, sequences.relevant),
        "mass": (counted * sequences.relevant).sum(axis=1) / counted.sum(axis=1),
        "opposite": (size * sequences.opposite).sum(axis=1) / size.sum(axis=1) / ends,
    }


def contrasts_of(
    scores: Mapping[str, NDArray[np.float64]], sequences: PlacedSequences
) -> dict[str, float]:
    """Return the value of every contrast that has sequences of both kinds, by its name."""
    values = {}
    for contrast in CONTRASTS:
        kinds = [sequences.kinds[kind] for kind in (contrast.first, contrast.second) if kind]
        if all(kind.any() for kind in kinds):
            means = [float(scores[contrast.score][kind].mean()) for kind in kinds]
            values[contrast.name] = means[0] - sum(means[1:])
    return values


@dataclass(frozen=True)
class DistanceCurve:
    """Scores against the distance of the motif from the nearest end.

    Attributes:
        low: (K,) int64 smallest distance of every bin, in bp.
        high: (K,) int64 largest distance of every bin, in bp.
        count: (K,) int64 number of sequences.
        localisation: (K,) mean over the bin's sequences.
        mass: (K,) mean over the bin's sequences.
    """

    low: NDArray[np.int64]
    high: NDArray[np.int64]
    count: NDArray[np.int64]
    localisation: NDArray[np.float64]
    mass: NDArray[np.float64]


def distance_curve(
    scores: Mapping[str, NDArray[np.float64]], sequences: PlacedSequences
) -> DistanceCurve:
    """Average scores of the sequences with one motif, in bins of about as many sequences each.

    Sequences of the same distance are in the same bin.
    """
    single = np.flatnonzero(sequences.kinds["one"])
    distance = sequences.distance[single]
    cuts = np.quantile(distance, np.linspace(0, 1, _BINS + 1)[1:-1], method="higher")
    bins = np.unique(np.searchsorted(np.unique(cuts), distance, side="right"), return_inverse=True)
    members = [single[bins[1] == number] for number in range(len(bins[0]))]
    return DistanceCurve(
        np.array([sequences.distance[rows].min() for rows in members]),
        np.array([sequences.distance[rows].max() for rows in members]),
        np.array([len(rows) for rows in members]),
        np.array([scores["localisation"][rows].mean() for rows in members]),
        np.array([scores["mass"][rows].mean() for rows in members]),
    )


def background_curve(
    attribution: NDArray[np.floating], sequences: PlacedSequences
) -> NDArray[np.float64]:
    """Return (L // 2,) background attribution by distance to the nearest end, over its own mean.

    It is that of the sequences with their motif in the centre, motif positions left out; NaN where
    all positions are motifs.
    """
    rows = sequences.kinds["centre"]
    outside = ~sequences.relevant[rows]
    size = np.where(outside, np.abs(attribution[rows].astype(np.float64)), 0)
    total = size.sum(axis=1, keepdims=True)
    share = size / np.where(total > 0, total, 1)
    half = size.shape[1] // 2
    sums = share[:, :half] + share[:, ::-1][:, :half]
    counted = outside[:, :half].astype(float) + outside[:, ::-1][:, :half]
    with np.errstate(invalid="ignore"):
        places = np.where(counted.any(axis=0), counted.sum(axis=0), np.nan)
        mean: NDArray[np.float64] = sums.sum(axis=0) / places
    overall = sums.sum() / counted.sum() if counted.any() else np.nan
    return mean / (overall or 1.0)
