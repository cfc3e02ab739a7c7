"""Equal tuning: the grid, the rule, and a run in two phases."""

from __future__ import annotations

import math
import shutil
from itertools import pairwise
from pathlib import Path
from typing import get_args

import numpy as np
import pandas as pd
import pytest
from fixtures.datasets import simulate
from fixtures.run_directories import seal_again
from fixtures.runs import records, results_without_times, run_smoke
from hypothesis import given
from hypothesis import strategies as st

from priorbench import UserError, load_prior
from priorbench.cli.app import execute_command
from priorbench.data.codes import SCORED_ON, TEST, VALID
from priorbench.data.dataset import load_dataset
from priorbench.number_text import MISSING
from priorbench.reports._shared.settings import settings_of
from priorbench.reports.tuning import _texts
from priorbench.results.chosen_weights import TUNING_COLUMNS
from priorbench.results.finished_run import load_run
from priorbench.study.resolve import resolve
from priorbench.study.study import Study, load_study, make_study
from priorbench.study.trial import EVALUATE, TUNE
from priorbench.study.tuning_rule import (
    LOCALISATION,
    LOSS,
    MOST_WEIGHTS,
    RULES,
    STABILITY,
    TriedWeight,
    choose,
    choose_seeds,
    criterion_of,
    reference,
    weight_grid,
)
from priorbench.workflow.run_status import read_status
from priorbench.workflow.validate_file import as_text, validate_file

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_epoch", "sketches")]

PRIORS = ["--priors", "fourier,weight-l2,exponential"]
STUDY = [*PRIORS, "--seeds", "1", "--tune", "2", "--tuning-seeds", "2"]


def test_five_weights_span_two_decades_around_the_default():
    assert weight_grid(0.3, 5) == [0.03, 0.0949, 0.3, 0.949, 3.0]
    assert weight_grid(50.0, 3) == [15.8, 50.0, 158.0]
    assert weight_grid(0.3, 1) == [0.3]
    # an even number has one more below
    assert weight_grid(1.0, 2) == [0.316, 1.0]
    assert weight_grid(1.0, 4) == [0.1, 0.316, 1.0, 3.16]
    # more weights share the two decades
    assert weight_grid(1.0, 9) == [0.1, 0.178, 0.316, 0.562, 1.0, 1.78, 3.16, 5.62, 10.0]


def test_a_probability_is_spaced_in_its_odds():
    grid = weight_grid(0.1, 5, bound=1.0)
    odds = np.array([weight / (1 - weight) for weight in grid])
    np.testing.assert_allclose(odds, (1 / 9) * 10.0 ** np.array([-1, -0.5, 0, 0.5, 1]), rtol=0.01)
    assert grid == [0.011, 0.0339, 0.1, 0.26, 0.526]


@given(st.floats(1e-6, 1e6), st.integers(1, MOST_WEIGHTS), st.sampled_from([1.0, 10.0, math.inf]))
def test_grids_are_ascending_distinct_inside_the_bound_and_hold_the_default(share, count, bound):
    centre = share if math.isinf(bound) else bound * min(share / 1e6, 0.999)
    grid = weight_grid(centre, count, bound)
    assert len(grid) == count
    assert centre in grid
    assert all(low < high for low, high in pairwise(grid))
    assert grid[0] > 0
    assert grid[-1] < bound


def test_a_composition_is_tuned_by_a_factor_that_keeps_its_parts_in_bounds():
    prior = load_prior("fourier=1+dropout")
    assert prior.weight_bound("binary") == pytest.approx(10)
    for factor in weight_grid(1.0, 5, prior.weight_bound("binary")):
        for part in prior.parts(factor, "binary"):
            part.prior.check_weight(part.weight)
    # a part without a strength stays as it is
    mixed = load_prior("fourier=1+exponential")
    assert mixed.has_strength
    assert [part.weight for part in mixed.parts(0.3, "binary")] == [0.3, 1.0]
    assert [part.weight for part in mixed.parts(0.0, "binary")] == [0.0, 0.0]
    assert not load_prior("exponential").has_strength
    assert not load_prior("none").has_strength


