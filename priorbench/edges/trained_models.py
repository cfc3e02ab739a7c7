"""What trained models do near the ends of the window: the settings of a run, tested over seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from priorbench.data.dataset import Dataset
from priorbench.results.finished_run import Run
from priorbench.run_directory import DONE
from priorbench.study.study import BASELINE
from priorbench.study.trial import EVALUATE

from .contrasts import (
    DistanceCurve,
    background_curve,
    contrasts_of,
    distance_curve,
    sequence_scores,
)
from .motif_places import has_places, sequences_of
from .tests_over_seeds import edge_table, pairs_of


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
    """The settings of a run whose datasets say where their motifs stand."""
    groups: dict[tuple[str, str, str], list[tuple[str, Mapping[str, Any]]]] = {}
    for trial, record in run.records.items():
        if record["stage"] == EVALUATE and has_places(_dataset(run, record)):
            key = (record["task"], record["dataset"], record["architecture"])
            groups.setdefault(key, []).append((trial, record))
    return [_setting(run, *key, trials) for key, trials in groups.items()]


def _dataset(run: Run, record: Mapping[str, Any]) -> Dataset:
    return run.datasets[f"{record['task']}/{record['dataset']}"]


def _setting(
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


def _mean_curve(curves: Sequence[DistanceCurve]) -> DistanceCurve:
    first = curves[0]
    return DistanceCurve(
        first.low,
        first.high,
        first.count,
        np.mean([curve.localisation for curve in curves], axis=0),
        np.mean([curve.mass for curve in curves], axis=0),
    )
