"""Scores by name, one module per axis; pure functions on arrays."""

from __future__ import annotations

from ..contracts import Metric
from ..errors import unknown
from . import (
    cost,
    discovery,
    faithfulness,
    localisation,
    prediction,
    profile,
    smoothness,
    stability,
)

METRICS: dict[str, Metric] = {
    metric.name: metric
    for module in (
        prediction,
        profile,
        localisation,
        stability,
        discovery,
        faithfulness,
        smoothness,
        cost,
    )
    for metric in module.METRICS
}


def get_metric(name: str) -> Metric:
    """The metric of that name; UserError with a did-you-mean if there is none."""
    if name not in METRICS:
        raise unknown("metric", name, METRICS)
    return METRICS[name]
