"""Several runs as one: every trial once, and nothing is mixed that does not belong together."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest
from fixtures.run_directories import CLAIMS, MEASURED, PRIMARY, make_run, seal_again, write_tables

from priorbench import UserError
from priorbench.answer.standing import OPEN
from priorbench.comparison.within_dataset import compare
from priorbench.metrics import METRICS
from priorbench.reports import write_report
from priorbench.reports._shared.settings import settings_of
from priorbench.reports.comparison import Comparison
from priorbench.reports.failures import Failures
from priorbench.reports.methods import Methods
from priorbench.reports.pareto import axes_of, points
from priorbench.results import joined_run
from priorbench.results.chosen_weights import TUNING_COLUMNS, no_tuning
from priorbench.results.finished_run import load_run
from priorbench.results.joined_run import join
from priorbench.statistics.families.looks import level_of_look
from priorbench.storage.run_directory import RunDirectory
from priorbench.storage.sealed_files import read_sealed, write_sealed
from priorbench.study.sealed_claims import Look, record_look
from priorbench.study.trial import EVALUATE

NUMBERS = {"none": 0, "tv": 1, "l1": 2}


def words(page):
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", str(page)))


@pytest.fixture
def make(tmp_path):
    def of(folder, priors, seeds, **more):
        own = {"numbers": NUMBERS, "margins": CLAIMS.margins}
        return make_run(tmp_path / folder, priors, seeds, **own, **more)

    return of


def joined(*roots):
    return join([load_run(root) for root in roots])


def edit_study(root, old, new):
    path = root / "study.toml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    seal_again(root)


def edit_records(root, **changes):
    for path in root.glob("trials/*/record.json"):
        path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    seal_again(root)


def on_other_data(root):
    """Rename the dataset and the trials of a run, and return its folder."""
    for name in ("results", "comparisons"):
        text = (root / f"{name}.csv").read_text()
        (root / f"{name}.csv").write_text(text.replace(",simulated,", ",other,"))
    facts = (root / "environment.json").read_text()
    (root / "environment.json").write_text(facts.replace("binary/simulated", "binary/other"))
    trials = {path.name: f"o{path.name}" for path in (root / "trials").iterdir()}
    for old, new in trials.items():
        path = (root / "trials" / old).rename(root / "trials" / new) / "record.json"
        record = {**json.loads(path.read_text()), "trial": new, "dataset": "other"}
        path.write_text(json.dumps(record))
    plan = pd.read_csv(root / "plan.csv").replace({"trial": trials})
    plan.to_csv(root / "plan.csv", index=False)
    results = load_run_results(root)
    results.replace({"trial": trials}).to_csv(root / "results.csv", index=False)
    seal_again(root)
    return root


def load_run_results(root):
    return pd.read_csv(root / "results.csv", keep_default_na=False, na_values=[""])


class TestOtherPriors:
    def test_shared_trials_count_once(self, make):
        first, second = make("a", ("none", "tv"), range(4)), make("b", ("none", "l1"), range(4))
        run = joined(first, second)
        assert run.shared == 4
        assert len(run.records) == run.planned == 12
        (setting,) = settings_of(run)
        assert setting.priors == ["none", "tv", "l1"]
        assert len(setting.scores(METRICS["auroc"])) == 12
        assert not run.results.duplicated(
            ["trial", "stage", "prior", "attribution", "metric"]
        ).any()
        assert setting.title == "binary · simulated · three-conv (runs a and b)"

    def test_means_over_other_seeds_are_not_compared(self, make):
        run = joined(make("a", ("none", "tv"), range(4)), make("b", ("none", "l1"), range(2)))
        (setting,) = settings_of(run)
        assert setting.uneven
        assert setting.common_seeds == [0, 1]
        drawn = {p.prior: p for p in points(run, setting, axes_of(run, setting))}
        both = setting.scores(METRICS["auroc"]).query("seed < 2").groupby("prior")["value"].mean()
        assert drawn["tv"].x == pytest.approx(both["tv"])
        assert "their means are not comparable" in words(Comparison().render(run))

    def test_the_family_is_that_of_all_priors(self, make):
        first, second = make("a", ("none", "tv"), range(4)), make("b", ("none", "l1"), range(4))
        primary = joined(first, second).comparisons.query("family == 'primary'")
        assert set(primary["tests"]) == {6}
        whole = load_run(make("whole", ("none", "tv", "l1"), range(4)))
        expected = compare(whole.results, whole.agreement(), CLAIMS)
        pd.testing.assert_frame_equal(
            joined(first, second).comparisons.reset_index(drop=True), expected, check_dtype=False
        )


@pytest.mark.slow
class TestMoreSeeds:
    def test_seeds_are_pooled_as_if_they_were_of_one_run(self, make):
        first, second = make("a", ("none", "tv"), (0, 1, 2)), make("b", ("none", "tv"), (3, 4))
        whole = load_run(make("whole", ("none", "tv"), range(5)))
        run = joined(first, second)
        expected = compare(whole.results, whole.agreement(), CLAIMS)  # few seeds had no look
        pd.testing.assert_frame_equal(run.comparisons, expected, check_dtype=False)
        assert run.shared == 0
        assert run.study["seeds"] == [0, 1, 2, 3, 4]

    def test_are_one_look_more_than_the_runs_have_had(self, make):
        first, second = make("a", ("none", "tv"), range(8)), make("b", ("none", "tv"), range(8, 14))
        assert joined(first, second).claims.look == 3
        for count in (6, 7, 8):
            record_look(first, Look(tuple(range(count))))
        run = joined(first, second)
        assert [part.claims.look for part in run.runs] == [3, 1]
        assert run.claims.look == 5
        assert set(run.comparisons["level"].dropna()) == {level_of_look(5)}

    def test_are_the_first_look_where_each_run_had_too_few_to_claim_anything(self, make):
        first, second = make("a", ("none", "tv"), range(4)), make("b", ("none", "tv"), range(4, 8))
        assert joined(first, second).claims.look == 1
        third = make("c", ("none", "tv"), range(8, 14))
        assert joined(first, third).claims.look == 2

    @pytest.mark.parametrize(
        ("sizes", "look"),
        [
            ((2, 2), 1),  # nothing can be claimed of any
            ((2, 2, 4), 2),  # the run of four and one of two may have been joined before
            ((4, 4, 4), 2),
            ((4, 4, 4, 4), 3),
            ((5, 5), 3),
            ((5, 5, 5), 5),
            ((5, 1, 1), 3),
            ((8, 8, 8), 5),
        ],
    )
    def test_spend_a_look_for_each_join_that_nobody_recorded(self, make, sizes, look):
        roots, first = [], 0
        for size in sizes:
            roots.append(make(f"from {first}", ("none", "tv"), range(first, first + size)))
            first += size
        assert joined(*roots).claims.look == look
        assert joined(*reversed(roots)).claims.look == look

    def test_that_another_setting_has_all_of_are_a_further_look(self, make):
        first, second = make("a", ("none", "tv"), range(8)), make("b", ("none", "tv"), range(8, 16))
        other = on_other_data(make("c", ("none", "tv"), range(16)))
        assert joined(first, second, other).claims.look == 4

    def test_that_one_of_the_runs_has_all_of_are_no_further_look(self, make):
        first, second = make("a", ("none", "tv"), range(8)), make("b", ("none", "l1"), range(4))
        assert joined(first, second).claims.look == 1

    def test_a_run_of_one_seed_takes_no_axis_from_the_others(self, make):
        """One seed agrees with no other, so that a run of one says nothing of stability."""
        many, one = make("a", ("none", "tv"), range(8)), make("b", ("none", "l1"), (0,))
        results = load_run_results(one)
        others = results[results["metric"] != "seed-cosine"]
        write_tables(RunDirectory(one), {"results.csv": others})
        run = joined(many, one)
        primary = run.comparisons.query("family == 'primary'")
        assert set(primary.loc[primary["prior"] == "tv", "axis"]) == set(PRIMARY)
        rows = primary.set_index(["prior", "axis"])
        assert rows.loc[("tv", "stability"), "n"] == 8
        values = run.results.query("metric == 'seed-cosine' and prior == 'tv'")["value"]
        assert values.notna().sum() == 8
        # random attributions leave the axis open, and a prior with gains elsewhere is not advised
        assert rows.loc[("tv", "localisation"), "verdict"] == "better"
        assert rows.loc[("tv", "stability"), "verdict"] == "inconclusive"
        (setting,) = run.answer.settings
        tv, l1 = setting.advice.standings
        assert (setting.advice.prior, tv.kind, l1.kind) == ("none", OPEN, OPEN)
        assert any("not excluded on stability" in text for text in setting.sentences)

    def test_agreement_of_seeds_is_that_with_all_others(self, make):
        run = joined(make("a", ("none",), (0,)), make("b", ("none",), (1, 2)))
        rows = run.results.query("metric == 'seed-cosine' and stage == 'evaluate'")
        tracks = [run.arrays(f"0x{seed}").attribution for seed in range(3)]
        matrix = METRICS["seed-cosine"].function(tracks)
        expected = (matrix.sum(axis=1) - 1) / 2
        values = rows.set_index("seed")["value"]
        assert [values[seed] for seed in range(3)] == pytest.approx(list(expected))

    def test_one_that_failed_has_none(self, make):
        run = joined(
            make("a", ("none",), (0, 1), failed={("none", 1)}), make("b", ("none",), (2, 3))
        )
        rows = run.results.query("metric == 'seed-cosine' and stage == 'evaluate'")
        assert list(rows.loc[rows["value"].isna(), "seed"]) == [1]

    def test_scores_that_one_run_lacks_are_left_out(self, make):
        first, second = make("a", ("none", "tv"), (0, 1)), make("b", ("none", "tv"), (2, 3))
        results = load_run_results(second)
        others = results[results["metric"] != "high-frequency"]
        write_tables(RunDirectory(second), {"results.csv": others})
        measured = set(joined(first, second).results.query("stage == 'evaluate'")["metric"])
        assert "high-frequency" not in measured
        assert {"auroc", "motif-auprc", "seed-cosine"} <= measured


def test_longer_training_with_other_seeds_is_beside_the_shorter(make):
    first, second = make("a", ("none", "tv"), range(6)), make("b", ("none", "tv"), range(6, 12))
    edit_records(second, task="binary:train_epochs=2")
    environment = (second / "environment.json").read_text()
    longer = environment.replace("binary/simulated", "binary:train_epochs=2/simulated")
    (second / "environment.json").write_text(longer)
    for name in ("results", "comparisons"):
        text = (second / f"{name}.csv").read_text()
        longer = text.replace(",binary,", ",binary:train_epochs=2,")
        (second / f"{name}.csv").write_text(longer)
    seal_again(second)
    run = joined(first, second)
    assert set(run.across["settings"]) == {2}
    assert set(run.across["runs"]) == {12}


class TestOtherData:
    def test_verdicts_are_those_of_each_run(self, make):
        first = make("a", ("none", "tv"), range(6))
        second = on_other_data(make("b", ("none", "l1"), range(6)))
        run = joined(first, second)
        for root, dataset in ((first, "simulated"), (second, "other")):
            own = load_run(root)
            expected = compare(own.results, own.agreement(), CLAIMS)
            rows = run.comparisons[run.comparisons["dataset"] == dataset]
            pd.testing.assert_frame_equal(rows.reset_index(drop=True), expected, check_dtype=False)
        assert [setting.runs for setting in settings_of(run)] == [("a",), ("b",)]
        assert run.claims.look == 1  # no trial of one was looked at with those of the other

    def test_all_datasets_together_are_tested(self, make):
        first = make("a", ("none", "tv"), range(6))
        second = on_other_data(make("b", ("none", "tv"), range(6)))
        across = joined(first, second).across
        assert set(across["datasets"]) == {2}
        assert set(across["runs"]) == {12}

    def test_arrays_come_from_their_own_run(self, make):
        first = make("a", ("none", "tv"), (0,))
        second = on_other_data(make("b", ("none", "l1"), (0,)))
        run = joined(first, second)
        for root, trial in ((first, "1x0"), (second, "o2x0")):
            own = load_run(root).arrays(trial).attribution
            assert np.array_equal(run.arrays(trial).attribution, own)


@dataclass
class Tuned:
    """A run of which the choice of weights is looked at."""

    tuning: pd.DataFrame


class TestRefused:
    def refusal(self, *roots):
        with pytest.raises(UserError) as error:
            joined(*roots)
        assert "\n" not in str(error.value)
        return str(error.value)

    def test_twice_the_same(self, make, tmp_path):
        root = make("a", ("none",), (0,))
        assert "given twice" in self.refusal(root, tmp_path / "." / "a")

    def test_other_weights(self, make):
        first, second = make("a", ("none", "tv"), (0,)), make("b", ("none", "tv"), (1,))
        edit_records(second, weight=2.0)
        text = self.refusal(first, second)
        assert "a and b cannot be joined: the weight of binary · simulated" in text
        assert "is 1.0 in a and 2.0 in b; report the two apart" in text

    @pytest.mark.parametrize(
        ("key", "value"),
        [("scale", "quick"), ("root_seed", 1), ("device", "cuda"), ("code", "other")],
    )
    def test_trainings_of_another_kind(self, make, key, value):
        first, second = make("a", ("none",), (0,)), make("b", ("none",), (1,))
        edit_records(second, **{key: value})
        assert f"{key} of binary · simulated · three-conv · none" in self.refusal(first, second)

    def test_scores_of_other_code(self, make):
        first, second = make("a", ("none",), (0,)), make("b", ("none",), (1,))
        edit_records(second, scored_by="newer")
        refusal = self.refusal(first, second)
        assert "`priorbench score DIR` of each brings both up to date" in refusal

    def test_another_trial_of_the_same_seed(self, make):
        first, second = make("a", ("none",), (0,)), make("b", ("none",), (0,))
        folder = (second / "trials" / "0x0").rename(second / "trials" / "9x0")
        record = json.loads((folder / "record.json").read_text())
        RunDirectory(second).seal_trial(folder, {**record, "trial": "9x0"})
        for name in ("plan", "results"):
            path = second / f"{name}.csv"
            path.write_text(path.read_text().replace("0x0", "9x0"))
        seal_again(second)
        assert "the trial of binary · simulated · three-conv · none with seed 0" in self.refusal(
            first, second
        )

    def test_other_data_of_the_same_name(self, make):
        first, second = make("a", ("none",), (0,)), make("b", ("none",), (1,), length=50)
        assert "the digest of the data binary/simulated is" in self.refusal(first, second)

    def test_the_same_data_with_variants(self, make):
        first, second = make("a", ("none",), (0,)), make("b", ("none",), (1,))
        path = next(second.glob("**/meta.json"))
        write_sealed(path, {**read_sealed(path), "variants": "of these"})
        assert "the digest of the variants of binary/simulated is ''" in self.refusal(first, second)

    @pytest.mark.parametrize(
        ("old", "new", "message"),
        [
            ('baseline = "none"', 'baseline = "tv"', "baseline is 'none' in a and 'tv' in b"),
            ("auroc = 0.005", "auroc = 0.01", "margins is"),
            ("stability = 0.1", "stability = 0.2", "skill_margins is"),
            ('correction = "joint"', 'correction = "holm"', "correction is 'joint' in a"),
            ("loss_margin = 0.02", "loss_margin = 0.03", "loss_margin is 0.02"),
            ('prediction = "auroc"', 'prediction = "auprc"', "primary of task binary"),
        ],
    )
    def test_other_claims(self, make, old, new, message):
        first, second = make("a", ("none", "tv"), (0,)), make("b", ("none", "tv"), (1,))
        edit_study(second, old, new)
        assert message in self.refusal(first, second)

    def test_weights_that_were_tuned_in_other_ways(self):
        cells = dict.fromkeys(TUNING_COLUMNS, 0) | {"prior": "tv", "weight": 0.1, "note": ""}
        now = pd.DataFrame([cells], columns=TUNING_COLUMNS)
        # earlier versions had no median
        earlier = now.drop(columns="median_difference")
        for tables in ((now, now), (now, earlier), (earlier, now), (earlier, now, earlier)):
            (row,) = joined_run._tuning(list(map(Tuned, tables)), "").to_dict("records")
            assert row["weight"] == 0.1
        for table in (now, earlier):
            with pytest.raises(UserError, match="was tuned twice, in other ways"):
                joined_run._tuning([Tuned(table), Tuned(now.assign(value=0.5))], "")
        assert joined_run._tuning([Tuned(no_tuning())], "").empty

    def test_no_folder(self, make, tmp_path):
        make("a", ("none",), (0,))
        with pytest.raises(UserError, match="no such folder"):
            load_run(tmp_path / "b")


def test_a_single_run_is_itself(make):
    run = load_run(make("a", ("none",), (0,)))
    assert join([run]) is run
    assert run.parts == {"a": run}
    assert run.runs_of(("binary", "simulated", "three-conv")) == ()


def test_folders_of_the_same_name_get_different_labels(tmp_path):
    for parent in ("x", "y"):
        (tmp_path / parent).mkdir()
    first = make_run(tmp_path / "x" / "r", ("none",), (0,))
    second = make_run(tmp_path / "y" / "r", ("none",), (1,))
    assert list(joined(first, second).parts) == ["x/r", "y/r"]


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    folder = tmp_path_factory.mktemp("joined")
    more = {"numbers": NUMBERS}
    first = make_run(folder / "a", ("none", "tv"), range(7), name="One", failed={("tv", 2)}, **more)
    second = make_run(folder / "b", ("none", "l1"), range(7), name="Two", **more)
    write_report([first, second], folder / "page.html")
    return (folder / "page.html").read_text()


@pytest.mark.slow
class TestPage:
    def test_says_that_runs_were_put_together(self, page):
        text = words(page)
        assert "One + Two" in text
        assert "2 runs together: a , b ." in text
        assert "7 trials are in more than one of them and count once" in text
        assert "tested and corrected anew: they are not those of the runs’ own reports" in text
        assert "20 trials ended" not in text
        assert "21 trials ended: 20 done, 0 collapsed, 1 failed" in text

    def test_every_setting_says_which_runs_its_trials_are_of(self, page):
        titles = re.findall(r"<h4>(binary[^<]*)</h4>", page)
        assert len(titles) > 3
        assert set(titles) == {"binary · simulated · three-conv (runs a and b)"}

    def test_methods_and_environment_are_shown_run_by_run(self, page):
        text = words(page)
        for label in ("a", "b"):
            assert f"To repeat run {label}" in text
            assert f"Datasets of run {label}" in text

    def test_failures_name_their_run(self, make):
        first = make("c", ("none", "tv"), (0, 1), failed={("tv", 1)})
        second = make("d", ("none", "l1"), (0, 1))
        html = Failures().render(joined(first, second))
        row = re.search(r"<tr><th scope=\"row\">tv.*?</tr>", html)[0]
        assert row.endswith("<td>c</td></tr>")

    def test_runs_of_different_data_keep_their_verdicts(self, make, tmp_path):
        first = make("e", ("none", "tv"), (0, 1))
        second = on_other_data(make("f", ("none", "tv"), (0, 1)))
        write_report([first, second], tmp_path / "p.html")
        text = words((tmp_path / "p.html").read_text())
        assert "every verdict on one dataset is that of its own run" in text
        assert "All datasets together: 2 settings of 2 datasets , from 2 runs" in text.replace(
            "datasets,", "datasets ,"
        )

    def test_methods_cite_once(self, make):
        run = joined(make("g", ("none", "tv"), range(6)), make("h", ("none", "l1"), range(6)))
        html = str(Methods().render(run))
        listed = re.findall(r'<p class="reference">(.*?)</p>', html)
        assert len(listed) == len(set(listed))
        assert html.count("The unit of every test is the trained network") == 1
        assert html.count("<strong>Design.</strong>") == 2


def test_every_measured_score_of_generated_runs_is_kept(make):
    run = joined(make("a", ("none", "tv"), range(3)), make("b", ("none", "l1"), range(3)))
    assert set(run.results.loc[run.results["stage"] == EVALUATE, "metric"]) >= set(MEASURED)
