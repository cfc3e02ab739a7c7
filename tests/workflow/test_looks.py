"""A study that grows: more seeds in the same folder are a further look, which is counted."""

from __future__ import annotations

import json
import shutil

import pandas as pd
import pytest
from fixtures.run_directories import seal_again
from fixtures.runs import records, run_smoke

from priorbench.cli.options import read_seeds
from priorbench.errors import UserError
from priorbench.results.finished_run import load_run
from priorbench.statistics.families.looks import level_of_look
from priorbench.study.declared import ALL, EXPLORATORY, PRIMARY

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_epoch", "sketches")]


@pytest.fixture(scope="module")
def five_seeds(tmp_path_factory):
    """A run of five seeds, to be copied."""
    out = tmp_path_factory.mktemp("looks") / "out"
    assert run_smoke(out, "--priors", "tv", "--seeds", "5") == 0
    return out


def run(out, seeds, capsys):
    """Run a study with these seeds in a folder and return what was said."""
    assert run_smoke(out, "--priors", "tv", "--seeds", seeds) == 0
    return capsys.readouterr().err


def looks(out):
    """Return the seeds of every look."""
    return [look["seeds"] for look in json.loads((out / "claims.json").read_text())["looks"]]


def test_more_seeds_in_a_folder_are_a_further_look(five_seeds, tmp_path, capsys):
    out = shutil.copytree(five_seeds, tmp_path / "out")
    said = run(out, "5", capsys)
    assert "warning: With 5 seeds this study cannot show" in said
    assert "--seeds 8" in said
    first = records(out)
    assert looks(out) == [[0, 1, 2, 3, 4]]
    assert load_run(out).claims.level == level_of_look(1)

    # which was the same again, and no further look
    said = run(out, "9", capsys)
    assert "8 to run" in said
    assert "as this is look 2 at this study" in said
    assert "which by the results so far is auroc" in said
    assert "This is look 2 at these results, with other seeds" in said
    assert looks(out) == [[0, 1, 2, 3, 4], list(range(9))]
    again = records(out)
    assert {trial: again[trial] for trial in first} == first
    loaded = load_run(out)
    assert loaded.claims.level == level_of_look(2)
    primary = loaded.comparisons[loaded.comparisons["family"] == "primary"]
    assert set(primary["level"]) == {level_of_look(2)}
    assert json.loads((out / "answer.json").read_text())["look"] == 2

    with pytest.raises(UserError, match="holds another study: seeds was"):
        run_smoke(out, "--priors", "tv", "--seeds", "5")


@pytest.mark.parametrize("lost", [["claims.json"], ["claims.json", "environment.json"]])
def test_claims_that_were_lost_are_never_made_up(five_seeds, tmp_path, capsys, lost):
    out = shutil.copytree(five_seeds, tmp_path / "out")
    for name in lost:
        (out / name).unlink()
    for seeds in ("5", "6"):
        assert "Not as declared before training" in run(out, seeds, capsys)
        assert not (out / "claims.json").exists()
        claims = load_run(out).claims
        assert not claims.sealed
        assert claims.changed.keys() == {ALL}
        assert "claims.json is missing or was edited" in claims.changed[ALL]
        families = set(load_run(out).comparisons["family"])
        assert EXPLORATORY in families
        assert PRIMARY not in families
    assert not json.loads((out / "answer.json").read_text())["sealed"]


def test_seeds_that_were_looked_at_and_are_gone_leave_nothing_to_claim(five_seeds, tmp_path):
    out = shutil.copytree(five_seeds, tmp_path / "out")
    path = out / "results.csv"
    results = pd.read_csv(path, keep_default_na=False)
    results[results["seed"] != "2"].to_csv(path, index=False)
    seal_again(out)
    (text,) = load_run(out).claims.changed.values()
    assert text == "trials of seed 2 were looked at and are gone"


@pytest.mark.parametrize(
    ("text", "seeds"),
    [
        ("8", 8),
        ("0,3,7", [0, 3, 7]),
        ("100-103", [100, 101, 102, 103]),
        ("0,5-6,9", [0, 5, 6, 9]),
        ("7,", [7]),
        (None, None),
    ],
)
def test_seeds_are_a_count_a_list_or_a_range(text, seeds):
    assert read_seeds("seeds", text) == seeds


@pytest.mark.parametrize("text", ["many", "5-3", "1-", "-", "1,b", "0-99999999"])
def test_other_seeds_are_refused_in_one_line(text):
    with pytest.raises(UserError, match="give a count such as 8, a list such as 0,3,7, or a range"):
        read_seeds("seeds", text)
