"""From trial folders to results.csv and comparisons.csv, and back for the report."""

from __future__ import annotations

import math
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from priorbench.comparison.option_trends import trends
from priorbench.comparison.over_datasets import compare_across
from priorbench.comparison.paired_runs import REFERENCE, paired_runs
from priorbench.comparison.within_dataset import agreement_of, compare_pairs
from priorbench.components.metric import Metric
from priorbench.data.dataset import load_dataset
from priorbench.evaluation import scoring
from priorbench.evaluation.reference_scores import discovery_floors, stored_references
from priorbench.files import write_text
from priorbench.metrics import METRICS
from priorbench.metrics.motif_set import NOTHING_FOUND, MotifSet
from priorbench.run_directory import DONE, RunDirectory
from priorbench.study.declared import claims_of
from priorbench.study.plan import Plan
from priorbench.study.study import BASELINE
from priorbench.study.trial import Trial

from .tables import _CACHED_TRIALS, _attribution, _motifs, as_csv, task_options

Row = tuple[Any, ...]
"""cells in the order of RESULT_COLUMNS"""
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
    "attribution",
    "metric",
    "axis",
    "value",
    "higher_is_better",
]


def _collect(plan: Plan, scores: _Scores) -> pd.DataFrame:
    """One row per trial, attribution and metric, reference rows included, in the plan's order."""
    references = _references(plan)
    rows: list[Row] = []
    # trials of different stages are scored on different data
    for setting in _grouped(plan.trials, lambda trial: (trial.setting, trial.stage)):
        known = {
            spec: scores.known(setting, spec, references[setting[0].setting])
            for spec in ("", *plan.study.attributions)
        }
        for trial in setting:
            for spec, names in known.items():
                rows += scores.rows(trial, spec, names)
    table = pd.DataFrame([*rows, *_reference_rows(references)], columns=RESULT_COLUMNS)
    return table.astype({"seed": "Int64"})


class _Scores:
    """Every score of every trial, by the spec of the attribution; "" for metrics of none."""

    def __init__(self, plan: Plan, run: RunDirectory) -> None:
        self.plan, self.run = plan, run
        self.datasets = {key: load_dataset(folder) for key, folder in plan.datasets.items()}
        self.status: dict[str, str | None] = {}
        self.costs: dict[str, dict[str, float]] = {}
        self.found: dict[str, dict[str, dict[str, float]]] = {}
        for trial_id, record in run.records(trial.id for trial in plan.trials):
            self._keep(trial_id, record)
        for arm in _grouped(plan.trials, lambda trial: trial.arm):
            for spec in plan.study.attributions:
                self._add_agreement([trial for trial in arm if spec in self.found[trial.id]], spec)
        for trial, baseline in _with_baseline(plan.trials):
            costs, reference = self.costs[trial.id], self.costs[baseline.id]
            if costs and reference:
                own = self.found[trial.id].setdefault("", {})
                own |= scoring.score_against(costs, reference)

    def statuses(self) -> Counter[str]:
        """How many trials have which status."""
        return Counter(map(str, self.status.values()))

    def _keep(self, trial: str, record: Mapping[str, Any] | None) -> None:
        """What rows are made of; a hundred thousand whole records would fill the memory."""
        self.status[trial] = None if record is None else record["status"]
        self.costs[trial] = dict(record.get("costs", {})) if record else {}
        self.found[trial] = {
            spec: {sys.intern(name): _number(value) for name, value in scores.items()}
            for spec, scores in (record or {}).get("metrics", {}).items()
        }

    def _add_agreement(self, trials: Sequence[Trial], spec: str) -> None:
        tracks = [_attribution(self.run, trial.id, spec) for trial in trials]
        for trial, scores in zip(trials, scoring.score_seeds(tracks), strict=True):
            self.found[trial.id][spec] |= scores
        if trials and self.plan.measurements(trials[0]).discovery:
            sets = [
                _motifs(self.run, trial.id, spec, trial.task) or NOTHING_FOUND for trial in trials
            ]
            for trial, scores in zip(trials, scoring.score_motif_sets(sets), strict=True):
                self.found[trial.id][spec] |= scores

    def known(
        self, setting: Sequence[Trial], spec: str, references: Mapping[str, Mapping[str, float]]
    ) -> set[str]:
        """The metrics of an attribution that these data can have.

        What some finished trial has; where none finished, what chance has.
        """
        finished = [trial for trial in setting if self.status[trial.id] == DONE]
        found = {
            name
            for trial in finished or setting
            for name, value in self.found[trial.id].get(spec, {}).items()
            if math.isfinite(value)
        }
        if not finished:
            floor = references[scoring.RANDOM]
            found |= {
                name
                for name, metric in METRICS.items()
                if metric.of_attribution == bool(spec) and math.isfinite(floor.get(name, math.nan))
            }
        seeds = len({trial.seed for trial in setting})
        return {name for name in found if not METRICS[name].of_arm or seeds > 1}

    def rows(self, trial: Trial, spec: str, known: set[str]) -> list[Row]:
        """A trial's scores in the order of METRICS; NaN where one that failed has none."""
        status = self.status[trial.id]
        if status is None:
            return []
        scores = self.found[trial.id].get(spec, {})
        names = known if status != DONE else known & set(scores)
        about = (trial.id, trial.stage, status, *trial.setting)
        arm = (trial.prior, trial.weight, trial.seed, spec)
        return [
            (*about, *arm, *_score(metric, scores.get(metric.name, math.nan)))
            for metric in METRICS.values()
            if metric.name in names
        ]


