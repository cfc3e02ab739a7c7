"""From trial folders to results.csv and comparisons.csv, and back for the report."""

from __future__ import annotations

import io
import json
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from . import registry, scoring, specs
from .comparisons import BLOCK_COLUMNS, EVALUATE, REFERENCE, Agreement, agreement_of, compare
from .contracts import Metric, Task, TrialArrays
from .dataset import Dataset, load_dataset
from .errors import UserError
from .evaluation import unpack
from .metrics import METRICS
from .plan import BASELINE, Plan
from .store import DONE, RunDirectory, write_text
from .study import Study, read_toml
from .trial import Trial

_CACHED_TRIALS = 64
RESULT_COLUMNS = [
    "trial",
    "stage",
    "status",
    "task",
    "dataset",
    "architecture",
    "prior",
    "weight",
    "seed",
    "metric",
    "axis",
    "value",
    "higher_is_better",
]


def collect(plan: Plan, run: RunDirectory) -> pd.DataFrame:
    """One row per trial and metric, reference rows included, in the plan's order."""
    datasets = {key: load_dataset(folder) for key, folder in plan.datasets.items()}
    records = {trial.id: run.record(trial.id) for trial in plan.trials}
    scores: dict[str, dict[str, float]] = {
        trial.id: _own_scores(trial, records[trial.id], run, datasets) for trial in plan.trials
    }
    for arm in _grouped(plan.trials, lambda trial: trial.arm):
        present = [t for t in arm if _has_arrays(records[t.id])]
        attributions = [_arrays(t, records, run, datasets).attribution for t in present]
        for trial, found in zip(present, scoring.score_seeds(attributions), strict=True):
            scores[trial.id] |= found
    for trial, baseline in _with_baseline(plan.trials):
        costs, reference = _costs(records[trial.id]), _costs(records[baseline.id])
        if costs and reference:
            scores[trial.id] |= scoring.score_against(costs, reference)
    references = _references(plan, datasets)
    rows: list[dict[str, Any]] = []
    for block in _grouped(plan.trials, lambda trial: trial.block):
        known = _expected_metrics(block[0].task).union(*(scores[t.id] for t in block))
        known &= _defined(block, references[block[0].block])
        for trial in block:
            record = records[trial.id]
            if record is not None:
                rows += _rows(trial, record, scores[trial.id], known)
    table = pd.DataFrame([*rows, *_reference_rows(references)], columns=RESULT_COLUMNS)
    return table.astype({"seed": "Int64"})


def _own_scores(
    trial: Trial,
    record: dict[str, Any] | None,
    run: RunDirectory,
    datasets: Mapping[str, Dataset],
) -> dict[str, float]:
    if record is None or not record.get("metrics"):
        return {}
    if record["scored_by"] == scoring.metrics_digest():
        return {name: _number(value) for name, value in record["metrics"].items()}
    # metrics have changed since the trial was run: its arrays are enough to score it again
    task = registry.load("task", specs.split_spec(trial.task)[0])
    return scoring.score_trial(_arrays(trial, {trial.id: record}, run, datasets), task.metrics)


def _number(value: float | None) -> float:
    return float("nan") if value is None else value


def _has_arrays(record: dict[str, Any] | None) -> bool:
    return record is not None and bool(record.get("metrics"))


def _costs(record: dict[str, Any] | None) -> dict[str, float]:
    return dict(record.get("costs", {})) if record else {}


def _arrays(
    trial: Trial,
    records: Mapping[str, dict[str, Any] | None],
    run: RunDirectory,
    datasets: Mapping[str, Dataset],
) -> TrialArrays:
    dataset = datasets[f"{trial.task}/{trial.dataset}"]
    return unpack(run.trial(trial.id) / "arrays.npz", dataset, _costs(records[trial.id]))


def _grouped(trials: Iterable[Trial], key: Any) -> list[list[Trial]]:
    groups: dict[Any, list[Trial]] = defaultdict(list)
    for trial in trials:
        groups[key(trial)].append(trial)
    return list(groups.values())


def _with_baseline(trials: Sequence[Trial]) -> list[tuple[Trial, Trial]]:
    baselines = {(t.block, t.seed): t for t in trials if t.prior == BASELINE}
    return [
        (trial, baselines[trial.block, trial.seed])
        for trial in trials
        if (trial.block, trial.seed) in baselines
    ]


def _expected_metrics(task: str) -> set[str]:
    """What every trial of a task would be scored by, so that trials that failed have rows."""
    own = registry.load("task", specs.split_spec(task)[0]).metrics
    return {name for name, m in METRICS.items() if m.axis != "prediction" or name in own}


def _rows(
    trial: Trial, record: Mapping[str, Any], scores: Mapping[str, float], known: set[str]
) -> list[dict[str, Any]]:
    """A trial's scores in the order of METRICS; NaN where one that failed has none."""
    names = known if record["status"] != DONE else known & set(scores)
    arm = {
        "trial": trial.id,
        "stage": trial.stage,
        "status": record["status"],
        "prior": trial.prior,
        "weight": trial.weight,
        "seed": trial.seed,
    }
    return [
        _row(trial.block, metric, scores.get(metric.name, float("nan")), arm)
        for metric in METRICS.values()
        if metric.name in names
    ]


