"""A finished run, read back from its directory for the report and for exports.

`collect.py` writes the tables before; `joined_run.py` makes one run of several.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from priorbench.answer.network_check import network_sentences
from priorbench.answer.run_answer import RunAnswer, answer_run
from priorbench.attribution.variant_effects import stored_effects
from priorbench.comparison.option_trends import TREND_COLUMNS
from priorbench.comparison.over_datasets import ACROSS_COLUMNS
from priorbench.comparison.published_values import published_table
from priorbench.comparison.trial_agreement import Agreement, agreement_of
from priorbench.components.metric import TrialArrays, VariantEffects
from priorbench.data.codes import SCORED_ON
from priorbench.data.dataset import Dataset, load_dataset
from priorbench.errors import UserError
from priorbench.evaluation import scoring
from priorbench.evaluation.stored_arrays import attributions_in, unpack
from priorbench.metrics.tools.motif_set import MotifSet
from priorbench.number_text import counted
from priorbench.storage.run_directory import DONE, RunDirectory
from priorbench.storage.sealed_files import DamagedFile, command_on
from priorbench.study.declared import DeclaredClaims, claims_of
from priorbench.study.recorded_study import planned_rows, recorded_facts, recorded_study
from priorbench.study.sealed_claims import checked_claims
from priorbench.study.trial import EVALUATE

from .chosen_weights import no_tuning, read_tuning
from .stored_trials import digest_of_results, has_arrays, trial_arrays, trial_motifs
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
        opened: the run directory by which the files were read, which knows what it has compared.
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
    opened: RunDirectory | None = field(default=None, repr=False)

    @property
    def directory(self) -> RunDirectory:
        """The run directory, which compares files with their digests."""
        return self.opened or RunDirectory(self.root)

    @property
    def planned_trials(self) -> list[str]:
        """Ids of the trials that the study has planned."""
        return [row["trial"] for row in planned_rows(self.directory)]

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
        evaluated = self.results.loc[self.results["stage"] == EVALUATE, "seed"]
        seeds = set(map(int, evaluated.dropna().unique()))
        return checked_claims(self.root, claims_of(self.study, baseline), seeds)

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
        if not has_arrays(self.directory, trial):
            return None
        record, stored = self.records[trial], trial_arrays(self.directory, trial)
        spec = attribution or self.attributions[0]
        if spec not in attributions_in(stored):
            return None
        key, scored = f"{record['task']}/{record['dataset']}", SCORED_ON[record["stage"]]
        dataset = self.datasets[key]
        if dataset.scored != scored:
            dataset = load_dataset(self.root / self.environment["datasets"][key], scored)
        return unpack(stored, spec, dataset, record.get("costs", {}))

    def effects(self, trial: str, attribution: str = "") -> VariantEffects | None:
        """Return the effects of variants beside the measured ones; None where there are none.

        Args:
            trial: id of the trial.
            attribution: spec of the attribution that tells of them; "" for what is predicted.
        """
        if not has_arrays(self.directory, trial):
            return None
        record = self.records[trial]
        variants = self.datasets[f"{record['task']}/{record['dataset']}"].variants
        return stored_effects(trial_arrays(self.directory, trial), attribution, variants)

    def motifs(self, trial: str, attribution: str = "") -> MotifSet | None:
        """Return the motifs in a trial's attributions, or None if nobody has looked for them.

        Arguments are those of :meth:`arrays`.
        """
        if not has_arrays(self.directory, trial):
            return None
        spec, task = attribution or self.attributions[0], str(self.records[trial]["task"])
        return trial_motifs(self.directory, trial, spec, task)

    @cached_property
    def published(self) -> pd.DataFrame:
        """Published values of the study beside ours, as published.csv has them."""
        return published_table(self.study.get("published", []), self.results, self.study["scale"])

    @cached_property
    def answer(self) -> RunAnswer:
        """What may be concluded."""
        histories = {trial: record.get("history", []) for trial, record in self.records.items()}
        chosen = self.study["chosen_architectures"]
        claims = self.claims
        networks = network_sentences(self.results, histories, claims, chosen)
        answer = answer_run(
            self.results,
            self.comparisons,
            self.across,
            claims=claims,
            networks=networks,
            warnings=self.environment.get("warnings", {}),
        )
        return replace(answer, notes=(*self.outdated_scores, *answer.notes))

    @property
    def outdated_scores(self) -> list[str]:
        """A sentence that says how many trials were scored by other code than the present, if any.

        Their scores are comparable with each other where all are of the same code.
        """
        now = {"scored_by": scoring.metrics_digest(), "probed_by": scoring.probes_digest()}
        outdated = sum(
            record["status"] == DONE and any(record[key] != digest for key, digest in now.items())
            for record in self.records.values()
        )
        if not outdated:
            return []
        are = "was" if outdated == 1 else "were"
        return [
            f"{counted(outdated, 'trial')} of {len(self.records)} {are} scored by other code than "
            f"the present; {command_on(self.root, 'score')} brings the scores up to date."
        ]

    def agreement(self) -> Agreement:
        """Return the agreement of trials, from their stored attributions."""

        def attribution(trial: str, spec: str) -> NDArray[np.float32] | None:
            arrays = self.arrays(trial, spec)
            return None if arrays is None else arrays.attribution

        return agreement_of(self.results, attribution, self.motifs)


TABLES = ("results.csv", "comparisons.csv", "across.csv", "trends.csv", "published.csv")
"""tables that are made of the records of trials"""


def load_run(root: Path) -> Run:
    """Read a run directory.

    Raises:
        UserError: if the folder is not a run directory, or has no results yet.
        DamagedFile: if one of its files is not as it was written, or a table was not made of the
            records that are there.
    """
    run = RunDirectory(root)
    study, facts, rows = recorded_study(run), recorded_facts(run), planned_rows(run)
    if "results.csv" not in run.manifest:
        raise UserError(
            f"{root}: no results.csv here, so this is not a finished run; {command_on(root)} goes "
            "on with it"
        )
    ids = [row["trial"] for row in rows]
    results = read_table(run, "results.csv").astype({"seed": "Int64"})
    records = {i: record for i, record in run.records(ids) if record is not None}
    _require_made_of(run, digest_of_results(run, results))
    return Run(
        root,
        study,
        facts,
        results,
        read_table(run, "comparisons.csv"),
        len(ids),
        records,
        {key: load_dataset(root / folder) for key, folder in facts["datasets"].items()},
        read_tuning(run),
        read_table(run, "across.csv", ACROSS_COLUMNS),
        read_table(run, "trends.csv", TREND_COLUMNS),
        run,
    )


def _require_made_of(run: RunDirectory, digest: str) -> None:
    """Raise DamagedFile if a table was made of other records than those of this digest."""
    for name in TABLES:
        if name in run.manifest and run.manifest.made_of(name) != digest:
            if run.is_busy():
                raise UserError(
                    f"{run.root}: another priorbench run or score is writing here; wait for it"
                )
            raise DamagedFile(
                run.root / name,
                "was made of other records of trials than are there",
                f"{command_on(run.root, 'score')} makes it anew",
            )
