"""Trends: the line over ranks in closed form, its test against a regression, what makes a sweep."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import linregress

from priorbench.comparison.option_trends import (
    GROWS,
    SHRINKS,
    TREND_COLUMNS,
    TREND_DEFINITIONS,
    rank_contrast,
    swept_tasks,
    trends,
)
from priorbench.comparison.over_datasets import compare_across
from priorbench.comparison.paired_runs import PairedRuns
from priorbench.metrics import METRICS
from priorbench.statistics.families.verdicts import INCONCLUSIVE
from priorbench.statistics.signflip import sign_flip_p
from priorbench.study.declared import DeclaredClaims

CLAIMS = DeclaredClaims(
    primary={"binary": {"prediction": "auroc", "stability": "seed-cosine", "cost": ""}},
    attribution="input-x-gradient",
)
SHARES = {0.1: "binary:train_share=0.1", 0.5: "binary:train_share=0.5", 1.0: "binary"}
OPTIONS = {spec: {"train_share": share, "copies": 2} for share, spec in SHARES.items()}


def pairs_of(spec, differences, *, metric="auroc", prior="fourier", seeds=None):
    differences = np.asarray(differences, dtype=float)
    n = len(differences)
    return PairedRuns(
        setting=(spec, "simulated", "three-conv"),
        attribution="input-x-gradient" if METRICS[metric].of_attribution else "",
        metric=METRICS[metric],
        prior=prior,
        seeds=tuple(range(n)) if seeds is None else seeds,
        missing=(),
        baseline=np.full(n, 0.5),
        values=0.5 + differences,
        differences=differences,
        both_failed=np.zeros(n, dtype=bool),
    )


def test_the_contrast_is_the_least_squares_line_over_ranks():
    differences = np.random.default_rng(0).standard_normal((5, 7))
    slopes = [linregress(np.arange(5), column).slope for column in differences.T]
    np.testing.assert_allclose(rank_contrast(differences), 4 * np.array(slopes))
    # of two values it is their difference, and it does not see what all values share
    np.testing.assert_allclose(rank_contrast(differences[:2]), differences[1] - differences[0])
    np.testing.assert_allclose(rank_contrast(differences + 3.0), rank_contrast(differences))


@pytest.mark.parametrize("metric", ["auroc", "seed-cosine"])
def test_a_trend_has_the_sign_flip_p_of_its_contrast(metric):
    generator = np.random.default_rng(1)
    table = generator.normal(size=(3, 8)) * 0.01 + np.array([[0.3], [0.2], [0.0]])
    pairs = [pairs_of(s, d, metric=metric) for s, d in zip(SHARES.values(), table, strict=True)]
    (row,) = trends(pairs, OPTIONS, CLAIMS).to_dict("records")
    contrast = table[2] - table[0]  # the line over three ranks leaves the middle out
    assert row["change"] == pytest.approx(contrast.mean())
    assert row["p"] == row["p_adjusted"] == sign_flip_p(contrast) == 2 / 2**8
    assert row["ci_low"] < row["change"] < row["ci_high"] < 0
    assert row["verdict"] == SHRINKS
    assert (row["option"], row["values"], row["n"], row["tests"]) == (
        "train_share",
        "0.1 0.5 1",
        8,
        1,
    )


def test_what_is_good_decides_the_word_and_holm_corrects_over_priors():
    rising = np.linspace(0.1, 0.12, 8)
    pairs = [
        pairs_of(spec, sign * share * rising, prior=prior)
        for share, spec in SHARES.items()
        for prior, sign in (("up", 1), ("down", -1))
    ]
    rows = trends(pairs, OPTIONS, CLAIMS).set_index("prior")
    assert dict(rows["verdict"]) == {"up": GROWS, "down": SHRINKS}
    np.testing.assert_allclose(rows["p_adjusted"], 2 * rows["p"])
    claims = DeclaredClaims(primary={"binary": {"prediction": "cross-entropy"}})
    losses = [
        pairs_of(spec, -share * rising, metric="cross-entropy") for share, spec in SHARES.items()
    ]
    assert list(trends(losses, OPTIONS, claims)["verdict"]) == [GROWS]


def test_the_level_is_that_of_the_look():
    rising = np.linspace(0.1, 0.12, 8)
    pairs = [pairs_of(spec, share * rising) for share, spec in SHARES.items()]
    verdicts = {}
    for look in (1, 2):
        (row,) = trends(pairs, OPTIONS, replace(CLAIMS, look=look)).to_dict("records")
        assert row["p_adjusted"] == 2 / 2**8  # .0078
        verdicts[look] = row["verdict"]
    assert verdicts == {1: GROWS, 2: INCONCLUSIVE}
    assert all("the level" in TREND_DEFINITIONS[word] for word in (GROWS, SHRINKS))


def test_only_seeds_that_all_values_have_are_compared():
    pairs = [
        pairs_of(SHARES[0.1], [1.0, 2.0, 3.0], seeds=(0, 1, 2)),
        pairs_of(SHARES[0.5], [9.0, 9.0, 9.0], seeds=(0, 1, 2)),
        pairs_of(SHARES[1.0], [5.0, 4.0], seeds=(2, 0)),
    ]
    (row,) = trends(pairs, OPTIONS, CLAIMS).to_dict("records")
    assert (row["n"], row["change"]) == (2, pytest.approx((3.0 + 2.0) / 2))


def test_agreement_is_compared_along_the_same_seeds_alone():
    pairs = [
        pairs_of(spec, [0.1, 0.2, 0.4, 0.9], metric="seed-cosine", seeds=seeds)
        for spec, seeds in zip(
            SHARES.values(), [(0, 1, 2, 3), (0, 1, 2, 3), (0, 1, 2, 4)], strict=True
        )
    ]
    (row,) = trends(pairs, OPTIONS, CLAIMS).to_dict("records")
    assert np.isnan(row["p"])
    assert row["verdict"] == ""


@pytest.mark.slow
def test_settings_that_draw_the_same_are_one_over_datasets():
    # shares of the data train from the same weights, so that their differences are correlated
    generator = np.random.default_rng(3)
    rejected = []
    for _ in range(200):
        shared = generator.standard_normal(8)
        pairs = [pairs_of(s, shared + 0.2 * generator.standard_normal(8)) for s in SHARES.values()]
        (row,) = compare_across(pairs, CLAIMS).to_dict("records")
        rejected.append(row["p"] <= 0.05)
        assert (row["settings"], row["datasets"]) == (3, 1)
    assert np.mean(rejected) < 0.1
    mean = np.mean([of_share.differences for of_share in pairs], axis=0)
    assert row["p"] == sign_flip_p(mean)
    assert row["difference"] == pytest.approx(mean.mean())


def test_noise_has_no_trend_more_often_than_alpha():
    generator = np.random.default_rng(2)
    p = []
    for _ in range(400):
        table = generator.standard_t(3, size=(3, 8))
        pairs = [pairs_of(s, d) for s, d in zip(SHARES.values(), table, strict=True)]
        p.append(trends(pairs, OPTIONS, CLAIMS)["p"].iloc[0])
    assert np.mean(np.array(p) <= 0.05) < 0.08


def test_a_sweep_needs_three_numbers_and_holds_the_others():
    options = {
        f"t:w={w}:f={f}:m={m}": {"w": w, "f": f, "m": m}
        for f in (0.7, 0.9)
        for w in (5, 3, 9)
        for m in ("x", "y")
    }
    settings = [(spec, "simulated", "net") for spec in options]
    swept = swept_tasks(settings, options)
    assert [(sweep.option, sweep.held) for sweep in swept] == [
        ("w", "f=0.7, m=x"),
        ("w", "f=0.7, m=y"),
        ("w", "f=0.9, m=x"),
        ("w", "f=0.9, m=y"),
    ]
    assert [value for value, _ in swept[0].points] == [3, 5, 9]
    assert swept_tasks(settings[:2], options) == []


def test_metrics_that_were_not_declared_have_no_trend():
    pairs = [pairs_of(spec, np.arange(8.0), metric="auprc") for spec in SHARES.values()]
    table = trends(pairs, OPTIONS, CLAIMS)
    assert table.empty
    assert list(table.columns) == TREND_COLUMNS
