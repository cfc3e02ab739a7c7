"""When a trained network counts as collapsed."""

import numpy as np

from priorbench.evaluation.measure import collapse_of_attribution, collapse_of_predictions


def test_collapse_names_its_reason():
    varied, track = np.linspace(0, 1, 10, dtype=np.float32), np.ones((4, 5), dtype=np.float32)
    mostly_zero = track.copy()
    mostly_zero[:3] = 0
    predicted, attributed = collapse_of_predictions, collapse_of_attribution
    assert predicted({"logit": varied}) == ""
    assert predicted({"logit": np.full(10, 0.3)}) == "predictions are constant"
    assert predicted({"logit": varied * np.nan}) == "a prediction is not finite"
    assert attributed(track, "gradient") == ""
    assert attributed(track * np.inf, "gradient") == "an attribution is not finite (gradient)"
    assert attributed(track * np.nan, "gradient") == "an attribution is not finite (gradient)"
    assert "vanished" in attributed(mostly_zero, "gradient")
    assert attributed(mostly_zero[2:], "gradient") == ""  # half of them


def test_an_undefined_score_of_an_example_is_no_collapse():
    varied = np.linspace(0, 1, 10, dtype=np.float32)
    without_reads = varied.copy()
    without_reads[3] = np.nan
    assert collapse_of_predictions({"nll": varied, "jsd": without_reads}) == ""
    assert collapse_of_predictions({"nll": without_reads, "jsd": without_reads}) != ""
    outputs = np.stack([varied, without_reads], axis=1)
    assert collapse_of_predictions({"logit": outputs}) == "a prediction is not finite"
    flat, nowhere = np.full(10, 0.3), np.full(10, np.nan)
    assert collapse_of_predictions({"nll": flat, "jsd": nowhere}) == "predictions are constant"
    assert collapse_of_predictions({"nll": flat, "jsd": without_reads}) == ""
