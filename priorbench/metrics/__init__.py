"""Metrics by name, pure functions, about one module an axis; nothing here knows of runs.

The docstring of a metric's function is its definition on the page of metrics: a noun phrase or a
formula.
"""

from __future__ import annotations

from priorbench.components.metric import Metric
from priorbench.errors import unknown

from . import (
    cost,
    faithfulness,
    function,
    localisation,
    motifs,
    prediction,
    profile,
    smoothness,
    stability,
)
from .published import every_base, filters, instance_windows, signed_attributions

_PUBLISHED = (signed_attributions, instance_windows, every_base, filters)
_OWN = (
    *(prediction, profile, localisation, stability, motifs, faithfulness, function),
    *(smoothness, cost),
)
_MODULES = (prediction, profile, localisation, *_PUBLISHED, *_OWN[3:])
METRICS: dict[str, Metric] = {m.name: m for module in _MODULES for m in module.METRICS}


def get_metric(name: str) -> Metric:
    """Return the metric of that name; UserError with a did-you-mean if there is none."""
    if name not in METRICS:
        raise unknown("metric", name, METRICS)
    return METRICS[name]
