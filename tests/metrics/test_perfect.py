"""What a perfect prediction or attribution scores: on the better side of chance, and reached."""

import numpy as np
import pytest
from fixtures.datasets import simulate

from priorbench import TrialArrays
from priorbench.components import registry
from priorbench.evaluation.reference_scores import reference_scores
from priorbench.evaluation.scoring import score_predictions
from priorbench.metrics import METRICS
from priorbench.metrics.stability import CORRECTED

UNKNOWN = {
    *("profile-nll", "mass-enrichment", "enrichment-at-10", "motif-best-match"),
    *("perturbation-gap", "seed-top-overlap-corrected"),
    *("instance-auroc", "instance-auprc", "kmer-consistency"),
    *("step-time-ratio", "peak-memory", "epochs-to-best"),
}
"""metrics with a direction of which no best value follows from the formula"""
DIRECTED = [metric for metric in METRICS.values() if metric.higher_is_better is not None]


def better(metric, value, other):
    return value > other if metric.higher_is_better else value < other


def test_every_metric_with_a_direction_says_what_is_perfect_or_is_known_not_to():
    assert {metric.name for metric in DIRECTED if metric.perfect is None} == UNKNOWN
    for metric in METRICS.values():
        if metric.higher_is_better is None:
            assert metric.perfect is None, metric.name


@pytest.mark.parametrize("spec", ["binary", "suboptimal", "profile"])
def test_perfect_is_better_than_chance(spec, tmp_path):
    references = reference_scores(simulate(tmp_path / "d", spec), registry.build("task", spec))
    for metric in DIRECTED:
        for floor in (metric.floor, references["random"].get(metric.name)):
            if metric.perfect is None or floor is None or np.isnan(floor):
                continue
            # a predictor that only knows how many are positive is calibrated
            if metric.name == "calibration-error":
                assert metric.perfect == floor
            else:
                assert better(metric, metric.perfect, floor), metric.name


@pytest.mark.parametrize("spec", ["binary", "suboptimal", "syntax"])
def test_the_true_attribution_is_perfect(spec, tmp_path):
    references = reference_scores(simulate(tmp_path / "d", spec), registry.build("task", spec))
    names = {name for name, value in references["oracle"].items() if np.isfinite(value)}
    # different sequences' motifs lie in the same places now and then
    reached = {name for name in names if not name.endswith(CORRECTED)} - UNKNOWN
    reached = {name for name in reached if METRICS[name].higher_is_better is not None}
    assert reached >= {
        *("motif-auprc", "motif-auroc", "rank-accuracy", "seed-cosine", "rule-satisfaction"),
    }
    mutated = {"suboptimal-sign", "suboptimal-error"}
    assert reached & mutated == (mutated if spec == "suboptimal" else set())
    for name in reached:
        assert references["oracle"][name] == pytest.approx(METRICS[name].perfect), name


def test_true_labels_as_prediction_are_perfect():
    label = np.array([[0, 1], [1, 0], [1, 1], [0, 0]], dtype=np.float32)
    nothing = np.empty((0, 4), dtype=np.float32)
    logit = 200 * label - 100
    names = ("auroc", "auprc", "auprc-corrected", "cross-entropy", "calibration-error")
    arrays = TrialArrays({"logit": logit}, label, nothing, None, None, {}, negative_weight=3.0)
    scores = score_predictions(arrays, names)
    assert scores == pytest.approx({name: METRICS[name].perfect for name in names})
    counts = TrialArrays({"log_counts": label}, label, nothing, None, None, {})
    assert score_predictions(counts, ["count-pearson"])["count-pearson"] == pytest.approx(1)
