"""What is measured of trained models: added later, only where it is missing, without training."""

import json
import shutil

import pandas as pd
import pytest
from fixtures.runs import records, run_smoke

from priorbench import UserError, load_prior
from priorbench.cli.app import execute_command
from priorbench.results.finished_run import load_run
from priorbench.storage.sealed_files import write_sealed

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_epoch", "sketches")]

OWN = "fourier:train_attribution=simplex-gradient"
STUDY = ("--priors", f"fourier,{OWN}", "--seeds", "2")


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "run"
    assert run_smoke(out, *STUDY) == 0
    return out


@pytest.fixture
def copied(finished, tmp_path):
    return shutil.copytree(finished, tmp_path / "run")


def score(root, *more):
    return execute_command(["score", str(root), "--jobs", "1", "--no-report", *more])


def test_a_prior_sees_the_attribution_that_its_spec_names(finished):
    seen = {record["prior"]: record["train_attribution"] for record in records(finished).values()}
    assert seen["fourier"] == "input-x-gradient"
    assert seen[OWN] == "simplex-gradient"
    losses = {
        prior: [
            e["penalty"]
            for r in records(finished).values()
            if r["prior"] == prior
            for e in r["history"]
        ]
        for prior in seen
    }
    assert losses["fourier"] != losses[OWN]


def test_penalties_of_a_composition_see_one_attribution():
    assert load_prior(f"{OWN}+dropout").sees == "simplex-gradient"
    assert load_prior("fourier+dropout").sees == ""
    with pytest.raises(UserError, match="see different attributions"):
        load_prior(f"{OWN}+tv")


def test_an_attribution_is_added_without_training(copied, capsys):
    models = {path: path.stat().st_mtime_ns for path in copied.glob("trials/*/model.safetensors")}
    before = pd.read_csv(copied / "results.csv", keep_default_na=False)
    assert score(copied, "--attributions", "simplex-gradient") == 0
    assert "6 trained trials, 6 to score" in capsys.readouterr().err
    after = pd.read_csv(copied / "results.csv", keep_default_na=False)
    assert set(after["attribution"]) == {"", "input-x-gradient", "simplex-gradient"}
    old = after[after["attribution"] != "simplex-gradient"].reset_index(drop=True)
    pd.testing.assert_frame_equal(old, before)
    assert {path: path.stat().st_mtime_ns for path in models} == models
    assert load_run(copied).attributions == ["input-x-gradient", "simplex-gradient"]
    assert score(copied) == 0
    assert "0 to score" in capsys.readouterr().err
    page = copied / "report.html"
    assert execute_command(["report", str(copied)]) == 0
    text = page.read_text()
    assert "Other attributions" in text
    assert "simplex-gradient" in text


def test_a_run_keeps_what_was_asked_of_its_folder(finished, copied, capsys):
    assert score(copied, "--attributions", "simplex-gradient") == 0
    before = (copied / "results.csv").read_bytes()
    assert run_smoke(copied, *STUDY) == 0
    told = capsys.readouterr().err
    assert "scored too: simplex-gradient" in told
    assert "0 to run" in told
    assert (copied / "results.csv").read_bytes() == before
    with pytest.raises(UserError, match="name 'input-x-gradient' first"):
        run_smoke(copied, *STUDY, "--attributions", "simplex-gradient,input-x-gradient")
    assert (copied / "results.csv").read_bytes() == before


def test_only_what_other_code_scored_is_scored_again(copied, capsys):
    before = (copied / "results.csv").read_text()
    first, second = list(records(copied))[:2]
    for trial, key in ((first, "scored_by"), (second, "probed_by")):
        path = copied / "trials" / trial / "record.json"
        record = json.loads(path.read_text())
        record[key] = "another"
        record["metrics"]["input-x-gradient"]["motif-auprc"] = -1
        record["metrics"]["input-x-gradient"]["strand-cosine"] = -1
        write_sealed(path, record)
    assert score(copied) == 0
    assert "2 to score" in capsys.readouterr().err
    scored = records(copied)
    # what asks the model is kept where only other metrics changed
    assert scored[first]["metrics"]["input-x-gradient"]["strand-cosine"] == -1
    assert scored[first]["metrics"]["input-x-gradient"]["motif-auprc"] > 0
    assert scored[second]["metrics"]["input-x-gradient"]["strand-cosine"] != -1
    rows = pd.read_csv(copied / "results.csv", keep_default_na=False)
    kept = (rows["trial"] == first) & (rows["metric"] == "strand-cosine")
    assert rows.loc[kept, "value"].astype(float).tolist() == [-1.0]
    assert before != (copied / "results.csv").read_text()


def test_attributions_of_all_four_bases_can_be_kept_without_training(copied, capsys):
    models = {path: path.read_bytes() for path in copied.glob("trials/*/model.safetensors")}
    before = pd.read_csv(copied / "results.csv", keep_default_na=False)
    assert "kmer-consistency" not in set(before["metric"])
    assert score(copied, "--keep-hypothetical") == 0
    rows = pd.read_csv(copied / "results.csv", keep_default_na=False)
    added = rows[~rows["metric"].isin(before["metric"])]
    assert set(added["metric"]) == {"matrix-cosine", "matrix-cosine-centred", "kmer-consistency"}
    assert set(added.loc[added["stage"] == "reference", "prior"]) == {"random", "oracle"}
    oracle = added[(added["prior"] == "oracle") & (added["metric"] == "matrix-cosine")]
    assert oracle["value"].astype(float).tolist() == [pytest.approx(1)]
    rest = rows[rows["metric"].isin(before["metric"])].reset_index(drop=True)
    pd.testing.assert_frame_equal(rest, before)
    assert models == {path: path.read_bytes() for path in copied.glob("trials/*/model.safetensors")}
    capsys.readouterr()
    assert score(copied) == 0  # what was kept stays
    assert "0 to score" in capsys.readouterr().err
    assert run_smoke(copied, *STUDY) == 0
    said = capsys.readouterr().err
    assert "as asked of this folder before, scored too: keep-hypothetical" in said
    assert pd.read_csv(copied / "results.csv", keep_default_na=False).equals(rows)


def test_discovery_can_be_added(copied, capsys):
    pytest.importorskip("modiscolite")
    assert score(copied, "--discovery") == 0
    rows = pd.read_csv(copied / "results.csv", keep_default_na=False)
    motifs = rows[rows["metric"].str.startswith("motifs-found") & (rows["stage"] == "evaluate")]
    assert len(motifs) == 6
    assert set(rows.loc[rows["metric"] == "motif-agreement", "prior"]) == {
        "none",
        "fourier",
        OWN,
        "random",
    }
    recall = rows[(rows["metric"] == "motif-recall") & (rows["prior"] == "random")]
    assert recall["value"].astype(float).tolist() == [0.0]
    compared = pd.read_csv(copied / "comparisons.csv", keep_default_na=False)
    assert (compared["metric"] == "motif-agreement").sum() == 2
    capsys.readouterr()
    assert score(copied) == 0
    assert "0 to score" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--attributions", "deep-lift-shp"], "did you mean 'deep-lift-shap'"),
        (["--attributions", "deep-lift-shap:shuffles=0"], "shuffles 0 is not"),
    ],
)
def test_wrong_attributions_change_nothing(copied, arguments, message):
    before = {path: path.read_bytes() for path in copied.glob("*.*")}
    with pytest.raises(UserError, match=message):
        score(copied, *arguments)
    assert {path: path.read_bytes() for path in copied.glob("*.*")} == before


def test_a_folder_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"no study\.toml here, so this is not a run"):
        score(tmp_path)
