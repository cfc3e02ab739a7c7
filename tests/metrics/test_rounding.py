"""Correlations with what differs by rounding only: undefined for data, 0 for a model."""

from __future__ import annotations

from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from priorbench.components.metric import TrialArrays, VariantEffects
from priorbench.evaluation.profile_scores import profile_scores
from priorbench.metrics import METRICS
from priorbench.statistics.rounding import constant

NOISE = 6e-8
"""as float32 rounds"""


def constant_but_for_rounding(*shape: int, size: float = 3.0) -> np.ndarray:
    values = size * (1 + NOISE * np.random.default_rng(0).choice([-1, 0, 1], shape))
    assert values.std() > 0
    return values


def varying(*shape: int) -> np.ndarray:
    return np.random.default_rng(1).random(shape)


def counts(label: np.ndarray, predicted: np.ndarray) -> float:
    empty = np.zeros((0, 1), np.float32)
    arrays = TrialArrays({"log_counts": predicted}, label, empty, None, None, {})
    return METRICS["count-pearson"].function(arrays)


def profile(name: str, reads: np.ndarray, logits: np.ndarray) -> float:
    scores = profile_scores(torch.tensor(logits), torch.tensor(reads))
    arrays = SimpleNamespace(prediction={key: value.numpy() for key, value in scores.items()})
    return METRICS[name].function(arrays)


def of_seeds(name: str, first: np.ndarray, second: np.ndarray) -> float:
    return METRICS[name].function([first, second])[0, 1]


def of_mutagenesis(first: np.ndarray, second: np.ndarray) -> float:
    probe = SimpleNamespace(attribution=first, mutagenesis=second)
    return METRICS["mutagenesis-correlation"].function(probe)


def of_random_weights(first: np.ndarray, second: np.ndarray) -> float:
    probe = SimpleNamespace(own=first, of_random_weights=lambda: second)
    return METRICS["randomised-similarity"].function(probe)


def of_variants(name: str, measured: np.ndarray, predicted: np.ndarray) -> float:
    one, none = np.ones(len(measured)), np.zeros(len(measured), dtype=int)
    return METRICS[name].function(VariantEffects(measured, predicted, none, one, one))


VARIANTS = [
    f"{effects}-{name}{form}"
    for effects in ("variant", "variant-attribution")
    for name in ("pearson", "spearman")
    for form in ("", "-pooled")
]
# the score of (data or attribution, prediction or attribution), and what constant data score
CORRELATIONS = {
    "count-pearson": (lambda a, b: counts(a[:, 0], b[:, 0]), np.nan),
    "profile-pearson": (lambda a, b: profile("profile-pearson", a, b), np.nan),
    "profile-spearman": (lambda a, b: profile("profile-spearman", a, b), np.nan),
    "seed-spearman": (lambda a, b: of_seeds("seed-spearman", a[:, 0], b[:, 0]), 0),
    "seed-spearman-corrected": (
        lambda a, b: of_seeds("seed-spearman-corrected", a[:, 0], b[:, 0]),
        0,
    ),
    "mutagenesis-correlation": (lambda a, b: of_mutagenesis(a[:, 0], b[:, 0]), 0),
    "randomised-similarity": (lambda a, b: of_random_weights(a[:, 0], b[:, 0]), 0),
    **{
        name: (partial(lambda name, a, b: of_variants(name, a[0, 0], b[0, 0]), name), np.nan)
        for name in VARIANTS
    },
}


def test_these_are_all_correlations() -> None:
    told = {name for name, metric in METRICS.items() if "correlation" in metric.summary}
    assert told == set(CORRELATIONS)


@pytest.mark.parametrize("name", CORRELATIONS)
@pytest.mark.parametrize("size", [3.0, 3e-9])
def test_rounding_is_no_variation(name: str, size: float) -> None:
    score, of_constant_data = CORRELATIONS[name]
    shape = (5, 2, 200) if "count" not in name else (200, 2, 2)
    data, model = varying(*shape), varying(*shape)
    noise = constant_but_for_rounding(*shape, size=size)
    assert score(data, data) > 0.9
    assert score(data, noise) == 0
    np.testing.assert_equal(score(noise, model), of_constant_data)


def test_small_numbers_and_small_differences_count() -> None:
    assert not constant(1e-9 * varying(3, 50), axis=1).any()
    assert not constant(1 + 1e-5 * varying(3, 50), axis=1).any()
    assert constant(np.zeros((3, 50)), axis=1).all()
    assert constant(np.full((3, 50), -7.0), axis=1).shape == (3, 1)
