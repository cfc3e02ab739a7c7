"""Intervals and effect sizes against closed forms and SciPy."""

import numpy as np
import pytest
from scipy import stats

from priorbench.statistics.confidence import bca_interval, mean_interval, t_interval
from priorbench.statistics.effects import (
    cliffs_delta,
    improvement_interval,
    probability_of_improvement,
    standardised_difference,
)
from priorbench.statistics.paired import paired_difference
from priorbench.statistics.signflip import sign_flip_bounds, sign_flip_p, typical_values


def test_typical_values_are_the_means_of_all_subsets():
    means = sorted(typical_values(np.array([1.0, 2.0, 6.0])))
    assert means == pytest.approx(sorted([1, 2, 6, 1.5, 3.5, 4, 3]))


@pytest.mark.parametrize("n", [6, 8, 11, 15])
def test_sign_flip_interval_is_what_the_test_does_not_reject(n):
    generator = np.random.default_rng(n)
    for _ in range(20):
        differences = generator.standard_t(3, size=n)
        low, high = sign_flip_bounds(differences, 0.05)
        for inside, outside in ((low + 1e-9, low - 1e-9), (high - 1e-9, high + 1e-9)):
            assert sign_flip_p(differences - inside) > 0.05 >= sign_flip_p(differences - outside)


def test_sign_flip_interval_moves_and_stretches_with_the_differences():
    differences = np.random.default_rng(1).normal(size=9)
    low, high = sign_flip_bounds(differences, 0.05)
    assert sign_flip_bounds(3 * differences + 2, 0.05) == pytest.approx((3 * low + 2, 3 * high + 2))
    assert sign_flip_bounds(-differences, 0.05) == pytest.approx((-high, -low))


def test_five_pairs_cannot_reject_at_five_percent():
    assert sign_flip_bounds(np.arange(5.0), 0.05) == (-np.inf, np.inf)


def test_which_interval_is_offered():
    generator = np.random.default_rng(2)
    methods = [mean_interval(generator.normal(size=n)).method for n in (1, 2, 5, 6, 30)]
    assert methods == ["", "paired t", "paired t", "sign-flip", "sign-flip"]


def test_t_interval_is_scipys():
    values = np.random.default_rng(3).normal(size=5)
    interval = t_interval(values)
    expected = stats.t.interval(0.95, 4, values.mean(), stats.sem(values))
    assert (interval.low, interval.high) == pytest.approx(expected, rel=1e-12)


def test_random_subsets_give_nearly_the_interval_of_all():
    values = np.random.default_rng(4).normal(size=30)
    low, high = sign_flip_bounds(values, 0.05)
    by_student = t_interval(values)
    assert (low, high) == pytest.approx((by_student.low, by_student.high), abs=0.03)


def test_bca_of_equal_values_is_the_value():
    interval = bca_interval(np.full(6, 0.1))
    assert (interval.low, interval.high) == (0.1, 0.1)


@pytest.mark.parametrize("draw", ["normal", "standard_t", "laplace"])
def test_offered_intervals_cover(draw):
    generator = np.random.default_rng(5)
    options = (3,) if draw == "standard_t" else ()
    hits = 0
    for _ in range(1000):
        interval = mean_interval(getattr(generator, draw)(*options, size=8))
        hits += interval.low <= 0 <= interval.high
    assert 0.93 <= hits / 1000 <= 0.975  # .953, and four times the Monte Carlo error


def test_standardised_difference():
    assert standardised_difference(np.array([1.0, 0.0, 2.0])) == 1
    assert np.isnan(standardised_difference(np.full(4, 0.1)))
    assert np.isnan(standardised_difference(np.array([1.0])))


def test_cliffs_delta_is_that_of_mann_whitney():
    generator = np.random.default_rng(6)
    baseline, prior = generator.normal(size=7), generator.normal(0.5, 1, size=7)
    u = stats.mannwhitneyu(prior, baseline).statistic
    assert probability_of_improvement(baseline, prior) == pytest.approx(u / 49)
    assert cliffs_delta(baseline, prior) == pytest.approx(2 * u / 49 - 1)
    assert cliffs_delta(baseline, baseline) == 0
    assert cliffs_delta(baseline, baseline + 100) == 1


def test_improvement_interval_has_delongs_variance_with_a_seed_of_one_half():
    generator = np.random.default_rng(7)
    baseline = generator.normal(size=16)
    prior = 0.5 * baseline + generator.normal(0.3, 1, size=16)
    above = (prior[:, None] > baseline).astype(float)
    rows, columns = np.append(above.mean(axis=1), 0.5), np.append(above.mean(axis=0), 0.5)
    covariance = np.cov(rows, columns)
    variance = (covariance[0, 0] + covariance[1, 1] + 2 * covariance[0, 1]) / 17
    centre = rows.mean()
    slope = 1 / (centre * (1 - centre))
    place = np.log(centre / (1 - centre)) - 1.959964 * slope * np.sqrt(variance)
    interval = improvement_interval(baseline, prior)
    assert interval.low == pytest.approx(1 / (1 + np.exp(-place)), rel=1e-6)


def test_improvement_interval_at_its_ends():
    baseline = np.arange(15.0)
    assert improvement_interval(baseline[:14], baseline[:14]).method == ""
    apart = improvement_interval(baseline, baseline + 100)
    assert (apart.low, apart.high) == (pytest.approx(0.025 ** (1 / 15)), 1)
    below = improvement_interval(baseline, baseline - 100)
    assert (below.low, below.high) == (0, pytest.approx(1 - 0.025 ** (1 / 15)))


def test_ties_everywhere():
    compared = paired_difference(np.full(16, 0.5), np.full(16, 0.5))
    assert (compared.improvement, compared.cliffs_delta) == (0.5, 0)
    assert (compared.p, compared.p_wilcoxon) == (1, 1)
    assert (compared.improvement_low, compared.improvement_high) == (0.5, 0.5)
    assert compared.p_t == 1
