"""What trained models do near the ends of the window, setting by setting of a finished run.

`contrasts.py` scores each model, `tests_over_seeds.py` tests priors; `summary.py` draws the
conclusion.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from priorbench.data.dataset import Dataset
from priorbench.results.finished_run import Run
from priorbench.storage.run_directory import DONE
from priorbench.study.study import BASELINE
from priorbench.study.trial import EVALUATE, SettingKey

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
    """What the trained models of one setting do near the ends.

    Attributes:
        task: spec of the task.
        dataset: name of the dataset.
        architecture: spec of the architecture.
        length: length of the window in bp.
        priors: specs, the baseline first.
        seeds: number of seeds.
        values: one row per trial: prior, seed, failed, and the value of every contrast.
        table: the tests, from :func:`edge_table`.
        curves: mean :class:`DistanceCurve` by prior, over the seeds that ended well; without the
            priors of which none did.
        background: (L // 2,) mean of :func:`background_curve` by prior, over the same seeds.
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
    """Examine every setting of a run whose dataset says where its motifs are."""
    groups: dict[SettingKey, list[tuple[str, Mapping[str, Any]]]] = {}
    for trial, record in run.records.items():
        if record["stage"] == EVALUATE and has_places(_dataset(run, record)):
            key = (record["task"], record["dataset"], record["architecture"])
            groups.setdefault(key, []).append((trial, record))
    return [_examine(run, key, trials) for key, trials in groups.items()]


def _dataset(run: Run, record: Mapping[str, Any]) -> Dataset:
    return run.datasets[f"{record['task']}/{record['dataset']}"]


def _examine(
    run: Run, setting: SettingKey, trials: Sequence[tuple[str, Mapping[str, Any]]]
) -> TrainedEdges:
    dataset = _dataset(run, trials[0][1])
    sequences = sequences_of(dataset)
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
        *setting,
        dataset.length,
        priors,
        values["seed"].nunique(),
        values,
        edge_table(values, pairs_of(priors)),
        {prior: _mean_curve(of_seeds) for prior, of_seeds in curves.items()},
        {prior: np.mean(of_seeds, axis=0) for prior, of_seeds in background.items()},
        run.runs_of(setting),
    )


def _mean_curve(curves: Sequence[DistanceCurve]) -> DistanceCurve:
    means = {name: [getattr(curve, name) for curve in curves] for name in ("localisation", "mass")}
    return replace(curves[0], **{name: np.mean(of, axis=0) for name, of in means.items()})
