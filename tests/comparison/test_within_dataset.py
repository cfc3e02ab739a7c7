"""Comparisons made of scores: families, failures, margins, verdicts, and planned seeds."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from fixtures.score_tables import BASE, CLAIMS, SEEDS, chance, no_agreement, score_table

from priorbench.comparison.correction_families import (
    CORRECTIONS_IN_WORDS,
    families,
)
from priorbench.comparison.paired_runs import paired_runs
from priorbench.comparison.seeds_needed import plan_seeds
from priorbench.comparison.within_dataset import COMPARISON_COLUMNS, compare
from priorbench.statistics.agreement import leave_one_out
from priorbench.statistics.families.joint import simultaneous_intervals
from priorbench.statistics.families.multiplicity import CORRECTIONS, HOLM
from priorbench.statistics.signflip import sign_flip_bounds
from priorbench.study.declared import ALL

HOLM_CLAIMS = replace(CLAIMS, correction=HOLM)


def by_prior(table, claims=CLAIMS):
    return compare(table, no_agreement, claims).set_index("prior")


class TestCorrection:
    mixed = np.array([1, 1, 1, 1, 1, 1, -1, -1]) * np.linspace(0.01, 0.02, 8)
    table = score_table({"none": BASE, "a": BASE + 0.01, "b": BASE - 0.01, "c": BASE + mixed})

    def test_three_priors_cost_nothing_of_a_clear_difference(self):
        rows = by_prior(self.table)
        assert rows["p"].tolist()[:2] == [2 / 256, 2 / 256]
        assert rows["p_adjusted"].tolist()[:2] == [2 / 256, 2 / 256]
        assert rows["p_adjusted"]["c"] == pytest.approx(rows["p"]["c"])
        assert rows["verdict"].tolist() == ["better", "worse", "inconclusive"]
        assert set(rows["correction"]) == {"joint"}
        assert rows["level"].tolist() == pytest.approx([0.04] * 3)

    def test_holm_is_used_where_it_was_declared(self):
        rows = by_prior(self.table, HOLM_CLAIMS)
        assert rows["p_adjusted"].tolist() == pytest.approx([6 / 256, 6 / 256, rows["p"]["c"]])
        assert rows["p_adjusted_own"].tolist() == rows["p"].tolist()
        assert rows["verdict"].tolist() == ["better", "worse", "inconclusive"]
        assert set(rows["correction"]) == {"holm"}

    def test_a_later_look_has_a_stricter_level(self):
        rows = by_prior(self.table, replace(CLAIMS, look=2))
        assert rows["level"].tolist() == pytest.approx([0.005] * 3)
        assert (rows["verdict"] == "inconclusive").all()  # 2 / 256 is above it

    def test_the_interval_is_corrected_and_that_of_the_prior_alone_is_beside_it(self):
        rows = by_prior(self.table)
        low, high = sign_flip_bounds(self.mixed, 0.05)
        assert (rows["ci_low_alone"]["c"], rows["ci_high_alone"]["c"]) == pytest.approx((low, high))
        differences = np.stack([np.full(8, 0.01), np.full(8, -0.01), self.mixed])
        joint = simultaneous_intervals(differences, 0.04)[2]
        assert (rows["ci_low"]["c"], rows["ci_high"]["c"]) == pytest.approx((joint.low, joint.high))
        assert rows["interval"]["c"] == "joint sign-flip"
        for prior, sign in (("a", 1), ("b", -1)):
            ends = [sign * rows[end][prior] for end in ("ci_low", "ci_high")]
            assert ends == pytest.approx([0.01, 0.01])

    def test_the_interval_of_a_loss_is_in_units_of_the_metric(self):
        noise = np.array([1, -2, 3, -1, 2, -3, 1, 2]) * 1e-3
        scores = {"none": BASE, "a": BASE - 0.01 + noise}
        row = by_prior(score_table(scores, "cross-entropy")).loc["a"]
        assert row["verdict"] == "better"
        assert row["ci_low"] < row["difference"] < row["ci_high"] < 0
        assert row["ci_low"] <= row["ci_low_alone"] < row["ci_high_alone"] < 0


def test_lower_may_be_better():
    rows = by_prior(score_table({"none": BASE, "a": BASE - 0.01}, "cross-entropy"))
    assert rows["verdict"]["a"] == "better"


def counted_seeds(*arguments, **options):
    rows = by_prior(score_table(*arguments, **options))
    return rows[["seeds_better", "seeds_worse"]].to_dict("index")


def test_seeds_on_which_a_prior_is_better_and_worse_are_counted():
    mixed = np.array([1, 1, 1, 1, 1, 1, -1, 0]) * 0.01
    scores = {"none": BASE, "a": BASE + mixed, "b": BASE + 1e-16}
    counts = counted_seeds(scores)
    assert counts["a"] == {"seeds_better": 6, "seeds_worse": 1}
    assert counts["b"] == {"seeds_better": 0, "seeds_worse": 0}  # nothing but rounding
    assert counted_seeds(scores, "cross-entropy")["a"] == {"seeds_better": 1, "seeds_worse": 6}
    assert counted_seeds(scores, "high-frequency")["a"] == {"seeds_better": 6, "seeds_worse": 1}
    # one that failed counts as it does in the mean
    failed = {("a", 0): "failed"}
    counts = counted_seeds(scores, status=failed, references=chance(0.1))
    assert counts["a"] == {"seeds_better": 5, "seeds_worse": 2}


def test_seeds_that_gain_and_lose_more_than_the_margin_are_counted():
    gains = np.array([3, 3, 0.2, 0.2, -0.2, -0.2, -3, 0]) * 0.01
    scores, columns = {"none": BASE, "a": BASE + gains}, ["seeds_gaining", "seeds_losing"]
    rows = by_prior(score_table(scores))
    assert rows["margin"]["a"] == pytest.approx(0.005)
    assert rows[columns].loc["a"].tolist() == [2, 1]
    # lower is better there; without a score by chance there is no margin
    rows = by_prior(score_table(scores, "cross-entropy", references=chance(0.1)))
    assert (rows["margin"]["a"], *rows[columns].loc["a"]) == (0, 3, 4)
    for metric in ("cross-entropy", "high-frequency"):
        assert by_prior(score_table(scores, metric))[columns].isna().all(axis=None)
    failed = {("a", 0): "failed"}
    rows = by_prior(score_table(scores, status=failed, references=chance(0.1)))
    assert rows[columns].loc["a"].tolist() == [1, 2]


def test_shown_metrics_are_not_judged():
    table = score_table({"none": BASE, "a": BASE - 0.1}, "high-frequency")
    rows = by_prior(table)
    assert rows["verdict"]["a"] == ""
    assert np.isnan(rows["p_adjusted"]["a"])
    assert rows["difference"]["a"] == pytest.approx(-0.1)


def test_failed_trials_count_as_chance():
    failed = {("a", seed): "failed" for seed in SEEDS}
    scores = {"none": BASE, "a": [np.nan] * 8, "b": BASE + 0.01}
    rows = by_prior(score_table(scores, status=failed, references=chance(0.5)))
    assert rows["mean_prior"]["a"] == 0.5
    assert rows["verdict"]["a"] == "worse"
    assert rows["n"].tolist() == [8, 8]
    assert rows["p"]["b"] == 2 / 256


def test_a_priors_own_numbers_do_not_depend_on_who_else_is_there():
    loss = np.full(8, 0.3) + np.linspace(0, 0.01, 8)
    failed = {("a", 3): "failed"}
    scores = {"none": loss, "a": np.where(np.arange(8) == 3, np.nan, loss - 0.02)}
    alone = by_prior(score_table(scores, "cross-entropy", status=failed))
    diverged = {**scores, "c": np.where(np.arange(8) == 0, 40.0, loss)}
    together = by_prior(score_table(diverged, "cross-entropy", status=failed))
    columns = ["mean_baseline", "mean_prior", "difference", "ci_low_alone", "ci_high_alone", "p"]
    columns += ["p_adjusted_own"]
    assert together.loc["a", columns].tolist() == alone.loc["a", columns].tolist()
    assert alone["difference"]["a"] == pytest.approx((-0.02 * 7 + loss[7] - loss[3]) / 8)


class TestBothArmsFail:
    def failing(self, seeds):
        return {(prior, seed): "failed" for prior in ("none", "a") for seed in seeds}

    def test_always_is_no_equivalence(self):
        nothing = [np.nan] * 8
        table = score_table(
            {"none": nothing, "a": nothing}, status=self.failing(SEEDS), references=chance(0.5)
        )
        row = by_prior(table).loc["a"]
        assert row["verdict"] == "inconclusive"
        assert (row["difference"], row["p_equivalent"], row["p_noninferior"]) == (0, 1, 1)
        assert np.isnan([row["ci_low"], row["ci_high"], row["detectable"]]).all()
        assert (row["interval"], row["both_failed"]) == ("", 8)

    def test_often_leaves_what_the_others_show(self):
        most = np.arange(8) < 6
        base = np.where(most, np.nan, BASE)
        table = score_table(
            {"none": base, "a": base}, status=self.failing(range(6)), references=chance(0.5)
        )
        row = by_prior(table).loc["a"]
        # two seeds say that nothing is lost: p can be no smaller than 1 / 4
        assert (row["p_noninferior"], row["p_equivalent"]) == (1 / 4, 1 / 4)
        assert row["verdict"] == "inconclusive"
        assert row["margin"] == 0.005

    def test_one_arm_failing_is_a_loss(self):
        table = score_table(
            {"none": BASE, "a": [np.nan] * 8}, status=self.failing([]), references=chance(0.5)
        )
        assert by_prior(table)["both_failed"]["a"] == 0


def test_undefined_values_cost_their_own_pairs_only():
    holes = np.where(np.arange(8) < 3, np.nan, BASE)
    table = score_table({"none": BASE, "a": holes, "b": BASE}, "high-frequency")
    assert by_prior(table)["n"].tolist() == [5, 8]


def test_measured_prices_count_as_measured():
    collapsed = {("none", 0): "collapsed"}
    scores = {"none": np.ones(8), "a": np.full(8, 2.0)}
    table = score_table(scores, "step-time-ratio", status=collapsed)
    assert by_prior(table)["mean_baseline"]["a"] == 1


def test_agreement_is_computed_in_each_arm():
    calls = []

    def agreement(trials, metric, attribution):
        calls.append((metric.name, trials["trial"].tolist()))
        return np.where(trials["prior"] == "a", 0.1, 0.0)

    table = score_table({"none": BASE, "a": BASE}, "seed-cosine")
    row = compare(table, agreement, CLAIMS).iloc[0]
    expected = [[f"{prior}{seed}" for seed in SEEDS] for prior in ("none", "a")]
    assert calls == [("seed-cosine", trials) for trials in expected]
    assert (row["mean_baseline"], row["mean_prior"]) == pytest.approx((0, 0.1))
    assert row["difference"] == pytest.approx(0.1)
    assert row["verdict"] == "better"


def test_agreement_of_two_seeds_has_a_difference_and_no_test():
    def agreement(trials, metric, attribution):
        return np.where(trials["prior"] == "a", 0.9, 0.4)

    table = score_table({"none": BASE, "a": BASE}, "seed-cosine")
    row = compare(table[table["seed"] < 2], agreement, CLAIMS).iloc[0]
    assert row["difference"] == pytest.approx(0.5)
    assert np.isnan([row["p"], row["p_t"], row["smallest_p"], row["ci_low"]]).all()
    assert row["test"] == row["verdict"] == ""


def test_one_seed_has_a_difference_and_no_test():
    table = score_table({"none": BASE, "a": BASE + 0.1})
    row = compare(table[table["seed"] == 0], no_agreement, CLAIMS).iloc[0]
    assert row["difference"] == pytest.approx(0.1)
    assert np.isnan(row["p"])
    assert row["verdict"] == row["test"] == ""
    assert row["missing"] == ""


def test_unpaired_seeds_are_named():
    table = score_table({"none": BASE, "a": BASE + 0.1})
    rows = compare(table[(table["prior"] == "none") | (table["seed"] < 6)], no_agreement, CLAIMS)
    assert rows["n"].item() == 6
    assert rows["missing"].item() == "6 7"


def test_a_finished_trial_without_a_score_counts_as_failed():
    holes = np.where(np.arange(8) < 1, np.nan, BASE)
    rows = by_prior(score_table({"none": BASE, "a": holes}, references=chance(0.5)))
    assert rows["n"]["a"] == 8
    assert rows["difference"]["a"] == pytest.approx((0.5 - BASE[0]) / 8)


def test_tuning_trials_are_not_compared():
    table = score_table({"none": BASE, "a": BASE})
    tuned = score_table({"none": BASE - 0.5, "a": BASE + 0.5}).assign(stage="tune")
    rows = by_prior(pd.concat([table, tuned], ignore_index=True))
    assert rows["difference"]["a"] == 0
    assert rows["n"]["a"] == 8


class TestFamilies:
    metrics = ("auroc", "motif-auprc", "auprc", "motif-auroc", "entropy", "step-time-ratio")
    table = pd.concat(
        [
            score_table({"none": BASE, "a": BASE + 0.01, "b": BASE + 0.001}, metric)
            for metric in metrics
        ],
        ignore_index=True,
    )

    def rows(self, claims=CLAIMS):
        return compare(self.table, no_agreement, claims).set_index(["metric", "prior"])

    def test_primary_metrics_are_corrected_together(self):
        rows = self.rows()
        assert rows.loc["auroc", "tests"].tolist() == [4, 4]
        assert rows.loc[("auroc", "a"), "p_adjusted"] == 2 / 256
        assert rows.loc[("auroc", "a"), "correction"] == "joint"
        assert self.rows(HOLM_CLAIMS).loc[("auroc", "a"), "p_adjusted"] == 4 * 2 / 256

    def test_the_rest_is_exploratory(self):
        rows = self.rows()
        assert rows.loc[("auprc", "a"), "family"] == "exploratory"
        assert rows.loc[("auprc", "a"), "correction"] == "benjamini-hochberg"
        # all four are as small as they can be
        assert rows.loc[("auprc", "a"), "tests"] == 4
        assert rows.loc[("auprc", "a"), "p_adjusted"] == pytest.approx(2 / 256)

    @pytest.mark.parametrize("metric", ["entropy", "step-time-ratio"])
    def test_costs_and_what_priors_optimise_are_described_and_not_tested(self, metric):
        row = self.rows().loc[(metric, "a")]
        assert row["family"] == row["verdict"] == row["correction"] == ""
        assert np.isnan([row["p_adjusted"], row["p_adjusted_own"], row["level"]]).all()
        assert row["difference"] == pytest.approx(0.01)
        assert row["ci_low"] == row["ci_low_alone"] == pytest.approx(0.01)

    def test_another_attribution_is_exploratory(self):
        table = score_table({"none": BASE, "a": BASE}, "motif-auprc")
        rows = compare(table.assign(attribution="gradient"), no_agreement, CLAIMS)
        assert rows["family"].item() == "exploratory"

    def test_a_metric_whose_claim_was_changed_is_exploratory(self):
        changed = replace(CLAIMS, changed={"auroc": "its margin"})
        rows = self.rows(changed)
        assert rows.loc[("auroc", "a"), "family"] == "exploratory"
        assert rows.loc[("motif-auprc", "a"), "family"] == "primary"
        assert rows.loc[("motif-auprc", "a"), "tests"] == 2
        everything = self.rows(replace(CLAIMS, changed={ALL: "the baseline"}))
        assert set(everything["family"]) == {"exploratory", ""}

    def test_sentences_say_how_many_and_how(self):
        primary, exploratory = families(compare(self.table, no_agreement, CLAIMS))
        assert "4 tests of a difference and 2 against a margin" in primary.sentence
        assert "joint sign flips of whole seeds" in primary.sentence
        assert "auroc, motif-auprc of 2 priors" in primary.sentence
        assert "Benjamini and Hochberg" in exploratory.sentence
        by_holm, _ = families(compare(self.table, no_agreement, HOLM_CLAIMS))
        assert "Holm" in by_holm.sentence

    def test_every_correction_has_words(self):
        assert set(CORRECTIONS_IN_WORDS) == set(CORRECTIONS)


class TestMargins:
    noise = np.array([1, -1, 1, -1, 1, -1, 1, -1]) * 1e-4

    def test_no_difference_is_equivalent(self):
        rows = by_prior(score_table({"none": BASE, "a": BASE + self.noise}))
        assert rows["verdict"]["a"] == "equivalent"
        assert rows["margin"]["a"] == 0.005
        assert rows["p_noninferior"]["a"] == 1 / 256

    def test_a_possible_gain_is_noninferior(self):
        gain = np.array([0.02, -0.001, 0.02, -0.002, -0.001, -0.003, 0.01, -0.001])
        rows = by_prior(score_table({"none": BASE, "a": BASE + gain}))
        assert rows["verdict"]["a"] == "non-inferior"

    def test_predictions_have_a_share_of_the_gain_over_chance(self):
        loss = 0.3 + 0.01 * BASE
        moved = loss + self.noise  # a loss of .3 to .69, of which the margin is a fiftieth
        table = score_table({"none": loss, "a": moved}, "cross-entropy", references=chance(0.69))
        claims = replace(CLAIMS, primary={"binary": {"prediction": "cross-entropy"}})
        rows = by_prior(table, claims)
        assert rows["margin"]["a"] == pytest.approx(0.02 * (0.69 - loss).mean())
        assert rows["skill_margin"]["a"] == pytest.approx(0.02 * (0.69 - loss).mean() / 0.69)
        assert rows["verdict"]["a"] == "equivalent"

    def test_other_axes_have_a_share_of_the_range(self):
        ends = {"random": 0.2, "oracle": 0.9}
        scores = {"none": BASE, "a": BASE + self.noise}
        rows = by_prior(score_table(scores, "motif-auprc", references=ends))
        assert rows["margin"]["a"] == pytest.approx(0.1 * (0.9 - 0.2))
        assert rows["skill_margin"]["a"] == pytest.approx(0.1)
        assert rows["verdict"]["a"] == "equivalent"

    def test_gains_are_shares_of_the_range_in_the_good_direction(self):
        table = score_table(
            {"none": BASE, "a": BASE - 0.02}, "cross-entropy", references=chance(1.0)
        )
        rows = by_prior(table)
        assert rows["difference"]["a"] == pytest.approx(-0.02)
        assert rows["skill_gain"]["a"] == pytest.approx(0.02)

    def test_without_a_range_there_is_none(self):
        rows = by_prior(score_table({"none": BASE, "a": BASE}, "auprc"))
        assert np.isnan(
            rows.loc["a", ["margin", "skill_margin", "p_noninferior"]].astype(float)
        ).all()
        assert np.isnan(rows.loc["a", ["prob_better", "prob_same"]].astype(float)).all()
        assert rows["verdict"]["a"] == "inconclusive"

    def test_agreement_has_a_margin_and_an_interval(self):
        def agreement(trials, metric, attribution):
            seeds = trials["seed"].to_numpy(dtype=float)
            return leave_one_out(np.eye(len(trials)) + 0.01 * np.minimum.outer(seeds, seeds))

        ends = {"random": 0.0, "oracle": 1.0}
        table = score_table({"none": BASE, "a": BASE}, "seed-cosine", references=ends)
        row = compare(table, agreement, CLAIMS).iloc[0]
        assert row["margin"] == pytest.approx(0.1)
        assert (row["ci_low"], row["ci_high"]) == (0, 0)
        assert row["p_noninferior"] == 1 / 256
        assert row["verdict"] == "equivalent"

    def test_a_graded_answer_stands_beside_the_verdict(self):
        rows = by_prior(score_table({"none": BASE, "a": BASE + self.noise, "b": BASE - 0.02}))
        columns = ["prob_better", "prob_same", "prob_worse"]
        assert rows.loc["a", columns].tolist() == [0, 1, 0]
        assert rows.loc["b", columns].tolist() == [0, 0, 1]


@pytest.mark.parametrize("claims", [CLAIMS, HOLM_CLAIMS])
def test_seeds_are_planned_alone_and_in_the_family(claims):
    generator = np.random.default_rng(0)
    table = score_table({"none": BASE, "a": BASE + generator.normal(0.005, 0.01, 8), "b": BASE})
    pairs = paired_runs(table[table["prior"] != "b"], no_agreement, "none")
    family = families(compare(table, no_agreement, claims))[0]
    seeds = plan_seeds(pairs, claims, {pairs[0].setting: family}, 0.01)
    rows = {(row.claim, row.tests): row for row in seeds.itertuples()}
    assert set(rows) == {
        ("difference", 1),
        ("difference", 2),
        ("non-inferiority", 1),
        ("non-inferiority", 2),
    }
    alone, corrected = rows["difference", 1], rows["difference", 2]
    assert alone.seeds_80 <= corrected.seeds_80 < corrected.seeds_95
    assert alone.visible < corrected.visible
    assert alone.seeds_80 < alone.cautious_80 < corrected.cautious_80
    assert rows["non-inferiority", 1].effect == 0.005
    # no difference and no spread: no number of seeds shows anything
    same = paired_runs(table[table["prior"] != "a"], no_agreement, "none")
    nothing = next(plan_seeds(same, claims, {same[0].setting: family}, None).itertuples())
    assert (nothing.spread, nothing.effect) == (0, 0)
    assert np.isnan(nothing.seeds_80)


def test_columns_of_the_design_come_first():
    assert COMPARISON_COLUMNS[:3] == ["task", "dataset", "architecture"]
    first = {"n", "ci_low", "effect_size", "p_adjusted", "test", "verdict"}
    assert first <= set(COMPARISON_COLUMNS[:19])
