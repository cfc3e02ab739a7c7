"""A run whose study names published values: tables, report, and a change of them afterwards."""

import json
import re

import pandas as pd
import pytest

from priorbench.cli.app import execute_command
from priorbench.results.finished_run import load_run
from priorbench.results.joined_run import join

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_epoch", "sketches")]

STUDY = """
name = "held-against"
priors = ["none", "dropout"]
tasks = ["binary"]
seeds = {seeds}
scale = "smoke"
device = "cpu"
{published}
"""
VALUE = """
[[published]]
metric = "auroc"
mean = {mean}
sd = 0.05
n = 10
source = "A paper <b>2021</b>, table 2"
read = "printed"
{more}
"""
ABSENT = VALUE.format(mean=0.9, more='architecture = "bpnet"')


def run_of(folder, published, *, seeds=2, name="run"):
    path = folder / f"{name}.toml"
    path.write_text(STUDY.format(seeds=seeds, published=published))
    assert execute_command(["run", str(path), "--out", str(folder / name), "--jobs", "1"]) == 0
    return folder / name


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("published")
    return run_of(folder, VALUE.format(mean=0.5, more="") + ABSENT)


def test_the_table_has_theirs_and_ours(finished):
    table = pd.read_csv(finished / "published.csv", keep_default_na=False, na_values=[""])
    results = load_run(finished).results
    ours = results[(results["metric"] == "auroc") & (results["stage"] == "evaluate")]
    ours = ours.loc[ours["prior"] == "none", "value"]
    row, absent = table.to_dict("records")
    assert row["mean"] == pytest.approx(ours.mean())
    assert row["n"] == 2
    assert row["ci_low"] < ours.mean() < row["ci_high"]
    assert row["verdict"] == ("agrees" if row["ci_low"] <= 0.5 <= row["ci_high"] else "higher")
    assert (absent["architecture"], absent["verdict"]) == ("bpnet", "not run")


def test_the_report_shows_both_and_says_in_words_whether_they_agree(finished):
    page = (finished / "report.html").read_text(encoding="utf-8")
    section = re.search(r'<section id="published".*?</section>', page, re.S).group(0)
    row, _ = load_run(finished).published.to_dict("records")
    for text in (
        "A paper &lt;b&gt;2021&lt;/b&gt;, table 2 (printed)",
        "± 0.0500, 10 networks",
        f"{row['mean']:.4f}",
        f"<td>{row['words']}</td>",
        "<td>not run</td>",
        "of 1 more nothing can be said",
    ):
        assert text in section


def test_other_values_train_nothing_and_change_no_trial(finished, capsys):
    trials = {path: path.stat().st_mtime_ns for path in finished.glob("trials/*/record.json")}
    assert run_of(finished.parent, VALUE.format(mean=0.1, more="")) == finished
    said = capsys.readouterr().err
    assert "4 trials, 0 to run" in said
    assert "published mean lies in our 95% interval" in said
    assert {path: path.stat().st_mtime_ns for path in trials} == trials
    (row,) = pd.read_csv(finished / "published.csv").to_dict("records")
    assert row["published_mean"] == 0.1
    assert load_run(finished).study["published"][0]["mean"] == 0.1
    # and none at all leave no table and no section
    run_of(finished.parent, "")
    assert not (finished / "published.csv").exists()
    assert 'id="published"' not in (finished / "report.html").read_text(encoding="utf-8")
    run_of(finished.parent, VALUE.format(mean=0.5, more="") + ABSENT)


def test_joined_runs_hold_the_values_of_both_against_all_their_seeds(finished):
    other = run_of(finished.parent, VALUE.format(mean=0.5, more=""), seeds=[2, 3], name="more")
    joined = join([load_run(finished), load_run(other)])
    row, absent = joined.published.to_dict("records")
    assert (row["n"], absent["n"]) == (4, 0)


def test_validate_and_json_have_the_values(finished, capsys):
    path = finished.parent / "run.toml"
    path.write_text(STUDY.format(seeds=2, published=ABSENT))
    assert execute_command(["validate", str(path), "--json"]) == 0
    (value,) = json.loads(capsys.readouterr().out)["study"]["published"]
    assert (value["metric"], value["mean"], value["architecture"]) == ("auroc", 0.9, "bpnet")
