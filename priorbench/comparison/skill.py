"""The range of a score in a setting, from chance to the best possible, and skill on that range.

Scores of different metrics, tasks and datasets have no common unit. Their skill has: the share of
the way from a model that knows only averages, or a random attribution, to a perfect score.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from priorbench.components.metric import Metric
from priorbench.evaluation.scoring import ORACLE, PERFECT, RANDOM
from priorbench.metrics import METRICS
from priorbench.study.trial import REFERENCE, SETTING_COLUMNS

_KEY = [*SETTING_COLUMNS, "metric"]
RangeKey = tuple[str, ...]
"""task, dataset, architecture, metric"""


@dataclass(frozen=True)
class ScoreRange:
    """The range of a score in one setting.

    Attributes:
        floor: score of chance; NaN where it is unknown.
        ceiling: score of a perfect prediction, or of the oracle; NaN where it is unknown.
    """

    floor: float
    ceiling: float

    @property
    def width(self) -> float:
        """Distance from floor to ceiling; NaN where one is unknown or they are equal."""
        width = abs(self.ceiling - self.floor)
        return width if width > 0 else float("nan")


UNKNOWN_RANGE = ScoreRange(float("nan"), float("nan"))


def score_ranges(results: pd.DataFrame) -> Mapping[RangeKey, ScoreRange]:
    """Return the range of every score that the reference rows of results.csv know something of.

    The ceiling is what a perfect prediction scores on these data, where that was measured, then
    what the oracle scores, then what the metric's formula says. There is no range where chance
    scores better than the ceiling.
    """
    rows = results[results["stage"] == REFERENCE].drop_duplicates([*_KEY, "prior"])
    known: dict[RangeKey, dict[str, float]] = {}
    columns = (rows[name].astype(str) for name in (*_KEY, "prior"))
    for *key, name, value in zip(*columns, rows["value"].astype(float), strict=True):
        known.setdefault(tuple(key), {})[name] = value
    return {key: _range(METRICS[key[-1]], values) for key, values in known.items()}


def _range(metric: Metric, values: Mapping[str, float]) -> ScoreRange:
    nothing = math.nan
    ceilings = (values.get(PERFECT, nothing), values.get(ORACLE, nothing), metric.perfect)
    ceiling = next((c for c in ceilings if c is not None and math.isfinite(c)), nothing)
    floor = values.get(RANDOM, nothing)
    if (ceiling < floor) if metric.higher_is_better else (ceiling > floor):
        return ScoreRange(floor, nothing)  # chance scores better: the score has no such range
    return ScoreRange(floor, ceiling)
