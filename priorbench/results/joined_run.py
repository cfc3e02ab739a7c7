"""Several finished runs as one: every trial once, comparisons made anew over all of them.

`finished_run.py` reads the runs before. Runs on different data lie side by side, and get verdicts
over all datasets together. Where runs share a setting, their trials are pooled: priors of both
against the same baseline, or more seeds of the same priors. Runs that do not agree on what decides
their trials, or on what they claim, cannot be pooled and are refused (`joinable.py`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import pandas as pd

from priorbench.comparison.option_trends import trends
from priorbench.comparison.over_datasets import ACROSS_COLUMNS, compare_across
from priorbench.comparison.paired_runs import paired_runs
from priorbench.comparison.within_dataset import COMPARISON_COLUMNS, compare_pairs
from priorbench.components.metric import TrialArrays, VariantEffects
from priorbench.errors import UserError
from priorbench.metrics.tools.motif_set import MotifSet
from priorbench.study.declared import DeclaredClaims, claims_of
from priorbench.study.sealed_claims import claims_nothing, looks_at
from priorbench.study.trial import EVALUATE, SETTING_COLUMNS

from .chosen_weights import no_tuning
from .finished_run import Run
from .joinable import APART, check_joinable
from .joined_scores import rows_of_all, with_agreement


@dataclass(frozen=True, eq=False)
class JoinedRun(Run):
    """Several runs; their trials stay where they are.

    Attributes:
        runs: the runs that were joined, in the order in which they were given.
        labels: short names of the runs, all different.
    """

    runs: Sequence[Run] = ()
    labels: Sequence[str] = ()

    @property
    def parts(self) -> Mapping[str, Run]:
        """The runs by label."""
        return dict(zip(self.labels, self.runs, strict=True))

    def runs_of(self, setting: Sequence[str]) -> tuple[str, ...]:
        """Return the labels of the runs whose trials a setting holds."""
        held = zip(self.labels, self._settings, strict=True)
        return tuple(label for label, settings in held if tuple(setting) in settings)

    def claims_against(self, baseline: str) -> DeclaredClaims:
        """Return what the studies declared alike, at the look that joining them is.

        Where trials are pooled, that is one look more than the runs have had, and one more for
        every run that was, or could have been, joined before. A run of so few seeds that nothing
        can be claimed has had none.
        """
        claims = [run.claims_against(baseline) for run in self.runs]
        looks = [part.look for part in claims]
        spent = sum(map(_looks_spent, self.runs, looks, self._settings))
        look = spent + self._pooling if self._pooling else max(looks)
        return replace(
            claims_of(self.study, baseline),
            look=look,
            sealed=all(part.sealed for part in claims),
            changed={key: text for part in claims for key, text in part.changed.items()},
        )

    @cached_property
    def _pooling(self) -> int:
        """How many looks it takes to join the runs one by one, the largest first.

        Nobody records such looks, so that each counts that can claim something: one at seeds that
        no run of the setting had together.
        """
        pooled: dict[tuple[str, ...], set[int]] = {}
        looks = 0
        held = zip((set(run.study["seeds"]) for run in self.runs), self._settings, strict=True)
        for seeds, settings in sorted(held, key=lambda own: -len(own[0]) * len(own[1])):
            known = [pooled.get(setting, set()) for setting in settings]
            meeting = any(before - seeds and seeds - before for before in known)
            pooled |= {s: before | seeds for s, before in zip(settings, known, strict=True)}
            looks += meeting and not claims_nothing(sum(map(len, pooled.values())), 1)
        return looks

    @cached_property
    def _settings(self) -> Sequence[set[tuple[str, ...]]]:
        """The settings of each run's evaluation trials."""
        tables = [run.results[run.results["stage"] == EVALUATE] for run in self.runs]
        return [set(table[SETTING_COLUMNS].astype(str).itertuples(index=False)) for table in tables]

    @cached_property
    def shared(self) -> int:
        """How many trials are in more than one of the runs."""
        return sum(len(run.records) for run in self.runs) - len(self.records)

    def arrays(self, trial: str, attribution: str = "") -> TrialArrays | None:
        """Return what a trial left behind, from the first run that has it."""
        return self._owner[trial].arrays(trial, attribution or self.attributions[0])

    def effects(self, trial: str, attribution: str = "") -> VariantEffects | None:
        """Return a trial's effects of variants, from the first run that has the trial."""
        return self._owner[trial].effects(trial, attribution)

    def motifs(self, trial: str, attribution: str = "") -> MotifSet | None:
        """Return the motifs in a trial's attributions, from the first run that has the trial."""
        return self._owner[trial].motifs(trial, attribution or self.attributions[0])

    @cached_property
    def _owner(self) -> Mapping[str, Run]:
        return {trial: run for run in reversed(self.runs) for trial in run.records}


