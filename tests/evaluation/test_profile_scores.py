"""Scores of profiles against SciPy, and of what shows which scores are in reach."""

import math

import numpy as np
import pytest
import torch
from fixtures.profiles import example
from scipy.spatial.distance import jensenshannon
from scipy.stats import multinomial, pearsonr, spearmanr

from priorbench.evaluation.profile_scores import log_likelihood, profile_scores, reference_profiles


def test_log_likelihood_is_the_multinomial_of_scipy():
    logits, reads = example()
    likelihood = log_likelihood(logits.double(), reads.double())
    for row in range(4):
        for strand in range(2):
            counts, p = reads[row, strand].numpy(), logits[row, strand].double().softmax(0).numpy()
            expected = multinomial.logpmf(counts, counts.sum(), p)
            assert likelihood[row, strand].item() == pytest.approx(expected, abs=1e-6)


def test_scores_are_those_of_scipy_and_undefined_without_reads():
    logits, reads = example()
    scores = profile_scores(logits, reads)
    p = logits.double().softmax(dim=2).numpy()
    for row, strands in ((0, [0, 1]), (1, [0, 1]), (3, [0])):
        pairs = [(reads[row, s].numpy(), p[row, s]) for s in strands]
        for name, function in (
            ("jsd", lambda k, q: jensenshannon(k / k.sum(), q)),
            ("pearson", lambda k, q: pearsonr(k, q).statistic),
            ("spearman", lambda k, q: spearmanr(k, q).statistic),
        ):
            expected = np.mean([function(*pair) for pair in pairs])
            assert scores[name][row].item() == pytest.approx(expected, abs=1e-5), name
    assert all(torch.isnan(scores[name][2]) for name in ("jsd", "pearson", "spearman"))


def test_reference_profiles_are_the_floor_and_a_replicate() -> None:
    rng = np.random.default_rng(0)
    rate = np.zeros((40, 2, 100))
    rate[:, :, 40:50] = 30
    reads = rng.poisson(rate).astype(np.float32)
    reads[0] = 0
    reads[1, 0] = 0
    references = reference_profiles(reads, np.random.default_rng(1))
    shuffled, replicate = references["shuffled"], references["replicate"]
    assert np.isnan(shuffled["jsd"][0])
    assert np.isfinite(shuffled["jsd"][1])  # the other strand has reads
    # of ten positions in a hundred, one is hit by chance
    assert 0.75 < np.nanmean(shuffled["jsd"]) < math.sqrt(math.log(2))
    assert abs(np.nanmean(shuffled["pearson"])) < 0.05
    assert np.nanmean(replicate["jsd"]) < 0.15
    assert np.nanmean(replicate["pearson"]) > 0.9
    assert "nll" not in shuffled
    # a signal that is no count cannot be dealt into halves
    assert set(reference_profiles(reads / 3, np.random.default_rng(1))) == {"shuffled", "perfect"}


def test_the_reads_themselves_are_the_perfect_profile() -> None:
    logits, reads = example()
    perfect = reference_profiles(reads.numpy(), np.random.default_rng(0))["perfect"]
    for row, strands in ((0, [0, 1]), (1, [0, 1]), (3, [0])):
        counts = [reads[row, strand].double().numpy() for strand in strands]
        likelihood = sum(multinomial.logpmf(k, k.sum(), k / k.sum()) for k in counts)
        # a strand without reads does not count
        assert perfect["nll"][row] == pytest.approx(-likelihood / len(strands), abs=1e-4)
    known = [0, 1, 3]
    assert (perfect["nll"] <= profile_scores(logits, reads)["nll"].numpy())[known].all()
    assert np.isnan(perfect["nll"][2])
    assert perfect["jsd"][known] == pytest.approx(0, abs=1e-3)
    assert perfect["pearson"][known] == pytest.approx(1)
    assert perfect["spearman"][known] == pytest.approx(1)
    assert np.isnan(perfect["jsd"][2])
