"""Gains of a prior over the baseline seed by seed, for figures; tests are in the tables."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from priorbench.comparison.paired_runs import counted_scores
from priorbench.comparison.skill import UNKNOWN_RANGE, score_ranges
from priorbench.components.metric import Metric

from .settings import RANDOM, ComparedSetting


def seed_gains(setting: ComparedSetting, prior: str, metric: Metric) -> NDArray[np.float64]:
    """Return the (n,) gains of the seeds that both arms have, positive where the prior is better.

    Failed trials count as the worst outcome of the two arms, as in comparisons. Of a metric of
    pairs of trials the score of a seed is its mean agreement with the other seeds of its arm.
    """
    arms = [setting.priors[0], prior]
    rows = setting.rows[(setting.rows["metric"] == metric.name) & setting.rows["prior"].isin(arms)]
    values = counted_scores(rows, metric, setting.reference(RANDOM, metric))
    table = rows.assign(value=values).pivot_table(index="seed", columns="prior", values="value")
    pairs = table.reindex(columns=arms).dropna()
    sign = -1.0 if metric.higher_is_better is False else 1.0
    return sign * (pairs[prior] - pairs[arms[0]]).to_numpy(dtype=float)


def skill_gains(setting: ComparedSetting, prior: str, metric: Metric) -> NDArray[np.float64]:
    """Return the (n,) gains as shares of the range of the score; NaN where the range is unknown."""
    key = (setting.task, setting.dataset, setting.architecture, metric.name)
    score_range = score_ranges(setting.references).get(key, UNKNOWN_RANGE)
    return seed_gains(setting, prior, metric) / score_range.width
