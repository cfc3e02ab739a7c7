"""A finished run, read back from its directory for the report and for exports.

`collect.py` writes the tables before; `joined_run.py` makes one run of several.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from priorbench.answer.network_check import network_sentences
from priorbench.answer.run_answer import RunAnswer, answer_run
from priorbench.comparison.option_trends import TREND_COLUMNS
from priorbench.comparison.over_datasets import ACROSS_COLUMNS
from priorbench.comparison.trial_agreement import Agreement, agreement_of
from priorbench.comparison.within_dataset import COMPARISON_COLUMNS
from priorbench.components.metric import TrialArrays
from priorbench.data.codes import SCORED_ON
from priorbench.data.dataset import Dataset, load_dataset
from priorbench.errors import UserError
from priorbench.evaluation.stored_arrays import attributions_in, read_arrays, unpack
from priorbench.metrics.motif_set import MotifSet
from priorbench.run_directory import RunDirectory
from priorbench.study.declared import DeclaredClaims, claims_of
from priorbench.study.sealed_claims import checked_claims
from priorbench.study.study import Study, read_toml
from priorbench.study.trial import EVALUATE

from .chosen_weights import no_tuning, read_tuning
from .stored_trials import trial_motifs
from .tables import read_table


@dataclass(frozen=True, eq=False)
class Run:
    """A finished run, equal to itself only.

    Attributes:
        root: the run directory.
        study: contents of study.toml.
        environment: contents of environment.json.
        results: results.csv, with the columns collect.RESULT_COLUMNS.
        comparisons: comparisons.csv, with the columns within_dataset.COMPARISON_COLUMNS.
        planned: how many trials the study has.
        records: record.json of every planned trial that has been run, by id.
        datasets: opened datasets by ``task/name``, as trials of stage ``evaluate`` see them.
        tuning: tuning.csv, with the columns chosen_weights.TUNING_COLUMNS; empty if weights were
            not tuned.
        across: across.csv, with the columns over_datasets.ACROSS_COLUMNS; empty for a run of one
            setting.
        trends: trends.csv, with the columns option_trends.TREND_COLUMNS; empty where no option
            takes three values.
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
        """The runs that it is made of, by label; itself, unless it was joined."""
        return {self.root.name: self}

    def runs_of(self, setting: Sequence[str]) -> Sequence[str]:
        """Return the labels of the runs with trials of a setting; none where there is one run."""
        return ()

    @property
    def claims(self) -> DeclaredClaims:
        """What the study declared, with what differs from its seal."""
        return self.claims_against("")

    def claims_against(self, baseline: str) -> DeclaredClaims:
        """Return the claims with the normalised spec of another baseline, "" for the declared."""
        return checked_claims(self.root, claims_of(self.study, baseline))

    @property
    def attributions(self) -> list[str]:
        """Specs of the attributions that were scored, the main one first."""
        return list(self.study["attributions"])

    def arrays(self, trial: str, attribution: str = "") -> TrialArrays | None:
        """Return what a trial left behind for scoring, or None if it failed.

        Args:
            trial: id of the trial.
            attribution: spec of an attribution that was scored; the main one if left out.
        """
        path = self.root / "trials" / trial / "arrays.npz"
        if not path.exists():
            return None
        record, stored = self.records[trial], read_arrays(path)
        spec = attribution or self.attributions[0]
        if spec not in attributions_in(stored):
            return None
        key, scored = f"{record['task']}/{record['dataset']}", SCORED_ON[record["stage"]]
        dataset = self.datasets[key]
        if dataset.scored != scored:
            dataset = load_dataset(self.root / self.environment["datasets"][key], scored)
        return unpack(stored, spec, dataset, record.get("costs", {}))

    def motifs(self, trial: str, attribution: str = "") -> MotifSet | None:
        """Return the motifs in a trial's attributions, or None if nobody has looked for them.

        Arguments are those of :meth:`arrays`.
        """
        if not (self.root / "trials" / trial / "arrays.npz").exists():
            return None
        spec, task = attribution or self.attributions[0], str(self.records[trial]["task"])
        return trial_motifs(RunDirectory(self.root), trial, spec, task)

    @cached_property
    def answer(self) -> RunAnswer:
        """What may be concluded."""
        histories = {trial: record.get("history", []) for trial, record in self.records.items()}
        chosen = self.study["chosen_architectures"]
        claims = self.claims
        networks = network_sentences(self.results, histories, claims, chosen)
        return answer_run(
            self.results, self.comparisons, self.across, claims=claims, networks=networks
        )

    def agreement(self) -> Agreement:
        """Return the agreement of trials, from their stored attributions."""

        def attribution(trial: str, spec: str) -> NDArray[np.float32] | None:
            arrays = self.arrays(trial, spec)
            return None if arrays is None else arrays.attribution

        return agreement_of(self.results, attribution, self.motifs)


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
    results = read_table(root / "results.csv").astype({"seed": "Int64"})
    ids = planned_trials(root)
    records = {i: record for i, record in RunDirectory(root).records(ids) if record is not None}
    scored = set(results.loc[results["stage"] == EVALUATE, "trial"])
    if not scored <= set(records):
        raise UserError(f"{root}: results.csv is older than the trials; run the command again")
    comparisons = read_table(root / "comparisons.csv")
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
        read_table(root / "across.csv", ACROSS_COLUMNS),
        read_table(root / "trends.csv", TREND_COLUMNS),
    )


def planned_trials(root: Path) -> list[str]:
    """Return the ids of the trials that a run directory has planned."""
    return [str(trial) for trial in read_table(root / "plan.csv")["trial"]]
