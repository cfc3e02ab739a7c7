"""Reference scores: of chance, of motif search without a network, and of the oracle."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from priorbench.attribution.variant_effects import effects_of, with_measured
from priorbench.components import registry, specs
from priorbench.components.metric import TrialArrays
from priorbench.components.task import Task
from priorbench.data.dataset import Dataset, load_dataset
from priorbench.data.variants import VariantTable
from priorbench.metrics import METRICS
from priorbench.metrics.stability import CORRECTED
from priorbench.storage import source_code
from priorbench.storage.sealed_files import DamagedFile, read_sealed, write_sealed
from priorbench.study.trial import hash_of

from . import scoring
from .network_free import MotifSearch, search_motifs
from .profile_scores import REPLICATE
from .scoring import (
    CENTRE,
    ORACLE,
    RANDOM,
    score_attribution,
    score_effects,
    score_predictions,
    score_seeds,
)
from .stored_arrays import known_motifs

SCORES_WITHOUT_NETWORK = (
    *scoring.PREDICTS_EFFECTS,
    "evaluation/network_free.py",
    "evaluation/profile_scores.py",
    "evaluation/reference_scores.py",
)
"""the code that computes references"""
_BASES_SEED, _EFFECTS_SEED = 1, 2
_EFFECT_DRAWS = 20
"""number of shuffles of measured effects whose scores are averaged: they cost nothing"""
_FLOOR_DRAWS = 5
"""number of random attributions whose scores are averaged"""
Scores = Mapping[str, Mapping[str, float]]


def stored_references(
    folder: Path, spec: str, say: Callable[[str], None]
) -> dict[str, dict[str, float]]:
    """Return the reference scores of a dataset and a task's spec.

    They are read from ``references-HASH.json`` in the dataset's folder, or else written there;
    ``say`` is called with a line about a file that is not as it was written.
    """
    path = folder / f"references-{_digest(spec)}.json"
    try:
        stored = read_sealed(path)["scores"]
    except DamagedFile as problem:
        if path.is_dir():
            raise
        if path.exists():
            say(f"{path}: {problem.problem}; computed again")
        task: Task = registry.build("task", spec)
        dataset = load_dataset(folder, train_share=task.train_share)
        stored = reference_scores(dataset, task)
        write_sealed(path, {"scores": stored})
    return {
        name: {metric: float("nan") if v is None else float(v) for metric, v in scores.items()}
        for name, scores in stored.items()
    }


def _digest(spec: str) -> str:
    """Return a hash of what decides the references, the dataset aside."""
    component = registry.components("task")[specs.name_of(spec)]
    code = source_code.code_hash(*SCORES_WITHOUT_NETWORK)
    return hash_of(
        [spec, scoring.metrics_digest(), code, source_code.component_digest(component.path)]
    )


def reference_scores(dataset: Dataset, task: Task) -> dict[str, dict[str, float]]:
    """Return scores of chance, of motif search and, if the truth is known, of the oracle, by name.

    Chance predicts the share of the labels for every example; its attribution is Gaussian noise,
    five independent draws, whose scores are averaged. The task's own ``references`` are scored on
    prediction alone. Nearness to the window's centre, which knows no sequence, is scored on
    localisation. Motif search uses no network (:mod:`priorbench.evaluation.network_free`). The
    oracle is the same under every seed. Where there are variants, chance predicts their measured
    effects, shuffled within elements, motif search the change of what it predicts, and a replicate,
    where elements were measured twice, the effect in the other measurement.
    """
    generator = np.random.default_rng(0)
    known = known_motifs(dataset)
    result = {RANDOM: _noise(dataset, generator, known)}
    predictions = {RANDOM: task.chance(dataset), **task.references(dataset, generator)}
    if dataset.truth is not None:
        result[CENTRE] = _of_centre(dataset, known)
    searches = search_motifs(dataset, task)
    for name, search in searches.items():
        result[name] = _of_attribution(dataset, search.attribution, known)
        if search.logit is not None:
            predictions[name] = {"logit": search.logit}
    for name, prediction in predictions.items():
        scores = score_predictions(_predicted(dataset, prediction), task.metrics)
        result[name] = {**result.get(name, {}), **scores}
    if dataset.oracle is not None and dataset.truth is not None:
        matrices = known["matrices"]
        every_base = None if matrices is None else matrices - np.float32(0.25)
        scores = _of_attribution(dataset, dataset.oracle, known, every_base)
        # observed contributions are not what every published form calls perfect
        ceilings = {
            name: score
            for name, score in scores.items()
            if METRICS[name].every_base
            or not METRICS[name].published
            or METRICS[name].perfect is None
        }
        result[ORACLE] = ceilings | _of_itself(dataset.oracle)
    if dataset.variants is not None:
        for name, scores in _of_variants(dataset.variants, dataset.length, searches).items():
            result[name] = {**result.get(name, {}), **scores}
    return result


def _of_centre(dataset: Dataset, known: Mapping[str, Any]) -> dict[str, float]:
    """Return scores of localisation, by name, of an attribution that falls from centre to ends."""
    middle = (dataset.length - 1) / 2
    nearness = 1 - np.abs(np.arange(dataset.length) - middle) / (middle + 1)
    shape = (len(dataset.attributed), dataset.length)
    track = np.broadcast_to(nearness.astype(np.float32), shape)
    scores = _of_attribution(dataset, track, known)
    return {name: score for name, score in scores.items() if METRICS[name].axis == "localisation"}


def _of_variants(
    variants: VariantTable, length: int, searches: Mapping[str, MotifSearch]
) -> dict[str, dict[str, float]]:
    """Return the scores of effects that no network predicts, by name."""
    generator = np.random.default_rng(_EFFECTS_SEED)
    draws = [with_measured(variants, variants.shuffled(generator)) for _ in range(_EFFECT_DRAWS)]
    scores = [
        score_effects(draw, attributed=False) | score_effects(draw, attributed=True)
        for draw in draws
    ]
    result = {RANDOM: {name: float(np.mean([s[name] for s in scores])) for name in scores[0]}}
    placed = variants.placed(length)
    for name, search in searches.items():
        effects = with_measured(variants, effects_of(search.activity, placed))
        result[name] = score_effects(effects, attributed=False)
    twice = np.isfinite(again := variants.replicate())
    if twice.any():
        effects = with_measured(variants, again).at(twice)
        result[REPLICATE] = score_effects(effects, attributed=False)
    return result


def _of_itself(oracle: NDArray[np.float32]) -> dict[str, float]:
    """Return the agreement of the oracle with itself, which is the same under every seed.

    That is 1, ties or not, and less the agreement of different sequences' oracles where a metric
    is corrected for chance.
    """
    twice = score_seeds([oracle, oracle])[0]
    by_chance = {name: twice[name.removesuffix(CORRECTED)] - value for name, value in twice.items()}
    return {name: 1.0 - value for name, value in by_chance.items()}


def discovery_floors() -> dict[str, float]:
    """Return the scores of trials in which nothing is a motif, attributions or filters."""
    return _floors("motifs", "motif-sets", "arm", "filters")


def _floors(*scopes: str) -> dict[str, float]:
    return {
        metric.name: metric.floor
        for metric in METRICS.values()
        if metric.floor is not None and metric.scope in scopes
    }


def _noise(
    dataset: Dataset, generator: np.random.Generator, known: Mapping[str, Any]
) -> dict[str, float]:
    """Return the scores of random attributions, each a mean over the draws."""
    count, length = len(dataset.attributed), dataset.length
    noise = [
        generator.standard_normal((count, length), dtype=np.float32) for _ in range(_FLOOR_DRAWS)
    ]
    # bases have a stream of their own, so that what is drawn besides stays as it is
    bases = np.random.default_rng(_BASES_SEED)
    alone = [
        _of_attribution(
            dataset, draw, known, bases.standard_normal((count, 4, length), dtype=np.float32)
        )
        for draw in noise
    ]
    across = score_seeds(noise)
    means = {
        name: float(np.mean([scores[name] for scores in draws]))
        for draws in (alone, across)
        for name in draws[0]
    }
    return means | _floors("model")


def _of_attribution(
    dataset: Dataset,
    attribution: NDArray[np.float32],
    known: Mapping[str, Any],
    every_base: NDArray[np.float32] | None = None,
) -> dict[str, float]:
    """Return the scores of an attribution, and of one of all four bases where there is one."""
    return score_attribution(
        TrialArrays(
            {},
            np.empty(0, dtype=np.float32),
            attribution,
            dataset.truth,
            dataset.oracle,
            {},
            hypothetical=every_base,
            **known,
        )
    )


def _predicted(dataset: Dataset, prediction: Mapping[str, NDArray[np.float32]]) -> TrialArrays:
    """Return the arrays of a trial with this prediction and without attributions."""
    label = dataset.columns["label"].take(dataset.scored_rows)
    nothing = np.empty((0, dataset.length), dtype=np.float32)
    weight = dataset.negative_weight
    return TrialArrays(prediction, label, nothing, None, None, {}, negative_weight=weight)
