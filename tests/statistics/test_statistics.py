"""Paired statistics against closed forms, SciPy and exhaustive enumeration."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from priorbench.statistics.agreement import (
    MOST_PARTNERS,
    agreement_pseudo_values,
    are_partners,
    leave_one_out,
)
from priorbench.statistics.confidence import agreement_interval
from priorbench.statistics.paired import (
    compared_agreement,
    impute_failures,
    paired_difference,
    paired_t_p,
    wilcoxon_p,
)
from priorbench.statistics.signflip import (
    sign_flip_bounds,
    sign_flip_greater_p,
    sign_flip_greater_ps,
    sign_flip_p,
    sign_flip_ps,
    smallest_p,
)

VALUES = st.lists(st.floats(-100, 100).map(lambda v: round(v, 3)), min_size=2, max_size=8)


@given(VALUES)
def test_sign_flip_p_is_the_share_of_all_flips(values):
    differences = np.array(values)
    flips = np.array(list(itertools.product([1, -1], repeat=len(values))))
    sums = np.abs((flips * differences).sum(axis=1))
    expected = np.mean(sums >= abs(differences.sum()) - 1e-9)
    assert sign_flip_p(differences) == pytest.approx(expected)


def test_sign_flip_p_agrees_with_scipy():
    differences = np.array([0.3, 0.1, -0.05, 0.4, 0.22, 0.13])
    result = stats.permutation_test(
        (differences,), np.mean, permutation_type="samples", n_resamples=np.inf
    )
    assert sign_flip_p(differences) == pytest.approx(result.pvalue)


def test_sign_flip_p_at_its_ends():
    assert sign_flip_p(np.full(5, 0.1)) == smallest_p(5) == 0.0625
    assert smallest_p(8) == 0.0078125
    assert sign_flip_p(np.zeros(5)) == 1
    assert np.isnan(sign_flip_p(np.array([1.0])))


def test_monte_carlo_p_is_close_to_exact_and_never_zero():
    generator = np.random.default_rng(3)
    differences = generator.normal(0.35, 1, size=24)
    by_scipy = stats.permutation_test(
        (differences,), np.mean, permutation_type="samples", n_resamples=50_000, rng=generator
    ).pvalue
    assert sign_flip_p(differences) == pytest.approx(by_scipy, abs=0.015)
    assert sign_flip_p(np.full(30, 1.0)) == pytest.approx(1 / 10_001)


def test_false_positives_of_the_sign_flip_test_are_at_most_alpha():
    generator = np.random.default_rng(0)
    p = np.array([sign_flip_p(generator.standard_t(3, size=8)) for _ in range(2000)])
    assert np.mean(p <= 0.05) < 0.05 + 3 * np.sqrt(0.05 * 0.95 / 2000)
    assert np.mean(p <= 0.05) > 0.03


def test_paired_difference_by_hand():
    compared = paired_difference(np.array([1.0, 2.0, 3.0]), np.array([2.0, 2.0, 5.0]))
    assert (compared.n, compared.difference) == (3, 1)
    assert (compared.mean_baseline, compared.mean_prior) == (2, 3)
    assert compared.effect_size == pytest.approx(1 / 1.0)
    assert compared.p == 0.5
    # t of .975 with two degrees of freedom is 4.3027
    assert compared.ci_low == pytest.approx(1 - 4.3027 / np.sqrt(3), abs=1e-4)
    assert compared.interval == "paired t"
    assert compared.smallest_p == 0.25
    assert compared.cliffs_delta == pytest.approx(1 / 3)  # wins: 1.5, 1.5 and 3 of 3
    assert compared.test == "sign-flip, exact"


@given(VALUES)
def test_one_sided_sign_flip_p_is_the_share_of_all_flips(values):
    differences = np.array(values)
    flips = np.array(list(itertools.product([1, -1], repeat=len(values))))
    sums = (flips * differences).sum(axis=1)
    expected = np.mean(sums >= differences.sum() - 1e-9)
    assert sign_flip_greater_p(differences) == pytest.approx(expected)


@pytest.mark.parametrize("n", [2, 7, 14, 25])
def test_many_p_are_those_of_each(n):
    rows = np.random.default_rng(n).normal(0.3, 1, size=(40, n))
    expected = [sign_flip_greater_p(row) for row in rows]
    assert sign_flip_greater_ps(rows) == pytest.approx(np.array(expected))
    expected = [sign_flip_p(row) for row in rows]
    assert sign_flip_ps(rows) == pytest.approx(np.array(expected))
    assert sign_flip_ps(np.zeros((3, n))).tolist() == [1, 1, 1]


def test_exact_and_random_flips_agree_at_twenty_pairs():
    differences = np.random.default_rng(2).normal(0.4, 1, size=20)
    flips = np.array(list(itertools.product([1, -1], repeat=20)), dtype=np.int8)
    expected = np.mean(np.abs(flips @ differences) >= abs(differences.sum()) - 1e-9)
    assert sign_flip_p(differences) == pytest.approx(expected, rel=1e-12)
    assert sign_flip_greater_p(differences) == pytest.approx(expected / 2, rel=1e-12)


def test_tests_beside_it_are_scipys():
    differences = np.random.default_rng(7).normal(0.4, 1, size=9)
    by_scipy = stats.ttest_1samp(differences, 0).pvalue
    assert paired_t_p(differences) == pytest.approx(by_scipy, rel=1e-12)
    by_scipy = stats.wilcoxon(differences, method="exact").pvalue
    assert wilcoxon_p(differences) == pytest.approx(by_scipy)


def test_wilcoxon_with_ties_and_zeros_is_the_permutation_of_signs():
    differences = np.array([0.0, 0.1, 0.1, -0.1, 0.3, 0.3, 0.2])
    by_scipy = stats.wilcoxon(
        differences, zero_method="pratt", method=stats.PermutationMethod(n_resamples=np.inf)
    ).pvalue
    assert wilcoxon_p(differences) == pytest.approx(by_scipy)


def test_equal_arms_and_one_pair_are_defined():
    same = paired_difference(np.array([1.0, 2.0]), np.array([1.0, 2.0]))
    assert (same.difference, same.ci_low, same.ci_high, same.p) == (0, 0, 0, 1)
    assert np.isnan(same.effect_size)
    pair = paired_difference(np.array([1.0]), np.array([2.0]))
    assert pair.difference == 1
    assert np.isnan([pair.ci_low, pair.p, pair.effect_size, pair.smallest_p]).all()
    assert pair.test == pair.interval == ""


def test_constant_differences_have_no_spread_to_measure_by():
    constant = paired_difference(np.full(8, 0.3), np.full(8, 0.3) + 0.1)
    assert np.isnan([constant.effect_size, constant.p_t, constant.correlation]).all()
    assert constant.p == constant.smallest_p == 2 / 256
    assert constant.ci_low == pytest.approx(0.1)
    assert constant.ci_high == pytest.approx(0.1)


def test_correlation_of_the_pairs():
    baseline = np.array([1.0, 2.0, 3.0, 5.0])
    prior = np.array([2.0, 2.5, 4.0, 4.5])
    expected = np.corrcoef(baseline, prior)[0, 1]
    assert paired_difference(baseline, prior).correlation == pytest.approx(expected)


def test_rounding_errors_are_no_differences():
    scores = np.linspace(0.85, 0.95, 8)
    compared = paired_difference(scores, np.nextafter(scores, 1))
    assert (compared.difference, compared.p, compared.ci_low, compared.ci_high) == (0, 1, 0, 0)
    assert paired_difference(scores, scores * (1 + 1e-11)).p == 2 / 256


def test_unusable_arrays_are_refused():
    for a, b in [([1.0], [1.0, 2.0]), ([], []), ([np.nan], [1.0])]:
        with pytest.raises(ValueError, match=r"wanted|finite"):
            paired_difference(np.array(a), np.array(b))


def test_failures_get_the_worst_outcome():
    values = np.array([0.9, np.nan, 0.7, 0.95])
    failed = np.array([False, True, False, True])
    up = impute_failures(values, failed, higher_is_better=True)
    assert up.tolist() == [0.9, 0.7, 0.7, 0.7]
    floored = impute_failures(values, failed, higher_is_better=True, floor=0.5)
    assert floored.tolist() == [0.9, 0.5, 0.7, 0.5]
    down = impute_failures(values, failed, higher_is_better=False)
    assert down.tolist() == [0.9, 0.95, 0.7, 0.95]
    nothing = impute_failures(np.array([np.nan]), np.array([True]), higher_is_better=True)
    assert np.isnan(nothing).all()


def agreement(generator, n, gain=0.0):
    """Cosines of 2n noisy copies of one signal; the second half has more of the signal."""
    signal = generator.normal(size=30)
    noise = generator.normal(size=(2 * n, 30)) * generator.gamma(2, 1, size=(2 * n, 1))
    tracks = signal * (1 + gain * (np.arange(2 * n) >= n))[:, None] + noise
    tracks /= np.linalg.norm(tracks, axis=1, keepdims=True)
    return tracks @ tracks.T


def of_both_arms(matrix):
    n = len(matrix) // 2
    return leave_one_out(matrix[:n, :n]), leave_one_out(matrix[n:, n:])


def within(matrix, trials):
    part = matrix[np.ix_(trials, trials)]
    return part[~np.eye(len(trials), dtype=bool)].mean()


def test_agreement_test_keeps_its_level_and_finds_effects():
    # the leave-one-out means themselves, taken for paired differences, reject five times as often
    generator = np.random.default_rng(5)
    null = [
        sign_flip_p(agreement_pseudo_values(*of_both_arms(agreement(generator, 8))))
        for _ in range(1000)
    ]
    assert np.mean(np.array(null) <= 0.05) < 0.05 + 3 * np.sqrt(0.05 * 0.95 / 1000)
    effect = [
        sign_flip_p(agreement_pseudo_values(*of_both_arms(agreement(generator, 8, 3.0))))
        for _ in range(50)
    ]
    assert np.mean(np.array(effect) <= 0.05) > 0.5


def test_agreement_is_compared_by_its_pseudo_values_alone():
    matrix = agreement(np.random.default_rng(4), 12, gain=0.5)
    runs = of_both_arms(matrix)
    pseudo = agreement_pseudo_values(*runs)
    compared = compared_agreement(pseudo, runs)
    assert compared.difference == pytest.approx(
        within(matrix, range(12, 24)) - within(matrix, range(12))
    )
    assert compared.p == sign_flip_p(pseudo)
    assert (compared.ci_low, compared.ci_high) == sign_flip_bounds(pseudo, 0.05)
    assert np.isnan(
        [compared.p_t, compared.p_wilcoxon, compared.improvement, compared.correlation]
    ).all()


def test_many_trials_have_as_many_partners_each_and_few_have_all_others():
    assert (are_partners(MOST_PARTNERS + 1) == ~np.eye(MOST_PARTNERS + 1, dtype=bool)).all()
    for count in (66, 67, 200):
        partners = are_partners(count)
        assert (partners == partners.T).all()
        assert (partners.sum(axis=1) == MOST_PARTNERS).all()


def test_pseudo_values_of_partners_are_those_of_leaving_a_trial_out():
    n = 80
    matrix = agreement(np.random.default_rng(3), n, gain=0.5)
    matrix = np.where(np.kron(np.eye(2), are_partners(n)) > 0, matrix, np.nan)

    def gained(trials):
        first, second = (matrix[np.ix_(trials + at, trials + at)] for at in (0, n))
        return np.nanmean(second) - np.nanmean(first)

    everyone = np.arange(n)
    wanted = [n * gained(everyone) - (n - 1) * gained(np.delete(everyone, i)) for i in everyone]
    assert agreement_pseudo_values(*of_both_arms(matrix)) == pytest.approx(np.array(wanted))


def test_agreement_of_one_seed_is_not_defined():
    assert np.isnan(leave_one_out(np.ones((1, 1)))).all()
    assert leave_one_out(np.array([[1, 0.25], [0.25, 1]])).tolist() == [0.25, 0.25]
    assert np.isnan(agreement_pseudo_values(np.ones(2), np.ones(2))).all()


def test_pseudo_values_are_those_of_the_jackknife():
    n, matrix = 6, agreement(np.random.default_rng(8), 6, gain=0.5)

    def difference(kept):
        return within(matrix, [k + n for k in kept]) - within(matrix, kept)

    whole = difference(list(range(n)))
    expected = [n * whole - (n - 1) * difference([k for k in range(n) if k != i]) for i in range(n)]
    assert agreement_pseudo_values(*of_both_arms(matrix)) == pytest.approx(np.array(expected))
    assert agreement_pseudo_values(*of_both_arms(matrix)).mean() == pytest.approx(whole)


def test_no_interval_of_an_agreement_below_six_seeds():
    assert agreement_interval(np.arange(5.0)).method == ""
    interval = agreement_interval(np.arange(6.0))
    assert interval.method == "sign-flip, pseudo-values"
    assert (interval.low, interval.high) == sign_flip_bounds(np.arange(6.0), 0.05)
