"""Cases in which an earlier version of the answer misled its readers, each by its numbers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from fixtures.result_tables import (
    CLAIMS,
    PRIMARY,
    answer_to,
    comparisons_of,
    moved,
    no_agreement,
    result_table,
)

from priorbench.answer.network_check import network_sentences
from priorbench.answer.plan_reach import plan_lines
from priorbench.answer.standing import ADVISED, OPEN, PROVISIONAL, TRADE_OFF
from priorbench.comparison.paired_runs import paired_runs
from priorbench.comparison.within_dataset import compare_pairs
from priorbench.metrics.stability import corrected_cosine_agreement, cosine_agreement
from priorbench.statistics.families.joint import step_down_p
from priorbench.statistics.families.looks import level_of_look
from priorbench.statistics.signflip import sign_flip_p
from priorbench.study.declared import ALL, claims_of
from priorbench.study.sealed_claims import checked_claims, seal_claims
from priorbench.study.study import Study

FOUR = {**PRIMARY, "stability": "seed-cosine-corrected"}
PRIORS = ("fourier", "tv", "l1", "l2", "dropout")


def level(mean, count, spread=0.01):
    return moved(np.full(count, mean), 0.0, spread, seed=99)


def only(answer):
    (setting,) = answer.settings
    return setting.advice


def standing(advice, prior):
    return next(s for s in advice.standings if s.prior == prior)


class TestTheDefaultRunConcludes:
    def test_five_seeds_warn_and_name_a_number_that_can(self):
        claims = replace(CLAIMS, primary={"binary": FOUR})
        (line,) = plan_lines(5, 5, claims)
        assert line.startswith("warning: With 5 seeds")
        assert "smallest adjusted p is .063" in line
        assert "--seeds 8" in line
        assert Study().seed_list == list(range(8))
        (line,) = plan_lines(8, 5, claims, spreads={"auroc": 0.005})
        assert "smallest adjusted p .008 at a level of .04" in line
        assert "auroc 0.011" in line

    @pytest.mark.parametrize("priors", [PRIORS, ("fourier", "tv")])
    def test_eight_seeds_with_an_effect_of_nine_deviations(self, priors):
        base = {metric: level(0.7, 8) for metric in PRIMARY.values()}
        scores = {
            metric: {"none": values} | {p: moved(values, 0, 0.01, i) for i, p in enumerate(priors)}
            for metric, values in base.items()
        }
        scores["motif-auprc"][priors[0]] = moved(base["motif-auprc"], 0.09, 0.01)
        rows = comparisons_of(result_table(scores)).set_index(["prior", "metric"])
        found = rows.loc[(priors[0], "motif-auprc")]
        assert found["effect_size"] == pytest.approx(9)
        assert (found["p_adjusted"], found["verdict"]) == (2 / 2**8, "better")

    def test_a_lead_is_listed_whatever_its_verdict(self):
        """Every seed the same way, too few for the family, and non-inferior."""
        rng = np.random.default_rng(3)
        base = level(0.9, 6)
        gain = np.array([0.001, 0.001, 0.002, 0.004, 0.02, 0.032])
        scores = {"auroc": {"none": base, "dropout": base + gain}}
        for metric in ("motif-auprc", "mutagenesis-correlation"):
            scores[metric] = {"none": level(0.5, 6), "dropout": level(0.5, 6)}
        for prior in ("tv", "l1", "l2"):
            for of_prior in scores.values():
                of_prior[prior] = of_prior["none"] + rng.normal(0, 0.02, 6)
        answer = answer_to(result_table(scores))
        result = standing(only(answer), "dropout").results[0]
        assert result.p_raw == 2 / 2**6
        assert result.p > only(answer).level
        assert result.verdict == "non-inferior"
        leads = [line for line in answer.lines if line.startswith("Leads, not findings")]
        assert "`dropout` auroc +0.010" in leads[0]


def trade_off(seeds, faithfulness, useless=0, *, spread=0.01):
    """A prior that localises better and is less faithful, and others that do nothing."""
    before, after = faithfulness
    scores = {
        "auroc": {"none": level(0.9, seeds), "tv": moved(level(0.9, seeds), 0.001, 0.001)},
        "motif-auprc": {"none": level(0.4, seeds), "tv": moved(level(0.4, seeds), 0.2, 0.01)},
        "mutagenesis-correlation": {
            "none": level(before, seeds),
            "tv": moved(level(before, seeds), after - before, spread),
        },
    }
    for i in range(useless):
        for of_prior in scores.values():
            of_prior[f"useless{i}"] = moved(of_prior["none"], 0.0, 0.02, seed=100 + i)
    return scores


class TestSafetyIsShown:
    def test_a_loss_without_a_verdict_is_no_safety(self):
        """Faithfulness from .90 to .68 in all of six seeds: raw p .031."""
        scores = trade_off(6, (0.90, 0.68), useless=2, spread=0.15)
        advice = only(answer := answer_to(result_table(scores)))
        result = standing(advice, "tv").results[2]
        assert result.p_raw == pytest.approx(2 / 2**6)
        assert standing(advice, "tv").gains
        assert standing(advice, "tv").kind == TRADE_OFF
        assert (advice.prior, advice.basis) == ("none", TRADE_OFF)
        assert any("mutagenesis-correlation −0.220" in line for line in answer.lines)

    @pytest.mark.parametrize("useless", [0, 2, 5])
    def test_useless_priors_make_no_advice(self, useless):
        """Twelve seeds, faithfulness from .90 to .45, raw p .0039."""
        scores = trade_off(12, (0.90, 0.45), useless, spread=0.42)
        rows = comparisons_of(result_table(scores)).set_index(["prior", "metric"])
        assert rows.loc[("tv", "mutagenesis-correlation"), "p"] < 0.01
        advice = only(answer_to(result_table(scores)))
        assert standing(advice, "tv").kind == TRADE_OFF
        assert advice.prior == "none"

    def test_provisional_advice_excludes_an_estimated_loss(self):
        """auROC from .899 to .724 in five seeds, p .0625."""
        scores = trade_off(5, (0.9, 0.9))
        scores["auroc"] = {"none": level(0.899, 5), "tv": moved(level(0.899, 5), -0.175, 0.06)}
        advice = only(answer_to(result_table(scores)))
        assert standing(advice, "tv").kind not in (ADVISED, PROVISIONAL)
        # and the same where eight seeds show the gain
        scores = trade_off(8, (0.9, 0.9))
        scores["auroc"] = {"none": level(0.899, 8), "tv": moved(level(0.899, 8), -0.175, 0.3)}
        advice = only(answer_to(result_table(scores)))
        assert standing(advice, "tv").gains
        assert standing(advice, "tv").kind == TRADE_OFF

    def test_the_sentences_name_every_estimated_loss(self):
        scores = trade_off(10, (0.9, 0.895), spread=0.002)
        answer = answer_to(result_table(scores))
        assert (only(answer).prior, only(answer).basis) == ("tv", ADVISED)
        assert (
            "It is worse, by less than the margin, on faithfulness (mutagenesis-correlation "
            "−0.005, margin 0.100)."
        ) in answer.lines
        scores["auroc"]["tv"] = moved(level(0.9, 10), -0.001, 0.005)
        (line,) = (line for line in answer_to(result_table(scores)).lines if "estimated" in line)
        assert "auroc −0.001" in line
        assert "mutagenesis" not in line

    def test_a_harmful_prior_is_named_beside_the_advised_one(self):
        scores = trade_off(10, (0.9, 0.9))
        for of_prior in scores.values():
            of_prior["l1"] = moved(of_prior["none"], -0.3, 0.01, seed=5)
        answer = answer_to(result_table(scores))
        assert only(answer).prior == "tv"
        (line,) = (text for text in answer.lines if text.startswith("Worse, and better on"))
        assert "`l1` on prediction (auroc −0.300" in line


class TestTasksMeetOnTheirAxes:
    def tables(self, binary=(0.90, 0.84), profile=(100.0, 120.0)):
        one = trade_off(8, (0.9, 0.9))
        one["auroc"] = {
            "none": level(binary[0], 8),
            "tv": moved(level(binary[0], 8), binary[1] - binary[0], 0.005),
        }
        other = trade_off(8, (0.9, 0.9))
        del other["auroc"]
        other["profile-nll"] = {
            "none": level(profile[0], 8, 1.0),
            "tv": moved(level(profile[0], 8, 1.0), profile[1] - profile[0], 2.0),
        }
        return pd.concat(
            [result_table(one), result_table(other, task="profile")], ignore_index=True
        )

    def test_prediction_is_compared_in_skill(self):
        answer = answer_to(self.tables())
        advice = answer.together.advice
        (result,) = (r for r in standing(advice, "tv").results if r.axis == "prediction")
        # 6 of 50 points of auROC, 20 of 70 nats
        assert result.metric == "skill"
        assert result.gain == pytest.approx(-(0.06 / 0.5 + 20 / 70) / 2)
        assert standing(advice, "tv").kind == TRADE_OFF
        assert not any("was not asked" in line for line in answer.lines)

    def test_a_loss_in_one_setting_is_one_for_the_whole(self):
        """Much better profiles do not pay for worse classes."""
        answer = answer_to(self.tables(profile=(100.0, 80.0)))
        tv = standing(answer.together.advice, "tv")
        assert tv.kind == TRADE_OFF
        assert [(r.axis, r.setting) for r in tv.lost_in] == [
            ("prediction", "binary · simulated · three-conv")
        ]


def test_every_arm_has_its_own_number_of_seeds():
    many, few = trade_off(16, (0.9, 0.9)), trade_off(8, (0.9, 0.9))
    scores = {metric: {**many[metric], "l1": few[metric]["tv"]} for metric in many}
    answer = answer_to(result_table(scores))
    advice = only(answer)
    assert [standing(advice, prior).n for prior in ("tv", "l1")] == [16, 8]
    assert any("`tv` 16, `l1` 8" in line for line in answer.lines)


def test_stability_is_corrected_for_chance():
    """Agreement of the same and of different sequences: none, l2 and dropout of the default run."""
    rng = np.random.default_rng(0)

    def arm(same, other):
        shared = rng.standard_normal(400)
        own = rng.standard_normal((200, 400))
        return [
            (
                np.sqrt(other) * shared
                + np.sqrt(same - other) * own
                + np.sqrt(1 - same) * rng.standard_normal((200, 400))
            ).astype(np.float32)
            for _ in range(4)
        ]

    pairs = np.triu_indices(4, 1)
    raw, corrected = {}, {}
    for name, same, other in (
        ("none", 0.394, 0.053),
        ("l2", 0.550, 0.004),
        ("dropout", 0.652, 0.184),
    ):
        tracks = arm(same, other)
        raw[name] = cosine_agreement(tracks)[pairs].mean()
        corrected[name] = corrected_cosine_agreement(tracks)[pairs].mean()
        assert raw[name] == pytest.approx(same, abs=0.02)
        assert corrected[name] == pytest.approx(same - other, abs=0.02)
    assert max(raw, key=raw.__getitem__) == "dropout"
    assert max(corrected, key=corrected.__getitem__) == "l2"


class TestClaimsAreSealed:
    def scores(self):
        return trade_off(8, (0.9, 0.9))

    def test_a_margin_that_was_edited_makes_no_verdict(self, tmp_path):
        seal_claims(tmp_path, CLAIMS)
        edited = replace(CLAIMS, margins={"auroc": 0.3})
        claims = checked_claims(tmp_path, edited)
        assert list(claims.changed) == ["auroc"]
        rows = comparisons_of(result_table(self.scores()), claims).set_index("metric")
        assert rows["family"].to_dict() == {
            "auroc": "exploratory",
            "motif-auprc": "primary",
            "mutagenesis-correlation": "primary",
        }
        answer = answer_to(result_table(self.scores()), claims)
        assert (
            "the margin of auroc that was declared is none, and here it is 0.3" in (answer.notes[0])
        )

    def test_another_baseline_was_not_declared(self):
        study = Study(attributions=["input-x-gradient"]).model_dump(mode="json")
        claims = replace(claims_of(study, "tv"), primary=CLAIMS.primary)
        assert ALL in claims.changed
        rows = comparisons_of(result_table(self.scores()), claims)
        assert set(rows["family"]) == {"exploratory"}


def test_costs_are_in_no_family():
    scores = trade_off(8, (0.9, 0.9))
    with_cost = {**scores, "step-time-ratio": {"none": np.ones(8), "tv": np.full(8, 1.9)}}
    more = {**scores, "auprc": {"none": level(0.8, 8), "tv": moved(level(0.8, 8), 0.01, 0.02)}}
    rows = comparisons_of(result_table(with_cost)).set_index("metric")
    assert (rows.loc["step-time-ratio", "family"], rows.loc["step-time-ratio", "verdict"]) == (
        "",
        "",
    )
    alone = comparisons_of(result_table(more)).set_index("metric").loc["auprc", "p_adjusted"]
    both = comparisons_of(result_table({**more, **with_cost})).set_index("metric")
    assert both.loc["auprc", "p_adjusted"] == alone


@pytest.mark.parametrize("correction", ["joint", "holm"])
@pytest.mark.parametrize("seed", range(6))
def test_an_interval_never_contradicts_its_verdict(seed, correction):
    rng = np.random.default_rng(seed)
    scores = {
        metric: {
            prior: rng.normal(0.5 + rng.choice([0, 0, 0.05]), 0.03, 12)
            for prior in ("none", *PRIORS)
        }
        for metric in (*PRIMARY.values(), "auprc", "motif-auroc", "rank-accuracy")
    }
    rows = comparisons_of(result_table(scores), replace(CLAIMS, correction=correction))
    judged = rows[rows["verdict"] != ""].dropna(subset=["ci_low"])
    assert len(judged)
    better, worse = judged["verdict"] == "better", judged["verdict"] == "worse"
    assert (judged.loc[better, "ci_low"] >= 0).all()
    assert (judged.loc[worse, "ci_high"] <= 0).all()
    rest = judged[~better & ~worse]
    assert ((rest["ci_low"] <= 0) & (rest["ci_high"] >= 0)).all()


def test_margins_are_the_same_share_of_skill():
    """Two per cent of the baseline's gain: of .40 in auROC, and of 30 nats."""
    one = trade_off(8, (0.9, 0.9))
    binary = comparisons_of(result_table(one)).set_index("metric")
    assert binary.loc["auroc", "margin"] == pytest.approx(0.02 * 0.4)
    nll = {"profile-nll": {"none": level(100.0, 8, 1.0), "tv": level(101.0, 8, 1.0)}}
    profile = comparisons_of(result_table(nll, task="profile")).set_index("metric")
    assert profile.loc["profile-nll", "margin"] == pytest.approx(0.02 * 30)
    assert binary.loc["motif-auprc", "margin"] == pytest.approx(0.1 * 0.9)


