"""Trials that train at once, from the plan to their folders."""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
import torch
from fixtures.engines import PretendedCluster
from joblib.externals.loky.process_executor import BrokenProcessPool

from priorbench import load_attribution, load_prior
from priorbench.backends import worker_check
from priorbench.backends.base import Workforce
from priorbench.backends.cluster import _Losses, run_admitted
from priorbench.backends.local import LocalEngine
from priorbench.backends.run_pending import PendingTrial, grouped_jobs
from priorbench.cli.app import execute_command
from priorbench.components import registry
from priorbench.execution import run_ensemble as ensemble_module
from priorbench.execution import run_trial
from priorbench.execution.devices import Device
from priorbench.execution.ensemble_groups import grouped
from priorbench.execution.run_ensemble import run_ensemble
from priorbench.execution.run_group import DIED_TWICE, TrialOutcome, run_group
from priorbench.execution.run_trial import Job, TrialParts
from priorbench.run_directory import RunDirectory
from priorbench.study.plan import make_plan
from priorbench.study.resolve import resolve
from priorbench.study.study import Study
from priorbench.study.trial import Trial
from priorbench.training.ensemble import fit
from priorbench.training.ensemble.trainer import CommonTraining
from priorbench.training.objective import Objective, Regularisation
from priorbench.training.schedules import SCHEDULES


@pytest.fixture(scope="module")
def jobs(tmp_path_factory) -> list[Job]:
    """Four seeds of the Fourier prior, not yet run."""
    run = RunDirectory(tmp_path_factory.mktemp("run"))
    study = Study.model_validate(
        {"priors": ["fourier"], "seeds": 4, "scale": "smoke", "device": "cpu"}
    )
    plan = make_plan(resolve(study, "cpu"), run, lambda line: None)
    return [
        Job(
            trial,
            plan.datasets["binary/simulated"].resolve(),
            (),
            run.root,
            plan.measurements(trial),
        )
        for trial in plan.trials
        if trial.prior == "fourier"
    ]


@pytest.fixture(autouse=True)
def _all_the_memory(monkeypatch):
    monkeypatch.setattr(ensemble_module, "_room", {})


@pytest.fixture
def new(jobs, tmp_path) -> tuple[Job, ...]:
    """The same in a run directory of their own."""
    return tuple(replace(job, run=tmp_path) for job in jobs)


def records(jobs) -> list[dict]:
    run = RunDirectory(jobs[0].run)
    return [run.record(job.trial.id) for job in jobs]


