"""Seconds and memory that the bookkeeping of 100,000 trials takes; no trial is trained."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from priorbench.evaluation import scoring
from priorbench.execution.environment import environment
from priorbench.metrics import METRICS
from priorbench.run_directory import RunDirectory
from priorbench.study.plan import Plan, make_plan
from priorbench.study.resolve import resolve
from priorbench.study.study import load_study
from priorbench.workflow.run_study import write_plan

TRIALS = 100_000
PRIORS = ("none", "fourier", "tv", "gini", "l1", "l2", "gradient-l2", "dropout", "weight-l2")
PRIORS += ("input-noise",)
TASKS = 20
_EPOCHS = 8  # as at quick scale
_PRELUDE = """
import resource, sys, time
from pathlib import Path
from priorbench.study.plan import make_plan, resolve
from priorbench.backends.run_pending import pending_trials
from priorbench.workflow.run_study import write_plan
from priorbench.workflow.run_status import read_status
from priorbench.run_directory import RunDirectory
from priorbench.study.study import load_study
run = RunDirectory(Path(sys.argv[1]))
study = load_study(run.root / "asked.toml")
def planned():
    return make_plan(resolve(study, "cpu"), run, lambda line: None)
"""
_TIMED = """
started = time.perf_counter()
{code}
print(time.perf_counter() - started)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20)
"""
_STEPS = {
    "planning": ("", "write_plan(planned(), run)"),
    "resume check": ("plan = planned()", "assert not pending_trials(plan, run)"),
    "status": ("", "assert read_status(run.root).by_prior['none']['done']"),
}


@dataclass(frozen=True)
class PlanningTiming:
    """What a step took.

    Attributes:
        name: of the step.
        seconds: wall time, imports left out.
        peak_gb: peak resident memory of its process.
    """

    name: str
    seconds: float
    peak_gb: float


def timings(trials: int = TRIALS) -> Iterator[PlanningTiming]:
    """Time every step on a run directory of that many trials, each in a process of its own."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name) / "run"
        make_run(root, trials)
        for step, (before, code) in _STEPS.items():
            yield _timed(step, root, _PRELUDE + before + _TIMED.format(code=code))


def _timed(name: str, root: Path, code: str) -> PlanningTiming:
    command = [sys.executable, "-c", code, str(root)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    seconds, peak = map(float, done.stdout.split())
    return PlanningTiming(name, seconds, peak)


def make_run(root: Path, trials: int) -> Plan:
    """A run directory in which all trials have ended, but for what scoring them would write."""
    root.mkdir(parents=True)
    seeds = trials // (TASKS * len(PRIORS))
    tasks = ", ".join(f'"binary:fidelity=0.{800 + i}"' for i in range(TASKS))
    priors = ", ".join(f'"{prior}"' for prior in PRIORS)
    (root / "asked.toml").write_text(
        f'name = "many"\npriors = [{priors}]\ntasks = [{tasks}]\nseeds = {seeds}\n'
        'scale = "smoke"\ndevice = "cpu"\n'
    )
    run = RunDirectory(root)
    plan = make_plan(resolve(load_study(root / "asked.toml"), "cpu"), run, lambda line: None)
    write_plan(plan, run)
    (root / "study.toml").write_text(plan.study.to_toml())
    datasets = {name: str(folder.relative_to(root)) for name, folder in plan.datasets.items()}
    facts = {**environment("cpu", 1), "datasets": datasets, "notes": plan.notes}
    (root / "environment.json").write_text(json.dumps(facts))
    record = _record()
    run.trials.mkdir()
    for trial in plan.trials:
        folder = run.trial(trial.id)
        folder.mkdir()
        fields = {name: value for name, value in vars(trial).items() if name != "id"}
        text = json.dumps({"trial": trial.id, **fields, **record}, indent=1)
        (folder / "record.json").write_text(text)
    return plan


def _record() -> dict[str, Any]:
    """What a trial at quick scale leaves behind, of the same size."""
    generator = np.random.default_rng(0)
    epoch = ("training_loss", "penalty", "validation_loss", "seconds_per_step")
    history = [
        {**dict(zip(epoch, generator.random(4), strict=True)), "order": "0123456789abcdef"}
        for _ in range(_EPOCHS)
    ]
    scores: dict[str, dict[str, float]] = {"": {}, "input-x-gradient": {}}
    for name, metric in METRICS.items():
        if metric.scope in ("trial", "model"):
            spec = "input-x-gradient" if metric.of_attribution else ""
            scores[spec][name] = float(generator.random())
    return {
        "status": "done",
        "reason": "",
        "best_epoch": _EPOCHS - 1,
        "divergence": "",
        "history": history,
        "initial_weights": "0123456789abcdef",
        "batch_order": [row["order"] for row in history],
        "costs": {"seconds_per_step": 0.01, "peak_memory_mib": 500.0, "epochs_to_best": _EPOCHS},
        "metrics": scores,
        "flags": [],
        "scored_by": scoring.metrics_digest(),
        "probed_by": scoring.probes_digest(),
        "discovered_by": scoring.discovery_digest(),
        "seconds": 10.0,
        "host": "machine",
    }


if __name__ == "__main__":
    for timing in timings(*map(int, sys.argv[1:])):
        print(timing)
