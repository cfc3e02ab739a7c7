"""Cases in which advice must be withheld although a prior gains something, each by its numbers."""

from __future__ import annotations

import re
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
    result_table,
)

from priorbench.answer.plan_reach import plan_lines
from priorbench.answer.standing import ADVISED, HARMFUL, OPEN, PROVISIONAL, TRADE_OFF
from priorbench.statistics.families.verdicts import WORSE

pytestmark = pytest.mark.slow

LEVELS = dict(zip(PRIMARY.values(), (0.9, 0.4, 0.5), strict=True))
FAITHFULNESS = "mutagenesis-correlation"
GAIN = {"motif-auprc": 0.2}


def scores(seeds, spread=0.001, **gains):
    """Return scores of none and of priors with a mean gain by metric, of the same spread each."""
    table = {}
    for number, (metric, level) in enumerate(LEVELS.items()):
        base = moved(np.full(seeds, level), 0, 0.01, seed=number)
        table[metric] = {"none": base} | {
            prior: moved(base, by_metric.get(metric, 0.0), spread, seed=100 * number + place)
            for place, (prior, by_metric) in enumerate(gains.items(), 1)
        }
    return table


def over_datasets(*tables, claims=CLAIMS):
    """Return the answer over datasets of these scores."""
    results = [result_table(own, dataset=f"d{i}") for i, own in enumerate(tables)]
    return answer_to(pd.concat(results, ignore_index=True), claims)


def standing(answer, prior="tv"):
    return next(s for s in answer.advice.standings if s.prior == prior)


class TestALossInOneSetting:
    def test_of_four_seeds_each(self):
        """Faithfulness: +.2 in four datasets, and -.4, margin .1, in every seed of the fifth."""
        good = scores(4, tv={**GAIN, FAITHFULNESS: 0.2})
        bad = scores(4, tv={**GAIN, FAITHFULNESS: -0.4})
        answer = over_datasets(good, good, good, good, bad)
        tv = standing(answer.together)
        faithful = next(r for r in tv.results if r.axis == "faithfulness")
        assert faithful.gain == pytest.approx(0.08)
        # in the whole nothing is lost, and in one setting four seeds have no test
        assert not faithful.lost
        (lost,) = tv.lost_in
        assert (lost.axis, lost.n, lost.verdict) == ("faithfulness", 4, "inconclusive")
        assert tv.kind == TRADE_OFF
        assert answer.together.advice.prior == "none"
        assert any(
            "likely worse in binary · d4 · three-conv on faithfulness" in line
            for line in answer.together.sentences
        )
        # and with nothing lost there it is advised
        assert over_datasets(*[good] * 5).together.advice.prior == "tv"

    @pytest.mark.parametrize("look", [1, 2, 3])
    def test_at_every_look(self, look):
        """Eight seeds: -.25 with a deviation of .05 in one dataset, and +.3 in three."""
        good = scores(8, 0.05, tv={**GAIN, FAITHFULNESS: 0.3})
        bad = scores(8, 0.05, tv={**GAIN, FAITHFULNESS: -0.25})
        answer = over_datasets(good, bad, good, good, claims=replace(CLAIMS, look=look))
        tv = standing(answer.together)
        assert tv.gains
        assert [(r.axis, r.setting) for r in tv.lost_in] == [
            ("faithfulness", "binary · d1 · three-conv")
        ]
        assert (tv.kind, answer.together.advice.prior) == (TRADE_OFF, "none")
        # p of eight seeds is .0078, which is no verdict at a level of .005
        assert tv.lost_in[0].verdict == (WORSE if look == 1 else "inconclusive")


class TestWhatWasNotAsked:
    def test_priors_of_one_dataset_each_are_not_advised_for_both(self):
        answer = over_datasets(scores(8, tv=GAIN), scores(8, l1=GAIN))
        assert [own.advice.prior for own in answer.settings] == ["tv", "l1"]
        together = answer.together
        assert (together.advice.prior, together.advice.basis) == ("none", OPEN)
        for prior, lacks in (("tv", "d1"), ("l1", "d0")):
            assert standing(together, prior).kind == OPEN
            assert standing(together, prior).missing == tuple(
                f"{axis} in binary · {lacks} · three-conv" for axis in PRIMARY
            )
        text = " ".join(together.sentences)
        assert "but nothing was asked about prediction in binary · d1 · three-conv, " in text

    def test_an_axis_of_one_setting_alone_is_named(self):
        whole = scores(8, tv=GAIN)
        part = {metric: own for metric, own in whole.items() if metric != FAITHFULNESS}
        answer = over_datasets(whole, part)
        named = (
            "Of the 2 settings, 1 has a result on faithfulness: nothing was asked about it in the "
            "rest."
        )
        assert named in answer.together.sentences
        assert standing(answer.together).missing == ()
        assert not any(named in own.sentences for own in answer.settings)
        assert over_datasets(whole, whole).together.advice.partial == ()

    def test_a_prior_without_an_axis_that_another_has(self):
        own = scores(8, tv=GAIN, l1=GAIN)
        del own[FAITHFULNESS]["tv"]
        (answer,) = answer_to(result_table(own)).settings
        assert (standing(answer, "tv").kind, standing(answer, "l1").kind) == (OPEN, ADVISED)
        assert "nothing was asked about faithfulness" not in " ".join(answer.sentences)
        assert answer.advice.prior == "l1"