def test_tuning_seeds_are_chosen_apart_from_evaluation_seeds():
    assert choose_seeds(3, range(5)) == [1000, 1001, 1002]
    assert choose_seeds(3, [1001, 7]) == [1000, 1002, 1003]
    assert Study(seeds=[1000, 1]).tuning_seed_list == [1001, 1002, 1003]
    with pytest.raises(UserError, match=r"tuning_seeds = \[4, 9\]: 4 would be used for evaluation"):
        make_study({"seeds": 5, "tuning_seeds": [4, 9]}, where="here")
    for wrong in (0, [], [7, 7], [-1]):
        with pytest.raises(UserError, match="tuning_seeds"):
            make_study({"tuning_seeds": wrong}, where="here")


NONE = TriedWeight(0.0, np.array([1.0, 3.0]), 0.5)


def tried(weight, first, second, score=math.nan):
    return TriedWeight(weight, np.array([first, second]), score)


def pick(rows, *, rule="best-localisation", criterion=LOCALISATION, margin=0.02, centre=1.0):
    """The chosen row, and all rows."""
    table = choose(rows, NONE, rule=rule, criterion=criterion, margin=margin, centre=centre)
    (chosen,) = [row for row in table if row.chosen]
    return chosen, table


def test_the_best_localisation_of_those_that_predict_as_well_is_chosen():
    rows = [tried(3.0, 1.1, 3.1, 0.9), tried(1.0, 1.0, 3.06, 0.7), tried(0.3, 1.0, 3.0, 0.6)]
    chosen, table = pick(rows)
    assert [row.weight for row in table] == [0.3, 1.0, 3.0]
    # mean differences 0, .03 and .1 against 2% of a mean loss of 2
    assert [row.difference for row in table] == pytest.approx([0, 0.03, 0.1])
    assert all(row.allowed == pytest.approx(0.04) for row in table)
    assert [row.qualifies for row in table] == [True, True, False]
    assert chosen.weight == 1.0
    assert chosen.note == "best motif-auprc of the 2 that qualify"
    assert not chosen.edge
    assert pick(rows, margin=0.1)[0].weight == 3.0
    assert pick(rows, margin=0.1)[0].edge
    only, _ = pick(rows, margin=0.001)
    assert (only.weight, only.note, only.edge) == (0.3, "the only one that qualifies", True)


def test_neither_a_lucky_seed_nor_most_seeds_let_a_weight_qualify():
    # on the third seed `none` learns little; 2% of its mean loss of 2 are .04
    baseline = TriedWeight(0.0, np.array([1.0, 1.0, 4.0]), math.nan)
    lucky = TriedWeight(3.0, np.array([1.3, 1.3, 3.0]), 0.9)
    failing = TriedWeight(2.0, np.array([1.0, 1.3, 4.0]), 0.9)
    sound = TriedWeight(1.0, np.array([1.01, 1.02, 4.01]), 0.5)
    rows = choose(
        [sound, failing, lucky],
        baseline,
        rule="best-localisation",
        criterion=LOCALISATION,
        margin=0.02,
        centre=1.0,
    )
    assert [row.qualifies for row in rows] == [True, False, False]
    assert [row.difference for row in rows] == pytest.approx([0.04 / 3, 0.1, -0.4 / 3])
    assert [row.median_difference for row in rows] == pytest.approx([0.01, 0.0, 0.3])
    assert [row.note for row in rows[1:]] == [
        "",
        "loses more than the margin in the median of the seeds",
    ]
    assert rows[0].chosen


def test_without_a_weight_that_qualifies_the_smallest_is_chosen():
    chosen, _ = pick([tried(1.0, 2.0, 3.0, 0.9), tried(0.3, 1.5, 3.0, 0.1)])
    assert chosen.weight == 0.3
    assert chosen.note == "none qualifies: the smallest weight"
    assert not chosen.qualifies


def test_ties_go_to_the_smaller_weight():
    rows = [tried(1.0, 1.0, 3.0, 0.7), tried(0.3, 1.0, 3.0, 0.7), tried(3.0, 1.0, 3.0, 0.7)]
    assert pick(rows)[0].weight == 0.3
    assert pick(rows, rule="best-prediction", criterion=LOSS)[0].weight == 0.3


