"""Statistics over several datasets against closed forms, SciPy and statsmodels."""

import numpy as np
import pytest
from scipy import stats

from priorbench.statistics.confidence import mean_interval
from priorbench.statistics.ranks import rank_priors
from priorbench.statistics.several_datasets import (
    blocked,
    blocked_interval,
    interquartile_difference,
    interquartile_mean,
    mean_improvement,
    mixed_model,
)


def scores(datasets=6, n=5, effect=0.0, seed=0):
    generator = np.random.default_rng(seed)
    return [
        generator.normal(size=(2, n))
        + generator.normal(size=(1, n))
        + 10 * generator.normal()
        + np.array([[0.0], [effect]])
        for _ in range(datasets)
    ]


def test_mixed_model_of_balanced_pairs_is_their_paired_t_test():
    # with every pair complete, dataset and seed cancel from the difference
    datasets = scores(effect=0.8)
    differences = np.concatenate([pairs[1] - pairs[0] for pairs in datasets])
    model = mixed_model(datasets)
    expected = stats.ttest_1samp(differences, 0)
    assert model.effect == pytest.approx(differences.mean())
    assert model.p == pytest.approx(expected.pvalue, rel=0.01)
    interval = expected.confidence_interval()
    assert (model.low, model.high) == pytest.approx((interval.low, interval.high), rel=0.01)


def test_mixed_model_does_not_depend_on_units():
    datasets = scores(datasets=3, effect=0.5)
    small = mixed_model([1e-6 * pairs + 0.9 for pairs in datasets])
    large = mixed_model(datasets)
    assert small.effect == pytest.approx(1e-6 * large.effect)
    assert small.p == pytest.approx(large.p, rel=0.02)


@pytest.mark.parametrize("constant", [0.0, 0.1])
def test_mixed_model_without_variance_has_an_effect_alone(constant):
    base = np.random.default_rng(1).normal(size=5)
    model = mixed_model([np.stack([base, base + constant])] * 3)
    assert model.effect == pytest.approx(constant)
    assert np.isnan([model.low, model.high, model.p]).all()


def test_every_dataset_counts_alike():
    few, many = np.ones(2), np.full(8, 0.5)
    differences = blocked([few, many])
    assert len(differences) == 10
    assert differences.mean() == pytest.approx(0.75)


def test_interval_over_datasets_is_that_of_all_pairs():
    differences = list(np.random.default_rng(5).normal(size=(3, 4)))
    assert blocked_interval(differences) == mean_interval(np.concatenate(differences))
    assert blocked_interval([np.ones(2), np.ones(3)]).method == ""


def test_interquartile_mean_by_hand():
    assert interquartile_mean(np.array([-100.0, 1, 2, 3, 4, 5, 6, 100])) == 3.5


def test_bootstraps_are_about_the_statistic_and_the_same_twice():
    datasets = scores(effect=1.0)
    for function in (interquartile_difference, mean_improvement):
        statistic = function(datasets)
        assert statistic == function(datasets)
        assert statistic.interval.low < statistic.value < statistic.interval.high
    pooled = np.concatenate(datasets, axis=1)
    expected = interquartile_mean(pooled[1]) - interquartile_mean(pooled[0])
    assert interquartile_difference(datasets).value == pytest.approx(expected)


def test_probability_of_improvement_is_averaged_over_datasets():
    datasets = scores(datasets=2, n=6, effect=0.7)
    expected = np.mean([stats.mannwhitneyu(p[1], p[0]).statistic / 36 for p in datasets])
    assert mean_improvement(datasets).value == pytest.approx(expected)


def test_bootstrap_spread_of_a_linear_statistic_is_not_too_small():
    # all but equal scores: the interquartile mean is smooth and its error that of a mean
    widths, errors = [], []
    for seed in range(60):
        difference = interquartile_difference(scores(datasets=4, n=5, seed=seed))
        widths.append(difference.interval.high - difference.interval.low)
        errors.append(difference.value)
    assert np.mean(widths) / (2 * 1.96) == pytest.approx(np.std(errors), rel=0.35)


def test_improvement_interval_over_datasets_is_about_the_truth_where_seeds_correlate():
    # with the runs of a seed all but equal, resampled pairs of the same seed once shifted it
    generator = np.random.default_rng(3)
    held = []
    for _ in range(150):
        shared = generator.normal(size=(6, 1, 8))
        own = generator.normal(size=(6, 2, 8))
        runs = np.sqrt(0.95) * shared + np.sqrt(0.05) * own
        improvement = mean_improvement(list(runs + np.array([[0.0], [1.5]])))
        interval = improvement.interval
        assert interval.low <= improvement.value <= interval.high
        truth = stats.norm.cdf(1.5 / np.sqrt(2))
        held.append(interval.low <= truth <= interval.high)
    assert np.mean(held) >= 0.9


def test_interquartile_interval_is_offered_from_five_seeds_on():
    assert interquartile_difference(scores(n=4)).interval.method == ""
    assert interquartile_difference([*scores(n=8), *scores(n=4)]).interval.method == ""
    assert interquartile_difference(scores(n=5)).interval.method == "joint bootstrap"


def test_single_seeds_have_no_bootstrap():
    datasets = [np.array([[0.1], [0.2]])] * 3
    assert interquartile_difference(datasets).interval.method == ""
    assert mean_improvement(datasets).interval.method == ""
    assert mean_improvement(datasets).value == 1


class TestRanks:
    def test_by_hand(self):
        means = np.array([[3.0, 3, 3], [2, 1, 2], [1, 2, 2]])
        assert rank_priors(means).ranks == pytest.approx([1, 2.5, 2.5])  # 2,3,2.5 and 3,2,2.5

    def test_friedman_is_scipys(self):
        means = np.random.default_rng(2).normal(size=(4, 7))
        expected = stats.friedmanchisquare(*means).pvalue
        assert rank_priors(means).friedman_p == pytest.approx(expected)

    def test_pairs_do_not_depend_on_who_else_is_there(self):
        means = np.random.default_rng(3).normal(size=(3, 9)) + np.array([[0.0], [3], [6]])
        alone = rank_priors(means[:2]).pairwise_p[0, 1]
        together = rank_priors(means).pairwise_p[0, 1]
        assert together == pytest.approx(3 * alone)  # Holm over three pairs, all as clear

    def test_groups_are_maximal_and_hold_no_clear_pair(self):
        means = np.random.default_rng(4).normal(size=(4, 10))
        means[:2] += 10  # the first two far above the others
        ranking = rank_priors(means)
        assert sorted(map(sorted, ranking.groups)) == [[0, 1], [2, 3]]

    def test_ties_everywhere(self):
        ranking = rank_priors(np.full((3, 5), 0.5))
        assert ranking.ranks.tolist() == [2, 2, 2]
        assert ranking.friedman_p == 1
        assert (ranking.pairwise_p == 1).all()
        assert ranking.groups == ((0, 1, 2),)

    def test_two_arms_and_one_dataset_are_defined(self):
        assert np.isnan(rank_priors(np.array([[1.0, 2], [2, 3]])).friedman_p)
        of_one_dataset = rank_priors(np.array([[1.0], [2], [3]]))
        assert np.isnan(of_one_dataset.friedman_p)
        assert np.isnan(of_one_dataset.pairwise_p[0, 1])
