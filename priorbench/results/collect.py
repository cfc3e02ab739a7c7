"""Collects the scores of all trials into results.csv, and writes the tables of comparisons.

`evaluation/scoring.py` computed the scores before, for the record of each trial; those of several
seeds together are added here. `comparison/` pairs and tests them afterwards, and
`finished_run.py` reads the tables back.
"""

from __future__ import annotations

import math
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import pandas as pd

from priorbench.answer.network_check import network_sentences
from priorbench.answer.run_answer import RunAnswer, answer_run
from priorbench.comparison.option_trends import task_options, trends
from priorbench.comparison.over_datasets import compare_across
from priorbench.comparison.paired_runs import paired_runs
from priorbench.comparison.published_values import published_line, published_table
from priorbench.comparison.trial_agreement import agreement_of
from priorbench.comparison.within_dataset import compare_pairs
from priorbench.components.metric import Metric
from priorbench.evaluation import scoring
from priorbench.evaluation.reference_scores import discovery_floors, stored_references
from priorbench.metrics import METRICS
from priorbench.metrics.tools.motif_set import NOTHING_FOUND
from priorbench.storage.files import json_text
from priorbench.storage.run_directory import DONE, RunDirectory
from priorbench.study.declared import DeclaredClaims, claims_of
from priorbench.study.plan import Plan
from priorbench.study.recorded_study import ANSWER_FILE
from priorbench.study.sealed_claims import checked_claims, look_at, record_look
from priorbench.study.study import BASELINE
from priorbench.study.trial import EVALUATE, REFERENCE, SELECT, SETTING_COLUMNS, SettingKey, Trial

from .stored_trials import digest_of_results, trial_attribution, trial_motifs
from .tables import as_csv

Row = tuple[Any, ...]
"""cells in the order of RESULT_COLUMNS"""
RESULT_COLUMNS = [
    *("trial", "stage", "status", *SETTING_COLUMNS, "prior", "weight", "seed"),
    *("attribution", "metric", "axis", "value", "higher_is_better"),
]


@dataclass(frozen=True)
class Collected:
    """What the trials of a plan have come to.

    Attributes:
        statuses: how many trials of the plan have which status.
        answer: the answer, as it is in answer.json.
    """

    statuses: Counter[str]
    answer: RunAnswer


def write_results(plan: Plan, run: RunDirectory, say: Callable[[str], None]) -> Collected:
    """Write results.csv, comparisons.csv and answer.json, and other tables that have any rows.

    across.csv is for several settings, trends.csv for several values of an option of a task,
    published.csv for a study that names published values. All carry the digest of the records that
    they were made of. ``say`` is called with lines about reference scores that had to be computed
    again, and about published values.

    Raises:
        DamagedFile: if a file of a trial is not as it was written.
    """
    scores = _Scores(plan, run)
    results = _results_table(plan, scores, say)
    tasks = {trial.id: trial.task for trial in plan.trials}
    claims = _claims_at_this_look(plan, run)
    agreement = agreement_of(
        results,
        partial(trial_attribution, run),
        lambda trial, spec: trial_motifs(run, trial, spec, tasks[trial]),
    )
    pairs = paired_runs(results, agreement, claims.baseline)
    comparisons = compare_pairs(pairs, claims)
    options = {spec: task_options(spec) for spec in dict.fromkeys(tasks.values())}
    across, swept = compare_across(pairs, claims), trends(pairs, options, claims)
    study = plan.study.model_dump(mode="json")
    published = published_table(study["published"], results, study["scale"])
    if line := published_line(published):
        say(line)
    chosen = plan.study.chosen_architectures
    networks = network_sentences(results, scores.histories, claims, chosen)
    answer = answer_run(
        results,
        comparisons,
        across,
        claims=claims,
        networks=networks,
        warnings=plan.warnings,
    )
    run.manifest.write(
        {
            "results.csv": as_csv(results),
            "comparisons.csv": as_csv(comparisons),
            "across.csv": None if across.empty else as_csv(across),
            "trends.csv": None if swept.empty else as_csv(swept),
            "published.csv": None if published.empty else as_csv(published),
            ANSWER_FILE: json_text(answer.to_json()),
        },
        made_of=digest_of_results(run, results),
    )
    return Collected(Counter(map(str, scores.status.values())), answer)


def _claims_at_this_look(plan: Plan, run: RunDirectory) -> DeclaredClaims:
    """Count the look at these trials, and return what is claimed at it."""
    claims = claims_of(plan.study.model_dump(mode="json"))
    look = look_at(plan.of_stage(EVALUATE).trials)
    if look.seeds:
        record_look(run.root, look)
    return checked_claims(run.root, claims, look.seeds)


def _results_table(plan: Plan, scores: _Scores, say: Callable[[str], None]) -> pd.DataFrame:
    """Make one row per trial, attribution and metric, in the plan's order, then reference rows."""
    references = _references(plan, say)
    rows: list[Row] = []
    # trials of different stages are scored on different data
    for trials in _grouped(plan.trials, lambda trial: (trial.setting, trial.stage)):
        names = {
            spec: scores.metric_names(trials, spec, references[trials[0].setting])
            for spec in ("", *plan.study.attributions)
        }
        for trial in trials:
            for spec, metrics in names.items():
                rows += scores.rows(trial, spec, metrics)
    # a network that was only tried is not compared with anything
    settings = {trial.setting for trial in plan.trials if trial.stage != SELECT}
    shown = {setting: scores for setting, scores in references.items() if setting in settings}
    table = pd.DataFrame([*rows, *_reference_rows(shown)], columns=RESULT_COLUMNS)
    return table.astype({"seed": "Int64"})


