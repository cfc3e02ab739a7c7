"""Whether a network is worth explaining: hand-made tables, and what is said of them."""

from __future__ import annotations

import math

import pandas as pd
import pytest

from priorbench.answer.network_check import (
    NoNetwork,
    UnfinishedTraining,
    Unlearned,
    UnlearnedNetworks,
    WeakNetwork,
    check_networks,
    network_sentences,
    still_falling,
    weakness_sentence,
)
from priorbench.metrics import METRICS
from priorbench.results.collect import RESULT_COLUMNS
from priorbench.study.declared import DeclaredClaims

MAIN = "input-x-gradient"
PRIMARY = {
    "binary": {"prediction": "auroc", "localisation": "motif-auprc"},
    "profile": {"prediction": "profile-nll", "localisation": "motif-auprc"},
}
SETTING = ("binary", "SRF", "three-conv")


def row(
    metric,
    value,
    *,
    prior="none",
    stage="evaluate",
    seed=0,
    status="done",
    setting=SETTING,
    spec=MAIN,
):
    definition = METRICS[metric]
    of_trial = stage != "reference"
    scored = spec if definition.of_attribution and of_trial else ""
    trial = (f"{setting}{prior}{seed}", stage) if of_trial else (math.nan, stage)
    arm = (prior, 0.0, seed) if of_trial else (prior, math.nan, math.nan)
    about = (metric, definition.axis, value, definition.higher_is_better)
    return (*trial, status, *setting, *arm, scored, *about)


def table(metric, values, references=None, **options):
    """Values of the baseline by seed, and scores of the references by name."""
    rows = [row(metric, value, seed=seed, **options) for seed, value in enumerate(values)]
    rows += [
        row(metric, value, prior=name, stage="reference", **options)
        for name, value in (references or {}).items()
    ]
    return pd.DataFrame(rows, columns=RESULT_COLUMNS).astype({"seed": "Int64"})


def check(results, histories=None, **options):
    options = {"histories": histories or {}, "baseline": "none", "primary": PRIMARY, **options}
    return check_networks(results, **options)


@pytest.mark.parametrize(
    ("network", "kmers", "numbers"),
    [([0.92, 0.94], 0.978, (".930", ".978")), ([0.898, 0.898], 0.945, (".898", ".945"))],
)
def test_a_network_that_predicts_worse_than_regression_on_kmers_is_named(network, kmers, numbers):
    references = {"gapped-kmers": kmers, "random": 0.5, "oracle": 1.0}
    (finding,) = check(table("auroc", network, references))
    assert finding == WeakNetwork(
        SETTING, "prediction", "auroc", sum(network) / 2, "gapped-kmers", kmers, 2, 2
    )
    assert not finding.is_at_chance
    assert finding.sentence == (
        f"three-conv may not be worth explaining: it predicts worse (auROC {numbers[0]}) than "
        f"regression on gapped k-mers without a network ({numbers[1]}); `--architectures auto` "
        "tries what else fits."
    )


def test_a_network_that_localises_worse_is_named_with_the_best_method():
    references = {"gapped-kmers": 0.60, "motif-scan": 0.82, "random": 0.1, "oracle": 0.99}
    (finding,) = check(table("motif-auprc", [0.37, 0.37], references))
    assert (finding.axis, finding.reference) == ("localisation", "motif-scan")
    assert finding.sentence == (
        "three-conv may not be worth explaining: it localises worse (motif auPRC .370) than "
        "scanning with the known matrices without a network (.820); `--architectures auto` "
        "tries what else fits."
    )


def test_a_scan_that_made_the_sites_is_no_standard():
    """On real data the known sites are where the matrices match: a scan is right by definition."""
    references = {"gapped-kmers": 0.83, "motif-scan": 0.9998, "random": 0.2, "oracle": 1.0}
    (finding,) = check(table("motif-auprc", [0.69, 0.69], references))
    assert finding.reference == "gapped-kmers"
    assert check(table("motif-auprc", [0.84, 0.84], references)) == []


def test_a_network_that_is_better_or_equal_is_not_named():
    references = {"gapped-kmers": 0.9, "random": 0.5}
    assert check(table("auroc", [0.95, 0.93], references)) == []
    assert check(table("auroc", [0.9, 0.9], references)) == []
    # the same to three digits
    assert check(table("auroc", [0.8999, 0.8998], references)) == []
    (finding,) = check(table("auroc", [0.899, 0.899], references))
    assert finding.value == pytest.approx(0.899)


