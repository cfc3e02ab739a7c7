"""The whole path: command line, workers, results, resume, wrong input."""

import json
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from fixtures.processes import DRIVER, await_end, semaphores
from fixtures.runs import (
    HOLDING,
    SMOKE,
    held,
    interrupted,
    records,
    results_without_times,
    run_smoke,
    timeless,
)

from priorbench import UserError
from priorbench.cli.app import execute_command, main
from priorbench.comparison.within_dataset import COMPARISON_COLUMNS, compare
from priorbench.components import registry
from priorbench.metrics import METRICS
from priorbench.results.collect import RESULT_COLUMNS
from priorbench.results.finished_run import load_run
from priorbench.storage.files import slug
from priorbench.storage.run_directory import RunDirectory
from priorbench.storage.sealed_files import DamagedFile, write_sealed
from priorbench.workflow.run_status import read_status

QUIET = ["--no-report", "--jobs", "1"]
PLUGIN = """
from dataclasses import dataclass
from typing import ClassVar
import torch
from priorbench import AttributionPrior

@dataclass(frozen=True)
class Mine(AttributionPrior):
    summary: ClassVar[str] = "fails, diverges or works, as its option says"
    citation: ClassVar[str] = "none"
    default_weights: ClassVar[dict] = {"*": 0.5}
    mode: str = "works"

    def penalty(self, attribution, batch):
        if self.mode == "fails":
            raise RuntimeError("on purpose")
        if self.mode == "dies":
            import os, signal
            os.kill(os.getpid(), signal.SIGKILL)
        scale = float("nan") if self.mode == "diverges" else 1.0
        return scale * self.track(attribution).square().mean(dim=1)
"""


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("run") / "out"
    assert run_smoke(out, "--priors", "fourier,dropout", "--seeds", "2") == 0
    return out


# what the binary task, simulated, attributed by gradient x input, cannot have
NOT_DEFINED = {"auprc-corrected", "completeness-error", "suboptimal-sign", "suboptimal-error"}
MEASURED = {
    name
    for name, metric in METRICS.items()
    if metric.scope in ("trial", "seeds", "model", "baseline")
    and name not in NOT_DEFINED
    and not metric.every_base  # which nobody asked to keep
    and (metric.axis != "prediction" or name in registry.build("task", "binary").metrics)
}


def test_results_have_a_row_per_trial_and_metric(finished):
    results = pd.read_csv(finished / "results.csv", keep_default_na=False, na_values=[""])
    assert list(results.columns) == RESULT_COLUMNS
    trials = results[results["stage"] == "evaluate"]
    assert trials["trial"].nunique() == 3 * 2
    assert set(trials["prior"]) == {"none", "fourier", "dropout"}
    for _, rows in trials.groupby("trial"):
        assert sorted(rows["metric"]) == sorted(MEASURED)
    assert trials["value"].notna().all()
    baseline = trials[(trials["prior"] == "none") & (trials["metric"] == "step-time-ratio")]
    assert (baseline["value"] == 1).all()
    references = results[results["stage"] == "reference"]
    assert set(references["prior"]) == {
        *("random", "window-centre", "motif-scan", "gapped-kmers", "oracle")
    }


def test_comparisons_are_paired_with_the_baseline(finished):
    table = pd.read_csv(finished / "comparisons.csv", keep_default_na=False, na_values=[""])
    assert list(table.columns) == COMPARISON_COLUMNS
    assert len(table) == 2 * len(MEASURED)
    results = pd.read_csv(finished / "results.csv", keep_default_na=False, na_values=[""])
    auroc = results[(results["metric"] == "auroc") & (results["stage"] == "evaluate")]
    by_prior = auroc.pivot_table(index="seed", columns="prior", values="value")
    row = table[(table["prior"] == "fourier") & (table["metric"] == "auroc")].iloc[0]
    assert row["difference"] == pytest.approx((by_prior["fourier"] - by_prior["none"]).mean())
    assert row["n"] == 2
    assert row["p"] >= 0.5
    smooth = table[table["axis"] == "smoothness"]
    assert smooth["verdict"].isna().all()


def test_trials_are_paired_by_seed(finished):
    found = records(finished).values()
    for seed in (0, 1):
        of_seed = [r for r in found if r["seed"] == seed]
        assert len({r["initial_weights"] for r in of_seed}) == 1
        assert len({tuple(r["batch_order"][:1]) for r in of_seed}) == 1
    assert len({r["initial_weights"] for r in found}) == 2


