"""From trial folders to results.csv and comparisons.csv, and back for the report."""

from __future__ import annotations

import io
import json
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from . import registry, scoring, specs
from .contracts import Metric, TrialArrays
from .dataset import Dataset, load_dataset
from .errors import UserError
from .evaluation import unpack
from .metrics import METRICS
from .plan import BASELINE, Plan
from .statistics import impute_failures, paired_difference
from .store import DONE, RunDirectory, write_text
from .study import read_toml
from .trial import Trial

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
COMPARISON_COLUMNS = [
    "task",
    "dataset",
    "architecture",
    "prior",
    "baseline",
    "metric",
    "axis",
    "n",
    "mean_baseline",
    "mean_prior",
    "difference",
    "ci_low",
    "ci_high",
    "effect_size",
    "p",
    "p_adjusted",
    "test",
    "verdict",
]
ALPHA = 0.05
EVALUATE, REFERENCE = "evaluate", "reference"
"""stages: trials that count, and scores of a random attribution and of the oracle"""
_BLOCK = ["task", "dataset", "architecture"]


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
    rows: list[dict[str, Any]] = []
    for block in _grouped(plan.trials, lambda trial: trial.block):
        known = _expected_metrics(block[0].task).union(*(scores[t.id] for t in block))
        for trial in block:
            record = records[trial.id]
            if record is not None:
                rows += _rows(trial, record, scores[trial.id], known)
    table = pd.DataFrame([*rows, *_reference_rows(plan, datasets)], columns=RESULT_COLUMNS)
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
    names = known if record["status"] != DONE else set(scores)
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
        **dict(zip(_BLOCK, block, strict=True)),
        **arm,
        "metric": metric.name,
        "axis": metric.axis,
        "value": value,
        "higher_is_better": metric.higher_is_better,
    }


def _reference_rows(plan: Plan, datasets: Mapping[str, Dataset]) -> list[dict[str, Any]]:
    rows = []
    for block in dict.fromkeys(trial.block for trial in plan.trials):
        references = scoring.reference_scores(datasets[f"{block[0]}/{block[1]}"])
        for name, scores in references.items():
            arm = {"stage": REFERENCE, "status": DONE, "prior": name}
            rows += [
                _row(block, METRICS[metric], value, arm)
                for metric, value in scores.items()
                if math.isfinite(value)
            ]
    return rows


def compare(results: pd.DataFrame, baseline: str = BASELINE) -> pd.DataFrame:
    """One row per dataset, prior and metric: paired differences to a baseline.

    Failed and collapsed trials count as the worst outcome (``impute_failures``). p is adjusted
    by Holm's method over the priors of a dataset, metric by metric. Metrics without a direction
    are described and never judged.

    Args:
        results: with the columns RESULT_COLUMNS.
        baseline: normalised spec of the prior to compare with.
    """
    rows = []
    evaluated = results[results["stage"] == EVALUATE]
    floors = results[(results["stage"] == REFERENCE) & (results["prior"] == scoring.RANDOM)]
    for key, group in evaluated.groupby([*_BLOCK, "metric"], sort=False):
        *block, name = map(str, key)
        metric = METRICS[name]
        floor = floors[(floors[_BLOCK] == block).all(axis=1) & (floors["metric"] == name)]["value"]
        table = _paired_table(group, metric, float(floor.iloc[0]) if len(floor) else None)
        if baseline in table:
            rows += _judge(_differences(table, block, metric, baseline), metric)
    return pd.DataFrame(rows, columns=COMPARISON_COLUMNS)


def counted_scores(rows: pd.DataFrame, metric: Metric, floor: float | None) -> pd.Series[float]:
    """Values of one metric as they count: failed and collapsed trials have the worst outcome.

    Args:
        rows: rows of results.csv of one block and one metric, of all priors.
        metric: gives the direction; without one, values are as measured.
        floor: score of a random attribution, where there is one.
    """
    values = rows["value"].to_numpy(dtype=float)
    if metric.higher_is_better is not None:
        failed = (rows["status"] != DONE).to_numpy()
        values = impute_failures(
            values, failed, higher_is_better=metric.higher_is_better, floor=floor
        )
    return pd.Series(values, index=rows.index)


def _paired_table(group: pd.DataFrame, metric: Metric, floor: float | None) -> pd.DataFrame:
    """Seeds x priors of one metric; seeds that have no value under some prior are left out."""
    counted = group.assign(value=counted_scores(group, metric, floor))
    wide = counted.pivot_table(index="seed", columns="prior", values="value", dropna=False)
    return wide[list(dict.fromkeys(group["prior"]))].dropna()


def _differences(
    table: pd.DataFrame, block: Sequence[str], metric: Metric, baseline: str
) -> list[dict[str, Any]]:
    rows = []
    for prior in table.columns:
        if prior == baseline or not len(table):
            continue
        found = paired_difference(
            table[baseline].to_numpy(dtype=float), table[prior].to_numpy(dtype=float)
        )
        rows.append(
            {
                **dict(zip(_BLOCK, block, strict=True)),
                "prior": prior,
                "baseline": baseline,
                "metric": metric.name,
                "axis": metric.axis,
                **vars(found),
            }
        )
    return rows


def _judge(rows: list[dict[str, Any]], metric: Metric) -> list[dict[str, Any]]:
    from statsmodels.stats.multitest import multipletests

    p = np.array([row["p"] for row in rows], dtype=float)
    judged = metric.higher_is_better is not None and len(p) > 0 and bool(np.isfinite(p).all())
    adjusted: NDArray[np.float64] = (
        multipletests(p, method="holm")[1] if judged else np.full(len(p), np.nan)
    )
    for row, value in zip(rows, adjusted, strict=True):
        row["p_adjusted"] = float(value)
        row["verdict"] = _verdict(row, metric) if judged else ""
    return rows


def _verdict(row: Mapping[str, Any], metric: Metric) -> str:
    if row["p_adjusted"] > ALPHA:
        return "inconclusive"
    return "better" if (row["difference"] > 0) == metric.higher_is_better else "worse"


def write_results(plan: Plan, run: RunDirectory) -> None:
    """Write results.csv and comparisons.csv."""
    results = collect(plan, run)
    write_text(run.root / "results.csv", _csv(results))
    write_text(run.root / "comparisons.csv", _csv(compare(results)))


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
        comparisons: comparisons.csv, with the columns COMPARISON_COLUMNS.
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


def load_run(root: Path) -> Run:
    """Read a run directory.

    Raises:
        UserError: if the folder is not a run directory, or has no results yet.
    """
    for name in ("study.toml", "environment.json", "plan.csv", "results.csv", "comparisons.csv"):
        if not (root / name).is_file():
            raise UserError(
                f"{root}: no {name} here, so this is not a finished run; `priorbench run "
                f"--out {root}` makes one"
            )
    environment = json.loads((root / "environment.json").read_text(encoding="utf-8"))
    results = _read_csv(root / "results.csv").astype({"seed": "Int64"})
    run = RunDirectory(root)
    ids = _read_csv(root / "plan.csv")["trial"]
    records = {i: record for i in ids if (record := run.record(i)) is not None}
    return Run(
        root,
        read_toml(root / "study.toml"),
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


__all__ = [
    "ALPHA",
    "COMPARISON_COLUMNS",
    "EVALUATE",
    "REFERENCE",
    "RESULT_COLUMNS",
    "Run",
    "collect",
    "compare",
    "counted_scores",
    "load_run",
    "write_results",
]
