"""The share of sequences whose attributions satisfy the rule that made the label."""

from dataclasses import replace

import numpy as np
import pytest
from fixtures.datasets import simulate

from priorbench.components.metric import TrialArrays
from priorbench.data.codes import BACKGROUND, MOTIF, SUBOPTIMAL
from priorbench.metrics import METRICS

SCORE = METRICS["rule-satisfaction"].function


def trial(attribution, truth, oracle, instances):
    attribution, oracle = (np.array(a, dtype=np.float32) for a in (attribution, oracle))
    nothing = np.empty(0, dtype=np.float32)
    return TrialArrays(
        {}, nothing, attribution, np.array(truth), oracle, {}, instances=np.array(instances)
    )


B, M, S = BACKGROUND, MOTIF, SUBOPTIMAL
TRUTH = [[M, M, B, M, S, M, B, B], [M, M, B, B, B, B, B, B]]
ORACLE = [[1, 1, 0, 1, -3, 1, 0, 0], [1, 1, 0, 0, 0, 0, 0, 0]]
INSTANCES = [[0, 0, 2, 0, 1], [0, 3, 6, 1, -1], [1, 0, 2, 0, 1]]


@pytest.mark.parametrize(
    ("attribution", "share"),
    [
        ([[2, -1, -9, 1, -5, 1, 0, 0], [1, 0, 0, 0, 0, 0, 0, -1]], 1.0),
        ([[2, -2, 0, 1, -5, 1, 0, 0], [1, 0, 0, 0, 0, 0, 0, 0]], 0.5),
        ([[2, -1, 0, 1, 0, 1, 0, 0], [1, 0, 0, 0, 0, 0, 0, 0]], 0.5),
        ([[2, 1, 0, -1, -1, 0, 0, 0], [-1, 0, 0, 0, 0, 0, 0, 9]], 0.0),
        ([[2, 1, 0, 1, 1, 1, 0, 0], [1, 0, 0, 0, 0, 0, 0, 0]], float("nan")),
    ],
)
def test_by_hand(attribution, share):
    assert SCORE(trial(attribution, TRUTH, ORACLE, INSTANCES)) == pytest.approx(share, nan_ok=True)


def test_instances_that_speak_against_the_motif_are_left_out():
    oracle = [[-1, -1, 0, 1, -3, 1, 0, 0], ORACLE[1]]
    attribution = [[-2, -1, 0, 1, -5, 1, 0, 0], [-1, 0, 0, 0, 0, 0, 0, 0]]
    assert SCORE(trial(attribution, TRUTH, oracle, INSTANCES)) == 0.5


def test_a_site_that_reaches_beyond_the_window_counts_as_far_as_it_is_seen():
    instances = [[0, -3, 2, 0, 1], [0, 3, 6, 1, 1], [1, 0, 90, 0, 1]]
    attribution = [[2, -1, 0, 1, -5, 1, 0, 0], [1, 0, 0, 0, 0, 0, 0, 0]]
    assert SCORE(trial(attribution, TRUTH, ORACLE, instances)) == 1.0


@pytest.mark.parametrize("spec", ["syntax", "suboptimal", "suboptimal:mutated=0.3", "binary"])
def test_random_signs_meet_the_rule_as_often_as_coins_do(spec, tmp_path):
    dataset = simulate(tmp_path / "d", spec)
    nothing = np.empty(0, dtype=np.float32)
    table = dataset.instances().rows
    arrays = TrialArrays(
        {}, nothing, dataset.oracle, dataset.truth, dataset.oracle, {}, instances=table
    )
    assert SCORE(arrays) == 1.0
    conditions = np.bincount(table[:, 0], minlength=len(dataset.truth))
    conditions = conditions + (dataset.truth == SUBOPTIMAL).sum(axis=1)
    generator = np.random.default_rng(0)
    found = [
        SCORE(replace(arrays, attribution=generator.standard_normal(dataset.truth.shape)))
        for _ in range(60)
    ]
    assert np.mean(found) == pytest.approx((0.5**conditions).mean(), abs=0.02)