def test_record_holds_prices_and_history(finished):
    record = json.loads(next(finished.glob("trials/*/record.json")).read_text())
    assert record["status"] == "done"
    assert record["costs"]["seconds_per_step"] > 0
    assert record["costs"]["peak_memory_mib"] > 50
    assert len(record["history"]) == len(record["batch_order"]) >= 1
    assert (finished / "trials" / record["trial"] / "model.safetensors").stat().st_size > 1000


def test_the_same_command_again_runs_nothing(finished, capsys):
    before = {p: p.stat().st_mtime_ns for p in finished.glob("trials/*/record.json")}
    assert run_smoke(finished, "--priors", "fourier,dropout", "--seeds", "2") == 0
    assert "6 trials, 0 to run" in capsys.readouterr().err
    assert {p: p.stat().st_mtime_ns for p in finished.glob("trials/*/record.json")} == before


def test_study_file_of_a_run_repeats_it(finished, tmp_path):
    arguments = [str(finished / "study.toml"), *QUIET, "--out", str(finished)]
    assert execute_command(["run", *arguments]) == 0


def test_status_counts_trials(finished, tmp_path, capsys):
    assert execute_command(["status", str(finished)]) == 0
    assert "6 trials: 6 done, 0 collapsed, 0 failed, 0 pending" in capsys.readouterr().out
    copy = tmp_path / "copy"
    shutil.copytree(finished, copy)
    shutil.rmtree(next((copy / "trials").iterdir()))
    assert sum(c["pending"] for c in read_status(copy).by_prior.values()) == 1
    with pytest.raises(UserError, match="not a run directory"):
        read_status(tmp_path)


def test_compare_prints_any_baseline(finished, capsys):
    arguments = ["compare", str(finished), "--metric", "auroc", "--baseline", "fourier"]
    assert execute_command(arguments) == 0
    printed = capsys.readouterr().out
    assert "dropout" in printed
    assert "none" in printed
    with pytest.raises(UserError, match="did you mean 'fourier'"):
        execute_command(["compare", str(finished), "--metric", "auroc", "--baseline", "fourir"])