def _row(
    block: Sequence[str], metric: Metric, value: float, arm: Mapping[str, Any]
) -> dict[str, Any]:
    return {
        **dict(zip(BLOCK_COLUMNS, block, strict=True)),
        **arm,
        "metric": metric.name,
        "axis": metric.axis,
        "value": value,
        "higher_is_better": metric.higher_is_better,
    }


_References = dict[tuple[str, str, str], dict[str, dict[str, float]]]


def _references(plan: Plan, datasets: Mapping[str, Dataset]) -> _References:
    """Scores of chance and of the oracle for every block."""
    found: _References = {}
    for block in dict.fromkeys(trial.block for trial in plan.trials):
        task: Task = registry.build("task", block[0])
        found[block] = scoring.reference_scores(datasets[f"{block[0]}/{block[1]}"], task)
    return found


def _defined(block: Sequence[Trial], references: Mapping[str, Mapping[str, float]]) -> set[str]:
    """The metrics that this data can have, whatever became of the trials.

    Of unknown motifs there is no localisation, of one seed no stability.
    """
    floor = references[scoring.RANDOM]
    seeds = len({trial.seed for trial in block})
    return {
        name
        for name, metric in METRICS.items()
        if metric.axis == "cost"
        or (seeds > 1 if metric.scope == "seeds" else math.isfinite(floor.get(name, 0.0)))
    }


def _reference_rows(references: _References) -> list[dict[str, Any]]:
    return [
        _row(block, METRICS[metric], value, {"stage": REFERENCE, "status": DONE, "prior": name})
        for block, found in references.items()
        for name, scores in found.items()
        for metric, value in scores.items()
        if math.isfinite(value)
    ]


def write_results(plan: Plan, run: RunDirectory) -> None:
    """Write results.csv and comparisons.csv."""
    results = collect(plan, run)
    datasets = {key: load_dataset(folder) for key, folder in plan.datasets.items()}
    trials = {trial.id: trial for trial in plan.trials}

    @lru_cache(maxsize=_CACHED_TRIALS)
    def attribution(trial_id: str) -> NDArray[np.float32]:
        trial = trials[trial_id]
        return _arrays(trial, {trial_id: run.record(trial_id)}, run, datasets).attribution

    comparisons = compare(results, agreement_of(results, attribution))
    write_text(run.root / "results.csv", _csv(results))
    write_text(run.root / "comparisons.csv", _csv(comparisons))


def _csv(table: pd.DataFrame) -> str:
    buffer = io.StringIO()
    table.to_csv(buffer, index=False, lineterminator="\n")
    return buffer.getvalue()


@dataclass(frozen=True)
class Run:
    """A finished run, for the report.

    Attributes:
        root: the run directory.
        study: contents of study.toml.
        environment: contents of environment.json.
        results: results.csv, with the columns RESULT_COLUMNS.
        comparisons: comparisons.csv, with the columns comparisons.COMPARISON_COLUMNS.
        planned: how many trials the study has.
        records: record.json of every planned trial that has been run, by id.
        datasets: opened datasets by ``task/name``.
    """

    root: Path
    study: Mapping[str, Any]
    environment: Mapping[str, Any]
    results: pd.DataFrame
    comparisons: pd.DataFrame
    planned: int
    records: Mapping[str, Mapping[str, Any]]
    datasets: Mapping[str, Dataset]

    def arrays(self, trial: str) -> TrialArrays | None:
        """What a trial left behind for scoring, or None if it failed."""
        record = self.records[trial]
        path = self.root / "trials" / trial / "arrays.npz"
        if not path.exists():
            return None
        dataset = self.datasets[f"{record['task']}/{record['dataset']}"]
        return unpack(path, dataset, record.get("costs", {}))

    def agreement(self) -> Agreement:
        """Agreement of trials, from their stored attributions."""

        @lru_cache(maxsize=_CACHED_TRIALS)
        def attribution(trial: str) -> NDArray[np.float32] | None:
            arrays = self.arrays(trial)
            return None if arrays is None else arrays.attribution

        return agreement_of(self.results, attribution)


def load_run(root: Path) -> Run:
    """Read a run directory.

    Raises:
        UserError: if the folder is not a run directory, or has no results yet.
    """
    for name in ("study.toml", "environment.json", "plan.csv", "results.csv", "comparisons.csv"):
        if not (root / name).is_file():
            raise UserError(
                f"{root}: no {name} here, so this is not a finished run; `priorbench run "
                f"{root / 'study.toml'} --out {root}` goes on with one"
            )
    environment = json.loads((root / "environment.json").read_text(encoding="utf-8"))
    results = _read_csv(root / "results.csv").astype({"seed": "Int64"})
    run = RunDirectory(root)
    ids = _read_csv(root / "plan.csv")["trial"]
    records = {i: record for i in ids if (record := run.record(i)) is not None}
    scored = set(results.loc[results["stage"] == EVALUATE, "trial"])
    if not scored <= set(records):
        raise UserError(f"{root}: results.csv is older than the trials; run the command again")
    return Run(
        root,
        # a run of an earlier version lacks the options that came later
        {**Study().model_dump(mode="json"), **read_toml(root / "study.toml")},
        environment,
        results,
        _read_csv(root / "comparisons.csv"),
        len(ids),
        records,
        {key: load_dataset(root / folder) for key, folder in environment["datasets"].items()},
    )


def _read_csv(path: Path) -> pd.DataFrame:
    # only an empty cell is missing: "none" is a prior, and so may "NA" be
    return pd.read_csv(path, keep_default_na=False, na_values=[""], dtype={"trial": str})