def test_a_failed_trial_is_the_worst_outcome():
    rows = [tried(1.0, 0.1, math.inf), tried(3.0, 1.0, 3.0, 0.2)]
    chosen, table = pick(rows)
    assert chosen.weight == 3.0
    assert (table[0].failed, table[0].loss, table[0].qualifies) == (1, math.inf, False)
    assert table[0].note == "1 of 2 trials failed or collapsed"
    assert pick(rows, rule="best-prediction", criterion=LOSS)[0].weight == 3.0
    everything = [tried(1.0, math.inf, math.inf), tried(3.0, math.inf, 3.0)]
    for rule, criterion in (("best-localisation", LOCALISATION), ("best-prediction", LOSS)):
        assert pick(everything, rule=rule, criterion=criterion)[0].weight == 1.0


def test_seeds_on_which_none_failed_give_no_difference():
    baseline = TriedWeight(0.0, np.array([1.0, math.inf]), math.nan)
    arguments = {"rule": "best-localisation", "criterion": LOCALISATION, "centre": 1.0}
    (row,) = choose([tried(1.0, 1.01, 9.0, 0.5)], baseline, margin=0.02, **arguments)
    assert row.difference == pytest.approx(0.01)
    assert row.qualifies
    assert "none failed on 1 of 2 seeds" in row.note
    baseline = TriedWeight(0.0, np.array([math.inf, math.inf]), math.nan)
    (row,) = choose([tried(1.0, 1.0, 1.0, 0.5)], baseline, margin=0.02, **arguments)
    assert not row.qualifies


class TestWhatTheReportSaysWhereNoneFailed:
    def table(self, *losses):
        baseline = TriedWeight(0.0, np.array(losses), math.nan)
        arguments = {"criterion": LOCALISATION, "margin": 0.02}
        rows = [
            reference(baseline, **arguments),
            *choose(
                [tried(0.1, 0.505, 0.505, 0.3), tried(0.3, 0.6, 0.6, 0.4)],
                baseline,
                rule="best-localisation",
                centre=0.1,
                **arguments,
            ),
        ]
        named = zip(["none", "x", "x"], rows, strict=True)
        return pd.DataFrame([{"prior": prior, **vars(row)} for prior, row in named])

    def test_differences_are_relative_to_the_seeds_it_has(self):
        table = self.table(0.5, math.inf)
        assert [row["relative"] for row in _texts(table, table, 0.02)[1:]] == ["+1.0%", "+20.0%"]

    def test_on_every_seed_nothing_is_relative(self):
        table = self.table(math.inf, math.inf)
        assert [row["relative"] for row in _texts(table, table, 0.02)[1:]] == [MISSING, MISSING]


def test_other_rules():
    rows = [tried(0.3, 1.0, 3.0, 0.9), tried(1.0, 0.8, 3.0, 0.1), tried(3.0, 1.0, 4.0, 0.2)]
    chosen, _ = pick(rows, rule="best-prediction", criterion=LOSS)
    assert (chosen.weight, chosen.note) == (1.0, "lowest validation loss")
    chosen, table = pick(rows, rule="fixed", centre=3.0)
    assert (chosen.weight, chosen.edge, len(table)) == (3.0, False, 3)
    chosen, table = pick(rows, rule="fixed", centre=0.5)
    assert (chosen.weight, chosen.trials, len(table)) == (0.5, 0, 4)
    assert "not tried" in chosen.note
    assert set(RULES) == set(get_args(Study.model_fields["tuning_rule"].annotation))


def test_the_criterion_of_a_rule():
    assert criterion_of("best-localisation", localised=True, seeds=1) == LOCALISATION
    assert criterion_of("best-localisation", localised=False, seeds=2) == STABILITY
    assert criterion_of("best-localisation", localised=False, seeds=1) == LOSS
    assert criterion_of("best-prediction", localised=True, seeds=3) == LOSS