def test_compare_says_what_was_corrected(finished, capsys):
    assert execute_command(["compare", str(finished), "--metric", "auroc"]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "Primary family: 6 tests of a difference and 6 against a margin" in printed
    assert "adjusted by joint sign flips of whole seeds (step-down max |t|)" in printed
    assert "Student's, for normal differences only" in printed
    assert "inconclusive: none of these could be shown" in printed


def test_power_says_how_many_seeds(finished, capsys):
    arguments = ["power", str(finished), "--metric", "auroc"]
    assert execute_command([*arguments, "--effect", "0.1", "--baseline", "fourier"]) == 0
    printed = capsys.readouterr().out
    assert "non-inferiority" in printed
    assert "dropout" in printed
    assert "95%" in printed
    with pytest.raises(UserError, match="only shown, never tested"):
        execute_command(["power", str(finished), "--metric", "entropy"])
    for effect in ("0", "inf", "nan", "-inf"):
        with pytest.raises(UserError, match=f"--effect {effect}"):
            execute_command([*arguments, "--effect", effect])
    with pytest.raises(UserError, match="did you mean 'dropout'"):
        execute_command([*arguments, "--baseline", "dropuot"])


def test_what_is_claimed_is_written_back(finished):
    study = load_run(finished).study
    assert study["primary"]["binary"]["prediction"] == "auroc"
    assert (study["margins"], study["skill_margins"]["prediction"]) == ({}, 0.02)
    assert (study["loss_margin"], study["baseline"]) == (0.02, "none")
    assert study["correction"] == "joint"
    sealed = json.loads((finished / "claims.json").read_text())
    assert sealed["declared"]["primary"] == study["primary"]
    assert load_run(finished).claims.sealed


def test_the_answer_is_written_as_json(finished):
    def refuse(constant):
        raise AssertionError(constant)  # JSON has no NaN and no infinity

    answer = json.loads((finished / "answer.json").read_text(), parse_constant=refuse)
    assert answer == load_run(finished).answer.to_json()
    (setting,) = answer["settings"]
    assert (setting["advice"], setting["basis"], answer["together"]) == ("none", "open", None)
    assert [prior["prior"] for prior in setting["priors"]] == ["fourier", "dropout"]
    assert "2 seeds" in setting["sentences"][0]


def test_what_was_claimed_is_not_changed_afterwards(finished, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(finished, copy)
    text = (copy / "study.toml").read_text()
    study = tmp_path / "study.toml"
    study.write_text(text)
    with pytest.raises(UserError, match=r"baseline was 'none' there.*compare .* --baseline"):
        execute_command(["run", str(study), "--baseline", "dropout", "--out", str(copy), *QUIET])
    assert set(load_run(copy).comparisons["baseline"]) == {"none"}
    changed = tmp_path / "changed.toml"
    changed.write_text(text.replace("prediction = 0.02", "prediction = 0.05"))
    with pytest.raises(UserError, match="holds another study: skill_margins"):
        execute_command(["run", str(changed), "--out", str(copy), *QUIET])
    with pytest.raises(UserError, match="unknown prior of this study 'tv'"):
        execute_command(["run", str(study), "--baseline", "tv", "--out", str(copy), *QUIET])


def test_a_run_is_read_back(finished):
    finished_run = load_run(finished)
    assert finished_run.study["priors"] == ["none", "fourier", "dropout"]
    trial = finished_run.results["trial"].iloc[0]
    assert finished_run.arrays(trial).attribution.shape == (100, 80)
    assert finished_run.environment["datasets"].keys() == {"binary/simulated"}
    with pytest.raises(UserError, match="not a run directory"):
        load_run(finished / "trials")


def test_another_study_in_the_same_folder_is_refused(finished):
    before = (finished / "study.toml").read_text()
    with pytest.raises(UserError, match=r"holds another study: priors was"):
        run_smoke(finished, "--priors", "tv", "--seeds", "2")
    assert (finished / "study.toml").read_text() == before
    with pytest.raises(UserError, match="not empty and not a run"):
        run_smoke(finished / "trials", "--priors", "tv")


def test_two_runs_in_one_folder_are_refused(finished):
    with RunDirectory(finished).lock(), pytest.raises(UserError, match="another priorbench run"):
        run_smoke(finished, "--priors", "fourier,dropout", "--seeds", "2")


@pytest.fixture
def plugin(tmp_path) -> Path:
    path = tmp_path / "mine.py"
    path.write_text(PLUGIN)
    return path


def test_failures_and_collapses_are_recorded_and_counted(tmp_path, plugin, capsys):
    out = tmp_path / "out"
    arguments = ["--plugin", str(plugin), "--priors", "mine,mine:mode=fails,mine:mode=diverges"]
    assert run_smoke(out, *arguments, "--seeds", "2") == 1
    results = pd.read_csv(out / "results.csv", keep_default_na=False, na_values=[""])
    statuses = results.groupby("prior")["status"].first()
    assert statuses["mine"] == statuses["none"] == "done"
    assert statuses["mine:mode=fails"] == "failed"
    assert statuses["mine:mode=diverges"] == "collapsed"
    finished_run = load_run(out)
    table = compare(finished_run.results, finished_run.agreement(), finished_run.claims)
    table = table.set_index(["metric", "prior"])
    assert (table["n"] == 2).all()
    # a predictor that knows nothing, and attributions that agree with nothing
    assert table.loc[("auroc", "mine:mode=fails"), "mean_prior"] == 0.5
    assert table.loc[("seed-cosine", "mine:mode=diverges"), "mean_prior"] == 0
    reference = results[(results["metric"] == "motif-auprc") & (results["prior"] == "random")]
    counted = table.loc[("motif-auprc", "mine:mode=fails"), "mean_prior"]
    assert counted <= reference["value"].iloc[0]
    # what others are compared in does not depend on the priors that failed
    assert table.loc[("high-frequency", "mine"), "n"] == 2
    capsys.readouterr()
    execute_command(["status", str(out)])
    printed = capsys.readouterr().out
    assert "RuntimeError: on purpose" in printed
    assert "loss is not finite in epoch 1" in printed
    # failed trials are tried again, collapsed ones would only collapse again
    assert run_smoke(out, *arguments, "--seeds", "2") == 1
    assert "8 trials, 2 to run" in capsys.readouterr().err


def test_a_changed_plug_in_is_trained_again(tmp_path, plugin, capsys):
    out = tmp_path / "out"
    arguments = ["--plugin", str(plugin), "--priors", "mine", "--seeds", "1"]
    assert run_smoke(out, *arguments) == 0
    plugin.write_text(PLUGIN.replace("scale * self", "2 * scale * self"))
    capsys.readouterr()
    assert run_smoke(out, *arguments) == 0
    assert "2 trials, 1 to run" in capsys.readouterr().err


def test_a_plug_in_that_changes_under_a_run_is_not_stored_as_the_old_one(tmp_path, plugin):
    # its own file changes when the penalty is first used: a second trial would see the change
    edit = f"with open({str(plugin)!r}, 'a') as file:\n            file.write('X = 1\\n')"
    plugin.write_text(PLUGIN.replace('if self.mode == "fails":', f"{edit}\n        if False:"))
    out = tmp_path / "out"
    arguments = ["--plugin", str(plugin), "--priors", "mine", "--seeds", "2"]
    assert run_smoke(out, *arguments) == 1
    assert "the code changed while the run went on" in read_status(out).failures[0][2]


def test_a_plug_in_that_no_prior_names_is_refused(tmp_path, plugin):
    with pytest.raises(UserError, match="'mine' is not among the priors"):
        run_smoke(tmp_path / "out", "--plugin", str(plugin), "--priors", "tv")


def test_a_prior_that_leaves_python_fails_its_trial_only(tmp_path, plugin):
    plugin.write_text(PLUGIN.replace('RuntimeError("on purpose")', "SystemExit(3)"))
    out = tmp_path / "out"
    arguments = ["--plugin", str(plugin), "--priors", "mine:mode=fails", "--seeds", "1"]
    assert run_smoke(out, *arguments) == 1
    assert read_status(out).by_prior["none"]["done"] == 1
    assert "SystemExit" in read_status(out).failures[0][2]


def test_a_plug_in_without_a_default_weight_must_be_given_one(tmp_path, plugin):
    plugin.write_text(PLUGIN.replace('{"*": 0.5}', "{}"))
    arguments = ["--plugin", str(plugin), "--priors", "mine", "--seeds", "1"]
    with pytest.raises(UserError, match=r"prior 'mine': no default weight for task 'binary'"):
        run_smoke(tmp_path / "out", *arguments)
    assert run_smoke(tmp_path / "out", *arguments, "--weights", "mine=0.1") == 0


@pytest.mark.slow
def test_a_worker_that_is_killed_fails_its_trial_only(tmp_path, plugin):
    out = tmp_path / "out"
    # in a process of its own: the broken pool leaves pipes behind
    command = [sys.executable, "-c", DRIVER, "run", *SMOKE]
    command += ["--plugin", str(plugin), "--priors", "mine:mode=dies", "--seeds", "1"]
    process = subprocess.run([*command, "--out", str(out), "--jobs", "2"], check=False)
    assert process.returncode == 1
    run_status = read_status(out)
    assert run_status.by_prior["mine:mode=dies"]["failed"] == 1
    assert run_status.by_prior["none"]["done"] == 1
    reason = run_status.failures[0][2]
    assert "its worker was killed twice, the second time alone" in reason
    assert re.search(r"probably for lack of memory \(it had up to [1-9]\d+ MiB\)", reason)
    assert run_status.in_flight == []


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> tuple[list[str], Path]:
    """Arguments of a run whose second trial of a seed can be held, and that run in one process."""
    folder = tmp_path_factory.mktemp("whole")
    (folder / "mine.py").write_text(HOLDING)
    arguments = ["--plugin", str(folder / "mine.py"), "--priors", "mine", "--seeds", "3"]
    assert run_smoke(folder / "run", *arguments) == 0
    return arguments, folder / "run"


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_run_goes_on_where_it_stopped(tmp_path, whole, how, capsys):
    (arguments, expected), out = whole, tmp_path / "out"
    left_before = semaphores()
    with held(Path(arguments[1])):
        stopped = interrupted(
            ["run", *arguments, *SMOKE, "--jobs", "2", "--out", str(out)], how, after=2
        )
        assert stopped.status == (130 if how == signal.SIGINT else -9)
        await_end(stopped.children)
    if how == signal.SIGINT:
        assert not [word for word in ("Traceback", "resource_tracker") if word in stopped.messages]
        assert "interrupted; the same command goes on where it stopped" in stopped.messages
        own = f"sem.loky-{stopped.pid}-"
        assert not [name for name in semaphores() - left_before if name.startswith(own)]
    finished = {p.parent.name for p in out.glob("trials/*/record.json")}
    assert 2 <= len(finished) < 6
    assert run_smoke(out, *arguments) == 0
    assert f"6 trials, {6 - len(finished)} to run" in capsys.readouterr().err
    assert read_status(out).by_prior["none"]["done"] == 3
    assert not RunDirectory(out).in_flight()
    # some trials by two workers and the others in this process have the bits of all by one
    assert results_without_times(out) == results_without_times(expected)
    assert timeless(records(out)) == timeless(records(expected))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--priors", "furier"], "did you mean 'fourier'"),
        (["--priors", "fourier:softnes=1"], "did you mean 'softness'"),
        (["--weights", "fourier=-1", "--priors", "fourier"], "weight -1 is not a finite number"),
        (["--weights", "fourier"], "write prior=weight"),
        (["--weights", "tv=1", "--priors", "fourier"], "unknown prior of this study 'tv'"),
        (["--weights", "dropout=1", "--priors", "dropout"], "not a probability below 1"),
        (["--tasks", "binry"], "did you mean 'binary'"),
        (["--tasks", "binary:copies=4:co_factors=3"], "the planted motifs need windows of"),
        (["--architectures", "three-con"], "did you mean 'three-conv'"),
        (["--seeds", "some"], "give a count such as 8"),
        (["--seeds", ","], "give a count such as 8"),
        (["--priors", ","], "names nothing"),
        (["--weights", "none=1"], "has nothing to act on"),
        (["--seeds", "0"], "give a number that is at least 1"),
        (["--seeds", "1,1"], "seed 1 occurs twice; give it once"),
        (["--data", "nowhere.toml"], "nowhere.toml: no such file"),
        (["--plugin", "nowhere.py"], "nowhere.py: no such file"),
        (["no-such-study"], "unknown study 'no-such-study'"),
        (["nowhere.toml"], "nowhere.toml: no such file"),
        (["--jobs", "0"], "--jobs"),
        (["--scale", "huge"], "--scale"),
        (["--nonsense"], "--nonsense"),
    ],
)
def test_wrong_input_is_one_line_and_leaves_nothing(tmp_path, arguments, message):
    out = tmp_path / "out"
    with pytest.raises(UserError) as caught:
        run_smoke(out, *arguments)
    assert message in str(caught.value)
    assert not out.exists()


