"""From trial folders to results.csv and comparisons.csv, and back for the report."""

from __future__ import annotations

import dataclasses
import io
import json
import math
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from . import registry, scoring
from .across import ACROSS_COLUMNS, compare_across
from .choosing import no_tuning, read_tuning
from .claims import Claims, claims_of
from .comparisons import COMPARISON_COLUMNS, agreement_of, compare_pairs
from .contracts import Metric, TrialArrays
from .dataset import SCORED_ON, Dataset, load_dataset
from .discovery import NOTHING_FOUND, MotifSet, unpack_motifs
from .errors import UserError
from .evaluation import attributions_in, read_arrays, stored_attribution, unpack
from .metrics import METRICS
from .pairs import EVALUATE, REFERENCE, Agreement, paired_runs
from .plan import BASELINE, Plan
from .references import discovery_floors, stored_references
from .store import DONE, RunDirectory, write_text
from .study import Study, read_toml
from .trends import TREND_COLUMNS, trends
from .trial import Trial

Row = tuple[Any, ...]
"""cells in the order of RESULT_COLUMNS"""

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
    for block in _grouped(plan.trials, lambda trial: (trial.block, trial.stage)):
        known = {
            spec: scores.known(block, spec, references[block[0].block])
            for spec in ("", *plan.study.attributions)
        }
        for trial in block:
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
        if trials and self.plan.wanted(trials[0]).discovery:
            sets = [
                _motifs(self.run, trial.id, spec, trial.task) or NOTHING_FOUND for trial in trials
            ]
            for trial, scores in zip(trials, scoring.score_motif_sets(sets), strict=True):
                self.found[trial.id][spec] |= scores

    def known(
        self, block: Sequence[Trial], spec: str, references: Mapping[str, Mapping[str, float]]
    ) -> set[str]:
        """The metrics of an attribution that these data can have.

        What some finished trial has; where none finished, what chance has.
        """
        finished = [trial for trial in block if self.status[trial.id] == DONE]
        found = {
            name
            for trial in finished or block
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
        seeds = len({trial.seed for trial in block})
        return {name for name in found if not METRICS[name].of_arm or seeds > 1}

    def rows(self, trial: Trial, spec: str, known: set[str]) -> list[Row]:
        """A trial's scores in the order of METRICS; NaN where one that failed has none."""
        status = self.status[trial.id]
        if status is None:
            return []
        scores = self.found[trial.id].get(spec, {})
        names = known if status != DONE else known & set(scores)
        about = (trial.id, trial.stage, status, *trial.block)
        arm = (trial.prior, trial.weight, trial.seed, spec)
        return [
            (*about, *arm, *_score(metric, scores.get(metric.name, math.nan)))
            for metric in METRICS.values()
            if metric.name in names
        ]


def _number(value: float | None) -> float:
    return float("nan") if value is None else value


def _attribution(run: RunDirectory, trial: str, spec: str) -> NDArray[np.float32]:
    return stored_attribution(read_arrays(run.trial(trial) / "arrays.npz"), spec)


def _motifs(run: RunDirectory, trial: str, spec: str, task: str) -> MotifSet | None:
    stored = read_arrays(run.trial(trial) / "arrays.npz")
    return unpack_motifs(stored, spec, both_strands=registry.build("task", task).reverse_complement)


def _grouped(trials: Iterable[Trial], key: Any) -> list[list[Trial]]:
    groups: dict[Any, list[Trial]] = defaultdict(list)
    for trial in trials:
        groups[key(trial)].append(trial)
    return list(groups.values())


def _with_baseline(trials: Sequence[Trial]) -> list[tuple[Trial, Trial]]:
    baselines = {(t.block, t.stage, t.seed): t for t in trials if t.prior == BASELINE}
    pairs = [(trial, baselines.get((trial.block, trial.stage, trial.seed))) for trial in trials]
    return [(trial, baseline) for trial, baseline in pairs if baseline is not None]


def _score(metric: Metric, value: float) -> Row:
    """The last cells of a row."""
    return (metric.name, metric.axis, value, metric.higher_is_better)


_References = dict[tuple[str, str, str], dict[str, dict[str, float]]]


def _references(plan: Plan) -> _References:
    """Scores of chance, of motif search and of the oracle for every block."""
    found: _References = {}
    for block in dict.fromkeys(trial.block for trial in plan.trials):
        found[block] = stored_references(plan.datasets[f"{block[0]}/{block[1]}"], block[0])
        if plan.study.discovery:
            found[block][scoring.RANDOM] |= discovery_floors()
    return found


def _reference_rows(references: _References) -> list[Row]:
    # they have no trial, weight and seed
    return [
        (
            *(math.nan, REFERENCE, DONE, *block, name, math.nan, math.nan, ""),
            *_score(METRICS[metric], value),
        )
        for block, found in references.items()
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


def task_options(spec: str) -> dict[str, Any]:
    """Every option of a task, by name."""
    return dataclasses.asdict(registry.build("task", spec))


def as_csv(table: pd.DataFrame) -> str:
    """A table as text, numbers to the last bit."""
    buffer = io.StringIO()
    table.to_csv(buffer, index=False, lineterminator="\n")
    return buffer.getvalue()


@dataclass(frozen=True, eq=False)
class Run:
    """A finished run, for the report; equal to itself only.

    Attributes:
        root: the run directory.
        study: contents of study.toml.
        environment: contents of environment.json.
        results: results.csv, with the columns RESULT_COLUMNS.
        comparisons: comparisons.csv, with the columns comparisons.COMPARISON_COLUMNS.
        planned: how many trials the study has.
        records: record.json of every planned trial that has been run, by id.
        datasets: opened datasets by ``task/name``, as trials of stage ``evaluate`` see them.
        tuning: tuning.csv, with the columns choosing.TUNING_COLUMNS; empty if weights were not
            tuned.
        across: across.csv, with the columns across.ACROSS_COLUMNS; empty for a run of one dataset.
        trends: trends.csv, with the columns trends.TREND_COLUMNS; empty where nothing was swept.
    """

    root: Path
    study: Mapping[str, Any]
    environment: Mapping[str, Any]
    results: pd.DataFrame
    comparisons: pd.DataFrame
    planned: int
    records: Mapping[str, Mapping[str, Any]]
    datasets: Mapping[str, Dataset]
    tuning: pd.DataFrame = field(default_factory=no_tuning)
    across: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=ACROSS_COLUMNS))
    trends: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=TREND_COLUMNS))

    @property
    def parts(self) -> Mapping[str, Run]:
        """The runs that it is made of by label; itself, unless it was joined."""
        return {self.root.name: self}

    def runs_of(self, block: Sequence[str]) -> Sequence[str]:
        """Labels of the runs whose trials a block holds; none where there is only one run.

        Args:
            block: task, dataset, architecture.
        """
        return ()

    @property
    def claims(self) -> Claims:
        """What the study declared."""
        return claims_of(self.study)

    @property
    def attributions(self) -> list[str]:
        """Specs of the attributions that were scored, the main one first."""
        return list(self.study["attributions"])

    def arrays(self, trial: str, attribution: str = "") -> TrialArrays | None:
        """What a trial left behind for scoring, or None if it failed.

        Args:
            trial: its id.
            attribution: spec of one that was scored; the main one if left out.
        """
        record = self.records[trial]
        path = self.root / "trials" / trial / "arrays.npz"
        if not path.exists():
            return None
        dataset = self._dataset(record)
        stored = read_arrays(path)
        spec = attribution or self.attributions[0]
        if spec not in attributions_in(stored):
            return None
        return unpack(stored, spec, dataset, record.get("costs", {}))

    def _dataset(self, record: Mapping[str, Any]) -> Dataset:
        """What a trial was scored on."""
        key, scored = f"{record['task']}/{record['dataset']}", SCORED_ON[record["stage"]]
        found = self.datasets[key]
        if found.scored == scored:
            return found
        return load_dataset(self.root / self.environment["datasets"][key], scored)

    def motifs(self, trial: str, attribution: str = "") -> MotifSet | None:
        """What was discovered in a trial's attributions, or None if nobody has looked.

        Args:
            trial: its id.
            attribution: spec of one that was scored; the main one if left out.
        """
        if not (self.root / "trials" / trial / "arrays.npz").exists():
            return None
        spec, task = attribution or self.attributions[0], str(self.records[trial]["task"])
        return _motifs(RunDirectory(self.root), trial, spec, task)

    def agreement(self) -> Agreement:
        """Agreement of trials, from their stored attributions."""

        @lru_cache(maxsize=_CACHED_TRIALS)
        def attribution(trial: str, spec: str) -> NDArray[np.float32] | None:
            arrays = self.arrays(trial, spec)
            return None if arrays is None else arrays.attribution

        return agreement_of(self.results, attribution, self.motifs)