def test_looks_do_not_add_up_to_false_verdicts():
    """Seeds are added after looks at 8, 10, 12, 16 and 20; nothing differs."""
    rng = np.random.default_rng(0)
    counts, studies = (8, 10, 12, 16, 20), 120
    spent, unspent = 0, 0
    for _ in range(studies):
        scores = rng.standard_normal((3, 4, 20))
        gains = (scores[1:] - scores[:1]).reshape(8, 20)
        smallest = [np.nanmin(step_down_p(gains[:, :n])) for n in counts]
        spent += any(p <= level_of_look(k) for k, p in enumerate(smallest, 1))
        unspent += any(p <= 0.05 for p in smallest)
    assert spent / studies <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / studies)
    assert unspent > 1.5 * spent


class TestTheNetworkIsAsked:
    @pytest.mark.parametrize(("network", "kmers"), [(0.930, 0.978), (0.898, 0.945)])
    def test_the_answer_begins_with_a_network_that_needs_no_explaining(self, network, kmers):
        scores = trade_off(8, (0.9, 0.9))
        scores["auroc"]["none"] = level(network, 8)
        references = {
            "gapped-kmers": {"auroc": kmers, "motif-auprc": 0.82},
        }
        table = result_table(scores, references=references)
        networks = network_sentences(table, {}, CLAIMS, ())
        answer = answer_to(table, networks=networks)
        first = answer.lines[0]
        assert f"{network:.3f}".lstrip("0") in first
        assert f"{kmers:.3f}".lstrip("0") in first
        assert any(".82" in line for line in answer.settings[0].network)