def _number(value: float | None) -> float:
    return float("nan") if value is None else value


def _grouped(trials: Iterable[Trial], key: Any) -> list[list[Trial]]:
    groups: dict[Any, list[Trial]] = defaultdict(list)
    for trial in trials:
        groups[key(trial)].append(trial)
    return list(groups.values())


def _with_baseline(trials: Sequence[Trial]) -> list[tuple[Trial, Trial]]:
    baselines = {(t.setting, t.stage, t.seed): t for t in trials if t.prior == BASELINE}
    pairs = [(trial, baselines.get((trial.setting, trial.stage, trial.seed))) for trial in trials]
    return [(trial, baseline) for trial, baseline in pairs if baseline is not None]


def _score(metric: Metric, value: float) -> Row:
    """The last cells of a row."""
    return (metric.name, metric.axis, value, metric.higher_is_better)


_References = dict[tuple[str, str, str], dict[str, dict[str, float]]]


def _references(plan: Plan) -> _References:
    """Scores of chance, of motif search and of the oracle for every setting."""
    found: _References = {}
    for setting in dict.fromkeys(trial.setting for trial in plan.trials):
        found[setting] = stored_references(plan.datasets[f"{setting[0]}/{setting[1]}"], setting[0])
        if plan.study.discovery:
            found[setting][scoring.RANDOM] |= discovery_floors()
    return found


def _reference_rows(references: _References) -> list[Row]:
    # they have no trial, weight and seed
    return [
        (
            *(math.nan, REFERENCE, DONE, *setting, name, math.nan, math.nan, ""),
            *_score(METRICS[metric], value),
        )
        for setting, found in references.items()
        for name, scores in found.items()
        for metric, value in scores.items()
        if math.isfinite(value)
    ]


def write_results(plan: Plan, run: RunDirectory) -> Counter[str]:
    """Write results.csv and comparisons.csv; across.csv and trends.csv where there is a point.

    The one is for several datasets, the other for several values of an option of a task.

    Returns:
        how many trials of the plan have which status.
    """
    scores = _Scores(plan, run)
    results = _collect(plan, scores)

    @lru_cache(maxsize=_CACHED_TRIALS)
    def attribution(trial: str, spec: str) -> NDArray[np.float32]:
        return _attribution(run, trial, spec)

    tasks = {trial.id: trial.task for trial in plan.trials}

    def discovered(trial: str, spec: str) -> MotifSet | None:
        return _motifs(run, trial, spec, tasks[trial])

    claims = claims_of(plan.study.model_dump(mode="json"))
    agreement = agreement_of(results, attribution, discovered)
    pairs = paired_runs(results, agreement, claims.baseline)
    write_text(run.root / "results.csv", as_csv(results))
    write_text(run.root / "comparisons.csv", as_csv(compare_pairs(pairs, claims)))
    options = {spec: task_options(spec) for spec in dict.fromkeys(tasks.values())}
    further = {
        "across.csv": compare_across(pairs, claims),
        "trends.csv": trends(pairs, options, claims),
    }
    for name, table in further.items():
        if table.empty:
            (run.root / name).unlink(missing_ok=True)
        else:
            write_text(run.root / name, as_csv(table))
    return scores.statuses()
