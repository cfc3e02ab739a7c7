"""Metrics of profiles and counts, by hand."""

import numpy as np
import pytest

from priorbench import TrialArrays
from priorbench.metrics import METRICS


def arrays(prediction, label=None):
    empty = np.zeros((0, 1), np.float32)
    label = np.zeros((3, 2), np.float32) if label is None else label
    return TrialArrays(prediction, label, empty, None, None, {})


def test_metrics_of_profiles_by_hand():
    score = METRICS["profile-jsd"].function
    assert score(arrays({"jsd": np.array([0.2, np.nan, 0.4])})) == pytest.approx(0.3)
    assert np.isnan(score(arrays({"jsd": np.array([np.nan])})))
    assert np.isnan(score(arrays({"logit": np.ones(3)})))
    counts = METRICS["count-pearson"].function
    label = np.array([[1, 5], [2, 5], [3, 5]], dtype=np.float32)
    up = np.array([[2, 0], [4, 1], [6, 5]], dtype=np.float32)
    assert counts(arrays({"log_counts": up}, label)) == pytest.approx(1)
    assert counts(arrays({"log_counts": -up}, label)) == pytest.approx(-1)
    assert counts(arrays({"log_counts": np.ones((3, 2), np.float32)}, label)) == 0
    assert np.isnan(counts(arrays({"log_counts": up}, label * 0)))
    assert np.isnan(counts(arrays({"logit": up})))
