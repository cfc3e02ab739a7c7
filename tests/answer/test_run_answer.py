"""The answer of a run, as lines and as JSON."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from fixtures.result_tables import CLAIMS, PRIMARY, answer_to, moved, result_table

from priorbench.answer.run_answer import changed_axes, failure_counts
from priorbench.answer.standing import ADVISED, OPEN, FailureCount

LEVELS = dict(zip(PRIMARY.values(), (0.9, 0.4, 0.8), strict=True))
BINARY = ("binary", "simulated", "three-conv")


def scores(gains, seeds=8):
    """Return scores of one prior with a mean gain by metric."""
    table = {}
    for name, level in LEVELS.items():
        base = moved(np.full(seeds, level), 0, 0.01, seed=9)
        table[name] = {"none": base, "tv": moved(base, gains.get(name, 0.0), 0.001)}
    return table


GOOD = {"motif-auprc": 0.2}


def refuse(constant):
    raise AssertionError(f"{constant} is no JSON")


def as_stored(answer):
    """Return answer.json as another program reads it."""
    return json.loads(json.dumps(answer.to_json(), allow_nan=False), parse_constant=refuse)


class TestOneSetting:
    def test_a_warning_on_the_data_comes_before_the_advice(self):
        doubts = {"binary/CTCF": ["no window holds a read"]}
        answer = answer_to(result_table(scores(GOOD)), warnings=doubts)
        assert answer.lines[0] == "Warning, binary/CTCF: no window holds a read"
        assert as_stored(answer)["notes"] == answer.lines[:1]

    def test_says_the_advice_and_what_it_rests_on(self):
        stored = as_stored(answer_to(result_table(scores(GOOD))))
        assert stored["together"] is None
        assert (stored["baseline"], stored["correction"], stored["look"]) == ("none", "joint", 1)
        assert stored["level"] == pytest.approx(0.04)
        assert (stored["sealed"], stored["changed"], stored["notes"]) == (True, {}, [])
        (setting,) = stored["settings"]
        assert [setting[name] for name in ("task", "dataset", "architecture")] == list(BINARY)
        assert (setting["advice"], setting["basis"]) == ("tv", ADVISED)
        assert setting["sentences"][0].startswith("Train with `tv`")
        (prior,) = setting["priors"]
        assert (prior["prior"], prior["standing"], prior["seeds"]) == ("tv", ADVISED, 8)
        assert prior["p_safe"] <= 0.04
        assert (prior["step_time_ratio"], prior["failed"], prior["trials"]) == (None, 0, 8)
        by_axis = {result["axis"]: result for result in prior["results"]}
        assert list(by_axis) == list(PRIMARY)
        gained = by_axis["localisation"]
        assert gained["verdict"] == "better"
        assert gained["difference"] == pytest.approx(0.2)
        assert gained["mean"] - gained["baseline"] == pytest.approx(0.2)
        low, high = gained["interval"]
        assert 0 < low < 0.2 < high
        assert gained["margin"] == pytest.approx(0.09)
        assert gained["p"] == gained["p_adjusted"] == 2 / 2**8

    def test_numbers_that_do_not_exist_are_null(self):
        table = result_table(scores(GOOD))
        first = table[(table["seed"] == 0) | (table["stage"] == "reference")]
        stored = as_stored(answer_to(first))
        (setting,) = stored["settings"]
        assert (setting["advice"], setting["basis"]) == ("none", OPEN)
        result = setting["priors"][0]["results"][0]
        assert (result["p"], result["interval"]) == (None, [None, None])
        assert result["seeds"] == 1

    def test_infinite_ends_are_null(self):
        # six seeds show nothing at a level of .005, wherever the mean lies
        stored = as_stored(answer_to(result_table(scores(GOOD, seeds=6)), replace(CLAIMS, look=2)))
        assert stored["settings"][0]["priors"][0]["results"][0]["interval"] == [None, None]

    def test_the_interval_of_a_loss_is_in_its_units(self):
        nll = moved(np.full(8, 100.0), 0, 1.0)
        table = {"profile-nll": {"none": nll, "tv": moved(nll, -10.0, 1.0)}}
        stored = as_stored(answer_to(result_table(table, task="profile")))
        (result,) = stored["settings"][0]["priors"][0]["results"]
        low, high = result["interval"]
        assert low < result["difference"] < high < 0
        assert result["verdict"] == "better"

    def test_too_few_seeds_are_said_first(self):
        answer = answer_to(result_table(scores(GOOD, seeds=5)))
        assert answer.lines[0].startswith("With 5 seeds this study cannot show")

    def test_the_network_is_spoken_of_before_the_priors(self):
        networks = {BINARY: ("The network is no better than chance.",)}
        answer = answer_to(result_table(scores(GOOD)), networks=networks)
        assert answer.lines[0] == "The network is no better than chance."
        assert as_stored(answer)["settings"][0]["network"] == list(networks[BINARY])

    def test_failed_trials_are_counted(self):
        table = result_table(scores(GOOD))
        lost = table["trial"] == "binary-simulated-tv-3"
        table.loc[lost, ["status", "value"]] = ["failed", np.nan]
        answer = answer_to(table)
        assert answer.settings[0].failures["tv"] == FailureCount(1, 8)
        assert failure_counts(table)["none"] == FailureCount(0, 8)
        assert as_stored(answer)["settings"][0]["priors"][0]["failed"] == 1


class TestSeveralSettings:
    def answer(self, **more):
        tables = [
            result_table(scores(GOOD), dataset="x"),
            result_table(scores(GOOD), dataset="y"),
        ]
        return answer_to(pd.concat(tables, ignore_index=True), **more)

    def test_there_is_one_over_all_beside_those_of_each(self):
        answer = self.answer()
        stored = as_stored(answer)
        assert [setting["dataset"] for setting in stored["settings"]] == ["x", "y"]
        assert (stored["together"]["advice"], stored["together"]["basis"]) == ("tv", ADVISED)
        assert "task" not in stored["together"]
        assert stored["together"]["priors"][0]["seeds"] == 16
        assert answer.lines[0] == "All settings together:"
        assert "16 paired networks over all settings" in " ".join(answer.lines)

    def test_a_loss_in_one_of_them_is_named(self):
        tables = [
            result_table(scores(GOOD), dataset="x"),
            result_table(scores({**GOOD, "auroc": -0.05}), dataset="y"),
        ]
        stored = as_stored(answer_to(pd.concat(tables, ignore_index=True)))
        (prior,) = stored["together"]["priors"]
        assert prior["standing"] == "trade-off"
        assert prior["worse_in"] == ["prediction in binary · y · three-conv"]
        assert stored["together"]["advice"] == "none"

    def test_sentences_about_each_network_are_kept(self):
        setting = ("binary", "y", "three-conv")
        answer = self.answer(networks={setting: ("It is no better than chance.",)})
        assert answer.lines[1] == "binary · y · three-conv: It is no better than chance."
        assert answer.together.network == (answer.lines[1],)


class TestChangedClaims:
    @pytest.mark.parametrize("metric", ["auroc", "mutagenesis-correlation"])
    def test_no_prior_is_advised_whose_safety_was_declared_otherwise(self, metric):
        """The prior gains on localisation, and loses half of what it had on the changed axis."""
        table = result_table(scores({**GOOD, metric: -0.3}))
        assert answer_to(table).settings[0].advice.prior == "none"
        claims = replace(CLAIMS, changed={metric: f"the margin of {metric} was another"})
        answer = answer_to(table, claims)
        assert answer.settings[0].advice.prior == "none"
        assert f"the margin of {metric} was another" in answer.lines[0]
        assert "was changed after training" in " ".join(answer.lines)

    def test_what_was_changed_and_is_not_claimed_is_no_matter(self):
        claims = replace(CLAIMS, changed={"auprc": "its margin was another"})
        assert answer_to(result_table(scores(GOOD)), claims).settings[0].advice.prior == "tv"

    def test_axes_are_those_of_the_tasks(self):
        claims = replace(CLAIMS, changed={"profile-nll": "x", "motif-auprc": "y"})
        assert changed_axes(claims, ["binary:length=300"]) == ("localisation",)
        assert set(changed_axes(claims, ["binary", "profile"])) == {"localisation", "prediction"}
        assert changed_axes(CLAIMS, ["binary", "profile"]) == ()

    def test_another_baseline_leaves_nothing_to_advise(self):
        table = result_table(scores(GOOD))
        answer = answer_to(table, replace(CLAIMS, changed={"*": "the baseline was another"}))
        assert answer.settings[0].advice.prior == "none"
        assert as_stored(answer)["changed"] == {"*": "the baseline was another"}
