"""What trained models do near the ends of the window: contrasts of places, tested over seeds.

A sequence gets three scores: how well its attribution finds its motif, how much of the attribution
lies on it, and how much lies at the end of the window across from it. A trial gets one number a
contrast: the mean score of one kind of sequences less that of another. Priors are compared by that
number, seed by seed, so that what a contrast tests is a difference in differences.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .comparisons import ALPHA
from .dataset import NEUTRAL, Dataset
from .edge_effects import NEAR, WIDTH
from .metrics.localisation import MOTIFS, average_precision
from .statistics import impute_failures, paired_difference

WHERE = ("start", "end", "both", "middle", "both-middle", "anywhere")
"""places of a window's motifs; datasets store the index, so that new ones come last"""
NOWHERE = 255
"""in place of the index, for windows without a motif"""
_NO_CONTRAST = 0.0
"""what a random attribution has: it is the same at all places"""
_BINS = 8
TABLE_COLUMNS = (
    "contrast",
    "prior",
    "baseline",
    "n",
    "failed",
    "mean_baseline",
    "mean_prior",
    "difference",
    "ci_low",
    "ci_high",
    "effect_size",
    "p",
    "p_adjusted",
    "test",
    "verdict",
)


@dataclass(frozen=True)
class Contrast:
    """A difference between two kinds of sequences.

    Attributes:
        name: for tables.
        score: of a sequence: ``localisation``, ``mass`` or ``opposite``.
        first: kind of sequences, ``edge`` or ``both``.
        second: kind that is subtracted, ``centre`` or ``both-middle``.
        higher_is_better: whether a larger difference is good for the first kind.
        summary: one line.
    """

    name: str
    score: str
    first: str
    second: str
    higher_is_better: bool
    summary: str


CONTRASTS = (
    Contrast(
        "edge-localisation",
        "localisation",
        "edge",
        "centre",
        True,
        "average precision of |attribution| against the motif: at an end less in the middle",
    ),
    Contrast(
        "edge-mass",
        "mass",
        "edge",
        "centre",
        True,
        "share of |attribution| on the motif: at an end less in the middle",
    ),
    Contrast(
        "opposite-end",
        "opposite",
        "edge",
        "centre",
        False,
        f"share of |attribution| in the outermost {NEAR} bp, where there is no motif: across from "
        "one at the other end less far from one in the middle",
    ),
    Contrast(
        "pair-localisation",
        "localisation",
        "both",
        "both-middle",
        True,
        "average precision against two motifs: at both ends less both in the middle",
    ),
    Contrast(
        "pair-mass",
        "mass",
        "both",
        "both-middle",
        True,
        "share of |attribution| on two motifs: at both ends less both in the middle",
    ),
)


@dataclass(frozen=True)
class Sequences:
    """The attributed sequences of a dataset, by where their motifs are.

    Attributes:
        relevant: (M, L) bool motif positions.
        counts: (M, L) bool positions that are not neutral.
        distance: (M,) int64 bp between the motif and the nearest end.
        kinds: (M,) bool by kind: ``edge``, ``centre``, ``both``, ``both-middle``, ``one``.
        opposite: (M, L) bool positions whose attribution counts as ``opposite``.
    """

    relevant: NDArray[np.bool_]
    counts: NDArray[np.bool_]
    distance: NDArray[np.int64]
    kinds: Mapping[str, NDArray[np.bool_]]
    opposite: NDArray[np.bool_]


def has_places(dataset: Dataset) -> bool:
    """Whether a dataset says where its motifs stand."""
    return "where" in dataset.columns and dataset.truth is not None


