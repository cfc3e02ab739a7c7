"""`--architectures auto`: which networks are tried, which is taken, and what is written down."""

from __future__ import annotations

import math
import shutil
import tomllib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from fixtures.run_directories import seal_again
from fixtures.runs import records, results_without_times, run_smoke

from priorbench import UserError
from priorbench.cli.app import execute_command
from priorbench.components import registry
from priorbench.data.codes import SCORED_ON, TEST, TRAIN, VALID
from priorbench.data.dataset import load_dataset
from priorbench.data.dataset_writer import DatasetWriter
from priorbench.results.chosen_networks import (
    NETWORK_COLUMNS,
    choose_networks,
    chosen_networks,
    network_lines,
)
from priorbench.results.finished_run import load_run
from priorbench.storage.run_directory import RunDirectory
from priorbench.storage.sealed_files import write_sealed
from priorbench.study.network_choice import best_network, fitting_networks
from priorbench.study.plan import make_plan, with_networks
from priorbench.study.resolve import resolve
from priorbench.study.study import Study, first_difference, make_study
from priorbench.study.trial import EVALUATE, SELECT, TUNE
from priorbench.workflow.run_status import read_status
from priorbench.workflow.validate_file import as_text, validate_file

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_epoch", "sketches")]

NAMED_ONLY = ["koo-dist", "koo-local"]
"""networks that stand for a publication"""
EVERY = sorted(set(registry.components("architecture")) - set(NAMED_ONLY))
OPTIONS = ["--priors", "l1", "--seeds", "1"]


def quiet(line: str) -> None:
    pass


def write_data(folder: Path, length: int = 40) -> Path:
    """A data file of random sequences, of which the positives have a motif."""
    codes = np.random.default_rng(0).integers(0, 4, (240, length))
    codes[:120, 5:12] = [0, 3, 2, 0, 1, 1, 3]
    letters = np.array(list("ACGT"))[codes]
    for name, rows in (("pos", letters[:120]), ("neg", letters[120:])):
        text = "".join(f">{name}{i}\n{''.join(row)}\n" for i, row in enumerate(rows))
        (folder / f"{name}.fa").write_text(text)
    path = folder / "mine.toml"
    path.write_text('task = "binary"\npositives = "pos.fa"\nnegatives = "neg.fa"\n')
    return path


def open_plan(root: Path, **changes):
    """The plan of a study whose network is open, before anything is trained."""
    study = make_study(
        {"scale": "smoke", "seeds": 1, "architectures": ["auto"], **changes}, where="here"
    )
    run = RunDirectory(root)
    return make_plan(resolve(study, "cpu"), run, quiet), run


def pretend(plan, run, outcomes) -> None:
    """Write a record of every selection trial: its validation losses by epoch, or its status."""
    for trial in plan.of_stage(SELECT).trials:
        outcome = outcomes[trial.architecture]
        record = {"status": "done", "best_epoch": 1}
        if isinstance(outcome, str):
            record = {"status": outcome, "reason": "RuntimeError: on purpose"}
            outcome = [0.01, 0.01]  # what it reached before does not count
        record["history"] = [{"validation_loss": loss} for loss in outcome]
        # test scores that would choose another network
        record["metrics"] = {"": {"auroc": 1 - outcome[-1]}}
        folder = run.trial(trial.id)
        folder.mkdir(parents=True, exist_ok=True)
        run.seal_trial(folder, {**record, "trial": trial.id})


LOSSES = {"three-conv": 0.5, "basset": 0.4, "bpnet": 0.6, "deepbind": 0.142, "deepsea": 0.3}


def by_losses(**changes):
    return {name: [0.7, loss, 0.9] for name, loss in {**LOSSES, **changes}.items()}


def test_the_lowest_loss_wins_and_ties_go_to_the_first():
    assert best_network({"a": 0.3, "b": 0.2, "c": math.inf}) == "b"
    assert best_network({"a": 0.3, "b": 0.3}) == "a"
    assert best_network({"a": math.inf, "b": math.inf}) == ""


