"""Runs on data with variants: what is measured, what is trained again, and what is shown."""

import numpy as np
import pandas as pd
import pytest
from fixtures.runs import records, run_smoke
from fixtures.variants import write_data

from priorbench.cli.app import execute_command
from priorbench.results.finished_run import load_run
from priorbench.study.trial import EVALUATE

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_epoch")]

PRIORS = ["--priors", "none,l2", "--architectures", "deepbind"]
FORMS = ("", "-pooled")


def function_rows(out):
    table = pd.read_csv(out / "results.csv")
    return table[table["axis"] == "function"]


@pytest.fixture(scope="module")
def without_and_with(tmp_path_factory):
    """A run whose data file got its variants when its trials were trained: records before, after.

    They stand beside the run's folder and the data file.
    """
    folder = tmp_path_factory.mktemp("variants")
    out = folder / "out"
    arguments = ["--data", str(write_data(folder, variants=False)), *PRIORS, "--seeds", "2"]
    assert run_smoke(out, *arguments) == 0
    before = records(out)
    assert function_rows(out).empty
    write_data(folder)
    assert run_smoke(out, *arguments) == 0
    return out, folder, before, records(out)


def test_variants_that_came_later_are_scored_and_nothing_is_trained_again(without_and_with):
    out, _, before, after = without_and_with
    assert set(before) == set(after)
    for trial, record in after.items():
        assert before[trial]["history"] == record["history"]
        assert before[trial]["seconds"] == record["seconds"]
        assert "variants" not in before[trial]
        assert record["variants"]
        scores = record["metrics"][""]
        assert {f"variant-{name}{form}" for name in ("pearson", "sign") for form in FORMS} <= set(
            scores
        )
        assert "variant-attribution-pearson" in record["metrics"]["input-x-gradient"]
        assert "variant-attribution-pearson" not in scores
    rows = function_rows(out)
    trained = rows[rows["stage"] == EVALUATE]
    assert len(trained) == 4 * 16
    assert trained["attribution"].fillna("").value_counts().to_dict() == {
        "": 32,
        "input-x-gradient": 32,
    }
    assert {"random", "gapped-kmers"} <= set(rows.loc[rows["stage"] == "reference", "prior"])


def test_the_axis_is_compared_and_is_in_no_primary_family(without_and_with):
    out, *_ = without_and_with
    table = pd.read_csv(out / "comparisons.csv")
    rows = table[table["axis"] == "function"]
    assert set(rows["prior"]) == {"l2"}
    assert len(rows) == 16
    assert set(rows["family"]) == {"exploratory"}


def test_score_asks_for_nothing_that_is_there(without_and_with, capsys):
    out, *_, after = without_and_with
    assert execute_command(["score", str(out), "--jobs", "1"]) == 0
    assert "4 trained trials, 0 to score" in capsys.readouterr().err
    assert records(out) == after


def test_score_adds_an_attribution_with_its_effects(without_and_with):
    out, *_ = without_and_with
    arguments = ["score", str(out), "--jobs", "1", "--attributions", "simplex-gradient"]
    assert execute_command(arguments) == 0
    for record in records(out).values():
        assert "variant-attribution-auprc" in record["metrics"]["simplex-gradient"]


def test_the_report_draws_every_element_and_compares_priors(without_and_with):
    out, *_ = without_and_with
    assert execute_command(["report", str(out)]) == 0
    page = (out / "report.html").read_text()
    section = page[page.index('<section id="function"') :].partition("</section>")[0]
    assert "Predicted over measured effects of variants" in section
    assert "short: r" in section
    assert "long: r" in section
    assert "<image" in section
    for name in ("variant-pearson", "variant-attribution-auprc-pooled", "gapped-kmers", "random"):
        assert name in section
    run = load_run(out)
    trial = next(iter(run.records))
    effects = run.effects(trial)
    assert len(effects.measured) == 3 * 90
    assert np.isfinite(effects.predicted).all()
    assert run.effects(trial, "gradient") is None


def test_other_variants_are_asked_for_anew(without_and_with):
    """The last test of this run, whose variants it changes."""
    out, folder, _, after = without_and_with
    write_data(folder, seed=1)
    arguments = ["--data", str(folder / "data.toml"), *PRIORS, "--seeds", "2"]
    assert run_smoke(out, *arguments) == 0
    changed = records(out)
    assert set(changed) == set(after)
    for trial, record in changed.items():
        assert record["variants"] != after[trial]["variants"]
        name = "variant-pearson"
        assert record["metrics"][""][name] != after[trial]["metrics"][""][name]
        assert record["metrics"][""]["auroc"] == after[trial]["metrics"][""]["auroc"]
    write_data(folder, variants=False)
    assert run_smoke(out, *arguments) == 0
    assert function_rows(out).empty
    assert all("variants" not in record for record in records(out).values())


def test_trials_that_choose_a_weight_do_not_see_variants_and_groups_are_measured_alike(tmp_path):
    data = str(write_data(tmp_path))
    tuned = ["--data", data, *PRIORS, "--seeds", "1", "--tune", "2", "--tuning-seeds", "1"]
    assert run_smoke(tmp_path / "tuned", *tuned) == 0
    for record in records(tmp_path / "tuned").values():
        asked = record["stage"] == EVALUATE
        assert ("variants" in record) == asked
        assert ("variant-pearson" in record["metrics"][""]) == asked
    together = ["--data", data, *PRIORS, "--seeds", "2", "--ensemble", "2"]
    assert run_smoke(tmp_path / "together", *together) == 0
    assert len(function_rows(tmp_path / "together").query("stage == 'evaluate'")) == 4 * 16


def test_a_study_may_declare_the_axis(tmp_path):
    study = tmp_path / "study.toml"
    study.write_text(
        'data = ["data.toml"]\npriors = ["none", "l2"]\narchitectures = ["deepbind"]\nseeds = 2\n'
        '[primary]\nfunction = "variant-spearman"\n[skill_margins]\nfunction = 0.1\n'
    )
    write_data(tmp_path)
    assert run_smoke(tmp_path / "out", str(study)) == 0
    table = pd.read_csv(tmp_path / "out" / "comparisons.csv")
    declared = table[table["metric"] == "variant-spearman"]
    assert declared["family"].tolist() == ["primary"]
    assert np.isfinite(declared["margin"]).all()