def test_pairs_are_of_results_alone():
    """The path from results to comparisons needs no run directory."""
    table = result_table(trade_off(8, (0.9, 0.9)))
    rows = compare_pairs(paired_runs(table, no_agreement, "none"), CLAIMS)
    p = rows.set_index("metric")["p"]
    base, prior = (
        table.query("metric == 'motif-auprc' and prior == @name and stage == 'evaluate'")[
            "value"
        ].to_numpy()
        for name in ("none", "tv")
    )
    assert p["motif-auprc"] == sign_flip_p(prior - base)
    assert OPEN not in {standing(only(answer_to(table)), "tv").kind}


@pytest.mark.parametrize("seed", range(8))
def test_an_interval_never_contradicts_its_margin(seed):
    """Non-inferior: no loss beyond the margin inside; inconclusive: one is inside."""
    rng = np.random.default_rng(seed)
    scores = {
        metric: {
            prior: rng.normal(0.5, spread, 10)
            for prior, spread in zip(
                ("none", *PRIORS), (0.01, 0.002, 0.01, 0.03, 0.1, 0.2), strict=True
            )
        }
        for metric in PRIMARY.values()
    }
    rows = comparisons_of(result_table(scores)).dropna(subset=["ci_low", "margin"])
    low, high, margin = rows["ci_low"], rows["ci_high"], rows["margin"] + 1e-12
    verdict = rows["verdict"]
    safe, same = verdict.isin(["non-inferior", "equivalent"]), verdict == "equivalent"
    assert {"inconclusive", "equivalent"} <= set(verdict)
    assert (low >= -margin)[safe].all()
    assert (high <= margin)[same].all()
    assert (low <= 2e-12 - margin)[verdict == "inconclusive"].all()
    assert (high >= margin - 2e-12)[safe & ~same].all()