def test_what_is_no_method_and_what_is_not_there_is_no_standard():
    assert check(table("auroc", [0.6])) == []
    above = {"oracle": 1.0, "perfect": 1.0, "replicate": 0.99, "shuffled": 0.98, "random": 0.5}
    assert check(table("auroc", [0.6], above)) == []
    assert check(table("auroc", [0.6], {"gapped-kmers": math.nan})) == []
    assert check(table("auprc", [0.6], {"gapped-kmers": 0.9})) == []  # not primary
    assert check(table("auroc", [0.6], {"gapped-kmers": 0.9}), primary={}) == []
    assert check(table("auroc", [0.6], {"gapped-kmers": 0.9}), baseline="l1") == []


def test_profiles_no_better_than_the_mean_profile_are_named():
    setting = ("profile:jitter=4", "Oct4", "bpnet")
    for values in ([412.0, 410.0], [410.2, 410.4], [410.0, 410.0]):
        (finding,) = check(table("profile-nll", values, {"random": 410.3}, setting=setting))
        assert finding.is_at_chance
        assert finding.reference_value == 410.3
        assert "it predicts no better (profile-nll 41" in finding.sentence
        assert "than the average of the training data, which ignores" in finding.sentence
        assert "(410); `--architectures auto`" in finding.sentence
    assert check(table("profile-nll", [380.0, 390.0], {"random": 410.3}, setting=setting)) == []


def test_localisation_no_better_than_chance_is_named():
    (finding,) = check(table("motif-auprc", [0.05, 0.07], {"random": 0.06}))
    assert "it localises no better (motif auPRC .060) than random attributions (.060)" in (
        finding.sentence
    )


def test_failed_trials_are_left_out_and_counted():
    results = table("auroc", [0.8, 0.82, math.nan, 0.1], {"gapped-kmers": 0.9})
    results.loc[results["seed"].isin([2, 3]).fillna(False), "status"] = ["failed", "collapsed"]
    (finding,) = check(results)
    assert (finding.finished, finding.seeds) == (2, 4)
    assert "(auROC .810, mean of 2 finished runs of 4)" in finding.sentence
    results["status"] = "failed"
    assert check(results) == [NoNetwork(SETTING, 4)]
    one = table("auroc", [0.8, math.nan], {"gapped-kmers": 0.9})
    one.loc[1, "status"] = "failed"
    assert "(auROC .800, 1 finished run of 2)" in check(one)[0].sentence


def test_settings_and_attributions_are_looked_at_one_by_one():
    other = ("binary", "SRF", "deepbind")
    references = {"motif-scan": 0.82}
    results = pd.concat(
        [
            table("motif-auprc", [0.9], references),
            table("motif-auprc", [0.1], spec="deep-lift-shap"),
            table("motif-auprc", [0.5], references, setting=other),
        ]
    )
    assert [finding.setting for finding in check(results)] == [other]
    named = check(results, attribution="deep-lift-shap")
    assert [(f.setting, f.value) for f in named] == [(SETTING, 0.1)]


def test_where_the_network_was_chosen_no_other_is_advised():
    results = table("auroc", [0.8], {"gapped-kmers": 0.9})
    tried = table("auroc", [0.7], stage="select", setting=("binary", "SRF", "basset"))
    (finding,) = check(pd.concat([results, tried]))
    assert finding.chosen
    assert finding.sentence.endswith("(.900).")
    assert check(results, chosen=["binary/SRF"]) == [finding]
    assert not check(results, chosen=["binary/GATA2"])[0].chosen


def test_a_setting_in_which_no_baseline_ended_well_is_named():
    other = ("binary", "SRF", "deepbind")
    nothing = table("auroc", [math.nan, math.nan], {"gapped-kmers": 0.9})
    nothing.loc[nothing["stage"] == "evaluate", "status"] = ["failed", "collapsed"]
    some = table("auroc", [0.95, math.nan], {"gapped-kmers": 0.9}, setting=other)
    some.loc[some["seed"] == 1, "status"] = "failed"
    results = pd.concat([nothing, some], ignore_index=True)
    assert check(results) == [NoNetwork(SETTING, 2)]
    claims = DeclaredClaims(PRIMARY, attribution=MAIN)
    assert network_sentences(results, {}, claims, ()) == {
        SETTING: [
            "None of the 2 trainings of three-conv with the baseline ended well: there is no "
            "network to explain; `priorbench status` of its folder says why."
        ]
    }


def history(*losses):
    return [{"validation_loss": loss} for loss in losses]