def sequences_of(dataset: Dataset) -> Sequences:
    """Read a dataset that :func:`has_places`.

    Of motifs that stand anywhere, those within NEAR bp of an end are at the edge, and those whose
    distance from it is at least a third of the window are in the centre.
    """
    assert dataset.truth is not None
    where = dataset.columns["where"].take(dataset.attributed)
    relevant = np.isin(dataset.truth, MOTIFS)
    length = relevant.shape[1]
    before = relevant.argmax(axis=1)
    behind = relevant[:, ::-1].argmax(axis=1)
    distance = np.minimum(before, behind)
    named = {name: where == number for number, name in enumerate(WHERE)}
    kinds = {
        "edge": named["start"] | named["end"] | named["anywhere"] & (distance <= NEAR),
        "centre": named["middle"] | named["anywhere"] & (distance >= length // 3),
        "both": named["both"],
        "both-middle": named["both-middle"],
        "one": named["start"] | named["end"] | named["middle"] | named["anywhere"],
    }
    at_start = np.arange(length) < NEAR
    at_end = at_start[::-1]
    far_end = np.where((before < behind)[:, None], at_end, at_start)
    opposite = np.where(kinds["centre"][:, None], at_start | at_end, far_end) & ~relevant
    return Sequences(relevant, dataset.truth != NEUTRAL, distance, kinds, opposite)


def sequence_scores(
    attribution: NDArray[np.floating], sequences: Sequences
) -> dict[str, NDArray[np.float64]]:
    """(M,) ``localisation``, ``mass`` and ``opposite`` of every sequence.

    ``localisation`` is the average precision of |a| against motif positions, ``mass`` the share of
    sum |a| on them, neutral positions left out of both. ``opposite`` is the share of sum |a| at the
    outermost NEAR positions of the end across, or of either end, per end, where the motif is in
    the centre. Of an attribution of zero all shares are what chance gives.

    Args:
        attribution: (M, L).
        sequences: the same M sequences.
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
    scores: Mapping[str, NDArray[np.float64]], sequences: Sequences
) -> dict[str, float]:
    """The value of every contrast that has sequences of both kinds."""
    found = {}
    for contrast in CONTRASTS:
        first, second = sequences.kinds[contrast.first], sequences.kinds[contrast.second]
        if first.any() and second.any():
            score = scores[contrast.score]
            found[contrast.name] = float(score[first].mean() - score[second].mean())
    return found


@dataclass(frozen=True)
class DistanceCurve:
    """Scores against the distance of the motif from the nearest end.

    Attributes:
        low: (K,) int64 smallest distance of every bin, in bp.
        high: (K,) int64 largest distance.
        count: (K,) int64 sequences.
        localisation: (K,) mean over the bin's sequences.
        mass: (K,) mean over the bin's sequences.
    """

    low: NDArray[np.int64]
    high: NDArray[np.int64]
    count: NDArray[np.int64]
    localisation: NDArray[np.float64]
    mass: NDArray[np.float64]


def distance_curve(
    scores: Mapping[str, NDArray[np.float64]], sequences: Sequences
) -> DistanceCurve:
    """Sequences with one motif in bins of about as many each, of whole distances."""
    one = np.flatnonzero(sequences.kinds["one"])
    distance = sequences.distance[one]
    cuts = np.quantile(distance, np.linspace(0, 1, _BINS + 1)[1:-1], method="higher")
    bins = np.unique(np.searchsorted(np.unique(cuts), distance, side="right"), return_inverse=True)
    members = [one[bins[1] == number] for number in range(len(bins[0]))]
    return DistanceCurve(
        np.array([sequences.distance[rows].min() for rows in members]),
        np.array([sequences.distance[rows].max() for rows in members]),
        np.array([len(rows) for rows in members]),
        np.array([scores["localisation"][rows].mean() for rows in members]),
        np.array([scores["mass"][rows].mean() for rows in members]),
    )


def background_curve(
    attribution: NDArray[np.floating], sequences: Sequences
) -> NDArray[np.float64]:
    """(L // 2,) background attribution by distance to the nearest end, over its own mean.

    Of the sequences with their motif in the centre; motif positions are left out. NaN where all
    positions are motifs.
    """
    rows = sequences.kinds["centre"]
    size = np.abs(attribution[rows].astype(np.float64))
    outside = ~sequences.relevant[rows]
    total = np.where(outside, size, 0).sum(axis=1, keepdims=True)
    share = np.where(outside, size, 0) / np.where(total > 0, total, 1)
    half = size.shape[1] // 2
    sums = share[:, :half] + share[:, ::-1][:, :half]
    seen = outside[:, :half].astype(float) + outside[:, ::-1][:, :half]
    with np.errstate(invalid="ignore"):
        mean: NDArray[np.float64] = sums.sum(axis=0) / np.where(seen.any(axis=0), seen.sum(axis=0), np.nan)
    overall = sums.sum() / seen.sum() if seen.any() else np.nan
    return mean / (overall or 1.0)


def edge_table(values: pd.DataFrame, baselines: Mapping[str, str]) -> pd.DataFrame:
    """One row per contrast and prior: the paired difference to its baseline, over seeds.

    Failed and collapsed trials count as the worst of all values of a contrast and of 0, which is
    what a random attribution has. p is adjusted by Holm's method over the priors with the same
    baseline, contrast by contrast.

    Args:
        values: columns prior, seed, failed, and one of every contrast.
        baselines: baseline by prior.

    Returns:
        a table with TABLE_COLUMNS; verdicts are ``better``, ``worse`` and ``inconclusive``, or ""
        where a single pair gives no p.
    """
    rows: list[dict[str, object]] = []
    for contrast in CONTRASTS:
        if contrast.name in values and values[contrast.name].notna().any():
            counted = impute_failures(
                values[contrast.name].to_numpy(dtype=float),
                values["failed"].to_numpy(dtype=bool),
                higher_is_better=contrast.higher_is_better,
                floor=_NO_CONTRAST,
            )
            wide = values.assign(value=counted).pivot_table(
                index="seed", columns="prior", values="value"
            )
            failed = values.pivot_table(index="seed", columns="prior", values="failed")
            for baseline in dict.fromkeys(baselines.values()):
                arms = [prior for prior, base in baselines.items() if base == baseline]
                found = list(_differences(wide, failed, arms, baseline))
                rows += [{"contrast": contrast.name, **row} for row in _judged(found, contrast)]
    return pd.DataFrame(rows, columns=list(TABLE_COLUMNS))


def _differences(
    wide: pd.DataFrame, failed: pd.DataFrame, arms: Sequence[str], baseline: str
) -> Iterator[dict[str, object]]:
    for prior in arms:
        if not {prior, baseline} <= set(wide.columns):
            continue
        pairs = wide[[baseline, prior]].dropna()
        if len(pairs):
            base, own = (pairs[arm].to_numpy(dtype=float) for arm in (baseline, prior))
            lost = failed.loc[pairs.index, [baseline, prior]].sum().sum()
            found = vars(paired_difference(base, own))
            yield {"prior": prior, "baseline": baseline, "failed": int(lost), **found}


def _judged(rows: list[dict[str, object]], contrast: Contrast) -> list[dict[str, object]]:
    from statsmodels.stats.multitest import multipletests

    tested = [row for row in rows if np.isfinite(np.float64(row["p"]))]
    adjusted = multipletests([row["p"] for row in tested], method="holm")[1] if tested else []
    for row in rows:
        row |= {"p_adjusted": float("nan"), "verdict": ""}
    for row, p in zip(tested, adjusted, strict=True):
        better = (np.float64(row["difference"]) > 0) == contrast.higher_is_better
        row["p_adjusted"] = float(p)
        row["verdict"] = "inconclusive" if p > ALPHA else "better" if better else "worse"
    return rows


__all__ = [
    "CONTRASTS",
    "NOWHERE",
    "TABLE_COLUMNS",
    "WHERE",
    "WIDTH",
    "Contrast",
    "DistanceCurve",
    "Sequences",
    "background_curve",
    "contrasts_of",
    "distance_curve",
    "edge_table",
    "has_places",
    "sequence_scores",
    "sequences_of",
]
