"""Trials that train at once, from the plan to their folders."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
import pytest
import torch
from fixtures.engines import planned_jobs
from fixtures.runs import records, run_smoke

from priorbench.execution import run_ensemble as ensemble_module
from priorbench.execution import run_trial
from priorbench.execution.job import Job
from priorbench.execution.run_ensemble import run_ensemble
from priorbench.execution.run_group import run_group
from priorbench.storage.run_directory import RunDirectory
from priorbench.training.ensemble import fit
from priorbench.training.schedules import SCHEDULES

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def jobs(tmp_path_factory) -> list[Job]:
    """Four seeds of the Fourier prior, not yet run."""
    return planned_jobs(tmp_path_factory.mktemp("run"))


@pytest.fixture(autouse=True)
def _all_the_memory(monkeypatch):
    monkeypatch.setattr(ensemble_module, "_most_at_once", {})


@pytest.fixture
def whole(jobs, tmp_path) -> tuple[Job, ...]:
    """The same jobs in a run directory of their own."""
    return tuple(replace(job, run=tmp_path) for job in jobs)


@pytest.fixture
def new(whole, monkeypatch) -> tuple[Job, ...]:
    """The same jobs, trained for one epoch only."""
    monkeypatch.setitem(SCHEDULES, "smoke", replace(SCHEDULES["smoke"], epochs=1))
    return whole


def records_of(jobs) -> list[dict]:
    run = RunDirectory(jobs[0].run)
    return [run.record(job.trial.id) for job in jobs]


class TestRunning:
    def test_every_trial_has_a_folder_of_its_own(self, whole):
        assert run_ensemble(whole) == ""
        alone = [replace(job, run=job.run / "alone") for job in whole[:1]]
        run_trial.run_trial(alone[0])
        (expected,) = records_of(alone)
        for job, record in zip(whole, records_of(whole), strict=True):
            assert record["status"] == "done"
            assert record["ensemble"] == 4
            assert record["seed"] == job.trial.seed
            assert record.keys() - expected.keys() == {"ensemble"}
            folder = RunDirectory(job.run).trial(job.trial.id)
            assert {path.name for path in folder.iterdir()} == {
                "record.json",
                "arrays.npz",
                "model.safetensors",
            }
        first = records_of(whole)[0]
        assert first["batch_order"] == expected["batch_order"]
        # a training alone says what a prior costs
        prices = {record["costs"]["seconds_per_step"] for record in records_of(whole)}
        assert len(prices) == 4
        assert max(prices) < 5 * expected["costs"]["seconds_per_step"]
        memory = first["costs"]["peak_memory_mib"]
        assert memory == pytest.approx(expected["costs"]["peak_memory_mib"], rel=0.3)
        assert first["history"][0]["training_loss"] == pytest.approx(
            expected["history"][0]["training_loss"], abs=5e-3
        )
        assert not RunDirectory(whole[0].run).in_flight()

    @pytest.mark.parametrize(
        ("error", "expected"),
        [
            (torch.OutOfMemoryError("no"), True),
            (MemoryError(), True),
            (RuntimeError("can't allocate memory: 9 bytes"), True),
            (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED"), True),
            (RuntimeError("CUDA error: an illegal memory access was encountered"), False),
            (ValueError("out of memory"), False),
        ],
    )
    def test_errors_that_say_that_memory_does_not_suffice(self, error, expected):
        assert ensemble_module.is_out_of_memory(error) == expected

    def test_halves_where_memory_does_not_suffice(self, new, monkeypatch):
        real, sizes = fit.fit_ensemble, []

        def limited(models, parts, terms):
            sizes.append(len(models))
            if len(models) > 2:
                raise torch.OutOfMemoryError("no")
            return real(models, parts, terms)

        monkeypatch.setattr(ensemble_module, "fit_ensemble", limited)
        note = "there was not enough memory for all, but for 2 at once"
        assert run_ensemble(new) == note
        assert sizes == [4, 2, 2]
        assert [record["status"] for record in records_of(new)] == ["done"] * 4
        assert {record["ensemble"] for record in records_of(new)} == {2}
        # the next group of this kind is no larger
        sizes.clear()
        assert run_ensemble([replace(job, run=job.run / "more") for job in new]) == note
        assert sizes == [2, 2]

    def test_a_finished_trial_stays_finished_when_memory_runs_out(self, new, monkeypatch):
        real, sizes = fit.fit_ensemble, []

        def limited(models, parts, terms):
            sizes.append(len(models))
            for number, ended in enumerate(real(models, parts, terms)):
                if number == 2 and len(models) == 4:
                    raise MemoryError
                yield ended

        monkeypatch.setattr(ensemble_module, "fit_ensemble", limited)
        run_ensemble(new)
        assert sizes == [4]  # the halves are of one trial each, trained alone
        assert [record.get("ensemble") for record in records_of(new)] == [4, 4, None, None]
        assert [record["status"] for record in records_of(new)] == ["done"] * 4

    def test_one_by_one_where_it_is_not_possible_at_once(self, new, monkeypatch):
        monkeypatch.setattr(ensemble_module, "fit_ensemble", lambda *_: 1 / 0)
        note = run_ensemble(new)
        assert note == "4 were trained one by one: ZeroDivisionError: division by zero"
        assert all("ensemble" not in record for record in records_of(new))
        assert [record["status"] for record in records_of(new)] == ["done"] * 4

    def test_memory_that_scoring_lacks_is_no_failure_of_the_trial(self, new, monkeypatch):
        real, sizes = run_trial.evaluate, []

        def lacks(parts, trained, folder, device, price):
            sizes.append(len(list((parts.job.run / "trials" / ".running").iterdir())))
            if sizes[-1] == 4:
                raise torch.OutOfMemoryError("no")
            return real(parts, trained, folder, device, price)

        monkeypatch.setattr(ensemble_module, "evaluate", lacks)
        run_ensemble(new)
        assert [record["status"] for record in records_of(new)] == ["done"] * 4
        assert {record["ensemble"] for record in records_of(new)} == {2}

    def test_a_trial_that_ends_its_process_ends_no_other(self, new, monkeypatch):
        def leaves(*_):
            raise SystemExit("bye")

        monkeypatch.setattr(ensemble_module, "fit_ensemble", leaves)
        assert run_ensemble(new) == "4 were trained one by one: SystemExit: bye"
        assert [record["status"] for record in records_of(new)] == ["done"] * 4

    @pytest.mark.parametrize("when", ["training", "scoring"])
    def test_a_worker_whose_driver_is_gone_finishes_nothing(self, new, when, monkeypatch):
        run, name = RunDirectory(new[0].run), {"training": "fit_ensemble", "scoring": "evaluate"}
        real = getattr(ensemble_module, name[when])

        def cleared(*arguments):
            run.clear_in_flight()
            if when == "training":
                raise torch.OutOfMemoryError("no")
            return real(*arguments)

        monkeypatch.setattr(ensemble_module, name[when], cleared)
        with pytest.raises(FileNotFoundError):
            run_ensemble(new)
        assert records_of(new) == [None] * 4
        assert not run.in_flight()

    def test_changed_code_is_noticed(self, new):
        changed = [replace(job, trial=replace(job.trial, code="other")) for job in new]
        run_ensemble(changed)
        for record in records_of(changed):
            assert record["status"] == "failed"
            assert "the code changed while the run went on" in record["reason"]

    def test_one_trial_that_cannot_be_scored_is_its_own_failure(self, new, monkeypatch):
        real = run_trial.evaluate

        def fails_once(parts, *rest):
            if parts.job.trial.seed == 1:
                raise ValueError("no scores")
            return real(parts, *rest)

        monkeypatch.setattr(ensemble_module, "evaluate", fails_once)
        outcomes = run_group(new)
        assert [outcome.status for outcome in outcomes] == ["done", "failed", "done", "done"]
        assert outcomes[1].reason == "ValueError: no scores"
        assert "no scores" in records_of(new)[1]["traceback"]


@pytest.mark.usefixtures("worker_processes")
def test_a_plug_in_in_a_fresh_worker_is_trained_and_logged(tmp_path, capsys):
    plugin = tmp_path / "mine.py"
    plugin.write_text(
        "import sys\n"
        "from priorbench import Prior\n"
        "class Mine(Prior):\n"
        "    summary = citation = 'for a test'\n"
        "    default_weights = {'*': 1.0}\n"
        "    def penalty(self, attribution, batch):\n"
        "        if not batch.label.all():\n"
        "            sys.exit('only positives were expected')\n"
        "        return attribution.observed.square().mean(dim=1)\n"
    )
    out = tmp_path / "out"
    arguments = ["--plugin", str(plugin), "--priors", "mine", "--seeds", "3"]
    assert run_smoke(out, *arguments, "--ensemble", "3", "--log", "csv") == 0
    assert "one by one" not in capsys.readouterr().err
    assert [record["ensemble"] for record in records(out).values()] == [3] * 6
    assert set(pd.read_csv(out / "losses.csv")["trial"]) == set(records(out))


def test_a_run_with_ensembles_holds_the_same_trials(tmp_path, capsys):
    def results(name: str, *more: str) -> pd.DataFrame:
        out = tmp_path / name
        assert run_smoke(out, "--priors", "fourier,fourier+dropout", "--seeds", "2", *more) == 0
        return pd.read_csv(out / "results.csv", keep_default_na=False)

    at_once = results("at_once", "--ensemble", "2")
    messages = capsys.readouterr().err
    assert "2 were trained one by one: CannotStack: dropout draws in another order" in messages
    expected = results("one_by_one")
    key = ["trial", "prior", "seed", "attribution", "metric"]
    assert at_once[key].equals(expected[key])
    sizes = {
        (record["prior"], record.get("ensemble"))
        for record in records(tmp_path / "at_once").values()
    }
    assert sizes == {("none", 2), ("fourier", 2), ("fourier+dropout", None)}
    capsys.readouterr()
    # how trials are run makes no other study
    results("at_once")
    assert "6 trials, 0 to run" in capsys.readouterr().err