def test_what_chooses_a_weight_cannot_see_the_test_split(tmp_path):
    final = simulate(tmp_path / "data")
    tuning = load_dataset(tmp_path / "data", VALID)
    assert (SCORED_ON[TUNE], SCORED_ON[EVALUATE]) == (VALID, TEST)
    assert len(tuning.scored_rows) == 100
    assert len(final.scored_rows) == 200
    assert (tuning.split[tuning.attributed] == VALID).all()
    assert (final.split[final.attributed] == TEST).all()
    assert len(tuning.attributed) == len(tuning.truth) == len(tuning.oracle) == 50
    assert (tuning.columns["label"].take(tuning.attributed) == 1).all()
    with pytest.raises(ValueError, match="must not look at the test split"):
        tuning.rows(TEST)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"grids": {"fourier": [1.0, 2.0]}}, "tune is 0; add --tune N"),
        ({"tune": 2, "grids": {"furier": [1.0, 2.0]}}, "did you mean 'fourier'"),
        ({"tune": 2, "grids": {"tv": [1.0, 2.0]}}, "unknown prior of this study 'tv'"),
        ({"tune": 2, "grids": {"fourier": [1.0]}}, "has 1 different weights, but tune = 2"),
        ({"tune": 2, "grids": {"fourier": [1.0, 1.0]}}, "has 1 different weights, but tune = 2"),
        ({"tune": 2, "grids": {"fourier": [0.0, 1.0]}}, "weight 0 is not above 0"),
        ({"tune": 2, "grids": {"dropout": [0.5, 1.0]}}, "not a probability below 1"),
        ({"tune": 2, "grids": {"exponential": [1.0, 2.0]}}, "has no strength to tune"),
        ({"tune": 2, "grids": {"fourier": {"binry": [1.0, 2.0]}}}, "did you mean 'binary'"),
        ({"tune": 2, "weights": {"fourier": 0.0}}, "its weight is 0"),
        ({"tune": 2, "weights": {"evoaug": 1.0}}, "'evoaug': its weight 1 is the largest"),
        ({"tune": -1}, "tune = -1"),
        ({"tune": 99}, "tune = 99"),
        ({"tuning_rule": "best"}, "tuning_rule = 'best'"),
        ({"loss_margin": -0.1}, "loss_margin = -0.1"),
    ],
)
def test_wrong_tuning_is_one_line(given, message):
    priors = ["fourier", "dropout", "exponential", "evoaug"]
    with pytest.raises(UserError) as caught:
        resolve(make_study({"priors": priors, **given}, where="here"), "cpu")
    assert message in str(caught.value)


def test_grids_may_be_given_and_are_written_back_in_full(tmp_path):
    given = {"priors": ["fourier", "dropout", "exponential"], "tune": 2, "seeds": [1000]}
    study = make_study({**given, "grids": {"fourier": [2, 1]}}, where="here")
    resolved = resolve(study, "cpu")
    assert resolved.grids == {
        "fourier": {"binary": [1.0, 2.0]},
        "dropout": {"binary": weight_grid(0.1, 2, 1.0)},
    }
    assert resolved.tuning_seeds == [1001, 1002, 1003]
    (tmp_path / "again.toml").write_text(resolved.to_toml())
    again = resolve(load_study(tmp_path / "again.toml"), "cpu")
    assert again == resolved


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("tuned") / "out"
    assert run_smoke(out, *STUDY) == 0
    return out


@pytest.fixture
def copied(finished, tmp_path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "copy"))


def remove(out: Path, stage: str) -> None:
    for record in records(out).values():
        if record["stage"] == stage:
            shutil.rmtree(out / "trials" / record["trial"])