def test_priors_at_the_margin_are_rarely_advised():
    """Six priors gain on one axis and lose just what matters on another, 150 times."""
    generator = np.random.default_rng(5)
    studies, seeds, priors, wrong, gained = 150, 8, 6, 0, 0
    margins = {"auroc": 0.02, "motif-auprc": 0.02, FAITHFULNESS: 0.02}
    claims = replace(CLAIMS, margins=margins)
    metrics = list(PRIMARY.values())
    for _ in range(studies):
        table = {}
        for place, metric in enumerate(metrics):
            base = LEVELS[metric] + 0.01 * generator.standard_normal(seeds)
            table[metric] = {"none": base}
            for prior in range(priors):
                effect = {0: 0.1, 1: -margins[metric]}.get((place + prior) % 3, 0.0)
                noise = 0.01 * generator.standard_normal(seeds)
                table[metric][f"p{prior}"] = base + effect + noise
        (answer,) = answer_to(result_table(table), claims).settings
        kinds = {own.kind for own in answer.advice.standings}
        wrong += bool(kinds & {ADVISED, PROVISIONAL})
        gained += all(own.gains for own in answer.advice.standings)
    assert gained > 0.9 * studies
    assert wrong / studies <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / studies)


def test_worse_is_said_beside_a_verdict_only():
    """Twelve priors and nothing differs: some of so many losses have a small p of their own."""
    generator = np.random.default_rng(7)
    likely = 0
    for _ in range(40):
        table = {}
        for metric, level in LEVELS.items():
            base = level + 0.05 * generator.standard_normal(8)
            table[metric] = {"none": base} | {
                f"p{i}": base + 0.05 * generator.standard_normal(8) for i in range(12)
            }
        answer = answer_to(result_table(table))
        (own,) = answer.settings
        results = [result for s in own.advice.standings for result in s.results]
        worse = {result.prior for result in results if result.verdict == WORSE}
        likely += any(r.likely_worse and r.lost and r.verdict != WORSE for r in results)
        harmful = {s.prior for s in own.advice.standings if s.kind == HARMFUL}
        assert harmful <= worse
        for sentence in own.sentences:
            if re.search("worse", sentence, re.IGNORECASE):
                named = set(re.findall(r"`(p\d+)`", sentence))
                assert named
                assert named <= worse
    assert likely >= 5


def test_a_loss_over_several_datasets_is_compared_in_skill():
    """Six nats of the seventy from chance to the best, in one dataset and in another."""
    tables = []
    for dataset in ("x", "y"):
        own = scores(8, tv=GAIN)
        base = moved(np.full(8, 100.0), 0, 1.0)
        own["profile-nll"] = {"none": base, "tv": moved(base, 6.0, 0.5)}
        del own["auroc"]
        tables.append(result_table(own, task="profile", dataset=dataset))
    answer = answer_to(pd.concat(tables, ignore_index=True))
    result = next(r for r in standing(answer.together).results if r.axis == "prediction")
    assert (result.metric, result.verdict) == ("skill", WORSE)
    assert result.gain == pytest.approx(-6 / 70)
    assert result.margin == pytest.approx(0.02 * 30 / 70)
    assert standing(answer.together).kind == TRADE_OFF


class TestFewSeedsOverSeveralDatasets:
    def test_say_nothing_in_one_setting_alone(self):
        table = scores(3, tv=GAIN)
        answer = over_datasets(table, table, table)
        for own in answer.settings:
            assert own.sentences[0].startswith("With 3 seeds one setting alone cannot show")
        assert not any("cannot show" in line for line in answer.lines)
        line, together = plan_lines(3, 1, CLAIMS, settings=3)
        assert line.startswith("warning: With 3 seeds one setting alone cannot show")
        assert together.startswith("All 3 settings together, 1 prior, ")
        assert "smallest adjusted p .004 at a level of .04" in together
        (line,) = plan_lines(3, 1, CLAIMS)
        assert line.startswith("warning: With 3 seeds this study cannot show")

    def test_of_one_setting_say_that_of_the_study(self):
        (answer,) = answer_to(result_table(scores(3, tv=GAIN))).settings
        assert answer.sentences[0].startswith("With 3 seeds this study cannot show")


def test_a_plan_says_where_advice_can_only_be_provisional():
    """Six seeds: a claim of safety has p of 1/64, times the number of priors."""
    assert len(plan_lines(6, 2, CLAIMS)) == 1
    _, warning = plan_lines(6, 3, CLAIMS)
    assert warning.startswith(
        "warning: With 6 pairs and 3 priors advice can only be provisional: the smallest p of the "
        "claim that a prior is safe is .047, corrected for their number."
    )
    # pairs of all settings count
    assert len(plan_lines(6, 3, CLAIMS, settings=2)) == 1


@pytest.mark.parametrize("priors", [1, 3])
def test_safety_is_corrected_for_the_priors_there_are(priors):
    gains = {f"p{i}": GAIN for i in range(priors)}
    (answer,) = answer_to(result_table(scores(8, **gains))).settings
    text = " ".join(answer.sentences)
    assert answer.advice.basis == ADVISED
    assert ("one prior)" in text) == (priors == 1)
    assert ("corrected for 3 priors)" in text) == (priors == 3)
    assert ("corrected for" in text) == (priors == 3)


def test_a_baseline_at_chance_allows_no_loss():
    """A share of what it gains over chance is nothing where it gains nothing."""
    table = scores(8, tv=GAIN)
    worse = moved(np.full(8, 0.4), 0, 0.01)
    table["auroc"] = {"none": worse, "tv": moved(worse, -0.001, 0.0005)}
    row = comparisons_of(result_table(table)).set_index("metric").loc["auroc"]
    assert row["margin"] == 0
    (answer,) = answer_to(result_table(table)).settings
    assert standing(answer).kind == TRADE_OFF