class TestRunning:
    def test_every_trial_has_a_folder_of_its_own(self, new):
        assert run_ensemble(new) == ""
        alone = [replace(job, run=job.run / "alone") for job in new[:1]]
        run_trial.run_trial(alone[0])
        (expected,) = records(alone)
        for job, record in zip(new, records(new), strict=True):
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
        first = records(new)[0]
        assert first["batch_order"] == expected["batch_order"]
        # a training alone says what a prior costs
        prices = {record["costs"]["seconds_per_step"] for record in records(new)}
        assert len(prices) == 4
        assert max(prices) < 5 * expected["costs"]["seconds_per_step"]
        memory = first["costs"]["peak_memory_mib"]
        assert memory == pytest.approx(expected["costs"]["peak_memory_mib"], rel=0.3)
        assert first["history"][0]["training_loss"] == pytest.approx(
            expected["history"][0]["training_loss"], abs=5e-3
        )
        assert not RunDirectory(new[0].run).in_flight()

    @pytest.mark.parametrize(
        "error",
        [
            torch.OutOfMemoryError("no"),
            RuntimeError("can't allocate memory: 9 bytes"),
            RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED"),
        ],
    )
    def test_halves_where_memory_does_not_suffice(self, new, error, monkeypatch):
        real, sizes = fit.fit_ensemble, []

        def limited(models, parts, terms):
            sizes.append(len(models))
            if len(models) > 2:
                raise error
            return real(models, parts, terms)

        monkeypatch.setattr(ensemble_module, "fit_ensemble", limited)
        note = "there was not enough memory for all, but for 2 at once"
        assert run_ensemble(new) == note
        assert sizes == [4, 2, 2]
        assert [record["status"] for record in records(new)] == ["done"] * 4
        assert {record["ensemble"] for record in records(new)} == {2}
        # the next group of this kind is no larger
        sizes.clear()
        assert run_ensemble([replace(job, run=job.run / "more") for job in new]) == note
        assert sizes == [2, 2]

    def test_who_is_done_stays_done_when_memory_runs_out(self, new, monkeypatch):
        real, sizes = fit.fit_ensemble, []

        def limited(models, parts, terms):
            sizes.append(len(models))
            for number, one in enumerate(real(models, parts, terms)):
                if number == 2 and len(models) == 4:
                    raise MemoryError
                yield one

        monkeypatch.setattr(ensemble_module, "fit_ensemble", limited)
        run_ensemble(new)
        assert sizes == [4]  # the halves are of one trial each, trained alone
        assert [record.get("ensemble") for record in records(new)] == [4, 4, None, None]
        assert [record["status"] for record in records(new)] == ["done"] * 4

    def test_one_by_one_where_it_is_not_possible_at_once(self, new, monkeypatch):
        monkeypatch.setattr(ensemble_module, "fit_ensemble", lambda *_: 1 / 0)
        note = run_ensemble(new)
        assert note == "4 were trained one by one: ZeroDivisionError: division by zero"
        assert all("ensemble" not in record for record in records(new))
        assert [record["status"] for record in records(new)] == ["done"] * 4

    def test_memory_that_scoring_lacks_is_no_failure_of_the_trial(self, new, monkeypatch):
        real, sizes = run_trial.evaluate, []

        def lacks(parts, trained, folder, device, price):
            sizes.append(len(list((parts.job.run / "trials" / ".running").iterdir())))
            if sizes[-1] == 4:
                raise torch.OutOfMemoryError("no")
            return real(parts, trained, folder, device, price)

        monkeypatch.setattr(ensemble_module, "evaluate", lacks)
        run_ensemble(new)
        assert [record["status"] for record in records(new)] == ["done"] * 4
        assert {record["ensemble"] for record in records(new)} == {2}

    def test_a_trial_that_ends_its_process_ends_no_other(self, new, monkeypatch):
        def leaves(*_):
            raise SystemExit("bye")

        monkeypatch.setattr(ensemble_module, "fit_ensemble", leaves)
        assert run_ensemble(new) == "4 were trained one by one: SystemExit: bye"
        assert [record["status"] for record in records(new)] == ["done"] * 4

    @pytest.mark.parametrize("when", ["training", "scoring"])
    def test_who_works_for_a_driver_that_is_gone_finishes_nothing(self, new, when, monkeypatch):
        run, name = RunDirectory(new[0].run), {"training": "fit_ensemble", "scoring": "evaluate"}
        real = getattr(ensemble_module, name[when])

        def cleared(*given):
            run.clear_in_flight()
            if when == "training":
                raise torch.OutOfMemoryError("no")
            return real(*given)

        monkeypatch.setattr(ensemble_module, name[when], cleared)
        with pytest.raises(FileNotFoundError):
            run_ensemble(new)
        assert records(new) == [None] * 4
        assert not run.in_flight()

    def test_code_that_changed_is_found_out(self, new):
        changed = [replace(job, trial=replace(job.trial, code="other")) for job in new]
        run_ensemble(changed)
        for record in records(changed):
            assert record["status"] == "failed"
            assert "the code changed while the run went on" in record["reason"]

    def test_one_trial_that_cannot_be_scored_is_its_own_failure(self, new, monkeypatch):
        real = run_trial.evaluate

        def fails_once(parts, *rest):
            if parts.job.trial.seed == 1:
                raise ValueError("no scores")
            return real(parts, *rest)

        monkeypatch.setattr(ensemble_module, "evaluate", fails_once)
        found = run_group(new)
        assert [one.status for one in found] == ["done", "failed", "done", "done"]
        assert found[1].reason == "ValueError: no scores"
        assert "no scores" in records(new)[1]["traceback"]