def test_every_prior_has_the_same_budget_on_seeds_of_its_own(finished):
    plan = pd.read_csv(finished / "plan.csv", keep_default_na=False)
    tuning, final = plan[plan["stage"] == TUNE], plan[plan["stage"] == EVALUATE]
    assert tuning.groupby("prior").size().to_dict() == {"none": 2, "fourier": 4, "weight-l2": 4}
    assert set(tuning["seed"]) == {1000, 1001}
    assert set(final["seed"]) == {0}
    assert final.groupby("prior").size().eq(1).all()
    budgets = {
        (record["prior"], record["stage"]): len(record["history"])
        for record in records(finished).values()
    }
    assert len(set(budgets.values())) == 1
    # paired: all priors start from the same weights on a tuning seed, and not those of evaluation
    starts = {
        seed: {
            record["initial_weights"]
            for record in records(finished).values()
            if record["seed"] == seed
        }
        for seed in (0, 1000, 1001)
    }
    assert [len(hashes) for hashes in starts.values()] == [1, 1, 1]
    assert len(set.union(*starts.values())) == 3


def test_the_choice_is_written_down_and_evaluated(finished):
    loaded = load_run(finished)
    table = loaded.tuning
    assert list(table.columns) == TUNING_COLUMNS
    assert table.groupby("prior")["chosen"].sum().eq(1).all()
    chosen = table[table["chosen"]].set_index("prior")
    evaluated = loaded.results[loaded.results["stage"] == EVALUATE]
    for prior, rows in evaluated.groupby("prior"):
        assert set(rows["weight"]) == {chosen.loc[prior, "weight"]}
    assert chosen.loc["exponential", "note"] == "has no strength to tune"
    assert chosen.loc["none", "note"] == "the reference"
    # what the rule saw is what results.csv says of these trials, and the records
    rows = loaded.results[
        (loaded.results["stage"] == TUNE) & (loaded.results["prior"] == "fourier")
    ]
    localisation = rows[rows["metric"] == LOCALISATION].groupby("weight")["value"].mean()
    mine = table[table["prior"] == "fourier"].set_index("weight")
    pd.testing.assert_series_equal(mine["value"], localisation, check_names=False)
    for weight, row in mine.iterrows():
        losses = [
            record["history"][record["best_epoch"]]["validation_loss"]
            for record in records(finished).values()
            if (record["prior"], record["weight"]) == ("fourier", weight)
            and record["stage"] == TUNE
        ]
        assert row["loss"] == pytest.approx(np.mean(losses))


def test_tuning_trials_are_scored_on_validation_data(finished):
    loaded = load_run(finished)
    for record in loaded.records.values():
        arrays = loaded.arrays(record["trial"])
        count, attributed = (100, 50) if record["stage"] == TUNE else (200, 100)
        assert len(arrays.label) == len(arrays.prediction["logit"]) == count
        assert len(arrays.attribution) == len(arrays.truth) == attributed
    rows = loaded.results[loaded.results["metric"] == "step-time-ratio"]
    assert (rows.loc[rows["prior"] == "none", "value"] == 1).all()
    # comparisons are of evaluation trials
    assert set(loaded.comparisons["n"]) == {1}


def test_the_choice_does_not_depend_on_the_test_split(copied, capsys):
    before = (copied / "tuning.csv").read_bytes()
    remove(copied, TUNE)
    (folder,) = (copied / "data").iterdir()
    split = np.load(folder / "split.npy")
    for name in ("sequence", "label"):
        values = np.load(folder / f"{name}.npy")
        values[split == TEST] = 0
        np.save(folder / f"{name}.npy", values)
    assert run_smoke(copied, *STUDY) == 0
    said = capsys.readouterr().err
    assert "10 tuning trials, 10 to run" in said
    assert "4 trials, 0 to run" in said
    assert (copied / "tuning.csv").read_bytes() == before


def test_a_run_that_ended_between_the_phases_goes_on(finished, copied, capsys):
    remove(copied, EVALUATE)
    plan = pd.read_csv(copied / "plan.csv", keep_default_na=False)
    shutil.rmtree(copied / "trials" / plan["trial"].iloc[3])
    plan[plan["stage"] == TUNE].to_csv(copied / "plan.csv", index=False)
    for name in ("tuning.csv", "results.csv", "comparisons.csv"):
        (copied / name).unlink()
    seal_again(copied)
    status = read_status(copied)
    assert sum(counts["pending"] for counts in status.tuning.values()) == 1
    assert status.unplanned == 4
    assert execute_command(["status", str(copied)]) == 0
    assert "4 trials wait for the weights that tuning chooses" in capsys.readouterr().out
    assert run_smoke(copied, *STUDY) == 0
    said = capsys.readouterr().err
    assert "10 tuning trials, 1 to run" in said
    assert "4 trials, 4 to run" in said
    for name in ("tuning.csv", "plan.csv", "study.toml"):
        assert (copied / name).read_bytes() == (finished / name).read_bytes()
    assert results_without_times(copied) == results_without_times(finished)
    status = read_status(copied)
    assert status.unplanned == 0
    assert sum(counts["done"] for counts in status.by_prior.values()) == 4


