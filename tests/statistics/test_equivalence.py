"""Margins, non-inferiority and equivalence against statsmodels."""

import numpy as np
import pytest
from statsmodels.stats.weightstats import ttost_paired

from priorbench.statistics.equivalence import Margin, equivalence_p, noninferiority_p
from priorbench.statistics.signflip import sign_flip_greater_p


class TestMargins:
    def test_noninferiority_is_the_test_of_shifted_differences(self):
        gain = np.random.default_rng(1).normal(0, 0.004, size=9)
        allowance = Margin(absolute=0.005).allowance(np.ones(9))
        assert noninferiority_p(gain, allowance) == sign_flip_greater_p(gain + 0.005)

    def test_relative_margins_move_with_the_baseline(self):
        baseline = np.array([0.5, 0.6, 0.4])
        assert Margin(relative=0.02).allowance(baseline) == pytest.approx(0.02 * baseline)

    @pytest.mark.parametrize("sign", [1.0, -1.0])
    def test_a_baseline_worse_than_its_floor_allows_no_relative_loss(self, sign):
        margin = Margin(absolute=0.1, relative=0.5, floor=3.0, sign=sign)
        better, worse = 3.0 + sign * 0.4, 3.0 - sign * 0.4
        allowance = margin.allowance(np.array([better, 3.0, worse]))
        assert allowance == pytest.approx([0.1 + 0.5 * 0.4, 0.1, 0.1])

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
