"""Runs that benchmarks make up are whole: all that reads a run reads them."""

import sys
from collections import Counter

import pytest
from fixtures.places import BENCHMARKS, PROGRAMS
from fixtures.runs import process_state_kept

sys.path.insert(0, str(BENCHMARKS))
sys.path.insert(0, str(PROGRAMS))
import bookkeeping
from findings_facts import facts_of

from priorbench.backends.run_pending import pending_trials
from priorbench.cli.app import execute_command
from priorbench.results.collect import write_results
from priorbench.results.finished_run import load_run
from priorbench.storage.run_directory import RunDirectory
from priorbench.workflow.run_status import read_status

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    root = tmp_path_factory.mktemp("made") / "run"
    steps = bookkeeping.make_run(root, ["binary"], 5, ["x", "y"])
    with process_state_kept():
        next(steps)
    with pytest.raises(StopIteration) as ended:
        next(steps)
    return root, ended.value.value


def test_a_made_up_run_is_taken_for_a_real_one(made, capsys):
    root, plan = made
    status = read_status(root)
    counts = sum(status.by_prior.values(), Counter())
    assert (counts["done"], counts["failed"], counts["pending"]) == (99, 1, 0)
    assert (status.damaged, status.outdated) == ([], [])
    (pending,) = pending_trials(plan, RunDirectory(root))
    assert not pending.score_only
    write_results(plan, RunDirectory(root), print)
    run = load_run(root)
    assert len(run.records) == run.planned == 100
    assert run.claims.sealed
    assert execute_command(["compare", str(root), "--metric", "auroc"]) == 0
    assert "fourier" in capsys.readouterr().out
    facts = facts_of(root, [{"baseline": "none"}])
    assert facts["statuses"] == {"done": 99, "failed": 1}
    assert {row["prior"] for row in facts["compared"]} == {*bookkeeping.PRIORS} - {"none"}