def test_cuda_without_a_gpu_is_refused(tmp_path):
    torch = pytest.importorskip("torch")
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(UserError, match="finds no GPU"):
        run_smoke(tmp_path / "out", "--device", "cuda")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('prior = ["tv"]', "unknown key 'prior'; did you mean 'priors'"),
        ('scale = "big"', "scale = 'big'"),
        ("seeds = -1", "seeds"),
        ("priors = [", "not valid TOML"),
        ('priors = ["tv"]\nroot_seed = -3', "root_seed = -3"),
    ],
)
def test_wrong_study_files_name_file_key_and_value(tmp_path, text, message):
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(UserError) as caught:
        execute_command(["run", str(path)])
    assert message in str(caught.value)
    assert str(path) in str(caught.value)


def test_errors_are_one_line_with_exit_status_2_and_debug_shows_the_traceback(monkeypatch, capsys):
    arguments = ["priorbench", "run", "--priors", "furier"]
    monkeypatch.setattr("sys.argv", arguments)
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    lines = capsys.readouterr().err.splitlines()
    assert [line for line in lines if "error" in line] == [lines[-1]]
    assert "Traceback" not in "".join(lines)
    # Python shows the traceback of what nobody catches
    monkeypatch.setattr("sys.argv", [*arguments, "--debug"])
    with pytest.raises(UserError, match="did you mean"):
        main()


