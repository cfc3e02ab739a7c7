"""What trained models do near the ends of the window: contrasts of places, tested over seeds.

A sequence gets three scores: how well its attribution finds its motif, how much of the attribution
lies on it, and how much lies at the end of the window across from it. A trial gets one number a
contrast: the mean score of one kind of sequences less that of another. Priors are compared by that
number, seed by seed, so that what a contrast tests is a difference in differences.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .comparisons import ALPHA, EVALUATE
from .dataset import Dataset
from .edge_effects import NEAR
from .edge_places import Sequences, has_places, sequences_of
from .metrics.localisation import average_precision
from .plan import BASELINE
from .results import Run
from .specs import split_spec
from .statistics import impute_failures, paired_difference
from .store import DONE

_NO_CONTRAST = 0.0
"""what a random attribution has at most: it is the same at all places"""
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
        second: kind that is subtracted, ``centre`` or ``both-middle``; "" for none.
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
        "edge-alone",
        "localisation",
        "edge",
        "",
        True,
        "average precision of |attribution| against a motif at an end; nothing is subtracted",
    ),
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
        kinds = [sequences.kinds[kind] for kind in (contrast.first, contrast.second) if kind]
        if all(kind.any() for kind in kinds):
            means = [float(scores[contrast.score][kind].mean()) for kind in kinds]
            found[contrast.name] = means[0] - sum(means[1:])
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
        mean: NDArray[np.float64] = sums.sum(axis=0) / np.where(
            seen.any(axis=0), seen.sum(axis=0), np.nan
        )
    overall = sums.sum() / seen.sum() if seen.any() else np.nan
    return mean / (overall or 1.0)


def edge_table(values: pd.DataFrame, pairs: Sequence[tuple[str, str]]) -> pd.DataFrame:
    """One row per contrast and prior: the paired difference to its baseline, over seeds.

    Failed and collapsed trials count as the worst of all values of a contrast and of 0, which is
    what a random attribution has. p is adjusted by Holm's method over the priors with the same
    baseline, contrast by contrast.

    Args:
        values: columns prior, seed, failed, and one of every contrast.
        pairs: of prior and baseline.

    Returns:
        a table with TABLE_COLUMNS; verdicts are ``better``, ``worse`` and ``inconclusive``, or ""
        where a single pair gives no p.
    """
    rows: list[dict[str, Any]] = []
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
            for baseline in dict.fromkeys(base for _, base in pairs):
                arms = [prior for prior, base in pairs if base == baseline]
                found = list(_differences(wide, failed, arms, baseline))
                rows += [{"contrast": contrast.name, **row} for row in _judged(found, contrast)]
    return pd.DataFrame(rows, columns=list(TABLE_COLUMNS))


def _differences(
    wide: pd.DataFrame, failed: pd.DataFrame, arms: Sequence[str], baseline: str
) -> Iterator[dict[str, Any]]:
    for prior in arms:
        if not {prior, baseline} <= set(wide.columns):
            continue
        pairs = wide[[baseline, prior]].dropna()
        if len(pairs):
            base, own = (pairs[arm].to_numpy(dtype=float) for arm in (baseline, prior))
            lost = failed.loc[pairs.index, [baseline, prior]].sum().sum()
            found = vars(paired_difference(base, own))
            yield {"prior": prior, "baseline": baseline, "failed": int(lost), **found}


def _judged(rows: list[dict[str, Any]], contrast: Contrast) -> list[dict[str, Any]]:
    from statsmodels.stats.multitest import multipletests

    tested = [row for row in rows if np.isfinite(row["p"])]
    adjusted = multipletests([row["p"] for row in tested], method="holm")[1] if tested else []
    for row in rows:
        row |= {"p_adjusted": float("nan"), "verdict": ""}
    for row, p in zip(tested, adjusted, strict=True):
        better = (row["difference"] > 0) == contrast.higher_is_better
        row["p_adjusted"] = float(p)
        row["verdict"] = "inconclusive" if p > ALPHA else "better" if better else "worse"
    return rows


@dataclass(frozen=True)
class TrainedEdges:
    """The trained models of one task, dataset and architecture.

    Attributes:
        task: spec.
        dataset: name.
        architecture: spec.
        length: of the window in bp.
        priors: specs, the baseline first.
        seeds: how many.
        values: one row per trial: prior, seed, failed, and the value of every contrast.
        table: see :func:`edge_table`.
        curves: by prior, means over the seeds that ended well; without the priors of which
            none did.
        background: (L // 2,) by prior, see :func:`background_curve`; the same.
        runs: labels of the runs that its trials are of; none where there is only one run.
    """

    task: str
    dataset: str
    architecture: str
    length: int
    priors: Sequence[str]
    seeds: int
    values: pd.DataFrame
    table: pd.DataFrame
    curves: Mapping[str, DistanceCurve]
    background: Mapping[str, NDArray[np.float64]]
    runs: Sequence[str] = ()


def trained_edges(run: Run) -> list[TrainedEdges]:
    """The blocks of a run whose datasets say where their motifs stand."""
    groups: dict[tuple[str, str, str], list[tuple[str, Mapping[str, Any]]]] = {}
    for trial, record in run.records.items():
        if record["stage"] == EVALUATE and has_places(_dataset(run, record)):
            key = (record["task"], record["dataset"], record["architecture"])
            groups.setdefault(key, []).append((trial, record))
    return [_block(run, *key, trials) for key, trials in groups.items()]


def _dataset(run: Run, record: Mapping[str, Any]) -> Dataset:
    return run.datasets[f"{record['task']}/{record['dataset']}"]


def _block(
    run: Run,
    task: str,
    dataset: str,
    architecture: str,
    trials: Sequence[tuple[str, Mapping[str, Any]]],
) -> TrainedEdges:
    opened = run.datasets[f"{task}/{dataset}"]
    sequences = sequences_of(opened)
    rows: list[dict[str, Any]] = []
    curves: dict[str, list[DistanceCurve]] = {}
    background: dict[str, list[NDArray[np.float64]]] = {}
    for trial, record in trials:
        prior, done = record["prior"], record["status"] == DONE
        arrays = run.arrays(trial)
        row = {"prior": prior, "seed": record["seed"], "failed": not done}
        if arrays is not None:
            scores = sequence_scores(arrays.attribution, sequences)
            row |= contrasts_of(scores, sequences)
            if done:
                curves.setdefault(prior, []).append(distance_curve(scores, sequences))
                track = background_curve(arrays.attribution, sequences)
                background.setdefault(prior, []).append(track)
        rows.append(row)
    values = pd.DataFrame(rows)
    priors = sorted(values["prior"].unique(), key=lambda prior: prior != BASELINE)
    return TrainedEdges(
        task,
        dataset,
        architecture,
        opened.length,
        priors,
        values["seed"].nunique(),
        values,
        edge_table(values, pairs_of(priors)),
        {prior: _mean_curve(found) for prior, found in curves.items()},
        {prior: np.mean(found, axis=0) for prior, found in background.items()},
        run.runs_of((task, dataset, architecture)),
    )


def pairs_of(priors: Sequence[str]) -> list[tuple[str, str]]:
    """What is compared: every prior with none, and every boundary with the same prior's default."""
    against_none = [(prior, BASELINE) for prior in priors if prior != BASELINE]
    return against_none + [
        (prior, default)
        for prior in priors
        if (default := without_boundary(prior)) != prior and default in priors
    ]


def without_boundary(spec: str) -> str:
    """A prior's spec without its option ``boundary``; a composition as it is."""
    if "+" in spec:
        return spec
    name, options = split_spec(spec)
    kept = [f"{key}={value}" for key, value in options.items() if key != "boundary"]
    return ":".join([name, *kept])


def _mean_curve(curves: Sequence[DistanceCurve]) -> DistanceCurve:
    first = curves[0]
    return DistanceCurve(
        first.low,
        first.high,
        first.count,
        np.mean([curve.localisation for curve in curves], axis=0),
        np.mean([curve.mass for curve in curves], axis=0),
    )
