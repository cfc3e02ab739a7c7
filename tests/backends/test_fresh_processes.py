"""Tuning, scoring and a second task in worker processes that have done nothing before."""

from __future__ import annotations

import pandas as pd
import pytest
from fixtures.runs import in_processes, records, results_without_times, run_smoke

from priorbench.cli.app import execute_command

pytestmark = pytest.mark.slow

STUDY = ("--priors", "fourier+dropout", "--seeds", "1", "--tasks", "binary,rbp")
TUNED = (*STUDY, "--tune", "1", "--tuning-seeds", "1")


def tuned_and_scored(out) -> str:
    """Tune, train, and score one attribution more; return the results."""
    assert run_smoke(out, *TUNED) == 0
    score = ["score", str(out), "--attributions", "simplex-gradient", "--jobs", "1"]
    assert execute_command([*score, "--no-report"]) == 0
    return results_without_times(out)


def test_a_study_is_tuned_and_scored_with_the_same_bits_as_in_a_process_that_has_run_others(
    tmp_path,
):
    expected = tuned_and_scored(tmp_path / "here")
    with in_processes():
        assert tuned_and_scored(tmp_path / "workers") == expected
    rows = pd.read_csv(tmp_path / "workers" / "results.csv", keep_default_na=False)
    trained = rows[rows["stage"] != "reference"]
    for _, of_task in trained.groupby("task"):
        assert set(of_task["stage"]) == {"tune", "evaluate"}
        assert set(of_task["attribution"]) == {"", "input-x-gradient", "simplex-gradient"}
    assert set(trained["task"]) == {"binary", "rbp"}
    assert {record["status"] for record in records(tmp_path / "workers").values()} == {"done"}


def test_motifs_are_searched_for(tmp_path):
    pytest.importorskip("modiscolite")
    arguments = ("--priors", "dropout", "--seeds", "1", "--discovery")
    with in_processes():
        assert run_smoke(tmp_path / "out", *arguments) == 0
    found = {
        record["prior"]: record["metrics"]["input-x-gradient"]["motifs-found"]
        for record in records(tmp_path / "out").values()
    }
    assert set(found) == {"none", "dropout"}
