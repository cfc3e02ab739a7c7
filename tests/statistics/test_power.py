"""Power and needed runs against simulation and closed forms."""

import numpy as np
import pytest

from priorbench.statistics.families.joint import step_down_p
from priorbench.statistics.families.multiplicity import JOINT
from priorbench.statistics.power import (
    ClaimKind,
    approximate_runs,
    attainable_level,
    cautious_spread,
    fewest_pairs,
    needed_runs,
    sign_flip_power,
    smallest_adjusted_p,
    smallest_effect,
)
from priorbench.statistics.signflip import sign_flip_greater_ps, sign_flip_ps


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
        assert approximate_runs(float("nan"), 0.8, ClaimKind()) is None
        assert approximate_runs(1e-9, 0.8, ClaimKind()) is None
        assert approximate_runs(0.5, 0.8, ClaimKind(tests=600)) is None


class TestJointCorrection:
    def joint(self, tests, **options):
        return ClaimKind(tests=tests, correction=JOINT, **options)

    def test_so_many_tests_need_no_more_seeds_to_be_reachable(self):
        assert [fewest_pairs(self.joint(tests)) for tests in (1, 2, 20, 500)] == [6] * 4
        assert fewest_pairs(ClaimKind(tests=20)) == 10
        # 2 / 2**n <= .005 from n = 9
        assert fewest_pairs(self.joint(9, alpha=0.005)) == 9
        assert sign_flip_power(50.0, 5, self.joint(9)) == 0

    def test_smallest_adjusted_p(self):
        assert smallest_adjusted_p(8, self.joint(12)) == 2 / 2**8
        assert smallest_adjusted_p(15, self.joint(12)) == 1 / 10_001  # random flips
        assert smallest_adjusted_p(8, ClaimKind(tests=12)) == 12 * 2 / 2**8
        assert smallest_adjusted_p(3, ClaimKind(tests=12)) == 1
        assert np.isnan(smallest_adjusted_p(0, self.joint(12)))
        assert np.isnan(smallest_adjusted_p(0, ClaimKind()))

    def test_a_family_of_one_is_the_single_test(self):
        for n in (6, 8, 14):
            power = sign_flip_power(1.0, n, self.joint(1))
            assert power == sign_flip_power(1.0, n, ClaimKind())

    @pytest.mark.parametrize(("n", "tests", "effect"), [(8, 3, 1.8), (10, 6, 1.5), (12, 4, 1.2)])
    def test_is_about_how_often_one_effect_is_found_among_independent_tests(self, n, tests, effect):
        generator = np.random.default_rng(n)
        draws = 500
        found = 0
        for _ in range(draws):
            differences = generator.standard_normal((tests, n))
            differences[0] += effect
            found += step_down_p(differences)[0] <= 0.05
        predicted = sign_flip_power(effect, n, self.joint(tests))
        assert found / draws == pytest.approx(predicted, abs=0.08)

    def test_asks_for_fewer_seeds_than_holm(self):
        for tests in (4, 12, 40):
            joint, holm = (
                needed_runs(1.2, 0.8, c) for c in (self.joint(tests), ClaimKind(tests=tests))
            )
            assert joint <= holm
            assert sign_flip_power(1.2, joint, self.joint(tests)) >= 0.8
        assert smallest_effect(8, 0.8, self.joint(12)) < smallest_effect(
            8, 0.8, ClaimKind(tests=12)
        )
        assert smallest_effect(5, 0.8, self.joint(12)) == np.inf
