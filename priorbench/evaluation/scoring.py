"""Applies metrics to trials: alone, across seeds, and against the baseline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from priorbench.components import source_code
from priorbench.components.metric import Probe, TrialArrays
from priorbench.data.dataset import Dataset
from priorbench.metrics import METRICS
from priorbench.statistics import leave_one_out

if TYPE_CHECKING:
    from priorbench.metrics.motif_set import MotifSet


RANDOM, ORACLE = "random", "oracle"
"""names of the reference rows: floor and ceiling of a score"""


SCORES_ARRAYS = ("metrics", "components/metric.py", "evaluation/scoring.py")
"""the code that scores a trial's stored arrays"""
EXPLAINS_MODELS = (
    "attribution/explainers.py",
    "evaluation/measure.py",
    "evaluation/model_probe.py",
    "evaluation/stored_arrays.py",
    "metrics/faithfulness.py",
    "metrics/stability.py",
)
"""the code that explains trained models, and scores what they answer"""
DISCOVERS_MOTIFS = ("evaluation/modisco.py", "evaluation/stored_arrays.py", "metrics/motif_set.py")
"""the code that discovers motifs in attributions"""


@cache
def metrics_digest() -> str:
    """Hash of the code that scores trials."""
    return source_code.code_hash(*SCORES_ARRAYS)


@cache
def probes_digest() -> str:
    """Hash of the code that scores trained models, attributions included."""
    return source_code.code_hash(*EXPLAINS_MODELS)


@cache
def discovery_digest() -> str:
    """Hash of the code that discovers motifs in attributions."""
    return source_code.code_hash(*DISCOVERS_MOTIFS)


def score_predictions(arrays: TrialArrays, names: Sequence[str]) -> dict[str, float]:
    """The prediction metrics of these names."""
    return {name: METRICS[name].function(arrays) for name in METRICS if name in names}


def score_attribution(arrays: TrialArrays) -> dict[str, float]:
    """Every metric that looks at one attribution of one trial alone."""
    return {
        metric.name: metric.function(arrays)
        for metric in METRICS.values()
        if metric.scope == "trial" and metric.of_attribution
    }


def score_model(probe: Probe) -> dict[str, float]:
    """Every metric that asks the trained model."""
    return {
        metric.name: metric.function(probe)
        for metric in METRICS.values()
        if metric.scope == "model"
    }


def score_motifs(found: MotifSet, dataset: Dataset) -> dict[str, float]:
    """Every metric of what was discovered in one trial's attributions.

    The known motifs are the true ones, or those of the database where these are not known.
    """
    known = dataset.motifs or dataset.database
    return {
        metric.name: metric.function(found, known)
        for metric in METRICS.values()
        if metric.scope == "motifs"
    }


def score_seeds(attributions: Sequence[Any]) -> list[dict[str, float]]:
    """Every metric of attributions across the seeds of an arm; one dict a seed."""
    return _across(attributions, "seeds")


def score_motif_sets(sets: Sequence[MotifSet]) -> list[dict[str, float]]:
    """Every metric of discovered motifs across the seeds of an arm; one dict a seed."""
    pairs, arms = _across(sets, "motif-sets"), _across(sets, "arm")
    return [one | other for one, other in zip(pairs, arms, strict=True)]


def _across(trials: Sequence[Any], scope: str) -> list[dict[str, float]]:
    scores: list[dict[str, float]] = [{} for _ in trials]
    for metric in METRICS.values():
        if metric.scope == scope:
            found = metric.function(trials)
            values = leave_one_out(found) if metric.of_pairs else found
            for score, value in zip(scores, values, strict=True):
                score[metric.name] = float(value)
    return scores


def score_against(costs: Mapping[str, float], baseline: Mapping[str, float]) -> dict[str, float]:
    """Every metric that relates a trial's costs to those of its paired baseline."""
    return {
        metric.name: metric.function(costs, baseline)
        for metric in METRICS.values()
        if metric.scope == "baseline"
    }
