"""Published values beside ours: which trials count, the interval, and the verdict in words."""

import math

import numpy as np
import pandas as pd
import pytest

from priorbench.comparison.published_values import (
    PUBLISHED_COLUMNS,
    published_line,
    published_table,
)
from priorbench.results.collect import RESULT_COLUMNS
from priorbench.statistics.confidence import mean_interval

VALUE = {
    **{"metric": "auroc", "mean": 0.9, "source": "a paper", "read": "printed"},
    **{"attribution": "", "task": "", "dataset": "", "architecture": "", "prior": "none"},
}
OURS = [0.90, 0.91, 0.89, 0.92, 0.88, 0.905, 0.895, 0.90]


def rows(values, *, prior="none", network="three-conv", metric="auroc", attribution="", **more):
    about = {"task": "binary", "dataset": "simulated", "architecture": network, "prior": prior}
    about |= {"metric": metric, "attribution": attribution, "axis": "prediction"}
    about |= {"stage": "evaluate", "status": "done", "weight": 0.0, "higher_is_better": True}
    return [
        {**about, **more, "trial": f"{prior}{network}{seed}", "seed": seed, "value": value}
        for seed, value in enumerate(values)
    ]


def table(published, *results, scale="quick"):
    records = [row for part in results for row in part]
    return published_table(published, pd.DataFrame(records, columns=RESULT_COLUMNS), scale)


@pytest.mark.parametrize(
    ("mean", "verdict", "words"),
    [
        (0.905, "agrees", "yes"),
        (0.95, "lower", "no, ours is lower"),
        (0.5, "higher", "no, ours is higher"),
    ],
)
def test_the_verdict_is_that_of_the_interval_over_seeds(mean, verdict, words):
    made = table([{**VALUE, "mean": mean, "sd": 0.02, "n": 10}], rows(OURS))
    assert list(made.columns) == PUBLISHED_COLUMNS
    (row,) = made.to_dict("records")
    interval = mean_interval(np.array(OURS))
    assert (row["ci_low"], row["ci_high"]) == (interval.low, interval.high)
    assert row["mean"] == pytest.approx(np.mean(OURS))
    assert (row["n"], row["failed"], row["interval"]) == (8, 0, "sign-flip")
    assert (row["published_mean"], row["published_sd"], row["published_n"]) == (mean, 0.02, 10)
    assert (row["verdict"], row["words"]) == (verdict, words)


def test_few_seeds_have_students_interval_and_one_has_none():
    few = table([VALUE], rows(OURS[:3])).iloc[0]
    assert (few["interval"], few["n"], few["verdict"]) == ("t", 3, "agrees")
    one = table([VALUE], rows(OURS[:1])).iloc[0]
    assert (one["verdict"], one["words"]) == ("no interval", "no interval of 1 seed")
    assert one["mean"] == 0.9
    assert math.isnan(one["ci_low"])


def test_what_was_not_run_is_shown_as_that():
    values = [{**VALUE, "architecture": "bpnet"}, {**VALUE, "task": "edges"}]
    values += [{**VALUE, "prior": "fourier", "weight": 0.5}, {**VALUE, "dataset": "other"}]
    made = table(values, rows(OURS), rows(OURS, prior="fourier", weight=0.3))
    assert list(made["verdict"]) == ["not run"] * 4
    assert list(made["words"]) == ["not run"] * 4
    assert list(made["architecture"]) == ["bpnet", "", "", ""]
    assert list(made["weight"].fillna(-1)) == [-1, -1, 0.5, -1]
    assert made["mean"].isna().all()
    assert list(made["n"]) == [0] * 4


def test_a_key_that_is_left_out_stands_for_every_setting():
    made = table([VALUE], rows(OURS), rows([0.5] * 6, network="deepbind"))
    assert list(made["architecture"]) == ["three-conv", "deepbind"]
    assert list(made["verdict"]) == ["agrees", "lower"]
    one = table([{**VALUE, "architecture": "deepbind"}], rows(OURS), rows(OURS, network="deepbind"))
    assert list(one["architecture"]) == ["deepbind"]


def test_prior_weight_attribution_and_stage_choose_the_trials():
    scores = [
        rows(OURS, metric="motif-auprc", attribution="gradient"),
        rows([0.1] * 6, metric="motif-auprc", attribution="input-x-gradient"),
        rows([0.2] * 6, prior="tv", weight=0.1),
        rows([0.3] * 6, prior="tv", weight=0.2),
        rows([0.4] * 6, stage="tune"),
        rows([0.6], stage="reference", prior="random"),
    ]
    values = [
        {**VALUE, "metric": "motif-auprc", "attribution": "gradient"},
        {**VALUE, "prior": "tv", "weight": 0.2},
        {**VALUE, "prior": "tv"},
        VALUE,
    ]
    made = table(values, *scores)
    means = [pytest.approx(value) for value in (0.9, 0.3, 0.2, 0.3)]
    assert list(made["mean"].dropna()) == means
    assert list(made["weight"].dropna()) == [0, 0.2, 0.1, 0.2]
    assert made["verdict"].iloc[-1] == "not run"  # none was tried only to choose a weight