def test_the_validation_loss_of_the_best_epoch_chooses(tmp_path):
    plan, run = open_plan(tmp_path)
    assert {trial.stage for trial in plan.trials} == {SELECT}
    assert plan.trials[0].architecture == "three-conv"  # the task's default
    assert sorted(trial.architecture for trial in plan.trials) == EVERY
    facts = {(t.prior, t.weight, t.seed, t.dataset) for t in plan.trials}
    assert facts == {("none", 0.0, 1000, "simulated")}
    pretend(plan, run, by_losses())
    table = choose_networks(plan, run)
    assert list(table.columns) == NETWORK_COLUMNS
    assert chosen_networks(table) == {"binary/simulated": "deepbind"}
    assert dict(zip(table["architecture"], table["validation_loss"], strict=True)) == LOSSES
    assert network_lines(table, asked_for=True) == [
        "architectures: auto: deepbind of three-conv, basset, bpnet, deepbind, deepsea for "
        "binary/simulated (validation loss .142)"
    ]
    (line,) = network_lines(table, asked_for=False)
    assert line.startswith("architectures: auto, as none is named: deepbind of ")


@pytest.mark.parametrize("status", ["failed", "collapsed"])
def test_a_trial_that_failed_or_collapsed_never_wins(tmp_path, status):
    plan, run = open_plan(tmp_path)
    pretend(plan, run, {**by_losses(), "deepbind": status})
    table = choose_networks(plan, run).set_index("architecture")
    assert table["chosen"].to_dict() == {name: name == "deepsea" for name in table.index}
    assert table.loc["deepbind", "validation_loss"] == math.inf
    assert table.loc["deepbind", "note"] == f"{status}: RuntimeError: on purpose"


def test_where_every_network_failed_the_error_is_one_line(tmp_path):
    plan, run = open_plan(tmp_path)
    pretend(plan, run, dict.fromkeys(EVERY, "failed"))
    with pytest.raises(UserError, match="binary/simulated: every network failed") as caught:
        choose_networks(plan, run)
    assert "deepsea failed: RuntimeError: on purpose" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_recorded_choice_is_kept(tmp_path):
    plan, run = open_plan(tmp_path, chosen_architectures={"binary/simulated": "basset"})
    pretend(plan, run, by_losses())
    table = choose_networks(plan, run)
    assert chosen_networks(table) == {"binary/simulated": "basset"}
    (line,) = network_lines(table, asked_for=True)
    assert "basset of" in line
    assert "(validation loss .4; recorded in study.toml)" in line
    with pytest.raises(UserError, match=r"'other' is recorded for binary/simulated, and three-c"):
        open_plan(tmp_path, chosen_architectures={"binary/simulated": "other"})


def test_the_stages_that_follow_have_the_chosen_network_alone(tmp_path):
    plan, _ = open_plan(tmp_path, priors=["l1"], tune=2, tuning_seeds=1)
    followed = with_networks(plan, {"binary/simulated": "deepbind"})
    assert followed.study.chosen_architectures == {"binary/simulated": "deepbind"}
    assert [t.stage for t in followed.trials] == [SELECT] * len(EVERY) + [TUNE] * 3
    assert {t.architecture for t in followed.of_stage(TUNE).trials} == {"deepbind"}


def test_what_chooses_a_network_cannot_see_the_test_split():
    assert (SCORED_ON[SELECT], SCORED_ON[EVALUATE]) == (VALID, TEST)


def test_a_network_that_does_not_fit_is_passed_over(tmp_path):
    with DatasetWriter(tmp_path / "d") as writer:
        codes = np.random.default_rng(0).integers(0, 4, (12, 12)).astype(np.uint8)
        split = np.repeat(np.array([TRAIN, VALID, TEST], np.uint8), 4)
        writer.append(codes, np.tile([0, 1], 6).astype(np.float32), split)
        writer.attribute(np.array([9]))
        writer.finish(task="binary", name="short")
    task, dataset = registry.build("task", "binary"), load_dataset(tmp_path / "d")
    candidates = fitting_networks(task, dataset, "smoke")
    assert "deepbind" in candidates.fitting
    assert "bpnet" in candidates.refused
    assert "sequences of 12 bp are too short" in candidates.refused["bpnet"]
    assert sorted([*candidates.fitting, *candidates.refused]) == EVERY
    with pytest.raises(UserError, match="too short for architecture three-conv"):
        fitting_networks(task, dataset, "paper")


