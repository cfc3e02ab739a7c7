"""Priors over several datasets: a row an axis, in the metric's unit or in skill, and ranks."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from fixtures.score_tables import BASE, CLAIMS, MAIN, PRIMARY, chance, no_agreement, score_table
from scipy.stats import wilcoxon

from priorbench.comparison.axis_ranks import rank_axes
from priorbench.comparison.over_datasets import ACROSS_COLUMNS, SKILL, compare_across
from priorbench.comparison.paired_runs import paired_runs
from priorbench.comparison.within_dataset import compare
from priorbench.metrics import METRICS
from priorbench.statistics.agreement import leave_one_out
from priorbench.statistics.families.joint import step_down_p
from priorbench.statistics.families.multiplicity import HOLM
from priorbench.statistics.several_datasets import blocked
from priorbench.study.declared import DeclaredClaims

TWO_TASKS = DeclaredClaims(
    {"binary": PRIMARY, "profile": {"prediction": "profile-nll"}}, attribution=MAIN
)
AUROC = {"random": 0.5, "perfect": 1.0}
NLL = {"random": 8.0, "perfect": 6.0}
LOSS = np.linspace(6.9, 7.1, 8)
NOISE = np.array([1, -2, 3, -1, 2, -3, 1, 2]) * 1e-3


def pairs_of(*tables):
    return paired_runs(pd.concat(tables, ignore_index=True), no_agreement, "none")


def across(*tables, claims=TWO_TASKS):
    return compare_across(pairs_of(*tables), claims).set_index(["axis", "prior"])


class TestAcross:
    def pairs(self, gains, **options):
        parts = [
            score_table({"none": BASE + k, "a": BASE + k + gain, "b": BASE + k}, dataset=f"d{k}")
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
        # 16 runs are too many to flip all of them jointly: the smallest p of random flips
        assert rows["p_adjusted"]["a"] == 1 / 10_001
        by_holm = compare_across(self.pairs([0.02, 0.04]), replace(CLAIMS, correction=HOLM))
        assert by_holm["p_adjusted"].iloc[0] == 4 / 2**16
        assert rows["verdict"].tolist() == ["better", "equivalent"]
        assert rows["improvement"]["b"] == 0.5

    def test_architectures_and_options_are_no_further_datasets(self):
        gains = {"three-conv": 0.02, "basset": 0.04, "deepsea": -0.01}
        parts = [
            score_table({"none": BASE, "a": BASE + gain, "b": BASE}).assign(architecture=name)
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
            score_table({"none": BASE, "a": BASE + gain + more}, dataset=f"d{k}").assign(
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

    def test_agreement_has_a_test_an_interval_and_a_margin(self):
        def agreement(trials, metric, attribution):
            seeds = trials["seed"].to_numpy(dtype=float)
            return leave_one_out(np.eye(len(trials)) + 0.01 * np.minimum.outer(seeds, seeds))

        parts = [
            score_table(
                {"none": BASE, "a": BASE}, "seed-cosine", dataset=name, references=chance(0.0)
            )
            for name in ("x", "y")
        ]
        pairs = paired_runs(pd.concat(parts, ignore_index=True), agreement, "none")
        row = compare_across(pairs, CLAIMS).iloc[0]
        assert (row["p"], row["difference"]) == (1, 0)
        assert (
            (row["ci_low"], row["ci_high"]) == (row["ci_low_alone"], row["ci_high_alone"]) == (0, 0)
        )
        assert row["margin"] == pytest.approx(0.1)
        assert row["verdict"] == "equivalent"
        # runs of an agreement share trials, and have no statistics of their own
        assert np.isnan([row["mixed_effect"], row["improvement"]]).all()

    def test_exploratory_metrics_are_left_out(self):
        table = pd.concat(
            [score_table({"none": BASE, "a": BASE}, "auprc", dataset=d) for d in ("x", "y")]
        )
        assert compare_across(paired_runs(table, no_agreement, "none"), CLAIMS).empty

    def test_ranks_are_of_the_primary_metric_of_each_task(self):
        high = score_table({"none": BASE, "a": BASE + 0.1, "b": BASE - 0.1}, dataset="x")
        low = score_table(
            {"none": BASE, "a": BASE - 0.1, "b": BASE + 0.1}, "profile-nll", dataset="y"
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


class TestSkill:
    """Profiles have a loss, of which less is better, and classes a score, of which more is."""

    def tables(self, gain, saving):
        return (
            score_table({"none": BASE, "a": BASE + gain}, references=AUROC),
            score_table(
                {"none": LOSS, "a": LOSS - saving}, "profile-nll", references=NLL, task="profile"
            ),
        )

    def test_a_gain_in_both_is_the_mean_share_of_the_way_to_perfect(self):
        row = across(*self.tables(0.05 + NOISE, 0.4 + NOISE)).loc[("prediction", "a")]
        assert (row["metric"], row["metrics"]) == (SKILL, "auroc profile-nll")
        # .05 of the .5 from chance to 1, and .4 of the 2 from chance to the least loss
        expected = ((0.05 + NOISE) / 0.5).mean() / 2 + ((0.4 + NOISE) / 2).mean() / 2
        assert row["difference"] == pytest.approx(expected)
        assert row["verdict"] == "better"
        assert 0 < row["ci_low"] < row["difference"] < row["ci_high"]
        assert 0 < row["ci_low_alone"] < row["difference"] < row["ci_high_alone"]
        assert (row["settings"], row["datasets"], row["better_in"], row["runs"]) == (2, 2, 2, 16)
        assert row["mixed_effect"] == pytest.approx(expected)
        assert row["iqm_difference"] > 0
        assert row["improvement"] > 0.5

    def test_a_gain_in_one_and_the_same_loss_in_the_other_cancel(self):
        row = across(*self.tables(0.05 + NOISE, -0.2 - 4 * NOISE)).loc[("prediction", "a")]
        assert row["difference"] == pytest.approx(0, abs=1e-12)
        assert row["verdict"] in ("inconclusive", "equivalent")
        assert row["better_in"] == 1

    def test_a_loss_in_both_is_negative_and_worse(self):
        row = across(*self.tables(-0.05 + NOISE, -0.4 + NOISE)).loc[("prediction", "a")]
        assert row["difference"] < 0
        assert row["verdict"] == "worse"
        assert row["ci_low"] < row["difference"] < row["ci_high"] < 0
        assert row["improvement"] < 0.5

    def test_the_margin_is_that_of_every_setting_in_skill(self):
        row = across(*self.tables(NOISE, NOISE)).loc[("prediction", "a")]
        margins = (0.02 * (BASE - 0.5) / 0.5, 0.02 * (8 - LOSS) / 2)
        assert row["margin"] == pytest.approx(np.mean([margin.mean() for margin in margins]))
        assert row["prob_same"] == 1

    def test_a_setting_without_a_range_is_left_out_and_leaves_no_claim_of_safety(self):
        binary, _ = self.tables(0.05 + NOISE, 0)
        unknown = score_table({"none": LOSS, "a": LOSS}, "profile-nll", task="profile")
        row = across(binary, unknown).loc[("prediction", "a")]
        assert (row["settings"], row["datasets"], row["runs"]) == (1, 1, 8)
        assert row["difference"] == pytest.approx(((0.05 + NOISE) / 0.5).mean())
        assert np.isnan([row["margin"], row["p_noninferior"], row["prob_same"]]).all()
        assert row["verdict"] == "better"

    def test_no_range_at_all_is_no_test(self):
        binary = score_table({"none": BASE, "a": BASE + 0.05})
        # what is perfect follows from the formula, and what chance scores does not
        unknown = score_table({"none": LOSS, "a": LOSS}, "profile-nll", task="profile")
        row = across(binary, unknown).loc[("prediction", "a")]
        assert (row["runs"], row["verdict"]) == (0, "")
        assert np.isnan([row["difference"], row["p"], row["ci_low"]]).all()


class TestUnits:
    def losses(self, references):
        return [
            score_table(
                {"none": LOSS, "a": LOSS - 0.4 + NOISE},
                "profile-nll",
                references=of_dataset,
                task="profile",
                dataset=name,
            )
            for name, of_dataset in zip(("x", "y"), references, strict=True)
        ]

    def test_settings_with_the_same_bounded_metric_stay_in_its_unit(self):
        gains = (0.05 + NOISE, 0.01 + NOISE)
        tables = [
            score_table({"none": BASE, "a": BASE + gain}, references=AUROC, dataset=name)
            for name, gain in zip(("x", "y"), gains, strict=True)
        ]
        row = across(*tables).loc[("prediction", "a")]
        assert (row["metric"], row["verdict"]) == ("auroc", "better")
        assert row["difference"] == pytest.approx(np.mean(gains))
        assert row["mixed_effect"] == pytest.approx(row["difference"])
        assert row["improvement"] > 0.5
        assert row["margin"] == pytest.approx(0.02 * (BASE - 0.5).mean())

    def test_settings_with_the_same_loss_are_compared_in_skill(self):
        """A nat is half of one dataset's range and a twentieth of the other's."""
        row = across(*self.losses([NLL, {"random": 26.0, "perfect": 6.0}])).loc[("prediction", "a")]
        assert (row["metric"], row["metrics"]) == (SKILL, "profile-nll")
        saved = (0.4 - NOISE).mean()
        assert row["difference"] == pytest.approx((saved / 2 + saved / 20) / 2)
        assert row["verdict"] == "better"
        assert 0 < row["ci_low"] < row["difference"] < row["ci_high"]
        margins = (0.02 * (8 - LOSS) / 2, 0.02 * (26 - LOSS) / 20)
        assert row["margin"] == pytest.approx(np.mean([margin.mean() for margin in margins]))

    @pytest.mark.parametrize("name", ["cross-entropy", "mass-enrichment"])
    def test_so_are_other_scores_without_a_bound(self, name):
        metric = METRICS[name]
        axes = {"binary": {metric.axis: name}}
        claims = DeclaredClaims(axes, attribution=MAIN)
        tables = [
            score_table({"none": BASE, "a": BASE}, name, dataset=dataset) for dataset in ("x", "y")
        ]
        row = across(*tables, claims=claims).loc[(metric.axis, "a")]
        # without a range, the unit is all that there is
        assert row["metric"] == name
        worst, best = (0.0, 9.0) if metric.higher_is_better else (9.0, 0.0)
        for floor, ceiling, unit in ((worst, best, SKILL), (best, worst, name)):
            # what chance does better than the ceiling has no range from one to the other
            references = {"random": floor, "perfect": ceiling}
            known = [
                score_table({"none": BASE, "a": BASE}, name, dataset=d, references=references)
                for d in ("x", "y")
            ]
            assert across(*known, claims=claims).loc[(metric.axis, "a")]["metric"] == unit

    def test_a_loss_without_a_range_stays_in_its_unit(self):
        row = across(*self.losses([None, None])).loc[("prediction", "a")]
        assert (row["metric"], row["verdict"]) == ("profile-nll", "better")
        assert row["difference"] == pytest.approx((-0.4 + NOISE).mean())
        # the sign is that of the metric: less of a loss is better
        assert row["ci_low"] < row["difference"] < row["ci_high"] < 0
        assert row["ci_low_alone"] < row["difference"] < row["ci_high_alone"] < 0
        assert row["mixed_effect"] == pytest.approx(row["difference"])
        assert row["improvement"] > 0.5
        assert np.isnan([row["margin"], row["p_noninferior"]]).all()

    def test_an_axis_of_one_setting_alone_has_a_row(self):
        tables = [
            score_table({"none": BASE, "a": BASE + 0.01}, references=AUROC),
            score_table({"none": BASE, "a": BASE + 0.1 + NOISE}, "motif-auprc"),
            score_table({"none": LOSS, "a": LOSS}, "profile-nll", references=NLL, task="profile"),
        ]
        rows = across(*tables)
        row = rows.loc[("localisation", "a")]
        assert (row["settings"], row["datasets"], row["runs"]) == (1, 1, 8)
        assert row["metric"] == "motif-auprc"
        assert row["difference"] == pytest.approx((0.1 + NOISE).mean())
        assert row["verdict"] == "better"
        assert row["tests"] == len(rows) == 2

    def test_every_dataset_counts_alike_whatever_its_seeds(self):
        few = np.array([0.03, 0.05, 0.04, 0.06])
        many = np.linspace(0.01, 0.02, 8)
        tables = [
            score_table({"none": BASE, "a": BASE + many}, dataset="x"),
            score_table({"none": BASE[:4], "a": BASE[:4] + few}, dataset="y", seeds=range(4)),
        ]
        row = across(*tables).loc[("prediction", "a")]
        assert row["runs"] == 12
        assert row["difference"] == pytest.approx((few.mean() + many.mean()) / 2)
        assert row["p_adjusted"] == pytest.approx(step_down_p(blocked([many, few])[None]).item())
        assert row["verdict"] == "better"
        assert row["interval"] == "joint sign-flip"
        assert row["ci_low"] <= row["ci_low_alone"] < row["difference"]
        assert row["difference"] < row["ci_high_alone"] <= row["ci_high"]

    def test_seeds_are_flipped_together_within_a_dataset(self):
        # the same differences on two axes are one test
        gains = np.array([0.03, -0.01, 0.04, 0.02, 0.05, 0.01])
        tables = [
            score_table(
                {"none": BASE[:6], "a": BASE[:6] + gains}, metric, dataset=name, seeds=range(6)
            )
            for metric in ("auroc", "motif-auprc")
            for name in ("x", "y")
        ]
        rows = across(*tables)
        expected = step_down_p(np.tile(gains, 2)[None]).item()
        assert rows["p_adjusted"].tolist() == pytest.approx([expected] * 2)
        assert rows["p_adjusted_own"].tolist() == pytest.approx([expected] * 2)
        by_holm = across(*tables, claims=replace(TWO_TASKS, correction=HOLM))
        assert by_holm["p_adjusted"].tolist() == pytest.approx((2 * rows["p"]).tolist())

    def test_the_level_is_that_of_the_look(self):
        tables = [
            score_table({"none": BASE, "a": BASE + 0.01}, dataset=name) for name in ("x", "y")
        ]
        assert across(*tables)["level"].item() == pytest.approx(0.04)
        later = across(*tables, claims=replace(TWO_TASKS, look=3))
        assert later["level"].item() == pytest.approx(0.0025)


def test_settings_that_draw_the_same_with_other_seeds_are_apart():
    """Twice as many epochs, with none of the seeds of the others: nothing can be averaged."""
    tables = [
        score_table(
            {"none": BASE, "a": BASE + gain + NOISE}, references=AUROC, task=task, seeds=seeds
        )
        for task, gain, seeds in (
            ("binary", 0.02, range(8)),
            ("binary:train_epochs=2", 0.04, range(8, 16)),
        )
    ]
    row = across(*tables).loc[("prediction", "a")]
    assert (row["settings"], row["datasets"], row["runs"]) == (2, 1, 16)
    assert row["difference"] == pytest.approx(0.03 + NOISE.mean())
    assert row["verdict"] == "better"
    assert np.isfinite(row["p_noninferior"])


def test_where_both_arms_fail_everywhere_nothing_is_known():
    nothing = [np.nan] * 8
    failed = {(prior, seed): "failed" for prior in ("none", "a") for seed in range(8)}
    scores = {"none": nothing, "a": nothing}
    parts = [
        score_table(scores, status=failed, references=chance(0.5), dataset=name)
        for name in ("x", "y")
    ]
    row = compare_across(pairs_of(*parts), CLAIMS).iloc[0]
    assert (row["verdict"], row["interval"]) == ("inconclusive", "")
    assert row["p_equivalent"] == 1
    assert np.isnan([row["ci_low"], row["ci_low_alone"]]).all()