def test_trials_that_failed_are_left_out_of_the_mean_and_told():
    ended = rows([*OURS, 0.5, math.nan])
    ended[8]["status"], ended[9]["status"] = "collapsed", "failed"
    row = table([VALUE], ended).iloc[0]
    assert row["mean"] == pytest.approx(np.mean(OURS))
    assert (row["n"], row["failed"]) == (8, 2)
    assert row["words"] == "yes; 2 of 10 trials failed"
    none = table([VALUE], [{**each, "status": "failed", "value": math.nan} for each in ended])
    assert none["words"].item() == "no interval of 0 seeds; 10 of 10 trials failed"


def test_agreement_between_seeds_has_no_interval():
    scores = rows(OURS, metric="seed-cosine", attribution="gradient")
    row = table([{**VALUE, "metric": "seed-cosine", "attribution": "gradient"}], scores).iloc[0]
    assert row["words"] == "no interval of agreement between seeds"
    assert row["mean"] == pytest.approx(np.mean(OURS))


def test_the_line_counts_what_can_be_told():
    values = [VALUE, {**VALUE, "mean": 0.2}, {**VALUE, "architecture": "bpnet"}]
    assert published_line(table(values, rows(OURS))) == (
        "1 of 2 published means lie in our 95% interval; of 1 more nothing can be said"
    )
    assert published_line(table([VALUE], rows(OURS))) == (
        "1 of 1 published mean lies in our 95% interval"
    )
    assert published_line(table([VALUE], rows(OURS[:1]))) == (
        "of 1 published mean nothing can be said"
    )
    assert published_line(table([], rows(OURS))) == ""


def test_an_interval_that_agrees_with_almost_anything_says_so():
    wide = [0.7, 0.9]
    made = table([{**VALUE, "mean": 0.8, "sd": 0.01, "n": 10}], rows(wide))
    assert made["words"].tolist() == ["yes, but the interval is wide"]
    assert made["sd"].tolist() == [pytest.approx(np.std(wide, ddof=1))]
    assert published_line(made) == (
        "1 of 1 published mean lies in our 95% interval, 1 of them in one too wide to say much"
    )
    unknown = table([{**VALUE, "mean": 0.8}], rows(wide))
    assert unknown["words"].tolist() == ["yes"]


def test_scores_that_are_all_alike_agree_up_to_rounding():
    made = table([{**VALUE, "mean": 0.1 + 0.2}], rows([0.3] * 8))
    assert made["verdict"].tolist() == ["agrees"]


def test_a_weight_of_zero_is_a_weight():
    ours = [*rows(OURS, prior="l1", weight=0.1), *rows(OURS, prior="l1=0", weight=1.0)]
    verdicts = [
        table([{**VALUE, "prior": prior, "weight": weight}], ours)["verdict"].tolist()
        for prior, weight in (("l1", 1.0), ("l1", 0.0), ("l1", 0.1))
    ]
    assert verdicts == [["not run"], ["agrees"], ["agrees"]]


def test_a_value_of_another_scale_is_shown_and_not_compared():
    value = {**VALUE, "scale": "paper"}
    (small,) = table([value], rows(OURS), scale="quick").to_dict("records")
    assert (small["verdict"], small["n"]) == ("other scale", 8)
    assert small["words"] == "not compared: the published one is of scale paper"
    made = table([value], rows(OURS), scale="quick")
    assert published_line(made) == "of 1 published mean nothing can be said"
    assert table([value], rows(OURS), scale="paper")["verdict"].tolist() == ["agrees"]


@pytest.mark.parametrize(
    ("prior", "weight", "found"),
    [
        ("fourier=0.3", None, True),
        ("fourier", 0.3, True),
        ("fourier=0.3", 1.0, True),
        ("fourier=0.1", 3.0, True),
        ("fourier", None, False),
        ("fourier=0.2", None, False),
        ("tv=0.3", None, False),
    ],
)
@pytest.mark.parametrize("written", [("fourier=0.3", 1.0), ("fourier", 0.3)])
def test_a_weight_may_stand_in_the_spec_or_beside_it(prior, weight, found, written):
    value = {**VALUE, "prior": prior} | ({} if weight is None else {"weight": weight})
    made = table([value], rows(OURS, prior=written[0], weight=written[1]))
    # a prior without a weight is the one that was run under just this spec
    wanted = found or (weight is None and prior == written[0])
    assert (made["verdict"] == "not run").tolist() == [not wanted]
