"""Scores against numbers worked out by hand, invariances, and order of oracle, noise, random."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr
from sklearn.metrics import average_precision_score

from priorbench import TrialArrays, UserError
from priorbench.components import registry
from priorbench.evaluation.reference_scores import reference_scores
from priorbench.evaluation.scoring import score_seeds
from priorbench.metrics import METRICS, get_metric
from priorbench.metrics.stability import (
    CORRECTED,
    cosine_agreement,
    jaccard_agreement,
    published_jaccard_agreement,
    spearman_agreement,
    top_overlap,
)
from priorbench.metrics.tools.rankings import average_precision, share_at_top
from priorbench.statistics.agreement import are_partners


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
    trial = arrays(logit=[2, 1, 0, -1], label=[1, 0, 1, 0])
    assert score("auroc", trial) == pytest.approx(0.75)
    assert score("auprc", trial) == pytest.approx(0.5 * 1 + 0.5 * 2 / 3)
    expected = np.mean([np.log1p(np.exp(-2)), np.log1p(np.exp(1)), np.log(2), np.log1p(np.exp(-1))])
    assert score("cross-entropy", trial) == pytest.approx(expected)


def test_prediction_of_one_class_is_not_defined():
    trial = arrays(logit=[2, 1], label=[1, 1])
    assert np.isnan(score("auroc", trial))
    assert np.isnan(score("auprc", trial))


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
    trial = arrays([[0.9, 0.5, -0.7, 0.0]], [[1, 1, 2, 0]])
    assert score("motif-auprc", trial) == pytest.approx((1 + 2 / 3) / 2)


def test_constant_attribution_gets_the_floor_and_unknown_truth_nothing():
    assert score("motif-auprc", arrays(np.zeros((2, 8)), np.tile([1, 1] + [0] * 6, (2, 1)))) == 0.25
    assert np.isnan(score("motif-auprc", arrays(np.ones((2, 8)))))
    assert np.isnan(score("motif-auprc", arrays(np.ones((1, 4)), np.zeros((1, 4)))))


TRUTH = [[1, 1, 2, 0]]


def test_localisation_by_hand():
    trial = arrays([[0.9, 0.5, -0.7, 0.0]], TRUTH)
    # of the four pairs of a motif position and another, three are in order
    assert score("motif-auroc", trial) == pytest.approx(3 / 4)
    assert score("mass-enrichment", trial) == pytest.approx((1.4 / 2.1) / (2 / 4))
    # the two largest are one of the motif and the decoy
    assert score("rank-accuracy", trial) == pytest.approx(1 / 2)
    assert score("enrichment-at-10", trial) == pytest.approx(1)
    assert score("decoy-precision", trial) == pytest.approx((1 + 2 / 3) / 2)


def test_enrichment_at_ten_by_hand():
    track, truth = np.zeros((1, 40)), np.zeros((1, 40))
    truth[0, :8] = 1
    track[0, 5:15] = 1  # three of the motif's eight positions among the ten
    assert score("enrichment-at-10", arrays(track, truth)) == pytest.approx((3 / 10) / (8 / 40))


LOCALISATION = (
    "motif-auprc",
    "motif-auroc",
    "mass-enrichment",
    "rank-accuracy",
    "enrichment-at-10",
    "decoy-precision",
)
CHANCE = {
    "motif-auroc": 0.5,
    "mass-enrichment": 1,
    "rank-accuracy": 0.25,
    "enrichment-at-10": 1,
    "decoy-precision": 0.5,
}


@pytest.mark.parametrize("name", LOCALISATION)
def test_neutral_positions_neither_reward_nor_punish(name):
    generator = np.random.default_rng(0)
    track, truth = generator.normal(size=(3, 30)), np.tile([1] * 5 + [2] * 5 + [0] * 20, (3, 1))
    alone = score(name, arrays(track, truth))
    for value in (0, 100):
        wide = np.concatenate([track, np.full((3, 4), value)], axis=1)
        codes = np.concatenate([truth, np.full((3, 4), 3)], axis=1)
        assert score(name, arrays(wide, codes)) == pytest.approx(alone)


@pytest.mark.parametrize(("name", "floor"), CHANCE.items())
def test_a_constant_attribution_gets_the_floor(name, floor):
    truth = np.tile([1] * 4 + [2] * 4 + [0] * 8, (2, 1))
    for value in (0, 3):
        assert score(name, arrays(np.full((2, 16), value), truth)) == pytest.approx(floor)


@pytest.mark.parametrize("name", LOCALISATION)
def test_localisation_of_unknown_truth_is_not_defined(name):
    assert np.isnan(score(name, arrays(np.ones((2, 8)))))
    assert np.isnan(score(name, arrays(np.ones((2, 8)), np.zeros((2, 8)))))


def test_ties_at_the_top_count_by_their_share():
    score_of = np.array([[3.0, 2, 2, 2, 1]])
    relevant = np.array([[True, True, False, False, False]])
    # one for sure, and one of three for the second place
    assert share_at_top(score_of, relevant, np.array([2])) == pytest.approx((1 + 1 / 3) / 2)


def test_calibration_error_by_hand():
    # probabilities .5 and .5 in one bin, .9 alone: (2 * |.5 - .5| + |.9 - 0|) / 3
    trial = arrays(logit=[0, 0, np.log(9)], label=[0, 1, 0])
    assert score("calibration-error", trial) == pytest.approx(0.9 / 3, abs=1e-6)
    sure = arrays(logit=[50, -50], label=[1, 0])
    assert score("calibration-error", sure) == pytest.approx(0, abs=1e-6)


def test_corrected_auprc_is_that_of_as_many_negatives():
    logit, label = np.array([3.0, 2, 1, 0, -1]), np.array([1, 0, 1, 0, 0])
    trial = replace(arrays(logit=logit, label=label), negative_weight=4.0)
    times = np.where(label, 1, 4)
    expected = average_precision_score(np.repeat(label, times), np.repeat(logit, times))
    assert score("auprc-corrected", trial) == pytest.approx(expected)
    assert np.isnan(score("auprc-corrected", arrays(logit=logit, label=label)))


def test_smoothness_by_hand():
    assert score("entropy", arrays(np.ones((1, 8)))) == pytest.approx(1)
    assert score("entropy", arrays([[1, 0, 0, 0]])) == pytest.approx(0)
    assert score("entropy", arrays([[0.2, -0.2, 0, 0]])) == pytest.approx(np.log(2) / np.log(4))
    assert score("gini-coefficient", arrays(np.ones((1, 8)))) == pytest.approx(0)
    assert score("gini-coefficient", arrays([[0, 0, -7, 0, 0]])) == pytest.approx(4 / 5)
    assert score("variation", arrays([[0, 1, 0, -1]])) == pytest.approx(3 / 2)
    shares = (np.array([1, 0, 0]) + 0.001) / 1.003
    expected = -(shares * np.log(shares)).sum()
    assert score("entropy-published", arrays([[1, 0, 0]])) == pytest.approx(expected)


def test_gini_is_the_mean_difference_of_all_pairs():
    track = np.abs(np.random.default_rng(0).normal(size=40)).astype(np.float32)
    pairs = np.abs(track[:, None] - track).sum() / (2 * 40**2 * track.mean())
    assert score("gini-coefficient", arrays(track[None])) == pytest.approx(pairs, rel=1e-5)


SMOOTHNESS = ("high-frequency", "entropy", "entropy-published", "gini-coefficient", "variation")


@pytest.mark.parametrize("name", SMOOTHNESS)
def test_sequences_without_attribution_have_no_smoothness(name):
    track = np.random.default_rng(0).normal(size=(1, 20))
    alone = score(name, arrays(track))
    if name != "entropy-published":
        assert score(name, arrays(np.concatenate([track, 0 * track]))) == pytest.approx(alone)
        assert np.isnan(score(name, arrays(0 * track)))


def test_agreement_of_seeds_by_hand():
    first, second = np.array([[1.0, 1.0]], np.float32), np.array([[1.0, -3.0]], np.float32)
    # shares (1/2, 1/2) and (1/4, -3/4): (1/4 - 1/2) / (1/2 + 3/4)
    assert jaccard_agreement([first, second]) == pytest.approx(np.array([[1, -0.2], [-0.2, 1]]))
    assert published_jaccard_agreement([first, second])[0, 1] == pytest.approx((1 - 1) / 2)
    rising = np.array([[1.0, -2, 3, 4]], np.float32)
    mixed = np.array([[4.0, 30, -20, 100]], np.float32)
    expected = spearmanr(np.abs(rising[0]), np.abs(mixed[0])).statistic
    assert spearman_agreement([rising, mixed])[0, 1] == pytest.approx(expected)
    tracks = np.zeros((2, 1, 40), np.float32)
    tracks[0, 0, [3, 5]] = tracks[1, 0, [5, 9]] = 1  # the top 5% are two positions
    assert top_overlap(list(tracks))[0, 1] == pytest.approx(1 / 2)


def test_jaccard_is_that_of_every_two_partners():
    tracks = list(np.random.default_rng(0).normal(size=(70, 2, 12)).astype(np.float32))
    together, partners = jaccard_agreement(tracks), are_partners(70)
    assert (np.isnan(together) == ~(partners | np.eye(70, dtype=bool))).all()
    for i, j in ((0, 1), (3, 35), (69, 0), (5, 67)):
        assert together[i, j] == pytest.approx(jaccard_agreement([tracks[i], tracks[j]])[0, 1])


def test_published_jaccard_is_the_published_sum_at_the_observed_base():
    generator = np.random.default_rng(0)
    first, second = generator.normal(size=(2, 3, 20))
    expected = []
    for a, b in zip(first, second, strict=True):
        full = np.zeros((2, 20, 4))
        full[0, :, 1], full[1, :, 1] = a, b
        full /= np.abs(full).sum(axis=2, keepdims=True)
        common = (np.abs(full).min(axis=0) * np.sign(full[0]) * np.sign(full[1])).sum(axis=1)
        expected.append((common / np.abs(full).max(axis=0).sum(axis=1)).sum() / 20)
    agreement = published_jaccard_agreement([first.astype(np.float32), second.astype(np.float32)])
    assert agreement[0, 1] == pytest.approx(np.mean(expected))


SEEDS = [name for name, metric in METRICS.items() if metric.scope == "seeds"]


@pytest.mark.parametrize("name", SEEDS)
def test_agreement_does_not_depend_on_scale_strand_or_order(name):
    generator = np.random.default_rng(0)
    seeds = [generator.normal(size=(5, 40)).astype(np.float32) for _ in range(3)]
    plain = score(name, seeds)
    assert score(name, [2 * s for s in seeds]) == pytest.approx(plain, rel=1e-5)
    assert score(name, [s[::-1, ::-1] for s in seeds]) == pytest.approx(plain, rel=1e-5)
    assert np.allclose(plain, plain.T)
    if not name.endswith(CORRECTED):
        assert np.allclose(np.diag(plain), 1)


@pytest.mark.parametrize("name", SEEDS)
def test_seeds_with_more_noise_agree_less(name, simulated):
    generator = np.random.default_rng(0)
    known = simulated.oracle[(simulated.oracle != 0).any(axis=1)]
    # the published form sees signs alone, of what is not zero
    size = 0.3 * np.abs(known).max()
    agreements = [
        score(name, [known + noise * size * generator.normal(size=known.shape) for _ in "ab"])[0, 1]
        for noise in (1e-9, 0.5, 100)
    ]
    assert agreements[0] > agreements[1] > agreements[2] - 0.02
    assert score(name, [0 * known, known])[0, 1] <= 0.06


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
    assert score("high-frequency", arrays(np.ones((1, 10)))) == 0


def test_cost_is_relative_to_the_paired_baseline():
    costs = {"seconds_per_step": 0.3, "peak_memory_mib": 200.0, "epochs_to_best": 4}
    baseline = {"seconds_per_step": 0.2, "peak_memory_mib": 100.0}
    assert score("step-time-ratio", costs, baseline) == pytest.approx(1.5)
    assert score("peak-memory", costs, baseline) == 200
    assert score("epochs-to-best", costs, baseline) == 4


@pytest.mark.parametrize("name", [*LOCALISATION, *sorted({*SMOOTHNESS} - {"entropy-published"})])
def test_scores_do_not_depend_on_scale_strand_or_order(name):
    generator = np.random.default_rng(0)
    track, truth = generator.normal(size=(5, 30)), generator.integers(0, 4, (5, 30))
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
    for name in LOCALISATION:
        value = score(name, arrays(simulated.oracle + noise, simulated.truth))
        assert random[name] < value < oracle[name] + 1e-9, name
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