def _looks_spent(run: Run, look: int, settings: Collection[tuple[str, ...]]) -> int:
    """Return how many looks at a run count, the number of its present one being known."""
    seeds = len(run.study["seeds"])
    return 0 if not looks_at(run.root) and claims_nothing(seeds, len(settings)) else look


def join(runs: Sequence[Run], *, apart: str = APART) -> Run:
    """Join one run or more to one; return a single run as it is.

    Args:
        runs: the runs.
        apart: what the user can do about runs that are not of one kind, for the error.

    Raises:
        UserError: if two runs do not agree; it names them, what they differ in, and both values.
    """
    if len(runs) == 1:
        return runs[0]
    labels = _labels(runs)
    check_joinable(dict(zip(labels, runs, strict=True)), apart=apart)
    study = _study(runs)
    joined = JoinedRun(
        root=runs[0].root,
        study=study,
        environment=_environment(runs),
        results=rows_of_all(runs, study["attributions"]),
        comparisons=pd.DataFrame(columns=COMPARISON_COLUMNS),
        planned=len({trial for run in runs for trial in run.planned_trials}),
        records=_union(run.records for run in runs),
        datasets=_union(run.datasets for run in runs),
        tuning=_tuning(runs, apart),
        across=pd.DataFrame(columns=ACROSS_COLUMNS),
        runs=runs,
        labels=labels,
    )
    joined = replace(joined, results=with_agreement(joined))
    claims = joined.claims
    pairs = paired_runs(joined.results, joined.agreement(), claims.baseline)
    # runs of earlier versions do not say what their tasks' options are
    options = {spec: facts["options"] for spec, facts in joined.environment["tasks"].items()}
    return replace(
        joined,
        comparisons=compare_pairs(pairs, claims),
        across=compare_across(pairs, claims),
        trends=trends(pairs, options, claims),
    )


def _labels(runs: Sequence[Run]) -> list[str]:
    """Return the names of folders, with as many folders above as tell them apart."""
    paths = [run.root.resolve() for run in runs]
    for path in paths:
        if paths.count(path) > 1:
            raise UserError(f"{path}: given twice; name every run once")
    depth = 1
    while len({path.parts[-depth:] for path in paths}) < len(paths):
        depth += 1
    return ["/".join(path.parts[-depth:]) for path in paths]


def _union(mappings: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Return all entries; of several under one key the first."""
    union: dict[str, Any] = {}
    for mapping in mappings:
        union = {**mapping, **union}
    return union


def _study(runs: Sequence[Run]) -> dict[str, Any]:
    """Return what sections read of a study; lists are those of all runs."""
    study = dict(runs[0].study)
    study["name"] = " + ".join(dict.fromkeys(str(run.study["name"]) for run in runs))
    for key in ("priors", "tasks", "architectures", "seeds", "data", "plugins"):
        study[key] = list(dict.fromkeys(item for run in runs for item in run.study[key]))
    study["seeds"].sort()
    study["chosen_architectures"] = _union(run.study["chosen_architectures"] for run in runs)
    study["primary"] = _union(run.study["primary"] for run in runs)
    common = set.intersection(*(set(run.attributions) for run in runs))
    study["attributions"] = [spec for spec in runs[0].attributions if spec in common]
    said = [value for run in runs for value in run.study.get("published", [])]
    study["published"] = [value for i, value in enumerate(said) if value not in said[:i]]
    for key in ("discovery", "keep_hypothetical"):
        study[key] = any(run.study.get(key, False) for run in runs)
    study["tune"] = max(run.study["tune"] for run in runs)
    return study


def _environment(runs: Sequence[Run]) -> dict[str, Any]:
    """Return what is described by name; versions and machines stay with each run."""
    keys = ("priors", "tasks", "datasets", "notes", "warnings")
    return {key: _union(run.environment.get(key, {}) for run in runs) for key in keys}


def _tuning(runs: Sequence[Run], apart: str) -> pd.DataFrame:
    """Return the choices of all runs; raise UserError where two runs chose differently."""
    tables = [run.tuning for run in runs if not run.tuning.empty]
    if not tables:
        return no_tuning()
    arm = [*SETTING_COLUMNS, "prior"]
    # a choice may be told in fewer columns by an earlier version
    common = [column for column in tables[0] if all(column in other for other in tables)]
    table = pd.concat(tables, ignore_index=True).drop_duplicates(common, ignore_index=True)
    for row in table.loc[table.duplicated([*arm, "weight"]), arm].astype(str).to_numpy():
        where = " · ".join(row)
        raise UserError(f"runs cannot be joined: {where} was tuned twice, in other ways; {apart}")
    return table
