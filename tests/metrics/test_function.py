"""Scores of predicted effects of variants against measured ones."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import pearsonr, spearmanr
from sklearn.metrics import average_precision_score

from priorbench.components.metric import VariantEffects
from priorbench.metrics import METRICS

NAMES = [name for name, metric in METRICS.items() if metric.axis == "function"]


def effects(measured, predicted, *, element=None, weight=None):
    """Effects of which those above 1 in size are the strong ones."""
    measured, predicted = np.asarray(measured, float), np.asarray(predicted, float)
    count = len(measured)
    return VariantEffects(
        measured,
        predicted,
        np.zeros(count, dtype=int) if element is None else np.asarray(element),
        np.ones(count) if weight is None else np.asarray(weight, float),
        (np.abs(measured) > 1).astype(float),
    )


def drawn(seed=0, count=3000, elements=5):
    generator = np.random.default_rng(seed)
    measured = generator.standard_normal(count)
    return measured, generator.integers(0, elements, count), generator


def score(name, given):
    return METRICS[name].function(given)


def test_there_are_four_scores_in_four_forms():
    assert len(NAMES) == 16
    scopes = [METRICS[name].scope for name in NAMES]
    assert scopes.count("variants") == scopes.count("attributed-variants") == 8
    assert all(METRICS[name].of_attribution == ("attribution" in name) for name in NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_measured_effects_score_1_and_shuffled_ones_what_chance_gives(name):
    measured, element, generator = drawn()
    assert score(name, effects(measured, measured, element=element)) == pytest.approx(1)
    share = (np.abs(measured) > 1).mean()
    floors = {"pearson": 0.0, "spearman": 0.0, "sign": 0.5, "auprc": share}
    floor = next(value for key, value in floors.items() if key in name)
    scores = [
        score(name, effects(measured, generator.permutation(measured), element=element))
        for _ in range(5)
    ]
    assert np.mean(scores) == pytest.approx(floor, abs=0.03)


@pytest.mark.parametrize("name", NAMES)
def test_noise_lowers_a_score_and_the_scale_changes_nothing(name):
    measured, element, generator = drawn()
    noise = generator.standard_normal(len(measured))
    some, more = (
        score(name, effects(measured, measured + size * noise, element=element)) for size in (1, 4)
    )
    assert 1 > some > more
    scaled = effects(1e3 * measured, 1e-30 * (measured + noise), element=element)
    scaled = replace(scaled, confidence=effects(measured, measured).confidence)
    assert score(name, scaled) == pytest.approx(some)


def test_correlations_are_those_of_scipy_element_by_element():
    measured, element, generator = drawn(count=40, elements=2)
    predicted = measured + generator.standard_normal(40)
    given = effects(measured, predicted, element=element)
    for name, function in (("pearson", pearsonr), ("spearman", spearmanr)):
        each = [function(measured[element == e], predicted[element == e]).statistic for e in (0, 1)]
        assert score(f"variant-{name}", given) == pytest.approx(np.mean(each))
        pooled = function(measured, predicted).statistic
        assert score(f"variant-{name}-pooled", given) == pytest.approx(pooled)


def test_a_whole_weight_counts_as_often_as_the_variant_is_there():
    measured, predicted = [1.0, 2.0, 3.0, -2.0], [1.0, -1.0, 4.0, -3.0]
    weighted = effects(measured, predicted, weight=[2, 1, 0, 1])
    repeated = effects([1.0, 1.0, 2.0, -2.0], [1.0, 1.0, -1.0, -3.0])
    for name in ("variant-pearson", "variant-sign", "variant-auprc"):
        assert score(name, weighted) == pytest.approx(score(name, repeated)), name


def test_the_sign_of_strong_effects_alone_is_asked_for_and_none_is_half_right():
    given = effects([2, -2, 3, -4, 0.5], [1, 1, 0, -1, -9])
    assert score("variant-sign", given) == pytest.approx((1 + 0 + 0.5 + 1) / 4)


def test_auprc_is_that_of_the_size_of_predictions():
    given = effects([2, -2, 0.5, 0.1], [0.3, -3, 1, 0])
    expected = average_precision_score([1, 1, 0, 0], [0.3, 3, 1, 0])
    assert score("variant-auprc", given) == pytest.approx(expected)


def test_what_is_not_defined_is_left_out():
    measured = [1, 2, 3, 5, 5, 5, 1, 2]
    element = [0, 0, 0, 1, 1, 1, 2, 2]
    given = effects(measured, [1, 2, 3, 1, 2, 3, 2, 1], element=element)
    # equal measurements and two variants alone tell nothing
    assert score("variant-pearson", given) == pytest.approx(1)
    assert score("variant-sign", given) == score("variant-sign", given.at(given.element < 2)) == 1
    constant = effects(measured, np.ones(8), element=element)
    assert score("variant-pearson", constant) == 0
    weak = effects([0.1, 0.2, 0.3], [1, 2, 3])
    assert np.isnan(score("variant-sign", weak))
    assert np.isnan(score("variant-auprc", weak))
    assert np.isnan(score("variant-auprc", effects([2, 3, 4], [1, 2, 3])))
    assert np.isnan(score("variant-spearman", effects([1, 2], [1, 2])))


@pytest.mark.parametrize("name", NAMES)
def test_a_prediction_that_is_no_number_has_no_score(name):
    assert np.isnan(score(name, effects([2, -3, 0.1, 0.5], [1, np.nan, 2, 3])))
