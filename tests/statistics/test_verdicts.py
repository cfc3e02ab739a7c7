"""Corrections, margins, verdicts and power, against statsmodels and scikit-posthocs."""

import numpy as np
import pytest
import scikit_posthocs
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.weightstats import ttost_paired

from priorbench.statistics.equivalence import Margin, equivalence_p, noninferiority_p
from priorbench.statistics.families.multiplicity import BENJAMINI_HOCHBERG, HOLM, adjust
from priorbench.statistics.families.verdicts import DEFINITIONS, Evidence, judge
from priorbench.statistics.power import (
    ClaimKind,
    approximate_runs,
    attainable_level,
    cautious_spread,
    needed_runs,
    sign_flip_power,
    smallest_effect,
)
from priorbench.statistics.signflip import sign_flip_greater_p, sign_flip_greater_ps, sign_flip_ps

NAN = float("nan")


class TestCorrections:
    def test_holm_by_hand(self):
        assert adjust([0.01, 0.04, 0.03], HOLM) == pytest.approx([0.03, 0.06, 0.06])

    @pytest.mark.parametrize(
        ("correction", "name"), [(HOLM, "holm"), (BENJAMINI_HOCHBERG, "fdr_bh")]
    )
    def test_are_those_of_statsmodels(self, correction, name):
        p = np.random.default_rng(0).uniform(size=12) ** 3
        expected = multipletests(p, method=name)[1]
        assert adjust(p, correction) == pytest.approx(expected, rel=1e-12)

    def test_what_was_not_tested_does_not_count(self):
        adjusted = adjust([0.01, NAN, 0.04], HOLM)
        assert adjusted[[0, 2]] == pytest.approx([0.02, 0.04])
        assert np.isnan(adjusted[1])
        assert np.isnan(adjust([NAN, NAN], HOLM)).all()
        assert adjust([], HOLM).shape == (0,)


class TestMargins:
    def test_noninferiority_is_the_test_of_shifted_differences(self):
        gain = np.random.default_rng(1).normal(0, 0.004, size=9)
        allowance = Margin(absolute=0.005).allowance(np.ones(9))
        assert noninferiority_p(gain, allowance) == sign_flip_greater_p(gain + 0.005)

    def test_relative_margins_move_with_the_baseline(self):
        baseline = np.array([0.5, 0.6, 0.4])
        assert Margin(relative=0.02).allowance(baseline) == pytest.approx(0.02 * baseline)

    def test_equivalence_is_the_worse_of_the_two_sides(self):
        gain = np.full(7, 0.004)
        allowance = np.full(7, 0.005)
        assert noninferiority_p(gain, allowance) == 1 / 128
        assert equivalence_p(gain, allowance) == 1 / 128
        assert equivalence_p(gain + 0.002, allowance) == 1

    def test_agrees_with_tost_of_statsmodels(self):
        generator = np.random.default_rng(2)
        baseline = generator.normal(0.9, 0.01, size=18)
        prior = baseline + generator.normal(0.001, 0.008, size=18)
        by_statsmodels = ttost_paired(prior, baseline, -0.005, 0.005)[0]
        p = equivalence_p(prior - baseline, np.full(18, 0.005))
        assert p == pytest.approx(by_statsmodels, abs=0.005)


class TestVerdicts:
    def verdicts(self, *family, correction=HOLM):
        return [judgement.verdict for judgement in judge(family, correction)]

    def test_words(self):
        verdicts = self.verdicts(
            Evidence(0.1, 0.001, 0.001, 1.0),
            Evidence(-0.1, 0.001, 1.0, 1.0),
            Evidence(0.0, 0.9, 0.001, 0.001),
            Evidence(0.0, 0.9, 0.001, 0.9),
            Evidence(0.0, 0.9, 0.9, 0.9),
            Evidence(0.0, NAN),
        )
        assert verdicts == [*DEFINITIONS, ""]

    def test_every_kind_of_claim_is_corrected_over_its_own_tests(self):
        family = [Evidence(0.1, 0.02), Evidence(0.1, 0.02), Evidence(0, 0.5, 0.03, 0.04)]
        judgements = judge(family, HOLM)
        assert [judgement.p_adjusted for judgement in judgements] == pytest.approx(
            [0.06, 0.06, 0.5]
        )
        assert judgements[2].p_noninferior_adjusted == pytest.approx(0.03)
        assert judgements[2].verdict == "equivalent"
        assert (judgements[0].tests, judgements[0].margin_tests) == (3, 1)

    def test_a_difference_within_the_margin_is_still_a_difference(self):
        assert self.verdicts(Evidence(-0.001, 0.001, 0.001, 0.001)) == ["worse"]

    def test_without_a_margin_nothing_is_equivalent(self):
        assert self.verdicts(Evidence(0.0, 1.0)) == ["inconclusive"]