class TestGroups:
    def trial(self, prior="fourier", seed=0, weight=1.0, **others) -> Trial:
        values = ("binary", "d", "three-conv", prior, weight, "a", seed, "evaluate", "smoke")
        return replace(Trial(*values, 0, "cuda", "", ""), **others)

    def test_seeds_weights_and_options_of_one_prior(self):
        trials = [
            self.trial(prior, seed, weight)
            for prior in ("fourier", "tv", "fourier:boundary=reflect", "fourier+tv")
            for weight in (0.1, 1.0)
            for seed in range(2)
        ]
        found = grouped(trials, 100)
        assert [len(group) for group in found] == [8, 4, 4]
        assert found[0] == [t for t in trials if t.prior in ("fourier", "fourier:boundary=reflect")]

    def test_priors_that_change_the_network_differ_in_their_seeds_only(self):
        trials = [self.trial("dropout", seed, weight) for weight in (0.1, 0.2) for seed in range(3)]
        assert [len(group) for group in grouped(trials, 100)] == [3, 3]
        mixed = [self.trial("tv+dropout", 0), self.trial("tv=2+dropout", 0)]
        assert len(grouped(mixed, 100)) == 2

    def test_a_prior_without_a_weight_for_any_task(self, tmp_path):
        plugin = tmp_path / "mine.py"
        plugin.write_text(
            "from priorbench import Prior\n"
            "class Mine(Prior):\n"
            "    summary = citation = 'for a test'\n"
            "    default_weights = {'binary': 1.0}\n"
            "    def penalty(self, attribution, batch):\n"
            "        return attribution.observed.square().mean(dim=1)\n"
        )
        registry.use_plugins([plugin])
        trials = [self.trial("mine+weight-l2", seed) for seed in range(3)]
        assert grouped(trials, 3) == [trials]

    def test_trials_that_are_only_scored_are_not_grouped(self, jobs, tmp_path):
        plan = SimpleNamespace(
            datasets={"binary/simulated": jobs[0].dataset},
            study=SimpleNamespace(plugins=()),
            measurements=lambda trial: jobs[0].wanted,
        )
        todo = [PendingTrial(job.trial, again=number % 2 == 1) for number, job in enumerate(jobs)]
        crew = Workforce(LocalEngine(1), Device("cpu", 1, ""), 4)
        found = list(grouped_jobs(plan, RunDirectory(tmp_path), todo, crew))
        assert [[(job.trial.seed, job.again) for job in group] for group in found] == [
            [(0, False), (2, False)],
            [(1, True)],
            [(3, True)],
        ]

    @pytest.mark.parametrize(
        "other",
        [
            {"task": "rbp"},
            {"dataset": "e"},
            {"architecture": "basset"},
            {"stage": "tune"},
            {"train_attribution": "gradient"},
            {"scale": "quick"},
            {"device": "cpu"},
            {"precision": "bf16"},
        ],
    )
    def test_all_else_is_the_same(self, other):
        assert len(grouped([self.trial(), self.trial(seed=1, **other)], 100)) == 2

    def test_large_groups_are_parted_evenly(self):
        trials = [self.trial(seed=seed) for seed in range(10)]
        assert [len(group) for group in grouped(trials, 4)] == [3, 4, 3]
        assert [t for group in grouped(trials, 4) for t in group] == trials
        assert grouped(trials, 1) == [[trial] for trial in trials]

    def test_there_is_work_for_everyone(self):
        engine = LocalEngine(1)
        assert Workforce(engine, Device("cuda", 4, ""), 16).at_once(20) == 5
        assert Workforce(engine, Device("cuda", 1, ""), 16).at_once(20) == 16
        assert Workforce(engine, Device("cpu", 64, ""), 16).at_once(20) == 1


