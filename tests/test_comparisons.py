"""From scores to comparisons: families, failures, verdicts."""

import numpy as np
import pandas as pd
import pytest

from priorbench.comparisons import compare
from priorbench.results import RESULT_COLUMNS

SEEDS = range(8)


def results(scores, metric="auroc", axis="prediction", up=True, status=None, floor=None):
    """A results table; ``scores`` maps a prior to its values seed by seed."""
    block = ("binary", "simulated", "three-conv")
    rows = []
    for prior, values in scores.items():
        for seed, value in zip(SEEDS, values, strict=True):
            ended = (status or {}).get((prior, seed), "done")
            trial = [f"{prior}{seed}", "evaluate", ended, *block, prior, 1.0, seed]
            rows.append([*trial, metric, axis, value, up])
    if floor is not None:
        row = ["", "reference", "done", *block, "random", None, None, metric, axis, floor, up]
        rows.append(row)
    return pd.DataFrame(rows, columns=RESULT_COLUMNS).astype({"seed": "Int64"})


def no_agreement(trials, metric):
    raise AssertionError("not needed")


def by_prior(table):
    return compare(table, no_agreement).set_index("prior")


BASE = np.linspace(0.8, 0.87, 8)


def test_p_is_adjusted_by_holm_over_the_priors():
    mixed = np.array([1, 1, 1, 1, 1, 1, -1, -1]) * np.linspace(0.01, 0.02, 8)
    found = by_prior(results({"none": BASE, "a": BASE + 0.01, "b": BASE - 0.01, "c": BASE + mixed}))
    assert found["p"].tolist()[:2] == [2 / 256, 2 / 256]
    assert found["p_adjusted"].tolist() == pytest.approx([6 / 256, 6 / 256, found["p"]["c"]])
    assert found["verdict"].tolist() == ["better", "worse", "inconclusive"]


def test_lower_may_be_better():
    found = by_prior(results({"none": BASE, "a": BASE - 0.01}, "cross-entropy", up=False))
    assert found["verdict"]["a"] == "better"


def test_shown_metrics_are_not_judged():
    table = results({"none": BASE, "a": BASE - 0.1}, "high-frequency", "smoothness", up=None)
    found = by_prior(table)
    assert found["verdict"]["a"] == ""
    assert np.isnan(found["p_adjusted"]["a"])
    assert found["difference"]["a"] == pytest.approx(-0.1)


def test_failed_trials_count_as_chance():
    failed = {("a", seed): "failed" for seed in SEEDS}
    scores = {"none": BASE, "a": [np.nan] * 8, "b": BASE + 0.01}
    found = by_prior(results(scores, status=failed, floor=0.5))
    assert found["mean_prior"]["a"] == 0.5
    assert found["verdict"]["a"] == "worse"
    assert found["n"].tolist() == [8, 8]
    assert found["p"]["b"] == 2 / 256


def test_undefined_values_cost_their_own_pairs_only():
    holes = np.where(np.arange(8) < 3, np.nan, BASE)
    table = results({"none": BASE, "a": holes, "b": BASE}, "high-frequency", "smoothness", up=None)
    assert by_prior(table)["n"].tolist() == [5, 8]


def test_measured_prices_count_as_measured():
    collapsed = {("none", 0): "collapsed"}
    scores = {"none": np.ones(8), "a": np.full(8, 2.0)}
    table = results(scores, "step-time-ratio", "cost", up=False, status=collapsed)
    assert by_prior(table)["mean_baseline"]["a"] == 1


def test_agreement_is_asked_for_the_pairs_of_both_arms():
    asked = []

    def agreement(trials, metric):
        asked.append((metric.name, trials["trial"].tolist()))
        return np.eye(len(trials)) + 0.1 * (np.arange(16) >= 8) * (np.arange(16) >= 8)[:, None]

    table = results({"none": BASE, "a": BASE}, "seed-cosine", "stability")
    found = compare(table, agreement).iloc[0]
    expected = [f"{prior}{seed}" for prior in ("none", "a") for seed in SEEDS]
    assert asked == [("seed-cosine", expected)]
    assert (found["mean_baseline"], found["mean_prior"]) == pytest.approx((0, 0.1))
    assert found["difference"] == pytest.approx(0.1)
    assert found["verdict"] == "better"


def test_one_seed_has_a_difference_and_no_test():
    table = results({"none": BASE, "a": BASE + 0.1})
    found = compare(table[table["seed"] == 0], no_agreement).iloc[0]
    assert found["difference"] == pytest.approx(0.1)
    assert np.isnan(found["p"])
    assert found["verdict"] == found["test"] == ""
