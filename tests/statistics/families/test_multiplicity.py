"""Corrections against statsmodels and scikit-posthocs."""

import numpy as np
import pytest
import scikit_posthocs
from statsmodels.stats.multitest import multipletests

from priorbench.statistics.families.multiplicity import BENJAMINI_HOCHBERG, HOLM, adjust
from priorbench.statistics.ranks import rank_priors

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


def test_pairwise_holm_is_that_of_scikit_posthocs():
    means = np.random.default_rng(4).normal(size=(4, 9)) + np.array([[0.0], [1], [2], [0]])
    by_posthocs = scikit_posthocs.posthoc_wilcoxon(means.tolist(), p_adjust="holm").to_numpy()
    assert rank_priors(means).pairwise_p == pytest.approx(by_posthocs)