class TestWorkersThatDie:
    def test_on_a_cluster_they_are_tried_one_by_one(self, new, monkeypatch):
        run, sizes = RunDirectory(new[0].run), []

        def pretended(group):
            sizes.append(len(group))
            return [TrialOutcome(job.trial.id, "done", "") for job in group]

        monkeypatch.setattr("priorbench.backends.cluster.run_group", pretended)
        with worker_check.session(run, [], []) as path:
            assert len(run_admitted(str(path), new)) == 4
            assert sizes == [4]
            with (
                run.in_progress(new[0].trial.id),
                run.in_progress(new[1].trial.id),
                run.in_progress(new[1].trial.id),
            ):
                found = run_admitted(str(path), new)
        assert sizes == [4, 1, 1, 1]
        assert [one.status for one in found] == ["done", "failed", "done", "done"]
        assert found[1].reason == DIED_TWICE

    def test_what_was_finished_is_not_begun_again(self, new, monkeypatch):
        run, begun = RunDirectory(new[0].run), []

        def pretended(group):
            begun.append([job.trial.seed for job in group])
            return [TrialOutcome(job.trial.id, "done", "") for job in group]

        monkeypatch.setattr("priorbench.backends.cluster.run_group", pretended)
        run_trial.run_trial(new[0])
        with worker_check.session(run, [], []) as path:
            assert len(run_admitted(str(path), new)) == 4
            with run.in_progress(new[1].trial.id):
                assert len(run_admitted(str(path), new)) == 4
        assert begun == [[1, 2, 3], [1], [2], [3]]
        run_trial.run_trial(new[1])
        lost = _Losses()
        cluster = PretendedCluster()
        for _ in range(3):
            found = cluster._judged(new[:3], None, lost)
        assert [one.status for one in found] == ["done", "done", "failed"]
        assert run.record(new[1].trial.id)["status"] == "done"


class TestPoolsThatBreak:
    """Executors that run a group when it is handed over, or break."""

    @pytest.fixture
    def pool(self, monkeypatch):
        log = SimpleNamespace(begun=[], deadly=set(), refuses=set(), finishes=set())

        class Executor:
            def __init__(self, workers, **_):
                pass

            def submit(self, function, group):
                seeds = tuple(job.trial.seed for job in group)
                if seeds in log.refuses:
                    log.refuses.remove(seeds)
                    raise BrokenProcessPool("gone before")
                log.begun.append(seeds)
                future = Future()
                for job in group:
                    if job.trial.seed in log.finishes:
                        folder = RunDirectory(job.run).trial(job.trial.id)
                        folder.mkdir(parents=True, exist_ok=True)
                        (folder / "record.json").write_text('{"status": "done"}')
                if log.deadly & set(seeds):
                    future.set_exception(BrokenProcessPool("gone"))
                else:
                    future.set_result([TrialOutcome(job.trial.id, "done", "") for job in group])
                return future

            def shutdown(self, *, wait, kill_workers):
                pass

        monkeypatch.setattr("priorbench.backends.local.ProcessPoolExecutor", Executor)
        return log

    def groups(self, jobs, count, size):
        some = [replace(jobs[0], trial=replace(jobs[0].trial, seed=seed)) for seed in range(count)]
        return [tuple(some[start : start + size]) for start in range(0, count, size)]

    def run(self, groups):
        engine = LocalEngine(2)
        engine.device("cpu")
        found = list(engine.run(iter(groups), RunDirectory(groups[0][0].run)))
        expected = sorted(job.trial.id for group in groups for job in group)
        assert sorted(one.trial for one in found) == expected
        return {one.trial: one for one in found}

    def test_a_group_whose_worker_dies_is_tried_one_by_one(self, new, pool):
        groups = self.groups(new, 12, 3)
        pool.deadly = {4}
        found = self.run(groups)
        assert (3, 4, 5) in pool.begun
        assert {(3,), (4,), (5,)} <= set(pool.begun)
        assert [one.status for one in found.values()].count("failed") == 1
        assert found[groups[1][1].trial.id].reason == DIED_TWICE

    def test_members_that_were_finished_are_not_begun_again(self, new, pool):
        groups = self.groups(new, 6, 3)
        pool.deadly, pool.finishes = {2}, {0, 1}
        found = self.run(groups)
        assert not {(0,), (1,)} & set(pool.begun)
        assert [one.status for one in found.values()].count("failed") == 1

    def test_a_group_that_was_finished_is_not_begun_again(self, new, pool):
        groups = self.groups(new, 4, 1)
        pool.deadly, pool.finishes = {1}, {0, 1, 2, 3}
        found = self.run(groups)
        assert all(one.status == "done" for one in found.values())
        assert len(pool.begun) == len(set(pool.begun))

    def test_a_trial_that_was_finished_before_its_worker_died_stays_so(self, new, pool):
        (group,) = self.groups(new, 1, 1)
        pool.deadly = {0}
        engine, run = LocalEngine(1), RunDirectory(group[0].run)
        engine.device("cpu")
        with pytest.MonkeyPatch.context() as patch:
            seen = iter([False, True])
            patch.setattr("priorbench.backends.local.is_finished", lambda job: next(seen))
            patch.setattr(
                "priorbench.backends.local.ended",
                lambda job: TrialOutcome(job.trial.id, "done", ""),
            )
            (found,) = engine.run(iter([group]), run)
        assert found.status == "done"
        assert run.record(group[0].trial.id) is None

    @pytest.mark.parametrize("refused", [(0,), (1,), (5,)])
    def test_a_pool_that_breaks_while_it_is_filled_loses_nothing(self, new, pool, refused):
        groups = self.groups(new, 10, 1)
        pool.refuses = {refused}
        found = self.run(groups)
        assert all(one.status == "done" for one in found.values())