def test_another_rule_chooses_again_without_training_tuning_trials(copied, tmp_path, capsys):
    study = (copied / "study.toml").read_text()
    study = study.replace('tuning_rule = "best-localisation"', 'tuning_rule = "fixed"')
    (tmp_path / "fixed.toml").write_text(study)
    out = str(copied)
    assert execute_command(["run", str(tmp_path / "fixed.toml"), "--no-report", "--out", out]) == 0
    assert "10 tuning trials, 0 to run" in capsys.readouterr().err
    chosen = load_run(copied).tuning.query("chosen").set_index("prior")
    assert chosen.loc["fourier", "weight"] == 0.3
    assert chosen.loc["weight-l2", "weight"] == 1e-3
    assert set(chosen["rule"]) == {"fixed"}


def test_scoring_and_reporting_know_the_phases(copied, capsys):
    before = (copied / "tuning.csv").read_bytes()
    assert execute_command(["score", str(copied), "--no-report"]) == 0
    assert "14 trained trials, 0 to score" in capsys.readouterr().err
    assert (copied / "tuning.csv").read_bytes() == before
    assert execute_command(["report", str(copied)]) == 0
    page = (copied / "report.html").read_text()
    assert "has no strength to tune" in page
    assert "10 further trials only chose weights" in page
    assert page.count("validation loss and motif-auprc of") == 2
    (setting,) = settings_of(load_run(copied))
    assert setting.seeds == [0]


def test_a_failed_tuning_trial_is_in_the_choice_and_the_report(tmp_path, capsys):
    plugin = tmp_path / "mine.py"
    plugin.write_text(PLUGIN)
    out = tmp_path / "out"
    arguments = ["--plugin", str(plugin), "--priors", "mine", "--seeds", "1"]
    assert run_smoke(out, *arguments, "--tune", "2", "--tuning-seeds", "1") == 1
    table = load_run(out).tuning.set_index(["prior", "weight"])
    failed, good = table.loc[("mine", 0.5)], table.loc[("mine", 0.158)]
    assert (failed["failed"], failed["loss"], failed["chosen"]) == (1, math.inf, False)
    assert good["chosen"]
    assert "RuntimeError: too strong" in read_status(out).failures[0][2]
    results = load_run(out).results
    assert set(results.loc[results["stage"] == TUNE, "status"]) == {"done", "failed"}
    assert execute_command(["report", str(out)]) == 0


PLUGIN = """
from dataclasses import dataclass
from typing import ClassVar
from priorbench import Prior, UserError

@dataclass(frozen=True)
class Mine(Prior):
    summary: ClassVar[str] = "fails where it is strong"
    citation: ClassVar[str] = "none"
    default_weights: ClassVar[dict] = {"*": 0.5}

    def adapt(self, model, weight):
        if weight >= 0.5:
            raise RuntimeError("too strong")
        return model
"""


def test_validate_says_the_budget(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('priors = ["fourier", "exponential"]\nseeds = 4\nscale = "smoke"\ntune = 5\n')
    forecast = validate_file(path, say=lambda line: None)
    assert forecast.tuning == {"none": 3, "fourier": 15}
    assert forecast.trials == {"none": 4, "fourier": 4, "exponential": 4}
    text = as_text(forecast)
    assert "18 tuning trials at scale smoke over 3 seeds: none (3), fourier (15)." in text
    assert "12 trials at scale smoke over 4 seeds" in text
    assert "margin 2.0% of the loss of none" in text