def test_networks_that_do_not_fit_are_named_and_one_that_is_alone_is_not_trained(tmp_path):
    plan, run = open_plan(tmp_path, tasks=["profile"])
    assert not plan.trials
    table = choose_networks(plan, run)
    assert chosen_networks(table) == {"profile/simulated": "bpnet"}
    assert network_lines(table, asked_for=True) == [
        "architectures: auto: bpnet of bpnet for profile/simulated (the only one that fits); "
        "basset, deepbind, deepsea, three-conv passed over, not fitting"
    ]


def test_words_stand_alone_and_explicit_names_drop_a_recorded_choice():
    for words in (["auto", "deepbind"], ["default", "auto"]):
        with pytest.raises(UserError, match="stands for one network; name it alone"):
            resolve(Study(architectures=words), "cpu")
    record = {"binary/simulated": "basset"}
    kept = resolve(Study(architectures=["auto"], chosen_architectures=record), "cpu")
    assert kept.chosen_architectures == record
    named = resolve(Study(architectures=["deepbind"], chosen_architectures=record), "cpu")
    assert named.chosen_architectures == {}
    without = kept.model_copy(update={"chosen_architectures": {}})
    both = [study.model_dump(mode="json") for study in (without, kept)]
    assert first_difference(*both) == ""


def test_simulated_data_keep_the_networks_of_their_tasks(tmp_path):
    for written in ([], ["default"]):
        plan, _ = open_plan(tmp_path, architectures=written)
        assert not plan.candidates
        assert {t.architecture for t in plan.trials} == {"three-conv"}
        assert {t.stage for t in plan.trials} == {EVALUATE}


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """A finished run of data of the user's own, whose network nobody named."""
    folder = tmp_path_factory.mktemp("chosen")
    assert run_smoke(folder / "out", *OPTIONS, "--data", str(write_data(folder))) == 0
    return folder / "out"


@pytest.fixture
def copied(finished, tmp_path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "copy"))


def again(finished: Path, out: Path, *arguments: str) -> int:
    return run_smoke(out, *OPTIONS, "--data", str(finished.parent / "mine.toml"), *arguments)


def test_the_choice_is_stored_counted_and_never_compared(finished):
    table = pd.read_csv(finished / "architectures.csv", keep_default_na=False)
    assert sorted(table["architecture"]) == EVERY
    (best,) = table.loc[table["chosen"], "architecture"]
    losses = table["validation_loss"].astype(float)
    assert table.loc[losses.idxmin(), "architecture"] == best
    study = tomllib.loads((finished / "study.toml").read_text())
    assert study["chosen_architectures"] == {"binary/mine": best}
    plan = pd.read_csv(finished / "plan.csv", keep_default_na=False)
    assert list(plan["stage"]) == [SELECT] * 5 + [EVALUATE] * 2
    assert set(plan.loc[plan["stage"] == EVALUATE, "architecture"]) == {best}
    run = load_run(finished)
    assert set(run.comparisons["architecture"]) == {best}
    by_stage = run.results.groupby("stage")["architecture"].unique()
    assert sorted(by_stage[SELECT]) == EVERY
    assert list(by_stage["reference"]) == [best]
    for record in records(finished).values():
        count = len(run.arrays(record["trial"]).label)
        split = VALID if record["stage"] == SELECT else TEST
        assert count == (run.datasets["binary/mine"].split == split).sum()


def test_status_counts_the_trials_that_choose(finished, capsys):
    status = read_status(finished)
    assert {name: count["done"] for name, count in status.selection.items()} == dict.fromkeys(
        EVERY, 1
    )
    assert {name: count["done"] for name, count in status.by_prior.items()} == {"none": 1, "l1": 1}
    assert execute_command(["status", str(finished)]) == 0
    assert "5 trials that choose a network: 5 done" in capsys.readouterr().out


def test_status_names_the_network_whose_trial_failed(copied):
    (path, record) = next(
        (copied / "trials" / trial / "record.json", record)
        for trial, record in records(copied).items()
        if (record["stage"], record["architecture"]) == (SELECT, "basset")
    )
    write_sealed(path, {**record, "status": "failed", "reason": "on purpose"})
    assert read_status(copied).failures == [("basset", "1000", "on purpose")]


