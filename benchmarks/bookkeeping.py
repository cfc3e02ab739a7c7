"""Seconds and memory that the bookkeeping of many trials takes; all but one are made up."""

import shutil
import tempfile
from collections.abc import Generator, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from measuring import Row, in_new_process

from priorbench.backends.environment import environment
from priorbench.backends.run_pending import pending_trials
from priorbench.execution.job import Job
from priorbench.execution.run_trial import run_trial
from priorbench.results.collect import write_results
from priorbench.storage.run_directory import RunDirectory
from priorbench.study.declared import claims_of
from priorbench.study.plan import Plan, make_plan
from priorbench.study.recorded_study import record_study
from priorbench.study.resolve import resolve
from priorbench.study.sealed_claims import seal_claims
from priorbench.study.study import Study, load_study
from priorbench.workflow.changed_code import deciding_facts
from priorbench.workflow.run_folder import write_plan
from priorbench.workflow.run_status import read_status

PRIORS = ["none", "fourier", "tv", "gini", "l1", "l2", "weight-l1", "weight-l2", "dropout"]
PRIORS += ["input-noise"]
TASKS = [f"binary:fidelity={0.8 + i / 1000:.3f}" for i in range(20)]


def bookkeeping(*, quick: bool = False) -> Iterator[Row]:
    """Time planning, resume check and status of 100,000 trials that have ended.

    Then the tables of four arms on 120 and on 500 seeds, whose time should grow like the trials.
    """
    seeds = 5 if quick else 500
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "run"
        in_new_process(make_run, root, TASKS, seeds)
        for work in (planning, resume_check, status):
            trials, name = len(TASKS) * len(PRIORS) * seeds, work.__name__.replace("_", " ")
            yield {"trials": trials, "work": name, **in_new_process(work, root)}
    for seeds in (6, 12) if quick else (120, 500):
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder) / "run"
            in_new_process(make_run, root, ["binary"], seeds, ("simulated",), PRIORS[:4])
            trials = 4 * seeds
            yield {"trials": trials, "work": "tables", **in_new_process(tables, root)}


def make_run(
    root: Path,
    tasks: Sequence[str],
    seeds: int,
    datasets: Sequence[str] = ("simulated",),
    priors: Sequence[str] = PRIORS,
) -> Generator[None, None, Plan]:
    """Write a run in which all trials of the priors have ended, then yield and return its plan.

    One trial is trained; the others have its record with scores that differ. Each task's data are
    planned under the names of the datasets; with several, one in a hundred failed. Trials have
    arrays there, and where there are few priors.
    """
    run, generator, several = RunDirectory(root), np.random.default_rng(0), len(datasets) > 1
    study = Study(priors=priors, tasks=tasks, seeds=seeds, scale="smoke", margins={"auroc": 0.005})
    plan = make_plan(resolve(study, "cpu"), run, lambda line: None)
    folders = [(key.rpartition("/")[0], folder) for key, folder in plan.datasets.items()]
    plan = replace(
        plan,
        trials=[replace(trial, dataset=name) for name in datasets for trial in plan.trials],
        datasets={f"{task}/{name}": folder for task, folder in folders for name in datasets},
    )
    seal_claims(root, claims_of(plan.study.model_dump(mode="json")))
    facts = environment("cpu", 1) | {"command": "made up"}
    places = {key: str(folder.relative_to(root)) for key, folder in plan.datasets.items()}
    facts |= {"datasets": places, "digests": {}, "notes": plan.notes}
    facts |= {"decided_by": deciding_facts(plan.study, plan.settings)}
    record_study(run, plan.study, facts)
    write_plan(plan, run)
    first = plan.trials[0]
    run_trial(Job(first, folders[0][1].resolve(), (), root, plan.measurements(first)))
    trained = run.record(first.id)
    for number, trial in enumerate(plan.trials[1:]):
        folder = run.trial(trial.id)
        folder.mkdir()
        metrics = {
            spec: {name: (old or 0.0) + generator.normal(0, 0.02) for name, old in scores.items()}
            for spec, scores in trained["metrics"].items()
        }
        record = trained | vars(trial) | {"trial": trial.id, "metrics": metrics}
        if several and number % 100 == 7:
            record |= {"status": "failed", "reason": "RuntimeError: made up", "metrics": {}}
        elif several or len(priors) < len(PRIORS):
            shutil.copy(run.trial(first.id) / "arrays.npz", folder)
        run.seal_trial(folder, record)
    yield
    return plan


def planning(root: Path) -> Iterator[None]:
    yield
    write_plan(_plan(root), RunDirectory(root))


def resume_check(root: Path) -> Iterator[None]:
    plan = _plan(root)
    yield
    assert not pending_trials(plan, RunDirectory(root))


def status(root: Path) -> Iterator[None]:
    yield
    assert read_status(root).by_prior["none"]["done"]


def tables(root: Path) -> Iterator[None]:
    plan = _plan(root)
    yield
    write_results(plan, RunDirectory(root), lambda line: None)


def _plan(root: Path) -> Plan:
    study = resolve(load_study(root / "study.toml"), "cpu")
    return make_plan(study, RunDirectory(root), lambda line: None)