def planned_trials(root: Path) -> list[str]:
    """Ids of the trials that a run directory has planned."""
    return [str(trial) for trial in _read_csv(root / "plan.csv")["trial"]]


def load_run(root: Path) -> Run:
    """Read a run directory.

    Raises:
        UserError: if the folder is not a run directory, or has no results yet.
    """
    if not root.is_dir():
        raise UserError(f"{root}: no such folder; name a run directory, as `run` names it")
    for name in ("study.toml", "environment.json", "plan.csv", "results.csv", "comparisons.csv"):
        if not (root / name).is_file():
            raise UserError(
                f"{root}: no {name} here, so this is not a finished run; `priorbench run "
                f"{root / 'study.toml'} --out {root}` goes on with one"
            )
    environment = json.loads((root / "environment.json").read_text(encoding="utf-8"))
    results = _read_csv(root / "results.csv").astype({"seed": "Int64"})
    run = RunDirectory(root)
    ids = planned_trials(root)
    records = {i: record for i, record in run.records(ids) if record is not None}
    scored = set(results.loc[results["stage"] == EVALUATE, "trial"])
    if not scored <= set(records):
        raise UserError(f"{root}: results.csv is older than the trials; run the command again")
    comparisons = _read_csv(root / "comparisons.csv")
    if not set(COMPARISON_COLUMNS) <= set(comparisons):
        raise UserError(
            f"{root}: comparisons.csv is of an earlier version; `priorbench score {root}` writes "
            "it anew"
        )
    return Run(
        root,
        # a run of an earlier version lacks the options that came later
        {**Study().model_dump(mode="json"), **read_toml(root / "study.toml")},
        environment,
        results,
        comparisons,
        len(ids),
        records,
        {key: load_dataset(root / folder) for key, folder in environment["datasets"].items()},
        read_tuning(root),
        _read_optional(root / "across.csv", ACROSS_COLUMNS),
        _read_optional(root / "trends.csv", TREND_COLUMNS),
    )


def _read_optional(path: Path, columns: list[str]) -> pd.DataFrame:
    """A table that not every run has."""
    return _read_csv(path) if path.is_file() else pd.DataFrame(columns=columns)


def _read_csv(path: Path) -> pd.DataFrame:
    # only an empty cell is missing: "none" is a prior, and so may "NA" be
    words = ["attribution", "verdict", "family", "correction", "interval", "missing", "held"]
    kinds = dict.fromkeys(["trial", *words], str)
    table = pd.read_csv(path, keep_default_na=False, na_values=[""], dtype=kinds, low_memory=False)
    for column in set(words) & set(table):
        table[column] = table[column].fillna("").astype(str)
    return table