class _Scores:
    """Every score of every trial, by the spec of the attribution; "" for metrics of none."""

    def __init__(self, plan: Plan, run: RunDirectory) -> None:
        self.plan, self.run = plan, run
        self.status: dict[str, str | None] = {}
        self.costs: dict[str, dict[str, float]] = {}
        self.histories: dict[str, list[dict[str, Any]]] = {}
        self.values: dict[str, dict[str, dict[str, float]]] = {}
        for trial_id, record in run.records(trial.id for trial in plan.trials):
            self._keep(trial_id, record)
        for arm in _grouped(plan.trials, lambda trial: trial.arm):
            for spec in plan.study.attributions:
                self._add_agreement([trial for trial in arm if spec in self.values[trial.id]], spec)
        baselines = {(t.setting, t.stage, t.seed): t for t in plan.trials if t.prior == BASELINE}
        for trial in plan.trials:
            baseline = baselines.get((trial.setting, trial.stage, trial.seed))
            costs, reference = self.costs[trial.id], baseline and self.costs[baseline.id]
            if costs and reference:
                own = self.values[trial.id].setdefault("", {})
                own |= scoring.score_against(costs, reference)

    def _keep(self, trial: str, record: Mapping[str, Any] | None) -> None:
        """Keep what rows are made of: a hundred thousand whole records would fill the memory."""
        self.status[trial] = None if record is None else record["status"]
        self.costs[trial] = dict(record.get("costs", {})) if record else {}
        # of the baseline's alone: those of all would fill the memory
        if record and record["prior"] == self.plan.study.baseline:
            self.histories[trial] = record.get("history", [])
        self.values[trial] = {
            spec: {
                sys.intern(name): math.nan if value is None else value
                for name, value in scores.items()
            }
            for spec, scores in (record or {}).get("metrics", {}).items()
        }

    def _add_agreement(self, trials: Sequence[Trial], spec: str) -> None:
        """Add how well each trial of an arm agrees with its other seeds."""
        tracks = [trial_attribution(self.run, trial.id, spec) for trial in trials]
        for trial, scores in zip(trials, scoring.score_seeds(tracks), strict=True):
            self.values[trial.id][spec] |= scores
        if trials and self.plan.measurements(trials[0]).discovery:
            motifs = [trial_motifs(self.run, trial.id, spec, trial.task) for trial in trials]
            if all(motif_set is None for motif_set in motifs):  # it has nothing to look for them in
                return
            sets = [motif_set or NOTHING_FOUND for motif_set in motifs]
            for trial, scores in zip(trials, scoring.score_motif_sets(sets), strict=True):
                self.values[trial.id][spec] |= scores

    def metric_names(
        self, trials: Sequence[Trial], spec: str, references: Mapping[str, Mapping[str, float]]
    ) -> set[str]:
        """Return the metrics that some finished trial has; where none finished, those of chance."""
        finished = [trial for trial in trials if self.status[trial.id] == DONE]
        names = {
            name
            for trial in finished or trials
            for name, value in self.values[trial.id].get(spec, {}).items()
            if math.isfinite(value)
        }
        if not finished:
            floor = references[scoring.RANDOM]
            names |= {
                name
                for name, metric in METRICS.items()
                if metric.of_attribution == bool(spec) and math.isfinite(floor.get(name, math.nan))
            }
        seeds = len({trial.seed for trial in trials})
        return {name for name in names if not METRICS[name].of_arm or seeds > 1}

    def rows(self, trial: Trial, spec: str, names: set[str]) -> list[Row]:
        """Return a trial's scores in the order of METRICS; NaN where one that failed has none."""
        status = self.status[trial.id]
        if status is None:
            return []
        values = self.values[trial.id].get(spec, {})
        shown = names if status != DONE else names & set(values)
        about = (trial.id, trial.stage, status, *trial.setting)
        arm = (trial.prior, trial.weight, trial.seed, spec)
        return [
            (*about, *arm, *_score_cells(metric, values.get(metric.name, math.nan)))
            for metric in METRICS.values()
            if metric.name in shown
        ]


def _grouped(
    trials: Iterable[Trial], key: Callable[[Trial], Hashable]
) -> Iterable[Sequence[Trial]]:
    groups: dict[Hashable, list[Trial]] = defaultdict(list)
    for trial in trials:
        groups[key(trial)].append(trial)
    return groups.values()


def _score_cells(metric: Metric, value: float) -> Row:
    return (metric.name, metric.axis, value, metric.higher_is_better)


_References = Mapping[SettingKey, Mapping[str, Mapping[str, float]]]
"""value by setting, reference and metric"""


def _references(plan: Plan, say: Callable[[str], None]) -> _References:
    """Return the scores of chance, of motif search and of the oracle for every setting."""
    references = {}
    for setting in dict.fromkeys(trial.setting for trial in plan.trials):
        scores = stored_references(plan.datasets[f"{setting[0]}/{setting[1]}"], setting[0], say)
        if plan.study.discovery:
            scores[scoring.RANDOM] |= discovery_floors()
        if not plan.study.keep_hypothetical:
            scores = {name: _without_every_base(of_name) for name, of_name in scores.items()}
        references[setting] = scores
    return references


def _without_every_base(scores: Mapping[str, float]) -> dict[str, float]:
    """Return the scores but those of attributions of all four bases, which no trial has kept."""
    return {name: value for name, value in scores.items() if not METRICS[name].every_base}


def _reference_rows(references: _References) -> list[Row]:
    # they have no trial, weight and seed
    return [
        (
            *(math.nan, REFERENCE, DONE, *setting, name, math.nan, math.nan, ""),
            *_score_cells(METRICS[metric], value),
        )
        for setting, by_name in references.items()
        for name, scores in by_name.items()
        for metric, value in scores.items()
        if math.isfinite(value)
    ]