class TestPower:
    def test_attainable_levels_are_multiples_of_two_to_the_minus_n(self):
        assert attainable_level(5, ClaimKind()) == 0
        assert attainable_level(6, ClaimKind()) == 1 / 64
        assert attainable_level(8, ClaimKind()) == 6 / 256

    def test_random_flips_attain_multiples_of_theirs(self):
        # p is at least 1 / 10,001, two-sided
        assert attainable_level(21, ClaimKind()) == 500 / 10_001 / 2
        assert attainable_level(21, ClaimKind(sides=1, tests=500)) == 1 / 10_001
        assert attainable_level(1000, ClaimKind(tests=501)) == 0
        assert sign_flip_power(5.0, 30, ClaimKind(tests=600)) == 0
        assert smallest_effect(30, 0.8, ClaimKind(tests=600)) == np.inf

    def test_families_too_large_for_random_flips_need_the_exact_test(self):
        claim = ClaimKind(tests=600)
        n = needed_runs(2.0, 0.8, claim)
        assert n <= 20
        assert sign_flip_power(2.0, n, claim) >= 0.8 > sign_flip_power(2.0, n - 1, claim)
        assert needed_runs(0.8, 0.8, claim) is None

    def test_of_the_extreme_result_is_that_of_one_sign(self):
        # at 1 / 2**n only differences that all are positive are significant
        claim = ClaimKind(alpha=1 / 32, sides=1)
        assert sign_flip_power(1.0, 5, claim) == pytest.approx(0.8413447**5, abs=0.02)

    @pytest.mark.parametrize(
        ("n", "effect", "claim"),
        [
            (8, 1.2, ClaimKind()),
            (10, 1.5, ClaimKind(tests=20)),
            (14, 1.0, ClaimKind(tests=20)),
            (20, 0.6, ClaimKind(sides=1)),
            (25, 0.6, ClaimKind()),
            (25, 0.75, ClaimKind(tests=300)),
            (25, 0.9, ClaimKind(sides=1, tests=499)),
            (30, 1.3, ClaimKind(tests=600)),
        ],
    )
    def test_is_how_often_an_effect_is_found(self, n, effect, claim):
        draws = np.random.default_rng(99).normal(effect, 1, size=(1500, n))
        p = sign_flip_ps(draws) if claim.sides == 2 else sign_flip_greater_ps(draws)
        share = np.mean(claim.tests * p <= claim.alpha + 1e-12)
        predicted = sign_flip_power(effect, n, claim)
        assert share == pytest.approx(predicted, abs=4 * np.sqrt(0.25 / 1500))

    def test_needed_runs_are_the_fewest(self):
        for claim in (ClaimKind(), ClaimKind(tests=20), ClaimKind(sides=1, tests=5)):
            n = needed_runs(1.1, 0.8, claim)
            assert sign_flip_power(1.1, n, claim) >= 0.8 > sign_flip_power(1.1, n - 1, claim)

    def test_needed_runs_grow_with_what_is_asked(self):
        assert needed_runs(0.5, 0.8, ClaimKind()) < needed_runs(0.5, 0.95, ClaimKind())
        assert needed_runs(0.5, 0.8, ClaimKind()) < needed_runs(0.5, 0.8, ClaimKind(tests=20))
        assert needed_runs(0.0, 0.8, ClaimKind()) is None
        assert needed_runs(0.01, 0.8, ClaimKind()) is None

    @pytest.mark.parametrize("n", [8, 16, 30])
    def test_smallest_effect_has_that_power(self, n):
        effect = smallest_effect(n, 0.8, ClaimKind())
        assert sign_flip_power(effect, n, ClaimKind()) == pytest.approx(0.8, abs=0.02)

    def test_five_runs_see_no_effect_at_all(self):
        assert smallest_effect(5, 0.8, ClaimKind()) == np.inf
        assert sign_flip_power(100.0, 5, ClaimKind()) == 0

    def test_cautious_spread_is_above_the_truth_four_times_in_five(self):
        draws = np.random.default_rng(3).normal(size=(4000, 5))
        covered = [cautious_spread(draw.std(ddof=1), 5) >= 1 for draw in draws]
        assert np.mean(covered) == pytest.approx(0.8, abs=0.03)
        assert cautious_spread(1.0, 1) == np.inf


def test_pairwise_holm_is_that_of_scikit_posthocs():
    from priorbench.statistics.ranks import rank_priors

    means = np.random.default_rng(4).normal(size=(4, 9)) + np.array([[0.0], [1], [2], [0]])
    by_posthocs = scikit_posthocs.posthoc_wilcoxon(means.tolist(), p_adjust="holm").to_numpy()
    assert rank_priors(means).pairwise_p == pytest.approx(by_posthocs)


class TestApproximateRuns:
    @pytest.mark.parametrize("claim", [ClaimKind(), ClaimKind(sides=1), ClaimKind(tests=16)])
    @pytest.mark.parametrize("effect", [0.4, 0.8, 4.0])
    def test_is_close_to_simulation(self, claim, effect):
        exact = needed_runs(effect, 0.8, claim)
        assert abs(approximate_runs(effect, 0.8, claim) - exact) <= 2

    def test_is_no_fewer_than_can_be_significant(self):
        # 2 / 2**n <= .05 from n = 6, however large the effect
        assert approximate_runs(100.0, 0.8, ClaimKind()) == 6

    def test_nothing_to_find(self):
        assert approximate_runs(0.0, 0.8, ClaimKind()) is None
        assert approximate_runs(NAN, 0.8, ClaimKind()) is None
        assert approximate_runs(1e-9, 0.8, ClaimKind()) is None
        assert approximate_runs(0.5, 0.8, ClaimKind(tests=600)) is None