@pytest.mark.parametrize(
    ("losses", "expected"),
    [
        ((0.7, 0.6, 0.5, 0.45), True),
        ((0.7, 0.5), True),
        ((0.7, 0.6, 0.55, 0.56, 0.50), True),  # lower than the best before
        ((0.7, 0.6, 0.5, 0.51), False),  # the best epoch is not the last
        ((0.7, 0.6, 0.61, 0.62, 0.63), False),  # waited in vain
        ((0.7, 0.3, 0.2985), False),  # less than a hundredth of the drop
        ((0.7, 0.6995, 0.699, 0.6985), False),  # waited for a thousandth in vain
        ((0.7, 0.7), False),
        ((0.7,), False),
        ((0.7, None, 0.5), False),
        ((0.7, math.inf, 0.5), False),
        ((500.0, 450.0, 440.0), True),
        ((500.0, 450.0, 449.6), False),
    ],
)
def test_when_a_loss_is_still_falling(losses, expected):
    assert still_falling(history(*losses)) is expected


def test_training_that_ended_too_early_in_half_of_the_seeds_is_named():
    results = table("auroc", [0.9, 0.9, 0.9, 0.9])
    trials = list(results["trial"])
    falling, settled = history(0.7, 0.6, 0.5), history(0.7, 0.5, 0.6)
    histories = dict(zip(trials, [falling, falling, settled, settled], strict=True))
    (finding,) = check(results, histories)
    assert finding == UnfinishedTraining(SETTING, 2, 4, 4)
    assert finding.sentence == (
        "The validation loss of three-conv was still falling in the last epoch in 2 of 4 runs; "
        "`binary:train_epochs=2` trains twice as long."
    )
    assert check(results, {**histories, trials[1]: settled}) == []
    # one that is not finished or has no history does not count
    results.loc[2, "status"] = "failed"
    (finding,) = check(results, {**histories, trials[3]: None})
    assert "in 2 of 2 finished runs of 4" in finding.sentence
    assert check(results, {}) == []


@pytest.mark.parametrize(
    ("network", "references", "named"),
    [
        (0.7, {"motif-scan": 0.82, "window-centre": 0.75}, ["motif-scan", "window-centre"]),
        (0.7, {"motif-scan": 0.9999, "window-centre": 0.75}, ["window-centre"]),
        (0.8, {"motif-scan": 0.82, "window-centre": 0.75}, ["motif-scan"]),
        (0.9, {"motif-scan": 0.82, "window-centre": 0.75}, []),
    ],
)
def test_localisation_that_the_centre_of_the_window_would_have_is_told(network, references, named):
    results = table("motif-auprc", [network, network], {**references, "random": 0.1})
    findings = check(results)
    assert [finding.reference for finding in findings] == named
    if len(named) == 2:
        assert weakness_sentence(findings) == (
            "three-conv may not be worth explaining: it localises worse (motif auPRC .700) than "
            "scanning with the known matrices without a network (.820); it localises worse (motif "
            "auPRC .700) than nearness to the window's centre, whatever the sequence (.750); "
            "`--architectures auto` tries what else fits."
        )


@pytest.mark.parametrize(
    ("task", "advised"),
    [
        ("syntax:wrong_spacing=0.5", "`syntax:wrong_spacing=0.5:train_epochs=2` trains"),
        ("binary:train_epochs=2.5:gc=0.6", "`binary:gc=0.6:train_epochs=5` trains"),
        ("binary:train_epochs=60", "in 2 of 4 runs."),
    ],
)
def test_longer_training_is_of_the_same_task_and_longer(task, advised):
    finding = UnfinishedTraining((task, "simulated", "three-conv"), 2, 4, 4)
    assert advised in finding.sentence
    assert ("twice as long" in finding.sentence) is advised.endswith("trains")


def of_priors(metric, by_prior, chance, **options):
    tables = [table(metric, [], {"random": chance}, **options)]
    tables += [table(metric, values, prior=prior, **options) for prior, values in by_prior.items()]
    return pd.concat(tables, ignore_index=True)


def test_networks_of_any_prior_that_hardly_predict_are_counted():
    by_prior = {"none": [0.9, 0.9, 0.9, 0.55], "tv": [0.8, 0.6, 0.61], "l1": [0.5, 0.599, 0.62]}
    (finding,) = check(of_priors("auroc", by_prior, 0.5))
    assert finding == UnlearnedNetworks(
        SETTING,
        "auroc",
        pytest.approx(0.6),
        True,
        {"none": Unlearned(1, 4, 4), "l1": Unlearned(2, 3, 3)},
    )
    assert finding.sentence == (
        "Some networks of three-conv hardly predict (auROC below .600, a quarter of the way from "
        "chance to networks of the baseline that do), 1 of 4 with `none` and 2 of 3 with `l1`: a "
        "mean of both kinds describes neither."
    )
    three = check(of_priors("auroc", by_prior | {"tv": [0.5, 0.8, 0.8]}, 0.5))[0].sentence
    assert "1 of 4 with `none`, 1 of 3 with `tv` and 2 of 3 with `l1`" in three


