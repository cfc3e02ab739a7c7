"""How well trials agree with each other, for metrics whose values are those of pairs of trials."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, lru_cache
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from priorbench.components.metric import Metric
from priorbench.metrics import METRICS
from priorbench.metrics.tools.motif_set import NOTHING_FOUND, MotifSet
from priorbench.statistics.agreement import leave_one_out
from priorbench.storage.run_directory import DONE

Agreement = Callable[[pd.DataFrame, Metric, str], NDArray[np.float64]]
"""(k,) mean agreement of each of the k trials of an arm, in a table with columns prior and seed and
in its order, with the others, by a metric on one attribution"""
_PLACE = ["task", "dataset"]
"""columns of results.csv that say which data a trial was scored on"""
_ARMS = 4096  # whose scores are kept: k numbers each, for every metric


def agreement_of(
    results: pd.DataFrame,
    attribution_of: Callable[[str, str], NDArray[np.float32] | None],
    motifs_of: Callable[[str, str], MotifSet | None],
) -> Agreement:
    """Return the agreement of trials of an arm by what they have stored.

    A trial that failed, or stored nothing, agrees with no other.

    Args:
        results: a table with the columns of results.csv.
        attribution_of: gives (M, L) attributions by a trial's id and the attribution's spec.
        motifs_of: gives the motifs that were discovered, likewise.
    """
    done = set(results.loc[results["status"] == DONE, "trial"])
    names = set(results["metric"])

    # an arm is asked for by every metric and, that of the baseline, for every prior: its arrays
    # are read once, and compared once
    @cache
    def shape_at(place: tuple[str, ...], spec: str) -> tuple[int, ...]:
        """Return the shape of attributions on a dataset, also for an arm that failed as a whole."""
        at = results["status"] == DONE
        for column, value in zip(_PLACE, place, strict=True):
            at &= results[column] == value
        stored = (attribution_of(trial, spec) for trial in results.loc[at, "trial"].unique())
        return next((tracks.shape for tracks in stored if tracks is not None), (1, 1))

    @lru_cache(maxsize=_ARMS)
    def scores(
        ids: tuple[str | None, ...], place: tuple[str, ...], scope: str, spec: str
    ) -> dict[str, Any]:
        metrics = [m for m in METRICS.values() if m.scope == scope and m.name in names]
        trials: list[Any]
        if scope == "motif-sets":
            trials = [(trial and motifs_of(trial, spec)) or NOTHING_FOUND for trial in ids]
        else:
            stored = [attribution_of(trial, spec) if trial else None for trial in ids]
            nothing = np.zeros(shape_at(place, spec), dtype=np.float32)
            trials = [nothing if a is None else a for a in stored]
        return {metric.name: leave_one_out(metric.function(trials)) for metric in metrics}

    def agreement(trials: pd.DataFrame, metric: Metric, spec: str) -> NDArray[np.float64]:
        ids = tuple(trial if trial in done else None for trial in trials["trial"])
        place = tuple(map(str, trials[_PLACE].iloc[0]))
        of_metric: NDArray[np.float64] = scores(ids, place, metric.scope, spec)[metric.name]
        return of_metric

    return agreement
