"""Applies metrics to arrays: of one trial, across the seeds of an arm, against the baseline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from priorbench.components.metric import Probe, TrialArrays, VariantEffects
from priorbench.data.dataset import Dataset
from priorbench.metrics import METRICS
from priorbench.statistics.agreement import leave_one_out
from priorbench.storage import source_code

if TYPE_CHECKING:
    from priorbench.metrics.published.filters import FirstFilters
    from priorbench.metrics.tools.motif_set import MotifSet

RANDOM, ORACLE, PERFECT = "random", "oracle", "perfect"
"""names of the reference rows: floor and ceiling of a score, and what a prediction scores at best
where that depends on the data"""
CENTRE = "window-centre"
"""name of the reference row of an attribution that is the same for every sequence"""
SCORES_ARRAYS = (
    "components/metric.py",
    "evaluation/first_filters.py",
    "evaluation/scoring.py",
    "metrics",
    "statistics/agreement.py",
    "statistics/rounding.py",
)
"""the code that scores a trial's stored arrays, and its network's filters"""
EXPLAINS_MODELS = (
    "attribution/explainers",
    "evaluation/measure.py",
    "evaluation/model_probe.py",
    "evaluation/stored_arrays.py",
    "metrics/faithfulness.py",
    "metrics/stability.py",
    "statistics/rounding.py",
)
"""the code that explains trained models and probes them"""
PREDICTS_EFFECTS = (
    "attribution/variant_effects.py",
    "data/variants.py",
    "statistics/rounding.py",
)
"""the code that asks trained models for the effects of variants"""
DISCOVERS_MOTIFS = (
    "attribution/explainers",
    "evaluation/hypothetical.py",
    "evaluation/modisco.py",
    "evaluation/stored_arrays.py",
    "metrics/tools/motif_set.py",
)
"""the code that discovers motifs in attributions"""


@cache
def metrics_digest() -> str:
    """Return the hash of the code that scores a trial's stored arrays."""
    return source_code.code_hash(*SCORES_ARRAYS)


@cache
def probes_digest() -> str:
    """Return the hash of the code that explains trained models and probes them."""
    return source_code.code_hash(*EXPLAINS_MODELS)


@cache
def discovery_digest() -> str:
    """Return the hash of the code that discovers motifs in attributions."""
    return source_code.code_hash(*DISCOVERS_MOTIFS)


def effects_digest(variants: str) -> str:
    """Return a hash of what decides the effects of variants that are stored, the model aside.

    Args:
        variants: hash of the dataset's variants; the result is "" where that is, as it has none.
    """
    return f"{variants}-{source_code.code_hash(*PREDICTS_EFFECTS)}" if variants else ""


def _scores(scope: str, *arguments: Any) -> dict[str, float]:
    """Return the score of every metric of a scope, by name."""
    return {m.name: m.function(*arguments) for m in METRICS.values() if m.scope == scope}


def score_predictions(arrays: TrialArrays, names: Sequence[str]) -> dict[str, float]:
    """Return the scores of the prediction metrics of these names."""
    return {name: METRICS[name].function(arrays) for name in METRICS if name in names}


def score_attribution(arrays: TrialArrays) -> dict[str, float]:
    """Return the score of every metric of one attribution of one trial."""
    return {
        metric.name: metric.function(arrays)
        for metric in METRICS.values()
        if metric.scope == "trial" and metric.of_attribution
    }


def score_effects(effects: VariantEffects | None, *, attributed: bool) -> dict[str, float]:
    """Return the score of every metric of the effects of variants; none without effects.

    Args:
        effects: the effects, None where there are none.
        attributed: whether an attribution tells of them; else the model predicts them.
    """
    if effects is None:
        return {}
    return _scores("attributed-variants" if attributed else "variants", effects)


def score_model(probe: Probe) -> dict[str, float]:
    """Return the score of every metric that probes the trained model."""
    return _scores("model", probe)


def score_filters(filters: FirstFilters, dataset: Dataset) -> dict[str, float]:
    """Return the score of every metric of the filters of a network's first layer."""
    return _scores("filters", filters, dataset.motifs)


def score_motifs(motifs: MotifSet, dataset: Dataset) -> dict[str, float]:
    """Return the score of every metric of the motifs discovered in one trial's attributions.

    The known motifs are the true ones, or those of the database where the true ones are unknown.
    """
    return _scores("motifs", motifs, dataset.motifs or dataset.database)


def score_seeds(attributions: Sequence[Any]) -> list[dict[str, float]]:
    """Return the scores of metrics of attributions across the seeds of an arm, for each seed."""
    return _across(attributions, "seeds")


def score_motif_sets(sets: Sequence[MotifSet]) -> list[dict[str, float]]:
    """Return the scores of metrics of motifs across the seeds of an arm, for each seed."""
    pairs, arms = _across(sets, "motif-sets"), _across(sets, "arm")
    return [of_pairs | of_arm for of_pairs, of_arm in zip(pairs, arms, strict=True)]


def _across(trials: Sequence[Any], scope: str) -> list[dict[str, float]]:
    scores: list[dict[str, float]] = [{} for _ in trials]
    for metric in METRICS.values():
        if metric.scope == scope:
            values = metric.function(trials)
            values = leave_one_out(values) if metric.of_pairs else values
            for score, value in zip(scores, values, strict=True):
                score[metric.name] = float(value)
    return scores


def score_against(costs: Mapping[str, float], baseline: Mapping[str, float]) -> dict[str, float]:
    """Return the score of every metric of a trial's costs and those of its paired baseline."""
    return _scores("baseline", costs, baseline)