def test_all_networks_of_a_prior_may_hardly_predict():
    (finding,) = check(of_priors("auroc", {"none": [0.9, 0.9], "l1": [0.5, 0.5]}, 0.5))
    assert finding.sentence.endswith("that do), 2 of 2 with `l1`.")


def test_what_is_said_of_a_prior_depends_on_no_other():
    by_prior = {"none": [0.62, 0.61, 0.6], "l1": [0.62, 0.61, 0.98], "tv": [0.61, 0.5, 0.62]}
    (finding,) = check(of_priors("auroc", by_prior, 0.5))
    assert finding.counts == {"tv": Unlearned(1, 3, 3)}
    alone = {prior: by_prior[prior] for prior in ("none", "tv")}
    assert check(of_priors("auroc", alone, 0.5)) == [finding]


def test_networks_that_hardly_predict_are_so_where_lower_is_better():
    setting = ("profile", "Oct4", "bpnet")
    by_prior = {"none": [380.0, 380.0], "l1": [404.0, 400.0]}
    results = of_priors("profile-nll", by_prior, 410.0, setting=setting)
    assert check(results) == []  # nobody knows how far it is to a perfect prediction
    perfect = table("profile-nll", [], {"perfect": 350.0}, setting=setting)
    (finding,) = check(pd.concat([results, perfect], ignore_index=True))
    assert (finding.bound, finding.counts) == (402.5, {"l1": Unlearned(1, 2, 2)})
    assert "(profile-nll above 402, a quarter" in finding.sentence


def test_networks_that_all_predict_or_none_are_not_counted():
    assert check(of_priors("auroc", {"none": [0.9, 0.7], "l1": [0.61, 0.9]}, 0.5)) == []
    # where the baseline does not predict, nor does the best of the others, or by chance
    assert check(of_priors("auroc", {"none": [0.51, 0.54], "l1": [0.48, 0.53]}, 0.5)) == []
    (weak,) = check(of_priors("auroc", {"none": [0.49, 0.51], "l1": [0.48, 0.9]}, 0.5))
    assert isinstance(weak, WeakNetwork)
    # by the primary metric of prediction only, and where chance is known
    assert check(of_priors("auprc", {"none": [0.9, 0.5]}, 0.5)) == []
    results = of_priors("auroc", {"none": [0.9, 0.9, 0.5]}, 0.5)
    assert len(check(results)) == 1
    assert check(results[results["stage"] != "reference"]) == []


def test_trials_that_failed_are_no_networks_that_hardly_predict():
    results = of_priors("auroc", {"none": [0.9, 0.9, 0.5, 0.5], "l1": [0.5, 0.9]}, 0.5)
    seeds = (results["prior"] == "none") & (results["seed"] == 3)
    results.loc[seeds.fillna(False), "status"] = "collapsed"
    (finding,) = check(results)
    assert finding.counts == {"none": Unlearned(1, 3, 4), "l1": Unlearned(1, 2, 2)}
    assert "1 of 3 finished of 4 with `none` and 1 of 2 with `l1`" in finding.sentence
    of_none = (results["prior"] == "none") & (results["stage"] == "evaluate")
    results.loc[of_none, "status"] = "failed"
    assert check(results) == [NoNetwork(SETTING, 4)]


def test_settings_are_counted_apart_and_told_after_the_training():
    other = ("binary", "SRF", "deepbind")
    results = pd.concat(
        [
            of_priors("auroc", {"none": [0.9, 0.9, 0.59]}, 0.5),
            of_priors("auroc", {"none": [0.59, 0.59]}, 0.5, setting=other),
        ],
        ignore_index=True,
    )
    falling = dict.fromkeys(results["trial"].dropna(), history(0.7, 0.6, 0.5))
    claims = DeclaredClaims(PRIMARY, attribution=MAIN)
    sentences = network_sentences(results, falling, claims, ())
    assert [len(sentences[setting]) for setting in (SETTING, other)] == [2, 1]
    assert "hardly predict" in sentences[SETTING][1]