def test_a_plug_in_in_a_fresh_worker(tmp_path, capsys):
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
    study = ["--plugin", str(plugin), "--priors", "mine", "--seeds", "3", "--scale", "smoke"]
    where = ["--jobs", "2", "--ensemble", "3", "--device", "cpu", "--no-report", "--out", str(out)]
    assert execute_command(["run", *study, *where]) == 0
    assert "one by one" not in capsys.readouterr().err
    for _, record in RunDirectory(out).records(set(pd.read_csv(out / "plan.csv")["trial"])):
        assert record["ensemble"] >= 2


class TestPrices:
    def terms(self, job):
        made = TrialParts.of(job)
        schedule = SCHEDULES["smoke"]
        return made, CommonTraining(made.task, made.dataset, schedule, torch.device("cpu"))

    def test_schedules_have_begun(self, new, monkeypatch):
        told = []
        real = Objective.losses

        def losses(self, batch, elapsed):
            told.append(elapsed)
            return real(self, batch, elapsed)

        monkeypatch.setattr(Objective, "losses", losses)
        ensemble_module._price(*self.terms(new[0]))
        assert len(told) == 4
        assert min(told) >= 1

    @pytest.mark.parametrize(
        ("prior", "steps"), [("tv", 3), ("tv:every=2", 4), ("tv:every=5", 5), ("tv:every=99", 24)]
    )
    def test_penalties_of_some_steps_have_their_share(self, prior, steps, new, monkeypatch):
        told = []
        monkeypatch.setattr(run_trial, "mean_step_time", lambda *_, most: told.append(most) or 0.5)
        loaded = load_prior(prior)
        added = Regularisation(loaded.parts(1.0, "binary"), load_attribution("input-x-gradient"))
        made, terms = self.terms(new[0])
        run_trial.step_time_alone(replace(made, regularisation=added), terms.schedule, terms.device)
        assert told == [steps]


def test_a_run_with_ensembles_holds_the_same_trials(tmp_path, capsys):
    def run(out: Path, *more: str) -> pd.DataFrame:
        study = ["--priors", "fourier,fourier+dropout", "--seeds", "3", "--scale", "smoke"]
        where = ["--device", "cpu", "--jobs", "1", "--no-report", "--out", str(out)]
        assert execute_command(["run", *study, *where, *more]) == 0
        return pd.read_csv(out / "results.csv", keep_default_na=False)

    at_once = run(tmp_path / "at_once", "--ensemble", "3")
    messages = capsys.readouterr().err
    assert "3 were trained one by one: CannotStack: dropout draws in another order" in messages
    expected = run(tmp_path / "one_by_one")
    key = ["trial", "prior", "seed", "attribution", "metric"]
    assert at_once[key].equals(expected[key])
    sizes = {
        (record["prior"], record.get("ensemble"))
        for _, record in RunDirectory(tmp_path / "at_once").records(set(at_once["trial"]) - {""})
        if record
    }
    assert sizes == {("none", 3), ("fourier", 3), ("fourier+dropout", None)}
    capsys.readouterr()
    # how trials are run makes no other study
    run(tmp_path / "at_once")
    assert "9 trials, 0 to run" in capsys.readouterr().err
