"""Performance profiles: shares by hand, and bands that hold their level."""

from __future__ import annotations

import numpy as np
import pytest

from priorbench.statistics.ranks import PROFILE_FROM, performance_profile


def test_shares_are_means_over_datasets_of_the_share_of_runs():
    gains = [np.array([0.0, 0.1, 0.2, 0.3]), np.array([-0.1, 0.2])]
    profile = performance_profile(gains, np.array([-1.0, 0.1, 0.2, 1.0]))
    assert profile.share == pytest.approx([1, (3 / 4 + 1 / 2) / 2, (2 / 4 + 1 / 2) / 2, 0])


def test_few_runs_have_no_band():
    runs = [np.zeros(PROFILE_FROM), np.zeros(PROFILE_FROM - 1)]
    profile = performance_profile(runs, np.array([0.0]))
    assert profile.share == 1
    assert np.isnan([profile.low, profile.high]).all()


def test_bands_hold_the_share_and_fall_with_the_threshold():
    generator = np.random.default_rng(3)
    gains = [generator.normal(0.1, 0.1, 8) for _ in range(3)]
    profile = performance_profile(gains, np.linspace(-1, 1, 41))
    for curve in (profile.share, profile.low, profile.high):
        assert (np.diff(curve) <= 1e-12).all()
    assert (profile.low <= profile.share).all()
    assert (profile.share <= profile.high).all()
    # all runs on one side say nothing certain of further runs
    assert profile.low[0] < 0.95
    assert profile.high[-1] > 0.05


@pytest.mark.parametrize("chance", [0.1, 0.5])
def test_bands_cover_the_share_of_further_runs(chance):
    generator = np.random.default_rng(1)
    hits = []
    for _ in range(300):
        gains = [np.where(generator.random(8) < chance, 1.0, -1.0) for _ in range(3)]
        profile = performance_profile(gains, np.array([0.0]))
        hits.append(profile.low[0] <= chance <= profile.high[0])
    assert 0.92 <= np.mean(hits) <= 1
