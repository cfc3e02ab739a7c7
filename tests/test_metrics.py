"""Scores against numbers worked out by hand, invariances, and order of oracle, noise, random."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from priorbench import TrialArrays, UserError, registry
from priorbench.metrics import METRICS, get_metric
from priorbench.metrics.localisation import average_precision
from priorbench.metrics.stability import cosine_agreement
from priorbench.scoring import reference_scores, score_seeds


def arrays(attribution=None, truth=None, logit=(), label=(), oracle=None):
    return TrialArrays(
        {"logit": np.array(logit, dtype=np.float32)},
        np.array(label, dtype=np.float32),
        np.zeros((0, 1), np.float32)
        if attribution is None
        else np.asarray(attribution, np.float32),
        None if truth is None else np.asarray(truth, dtype=np.uint8),
        None if oracle is None else np.asarray(oracle, dtype=np.float32),
        {},
    )


def seed_cosine(attributions):
    return [score["seed-cosine"] for score in score_seeds(attributions)]


def score(name, *args):
    return METRICS[name].function(*args)


def test_prediction_by_hand():
    found = arrays(logit=[2, 1, 0, -1], label=[1, 0, 1, 0])
    assert score("auroc", found) == pytest.approx(0.75)
    assert score("auprc", found) == pytest.approx(0.5 * 1 + 0.5 * 2 / 3)
    expected = np.mean([np.log1p(np.exp(-2)), np.log1p(np.exp(1)), np.log(2), np.log1p(np.exp(-1))])
    assert score("cross-entropy", found) == pytest.approx(expected)


def test_prediction_of_one_class_is_not_defined():
    found = arrays(logit=[2, 1], label=[1, 1])
    assert np.isnan(score("auroc", found))
    assert np.isnan(score("auprc", found))


def test_cross_entropy_of_large_logits_is_finite():
    assert score("cross-entropy", arrays(logit=[1000], label=[0])) == pytest.approx(1000)


@given(st.integers(1, 40), st.integers(0, 2**32 - 1), st.booleans())
def test_average_precision_agrees_with_scikit_learn(length, seed, ties):
    generator = np.random.default_rng(seed)
    relevant = generator.random((3, length)) < 0.3
    relevant[:, 0] = True
    values = generator.random((3, length))
    if ties:
        values = np.round(values * 3)
    expected = [average_precision_score(r, v) for r, v in zip(relevant, values, strict=True)]
    assert average_precision(values, relevant) == pytest.approx(expected)


def test_motif_auprc_by_hand():
    # ranks of the two motif positions are 1 and 3: (1/1 + 2/3) / 2; a decoy counts as background
    found = arrays([[0.9, 0.5, -0.7, 0.0]], [[1, 1, 2, 0]])
    assert score("motif-auprc", found) == pytest.approx((1 + 2 / 3) / 2)


def test_constant_attribution_gets_the_floor_and_unknown_truth_nothing():
    assert score("motif-auprc", arrays(np.zeros((2, 8)), np.tile([1, 1] + [0] * 6, (2, 1)))) == 0.25
    assert np.isnan(score("motif-auprc", arrays(np.ones((2, 8)))))
    assert np.isnan(score("motif-auprc", arrays(np.ones((1, 4)), np.zeros((1, 4)))))


def test_seed_cosine_by_hand():
    first = np.array([[1.0, 0.0], [1.0, 1.0]], np.float32)
    second = np.array([[0.0, 1.0], [2.0, 2.0]], np.float32)
    third = np.array([[1.0, 0.0], [0.0, 0.0]], np.float32)
    # cosines of (first, second): 0 and 1; (first, third): 1 and 0; (second, third): 0 and 0
    assert seed_cosine([first, second, third]) == pytest.approx([0.5, 0.25, 0.25])
    assert np.isnan(seed_cosine([first])).all()
    assert seed_cosine([]) == []
    assert cosine_agreement([first, third]) == pytest.approx(np.array([[1, 0.5], [0.5, 0.5]]))


def test_high_frequency_of_pure_cosines():
    position = np.arange(100)
    low = 2 + np.cos(2 * np.pi * 10 * position / 100)
    high = 2 + np.cos(2 * np.pi * 40 * position / 100)
    at_limit = 2 + np.cos(2 * np.pi * 15 * position / 100)
    for track, expected in [(low, 0), (at_limit, 0), (high, 1), (low + high, 0.5)]:
        assert score("high-frequency", arrays(track[None])) == pytest.approx(expected, abs=1e-5)
    assert np.isnan(score("high-frequency", arrays(np.ones((1, 10)))))


def test_cost_is_relative_to_the_paired_baseline():
    costs = {"seconds_per_step": 0.3, "peak_memory_mib": 200.0}
    baseline = {"seconds_per_step": 0.2, "peak_memory_mib": 100.0}
    assert score("step-time-ratio", costs, baseline) == pytest.approx(1.5)
    assert score("peak-memory", costs, baseline) == 200


@pytest.mark.parametrize("name", ["motif-auprc", "high-frequency"])
def test_scores_do_not_depend_on_scale_strand_or_order(name):
    generator = np.random.default_rng(0)
    track, truth = generator.normal(size=(5, 30)), generator.random((5, 30)) < 0.2
    plain = score(name, arrays(track, truth))
    assert score(name, arrays(1e-3 * track, truth)) == pytest.approx(plain)
    assert score(name, arrays(-track[:, ::-1], truth[:, ::-1])) == pytest.approx(plain)
    assert score(name, arrays(track[::-1], truth[::-1])) == pytest.approx(plain)


def test_seed_cosine_does_not_depend_on_scale_strand_or_order():
    generator = np.random.default_rng(0)
    seeds = [generator.normal(size=(5, 30)).astype(np.float32) for _ in range(3)]
    plain = seed_cosine(seeds)
    assert seed_cosine([2 * s for s in seeds]) == pytest.approx(plain, rel=1e-5)
    assert seed_cosine([s[::-1, ::-1] for s in seeds]) == pytest.approx(plain, rel=1e-5)


def test_oracle_beats_noisy_oracle_beats_random(simulated):
    references = reference_scores(simulated, registry.build("task", "binary"))
    noise = np.random.default_rng(0).normal(size=simulated.oracle.shape)
    noisy = score("motif-auprc", arrays(simulated.oracle + noise, simulated.truth))
    random, oracle = references["random"], references["oracle"]
    assert oracle["motif-auprc"] >= 0.99
    assert random["motif-auprc"] < noisy < oracle["motif-auprc"]
    assert abs(random["seed-cosine"]) < 0.02
    assert oracle["seed-cosine"] == pytest.approx(1)
    assert random["auroc"] == 0.5
    assert random["auprc"] == pytest.approx(0.5)
    assert random["cross-entropy"] == pytest.approx(np.log(2))
    share = (simulated.truth == 1).mean()
    assert share < random["motif-auprc"] < share + 0.08


def test_unknown_metric_gets_a_hint():
    with pytest.raises(UserError, match="did you mean 'auroc'"):
        get_metric("aurocc")
    assert METRICS["high-frequency"].optimised_for
    assert not METRICS["auroc"].optimised_for