@pytest.mark.slow
def test_fasta_pair_runs_without_known_truth(tmp_path):
    import numpy as np

    from priorbench.data.simulation import markov_background
    from priorbench.encoding import decode

    codes = markov_background(400, 80, np.random.default_rng(0))
    for name, rows in (("pos", codes[:200]), ("neg", codes[200:])):
        lines = [f">{name}{i}\n{decode(row)}\n" for i, row in enumerate(rows)]
        (tmp_path / f"{name}.fa").write_text("".join(lines))
    (tmp_path / "mine.toml").write_text(
        'task = "binary"\npositives = "pos.fa"\nnegatives = "neg.fa"\n'
    )
    out = tmp_path / "out"
    assert (
        run_smoke(out, "--data", str(tmp_path / "mine.toml"), "--priors", "l1", "--seeds", "2") == 0
    )
    results = pd.read_csv(out / "results.csv", keep_default_na=False, na_values=[""])
    assert set(results["dataset"]) == {"mine"}
    trials = results[results["stage"] == "evaluate"]
    assert set(trials["metric"]) >= {"auroc", "seed-cosine"}
    assert "motif-auprc" not in set(results["metric"])
    assert trials[trials["metric"] == "auroc"]["value"].between(0.2, 0.8).all()


def test_results_of_other_trials_than_are_there_are_refused(finished, tmp_path, capsys):
    copy = tmp_path / "copy"
    shutil.copytree(finished, copy)
    path = next(copy.glob("trials/*/record.json"))
    write_sealed(path, {**json.loads(path.read_text()), "host": "another"})
    with pytest.raises(DamagedFile, match=r"made of other records.*`priorbench score .*` makes it"):
        load_run(copy)
    assert execute_command(["score", str(copy), *QUIET]) == 0
    assert "0 to score" in capsys.readouterr().err
    assert (copy / "results.csv").read_bytes() == (finished / "results.csv").read_bytes()
    assert load_run(copy).records[path.parent.name]["host"] == "another"
    path.write_text("{}")
    with pytest.raises(DamagedFile, match=r"record\.json: .*`priorbench run .*` repairs it"):
        load_run(copy)


