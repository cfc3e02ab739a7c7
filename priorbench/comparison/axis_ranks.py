"""Ranks of priors over datasets, axis by axis: they have no unit, so that tasks can meet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from priorbench.metrics import METRICS
from priorbench.statistics.ranks import Ranking, rank_priors
from priorbench.statistics.signflip import smallest_p
from priorbench.study.declared import PRIMARY
from priorbench.study.trial import SETTING_COLUMNS

from .over_datasets import dataset_of

_NAN = float("nan")


@dataclass(frozen=True)
class AxisRanking:
    """Priors ranked over datasets, on the primary metric that each dataset has on an axis.

    Ranks have no unit, so that tasks with different metrics can be put together.

    Attributes:
        axis: name of the axis.
        metrics: primary metrics of the datasets.
        priors: specs, the baseline first.
        datasets: how many datasets have a value of every prior.
        ranking: average ranks of the priors.
    """

    axis: str
    metrics: tuple[str, ...]
    priors: tuple[str, ...]
    datasets: int
    ranking: Ranking

    @property
    def smallest_p(self) -> float:
        """Smallest adjusted p that a test of two priors over so many datasets can have."""
        count = len(self.priors)
        return min(1.0, smallest_p(self.datasets) * count * (count - 1) / 2)


def rank_axes(comparisons: pd.DataFrame) -> list[AxisRanking]:
    """Rank the priors on each axis that two datasets or more have a primary metric of.

    Settings of one dataset are averaged before they are ranked. A failed run counts as in the
    comparison of its prior with the baseline, a failed run of the baseline as the worst in any of
    these.
    """
    primary = comparisons[comparisons["family"] == PRIMARY]
    rankings = []
    for axis, rows in primary.groupby("axis", sort=False):
        priors = (str(rows["baseline"].iloc[0]), *dict.fromkeys(map(str, rows["prior"])))
        by_dataset: dict[tuple[str, str], list[NDArray[np.float64]]] = {}
        for key, setting in rows.groupby(SETTING_COLUMNS, sort=False):
            if (column := _means(setting, priors)) is not None:
                by_dataset.setdefault(dataset_of([str(k) for k in key]), []).append(column)
        columns = [np.mean(settings, axis=0) for settings in by_dataset.values()]
        if len(columns) > 1:
            metrics = tuple(dict.fromkeys(map(str, rows["metric"])))
            ranking = rank_priors(np.stack(columns, axis=1))
            rankings.append(AxisRanking(str(axis), metrics, priors, len(columns), ranking))
    return rankings


def _means(setting: pd.DataFrame, priors: Sequence[str]) -> NDArray[np.float64] | None:
    """Return (priors,) means in one setting, higher is better; None if one is missing."""
    sign = 1 if METRICS[str(setting["metric"].iloc[0])].higher_is_better else -1
    means = dict(zip(map(str, setting["prior"]), sign * setting["mean_prior"], strict=True))
    means[priors[0]] = (sign * setting["mean_baseline"]).min()
    values = np.array([float(means.get(prior, _NAN)) for prior in priors])
    return values if np.isfinite(values).all() else None
