"""Comparisons made of scores: families, failures, verdicts."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import wilcoxon

from priorbench.comparison.correction_families import families
from priorbench.comparison.over_datasets import ACROSS_COLUMNS, compare_across, rank_axes
from priorbench.comparison.paired_runs import paired_runs
from priorbench.comparison.seeds_needed import plan_seeds
from priorbench.comparison.within_dataset import COMPARISON_COLUMNS, compare
from priorbench.components.registry import build
from priorbench.errors import UserError
from priorbench.metrics import METRICS
from priorbench.results.collect import RESULT_COLUMNS
from priorbench.study.declared import DeclaredClaims, default_primary, resolve_primary
from priorbench.study.study import make_study

SEEDS = range(8)
MAIN = "input-x-gradient"
PRIMARY = {"prediction": "auroc", "localisation": "motif-auprc", "stability": "seed-cosine"}
CLAIMS = DeclaredClaims({"binary": PRIMARY}, {"auroc": 0.005}, attribution=MAIN)


def results(
    scores,
    metric="auroc",
    axis="prediction",
    up=True,
    status=None,
    floor=None,
    dataset="simulated",
):
    """Return a results table; ``scores`` maps a prior to its values seed by seed."""
    setting = ("binary", dataset, "three-conv")
    spec = MAIN if METRICS[metric].of_attribution else ""
    rows = []
    for prior, values in scores.items():
        for seed, value in zip(SEEDS, values, strict=True):
            ended = (status or {}).get((prior, seed), "done")
            trial = [f"{prior}{seed}", "evaluate", ended, *setting, prior, 1.0, seed]
            rows.append([*trial, spec, metric, axis, value, up])
    if floor is not None:
        row = [
            "",
            "reference",
            "done",
            *setting,
            "random",
            None,
            None,
            spec,
            metric,
            axis,
            floor,
            up,
        ]
        rows.append(row)
    return pd.DataFrame(rows, columns=RESULT_COLUMNS).astype({"seed": "Int64"})


def no_agreement(trials, metric, attribution):
    raise AssertionError("not needed")


def by_prior(table):
    return compare(table, no_agreement, CLAIMS).set_index("prior")


BASE = np.linspace(0.8, 0.87, 8)


def test_p_is_adjusted_by_holm_over_the_priors():
    mixed = np.array([1, 1, 1, 1, 1, 1, -1, -1]) * np.linspace(0.01, 0.02, 8)
    rows = by_prior(results({"none": BASE, "a": BASE + 0.01, "b": BASE - 0.01, "c": BASE + mixed}))
    assert rows["p"].tolist()[:2] == [2 / 256, 2 / 256]
    assert rows["p_adjusted"].tolist() == pytest.approx([6 / 256, 6 / 256, rows["p"]["c"]])
    assert rows["verdict"].tolist() == ["better", "worse", "inconclusive"]


def test_lower_may_be_better():
    rows = by_prior(results({"none": BASE, "a": BASE - 0.01}, "cross-entropy", up=False))
    assert rows["verdict"]["a"] == "better"


def test_shown_metrics_are_not_judged():
    table = results({"none": BASE, "a": BASE - 0.1}, "high-frequency", "smoothness", up=None)
    rows = by_prior(table)
    assert rows["verdict"]["a"] == ""
    assert np.isnan(rows["p_adjusted"]["a"])
    assert rows["difference"]["a"] == pytest.approx(-0.1)


def test_failed_trials_count_as_chance():
    failed = {("a", seed): "failed" for seed in SEEDS}
    scores = {"none": BASE, "a": [np.nan] * 8, "b": BASE + 0.01}
    rows = by_prior(results(scores, status=failed, floor=0.5))
    assert rows["mean_prior"]["a"] == 0.5
    assert rows["verdict"]["a"] == "worse"
    assert rows["n"].tolist() == [8, 8]
    assert rows["p"]["b"] == 2 / 256


def test_a_verdict_does_not_depend_on_who_else_is_there():
    loss = np.full(8, 0.3) + np.linspace(0, 0.01, 8)
    failed = {("a", 3): "failed"}
    scores = {"none": loss, "a": np.where(np.arange(8) == 3, np.nan, loss - 0.02)}
    alone = by_prior(results(scores, "cross-entropy", up=False, status=failed))
    diverged = {**scores, "c": np.where(np.arange(8) == 0, 40.0, loss)}
    together = by_prior(results(diverged, "cross-entropy", up=False, status=failed))
    columns = ["mean_baseline", "mean_prior", "difference", "ci_low", "ci_high", "p"]
    assert together.loc["a", columns].tolist() == alone.loc["a", columns].tolist()
    assert alone["difference"]["a"] == pytest.approx((-0.02 * 7 + loss[7] - loss[3]) / 8)


class TestBothArmsFail:
    def failing(self, seeds):
        return {(prior, seed): "failed" for prior in ("none", "a") for seed in seeds}

    def test_always_is_no_equivalence(self):
        nothing = [np.nan] * 8
        table = results({"none": nothing, "a": nothing}, status=self.failing(SEEDS), floor=0.5)
        row = by_prior(table).loc["a"]
        assert row["verdict"] == "inconclusive"
        assert (row["difference"], row["p_equivalent"], row["p_noninferior"]) == (0, 1, 1)
        assert np.isnan([row["ci_low"], row["ci_high"], row["detectable"]]).all()
        assert (row["interval"], row["both_failed"]) == ("", 8)

    def test_often_leaves_what_the_others_show(self):
        most = np.arange(8) < 6
        base = np.where(most, np.nan, BASE)
        table = results({"none": base, "a": base}, status=self.failing(range(6)), floor=0.5)
        row = by_prior(table).loc["a"]
        # two seeds say that nothing is lost: p can be no smaller than 1 / 4
        assert (row["p_noninferior"], row["p_equivalent"]) == (1 / 4, 1 / 4)
        assert row["verdict"] == "inconclusive"
        assert row["margin"] == 0.005

    def test_one_arm_failing_is_a_loss(self):
        table = results({"none": BASE, "a": [np.nan] * 8}, status=self.failing([]), floor=0.5)
        assert by_prior(table)["both_failed"]["a"] == 0

    def test_over_datasets_too(self):
        nothing = [np.nan] * 8
        parts = [
            results(
                {"none": nothing, "a": nothing}, status=self.failing(SEEDS), floor=0.5, dataset=name
            )
            for name in ("x", "y")
        ]
        pairs = paired_runs(pd.concat(parts, ignore_index=True), no_agreement, "none")
        row = compare_across(pairs, CLAIMS).iloc[0]
        assert (row["verdict"], row["interval"]) == ("inconclusive", "")
        assert row["p_equivalent"] == 1


def test_undefined_values_cost_their_own_pairs_only():
    holes = np.where(np.arange(8) < 3, np.nan, BASE)
    table = results({"none": BASE, "a": holes, "b": BASE}, "high-frequency", "smoothness", up=None)
    assert by_prior(table)["n"].tolist() == [5, 8]


def test_measured_prices_count_as_measured():
    collapsed = {("none", 0): "collapsed"}
    scores = {"none": np.ones(8), "a": np.full(8, 2.0)}
    table = results(scores, "step-time-ratio", "cost", up=False, status=collapsed)
    assert by_prior(table)["mean_baseline"]["a"] == 1


def test_agreement_is_computed_over_both_arms():
    calls = []

    def agreement(trials, metric, attribution):
        calls.append((metric.name, trials["trial"].tolist()))
        return np.eye(len(trials)) + 0.1 * (np.arange(16) >= 8) * (np.arange(16) >= 8)[:, None]

    table = results({"none": BASE, "a": BASE}, "seed-cosine", "stability")
    row = compare(table, agreement, CLAIMS).iloc[0]
    expected = [f"{prior}{seed}" for prior in ("none", "a") for seed in SEEDS]
    assert calls == [("seed-cosine", expected)]
    assert (row["mean_baseline"], row["mean_prior"]) == pytest.approx((0, 0.1))
    assert row["difference"] == pytest.approx(0.1)
    assert row["verdict"] == "better"


def test_agreement_of_two_seeds_has_a_difference_and_no_test():
    def agreement(trials, metric, attribution):
        prior = (trials["prior"] == "a").to_numpy()
        return np.where(np.multiply.outer(prior, prior), 0.9, 0.4)

    table = results({"none": BASE, "a": BASE}, "seed-cosine", "stability")
    row = compare(table[table["seed"] < 2], agreement, CLAIMS).iloc[0]
    assert row["difference"] == pytest.approx(0.5)
    assert np.isnan([row["p"], row["p_t"], row["smallest_p"], row["ci_low"]]).all()
    assert row["test"] == row["verdict"] == ""


def test_one_seed_has_a_difference_and_no_test():
    table = results({"none": BASE, "a": BASE + 0.1})
    row = compare(table[table["seed"] == 0], no_agreement, CLAIMS).iloc[0]
    assert row["difference"] == pytest.approx(0.1)
    assert np.isnan(row["p"])
    assert row["verdict"] == row["test"] == ""
    assert row["missing"] == ""


def test_unpaired_seeds_are_named():
    table = results({"none": BASE, "a": BASE + 0.1})
    rows = compare(table[(table["prior"] == "none") | (table["seed"] < 6)], no_agreement, CLAIMS)
    assert rows["n"].item() == 6
    assert rows["missing"].item() == "6 7"


def test_a_finished_trial_without_a_score_counts_as_failed():
    holes = np.where(np.arange(8) < 1, np.nan, BASE)
    rows = by_prior(results({"none": BASE, "a": holes}, floor=0.5))
    assert rows["n"]["a"] == 8
    assert rows["difference"]["a"] == pytest.approx((0.5 - BASE[0]) / 8)


def test_tuning_trials_are_not_compared():
    table = results({"none": BASE, "a": BASE})
    tuned = results({"none": BASE - 0.5, "a": BASE + 0.5}).assign(stage="tune")
    rows = by_prior(pd.concat([table, tuned], ignore_index=True))
    assert rows["difference"]["a"] == 0
    assert rows["n"]["a"] == 8


class TestFamilies:
    def table(self):
        priors = {"none": BASE, "a": BASE + 0.01, "b": BASE + 0.001}
        parts = [
            results(priors),
            results(priors, "motif-auprc", "localisation"),
            results(priors, "auprc"),
            results(priors, "motif-auroc", "localisation"),
            results(priors, "entropy", "smoothness", up=None),
        ]
        return compare(pd.concat(parts, ignore_index=True), no_agreement, CLAIMS)

    def test_primary_metrics_are_corrected_together(self):
        rows = self.table().set_index(["metric", "prior"])
        assert rows.loc["auroc", "tests"].tolist() == [4, 4]
        assert rows.loc[("auroc", "a"), "p_adjusted"] == pytest.approx(4 * 2 / 256)
        assert rows.loc[("auroc", "a"), "correction"] == "holm"

    def test_the_rest_is_exploratory(self):
        rows = self.table().set_index(["metric", "prior"])
        assert rows.loc[("auprc", "a"), "family"] == "exploratory"
        # all four are as small as they can be
        assert rows.loc[("auprc", "a"), "p_adjusted"] == pytest.approx(2 / 256)
        assert rows.loc[("entropy", "a"), "family"] == ""

    def test_another_attribution_is_exploratory(self):
        table = results({"none": BASE, "a": BASE}, "motif-auprc", "localisation")
        rows = compare(table.assign(attribution="gradient"), no_agreement, CLAIMS)
        assert rows["family"].item() == "exploratory"

    def test_sentences_say_how_many_and_how(self):
        primary, exploratory = families(self.table())
        assert "4 tests of a difference and 2 against a margin" in primary.sentence
        assert "Holm" in primary.sentence
        assert "auroc, motif-auprc of 2 priors" in primary.sentence
        assert "Benjamini and Hochberg" in exploratory.sentence


class TestMargins:
    noise = np.array([1, -1, 1, -1, 1, -1, 1, -1]) * 1e-4

    def test_no_difference_is_equivalent(self):
        rows = by_prior(results({"none": BASE, "a": BASE + self.noise}))
        assert rows["verdict"]["a"] == "equivalent"
        assert rows["margin"]["a"] == 0.005
        assert rows["p_noninferior"]["a"] == 1 / 256

    def test_a_possible_gain_is_noninferior(self):
        gain = np.array([0.02, -0.001, 0.02, -0.002, -0.001, -0.003, 0.01, -0.001])
        rows = by_prior(results({"none": BASE, "a": BASE + gain}))
        assert rows["verdict"]["a"] == "non-inferior"

    def test_losses_have_a_relative_margin(self):
        loss = BASE * (1 + 100 * self.noise)  # a hundredth up and down
        rows = by_prior(results({"none": BASE, "a": loss}, "cross-entropy", up=False))
        assert rows["margin"]["a"] == pytest.approx(0.02 * BASE.mean())
        assert rows["verdict"]["a"] == "equivalent"

    def test_other_metrics_have_none(self):
        rows = by_prior(results({"none": BASE, "a": BASE}, "auprc"))
        assert np.isnan(rows["p_noninferior"]["a"])
        assert rows["verdict"]["a"] == "inconclusive"


class TestAcross:
    def pairs(self, gains, **options):
        parts = [
            results({"none": BASE + k, "a": BASE + k + gain, "b": BASE + k}, dataset=f"d{k}")
            for k, gain in enumerate(gains)
        ]
        table = pd.concat(parts, ignore_index=True)
        return paired_runs(table, no_agreement, "none")

    def test_one_dataset_has_no_table(self):
        rows = compare_across(self.pairs([0.1]), CLAIMS)
        assert rows.empty
        assert list(rows.columns) == ACROSS_COLUMNS

    def test_the_mean_over_datasets_is_tested(self):
        rows = compare_across(self.pairs([0.02, 0.04]), CLAIMS).set_index("prior")
        assert rows["difference"]["a"] == pytest.approx(0.03)
        assert rows["runs"]["a"] == 16
        assert rows["better_in"]["a"] == 2
        assert rows["p"]["a"] == 2 / 2**16
        assert rows["p_adjusted"]["a"] == 4 / 2**16
        assert rows["verdict"].tolist() == ["better", "equivalent"]
        assert rows["improvement"]["b"] == 0.5

    def test_architectures_and_options_are_no_further_datasets(self):
        gains = {"three-conv": 0.02, "basset": 0.04, "deepsea": -0.01}
        parts = [
            results({"none": BASE, "a": BASE + gain, "b": BASE}).assign(architecture=name)
            for name, gain in gains.items()
        ]
        parts.append(parts[0].assign(task="binary:length=300"))
        table = pd.concat(parts, ignore_index=True)
        row = compare_across(paired_runs(table, no_agreement, "none"), CLAIMS).iloc[0]
        assert (row["settings"], row["datasets"], row["better_in"]) == (4, 1, 1)
        assert row["difference"] == pytest.approx((0.02 + 0.04 - 0.01 + 0.02) / 4)
        assert row["p"] < 0.05
        assert np.isnan(row["p_wilcoxon"])
        assert rank_axes(compare(table, no_agreement, CLAIMS)) == []

    def test_wilcoxon_and_ranks_are_over_means_of_datasets(self):
        gains = [0.02, 0.04, -0.01, 0.03, 0.05]
        parts = [
            results({"none": BASE, "a": BASE + gain + more}, dataset=f"d{k}").assign(
                architecture=name
            )
            for k, gain in enumerate(gains)
            for name, more in (("three-conv", 0.002), ("basset", -0.002))
        ]
        table = pd.concat(parts, ignore_index=True)
        row = compare_across(paired_runs(table, no_agreement, "none"), CLAIMS).iloc[0]
        assert row["p_wilcoxon"] == pytest.approx(wilcoxon(gains, method="exact").pvalue)
        assert (row["settings"], row["datasets"], row["better_in"]) == (10, 5, 4)
        (ranked,) = rank_axes(compare(table, no_agreement, CLAIMS))
        assert ranked.datasets == 5
        assert ranked.ranking.ranks == pytest.approx([1.8, 1.2])

    def test_agreement_has_a_test_and_no_interval(self):
        def agreement(trials, metric, attribution):
            seeds = trials["seed"].to_numpy(dtype=float)
            return np.eye(len(trials)) + 0.01 * np.minimum.outer(seeds, seeds)

        parts = [
            results({"none": BASE, "a": BASE}, "seed-cosine", "stability", dataset=name)
            for name in ("x", "y")
        ]
        pairs = paired_runs(pd.concat(parts, ignore_index=True), agreement, "none")
        row = compare_across(pairs, CLAIMS).iloc[0]
        assert (row["p"], row["difference"]) == (1, 0)
        assert np.isnan([row["ci_low"], row["mixed_effect"], row["improvement"]]).all()

    def test_exploratory_metrics_are_left_out(self):
        table = pd.concat(
            [results({"none": BASE, "a": BASE}, "auprc", dataset=d) for d in ("x", "y")]
        )
        assert compare_across(paired_runs(table, no_agreement, "none"), CLAIMS).empty

    def test_ranks_are_of_the_primary_metric_of_each_task(self):
        high = results({"none": BASE, "a": BASE + 0.1, "b": BASE - 0.1}, dataset="x")
        low = results(
            {"none": BASE, "a": BASE - 0.1, "b": BASE + 0.1}, "profile-nll", up=False, dataset="y"
        )
        claims = DeclaredClaims(
            {"binary": PRIMARY, "profile": {"prediction": "profile-nll"}}, attribution=MAIN
        )
        table = pd.concat([high, low.assign(task="profile")], ignore_index=True)
        (ranking,) = rank_axes(compare(table, no_agreement, claims))
        assert ranking.metrics == ("auroc", "profile-nll")
        assert dict(zip(ranking.priors, ranking.ranking.ranks, strict=True)) == {
            "none": 2,
            "a": 1,
            "b": 3,
        }


class TestDeclaring:
    def test_defaults_are_one_metric_an_axis(self):
        assert default_primary(build("task", "binary")) == {
            "prediction": "auroc",
            "localisation": "motif-auprc",
            "stability": "seed-cosine-corrected",
            "faithfulness": "mutagenesis-correlation",
        }
        assert default_primary(build("task", "profile"))["prediction"] == "profile-nll"
        assert default_primary(build("task", "suboptimal"))["localisation"] == "suboptimal-sign"

    def test_a_study_may_name_others(self):
        declared = {"prediction": "auprc", "rbp": {"stability": ""}}
        study = make_study({"primary": declared}, where="here")
        primary = resolve_primary(study, ["binary", "rbp"])
        assert primary["binary"]["prediction"] == primary["rbp"]["prediction"] == "auprc"
        assert "stability" in primary["binary"]
        assert "stability" not in primary["rbp"]

    @pytest.mark.parametrize(
        ("declared", "message"),
        [
            ({"binry": {"prediction": "auprc"}}, "did you mean 'binary'"),
            ({"predicton": "auroc"}, "did you mean 'prediction'"),
            ({"prediction": "aurocc"}, "did you mean 'auroc'"),
            ({"prediction": "motif-auprc"}, "metric of axis 'localisation'"),
            ({"prediction": "profile-nll"}, "unknown metric of this task"),
            ({"smoothness": "entropy"}, "only shown, never ranked"),
        ],
    )
    def test_what_cannot_be_primary_is_refused(self, declared, message):
        study = make_study({"primary": declared}, where="here")
        with pytest.raises(UserError, match=message):
            resolve_primary(study, ["binary"])

    def test_margins_are_above_zero(self):
        with pytest.raises(UserError, match="greater than 0"):
            make_study({"margins": {"auroc": 0}}, where="here")


def test_seeds_are_planned_alone_and_in_the_family():
    generator = np.random.default_rng(0)
    table = results({"none": BASE, "a": BASE + generator.normal(0.005, 0.01, 8), "b": BASE})
    pairs = paired_runs(table[table["prior"] != "b"], no_agreement, "none")
    comparisons = compare(table, no_agreement, CLAIMS)
    family = families(comparisons)[0]
    seeds = plan_seeds(pairs, CLAIMS, {pairs[0].setting: family}, 0.01)
    rows = {(row.claim, row.tests): row for row in seeds.itertuples()}
    assert set(rows) == {
        ("difference", 1),
        ("difference", 2),
        ("non-inferiority", 1),
        ("non-inferiority", 2),
    }
    alone, corrected = rows["difference", 1], rows["difference", 2]
    assert alone.seeds_80 < corrected.seeds_80 < corrected.seeds_95
    assert alone.seeds_80 < alone.cautious_80
    assert rows["non-inferiority", 1].effect == 0.005


def test_columns_of_the_design_come_first():
    assert COMPARISON_COLUMNS[:3] == ["task", "dataset", "architecture"]
    first = {"n", "ci_low", "effect_size", "p_adjusted", "test", "verdict"}
    assert first <= set(COMPARISON_COLUMNS[:19])