def test_results_that_are_missing_are_named_and_written_again(finished, tmp_path, capsys):
    copy = tmp_path / "copy"
    shutil.copytree(finished, copy)
    (copy / "results.csv").unlink()
    with pytest.raises(DamagedFile, match=r"results\.csv: is missing; `priorbench run"):
        load_run(copy)
    assert run_smoke(copy, "--priors", "fourier,dropout", "--seeds", "2") == 0
    said = capsys.readouterr().err
    assert f"{copy / 'results.csv'}: is missing; it is written again" in said
    assert "6 trials, 0 to run" in said
    assert (copy / "results.csv").read_bytes() == (finished / "results.csv").read_bytes()


def test_names_never_become_paths():
    assert slug("../x/../../y z") == "x-..-..-y-z"
    assert slug("///") == "unnamed"
    assert "/" not in slug("<script>alert(1)</script>")


@pytest.mark.parametrize("name", ["arrays.npz", "model.safetensors", "record.json"])
def test_a_damaged_file_of_a_trial_is_named_and_its_trial_trained_again(
    finished, tmp_path, name, capsys
):
    copy = tmp_path / "copy"
    shutil.copytree(finished, copy)
    path = next(copy.glob(f"trials/*/{name}"))
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(UserError, match=re.escape(f"{path.parent}")):
        execute_command(["score", str(copy), *QUIET])
    capsys.readouterr()
    assert run_smoke(copy, "--priors", "fourier,dropout", "--seeds", "2") == 0
    said = capsys.readouterr().err
    problem = "is damaged" if name == "record.json" else "was edited by hand or damaged"
    assert f"{path}: {problem}; its trial is trained again" in said
    assert "6 trials, 1 to run" in said
    assert results_without_times(copy) == results_without_times(finished)
    RunDirectory(copy).check_files(path.parent.name)


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(UserError, match="file"):
        run_smoke(tmp_path / "file" / "out", "--priors", "tv")
    with pytest.raises(UserError, match=r"file: is a file; name a folder"):
        run_smoke(tmp_path / "file", "--priors", "tv")


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (
            PermissionError(13, "Permission denied", "runs/x"),
            "runs/x: Permission denied; choose another --out",
        ),
        (
            OSError(28, "No space left on device", "runs/x"),
            "runs/x: No space left on device; free some, or choose another --out",
        ),
        (
            OSError(28, "No space left on device"),
            "No space left on device; free some, or set PRIORBENCH_CACHE and TMPDIR to other disks",
        ),
        (TimeoutError("nothing within 10 s"), "nothing within 10 s"),
        (TimeoutError(), "TimeoutError"),
    ],
)
def test_an_error_of_the_system_names_a_file_only_where_there_is_one(error, message, monkeypatch):
    def fails(*arguments):
        raise error

    monkeypatch.setattr("priorbench.cli.options.read_study", fails)
    with pytest.raises(UserError) as caught:
        execute_command(["run"])
    assert str(caught.value) == message


def test_show_and_list_answer(capsys):
    for name in ("fourier", "binary", "three-conv", "auroc", "default"):
        assert execute_command(["show", name]) == 0
    printed = capsys.readouterr().out
    assert "cycles per base" in printed
    assert "frequency_limit = 0.15" in printed
    with pytest.raises(UserError, match="did you mean 'fourier'"):
        execute_command(["show", "fouriers"])
    assert execute_command(["list", "priors", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert {row["name"] for row in listed} >= {"none", "fourier"}