def test_the_study_of_a_run_repeats_it_here_and_elsewhere(finished, copied, tmp_path, capsys):
    for out in (copied, tmp_path / "other"):
        arguments = [str(finished / "study.toml"), "--no-report", "--jobs", "1"]
        assert execute_command(["run", *arguments, "--out", str(out)]) == 0
        for name in ("architectures.csv", "plan.csv", "study.toml"):
            assert (out / name).read_bytes() == (finished / name).read_bytes()
        assert results_without_times(out) == results_without_times(finished)
    assert "5 trials that choose a network, 0 to run" in capsys.readouterr().err


def test_a_run_that_was_interrupted_while_networks_were_tried_goes_on(finished, copied, capsys):
    plan = pd.read_csv(copied / "plan.csv", keep_default_na=False)
    for trial in [plan["trial"].iloc[2], *plan.loc[plan["stage"] == EVALUATE, "trial"]]:
        shutil.rmtree(copied / "trials" / trial)
    plan[plan["stage"] == SELECT].to_csv(copied / "plan.csv", index=False)
    for name in ("architectures.csv", "results.csv", "comparisons.csv"):
        (copied / name).unlink()
    study = tomllib.loads((copied / "study.toml").read_text())
    del study["chosen_architectures"], study["format"]
    (copied / "study.toml").write_text(make_study(study, where="here").to_toml())
    seal_again(copied)
    status = read_status(copied)
    assert sum(counts["pending"] for counts in status.selection.values()) == 1
    assert status.unplanned == 2
    assert execute_command(["status", str(copied)]) == 0
    assert "2 trials wait for the network" in capsys.readouterr().out
    assert again(finished, copied) == 0
    said = capsys.readouterr().err
    assert "5 trials that choose a network, 1 to run" in said
    assert "2 trials, 2 to run" in said
    assert "architectures: auto, as none is named: " in said
    for name in ("architectures.csv", "plan.csv", "study.toml"):
        assert (copied / name).read_bytes() == (finished / name).read_bytes()
    assert results_without_times(copied) == results_without_times(finished)


def test_scores_of_the_trials_that_choose_are_kept_up_to_date(copied, capsys):
    before = (copied / "study.toml").read_bytes()
    assert execute_command(["score", str(copied), "--no-report"]) == 0
    assert "7 trained trials, 0 to score" in capsys.readouterr().err
    assert (copied / "study.toml").read_bytes() == before
    assert execute_command(["report", str(copied)]) == 0


def test_weights_are_tuned_with_the_chosen_network(tmp_path, capsys):
    asked = ["--architectures", "auto", "--tune", "1", "--tuning-seeds", "1"]
    assert run_smoke(tmp_path / "out", *OPTIONS, *asked) == 0
    said = capsys.readouterr().err
    assert "5 trials that choose a network, 5 to run" in said
    assert "2 tuning trials, 2 to run" in said
    (best,) = tomllib.loads((tmp_path / "out" / "study.toml").read_text())[
        "chosen_architectures"
    ].values()
    assert f"architectures: auto: {best} of " in said
    assert set(load_run(tmp_path / "out").tuning["architecture"]) == {best}


def test_explicit_names_win(finished, tmp_path, capsys):
    study = ["run", str(finished / "study.toml"), "--no-report", "--jobs", "1"]
    for names, expected in (("deepsea", {"deepsea"}), ("default", {"three-conv"})):
        out = tmp_path / names
        assert execute_command([*study, "--architectures", names, "--out", str(out)]) == 0
        assert {record["architecture"] for record in records(out).values()} == expected
        said = capsys.readouterr().err
        assert "architectures: auto" not in said
        assert "choose a network" not in said
        written = tomllib.loads((out / "study.toml").read_text())
        assert written["chosen_architectures"] == {}
        assert not (out / "architectures.csv").exists()
    with pytest.raises(UserError, match="holds another study: architectures was"):
        again(finished, finished, "--architectures", "deepsea")


def test_validate_says_how_many_trials_choose(tmp_path):
    data = write_data(tmp_path)
    assert not validate_file(data, scale="smoke", say=quiet).selection
    path = tmp_path / "study.toml"
    path.write_text('priors = ["l1"]\nseeds = 2\nscale = "smoke"\ndata = ["mine.toml"]\n')
    facts = validate_file(path, say=quiet)
    assert facts.selection == dict.fromkeys(EVERY, 1)
    assert facts.trials == {"none": 2, "l1": 2}
    assert "5 trials at scale smoke choose a network for each dataset" in as_text(facts)
