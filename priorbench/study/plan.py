"""The plan of a study: its settings, the arms that are compared in each, and their trials."""

from __future__ import annotations

import csv
import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import cast

from priorbench.components import registry, source_code, specs
from priorbench.components.task import Task
from priorbench.data.dataset import load_dataset
from priorbench.errors import UserError
from priorbench.run_directory import FAILED, RunDirectory

from .data_sources import DataSource, encode, sources
from .declared import resolve_primary
from .resolve import require_modisco, scored_attributions, seen_by
from .study import BASELINE, Measurements, Study, make_study, read_toml
from .trial import EVALUATE, TUNE, Trial, code_digest


@dataclass(frozen=True)
class Setting:
    """A task with its data and an architecture, in which all priors are compared.

    Attributes:
        source: the task and its data.
        architecture: normalised spec.
        digest: hash of the dataset's contents.
    """

    source: DataSource
    architecture: str
    digest: str

    @property
    def key(self) -> tuple[str, str, str]:
        """Task, dataset and architecture, as in :attr:`Trial.setting`."""
        return (self.source.task, self.source.name, self.architecture)


@dataclass(frozen=True)
class Arm:
    """A prior, as a normalised spec, and its weight."""

    prior: str
    weight: float


@dataclass(frozen=True)
class Plan:
    """The trials of a study.

    Attributes:
        study: the resolved study.
        trials: trials in the order in which they are run; those that choose weights come first.
        datasets: folder of each dataset by name.
        notes: what was dropped or chosen while data were read, by dataset.
        settings: where priors are compared; empty for a plan that was read back.
    """

    study: Study
    trials: Sequence[Trial]
    datasets: dict[str, Path]
    notes: dict[str, list[str]]
    settings: Sequence[Setting] = ()

    def measurements(self, trial: Trial) -> Measurements:
        """Return what is measured of a trial; no rule that chooses a weight looks at motifs."""
        measurements = self.study.measurements
        if trial.stage == TUNE:
            return dataclasses.replace(measurements, discovery=False)
        return measurements

    def of_stage(self, stage: str) -> Plan:
        """Return the same plan with the trials of one stage only."""
        trials = [trial for trial in self.trials if trial.stage == stage]
        return dataclasses.replace(self, trials=trials)


def make_plan(study: Study, run: RunDirectory, say: Callable[[str], None]) -> Plan:
    """Encode the datasets, where that has not been done, and list the trials.

    Where weights are tuned, these are the trials that choose them; :func:`with_evaluation` adds
    the others when that is done.

    Args:
        study: resolved.
        run: where datasets are kept.
        say: called with a line of progress.

    Raises:
        UserError: if the data cannot be used.
    """
    settings: list[Setting] = []
    datasets: dict[str, Path] = {}
    notes: dict[str, list[str]] = {}
    for source in sources(study):
        folder = encode(source, study, run, say)
        dataset = load_dataset(folder)
        key = f"{source.task}/{source.name}"
        datasets[key], notes[key] = folder, list(dataset.meta["notes"])
        task: Task = registry.build("task", source.task)
        for architecture in study.architectures or [task.architecture]:
            network = registry.build("architecture", architecture)
            network.build(task.network_shape_of(dataset), study.scale)  # refuses what does not fit
            settings.append(Setting(source, architecture, dataset.digest))
    plan = Plan(study, [], datasets, notes, settings)
    return _with_tuning(plan) if study.tune else with_evaluation(plan, {})


def _with_tuning(plan: Plan) -> Plan:
    """Return the plan with the trials that choose weights."""
    lister = _TrialLister(plan.study)
    trials = [
        trial
        for setting in plan.settings
        for trial in lister.trials(setting, _tuning_arms(plan.study, setting.source.task), TUNE)
    ]
    return dataclasses.replace(plan, trials=[*plan.trials, *trials])


def with_evaluation(plan: Plan, chosen: Mapping[tuple[tuple[str, str, str], str], float]) -> Plan:
    """Return the plan with its evaluation trials.

    Args:
        plan: a plan from :func:`make_plan`.
        chosen: weight by setting and prior; others have the study's weight.
    """
    lister = _TrialLister(plan.study)
    trials: list[Trial] = []
    for setting in plan.settings:
        arms = [
            Arm(arm.prior, chosen.get((setting.key, arm.prior), arm.weight))
            for arm in _arms(plan.study, setting.source.task)
        ]
        trials += lister.trials(setting, arms, EVALUATE)
    return dataclasses.replace(plan, trials=[*plan.trials, *trials])


def _arms(study: Study, task: str) -> list[Arm]:
    """Return every prior of a resolved study with its weight for a task."""
    weights = cast("dict[str, dict[str, float]]", study.weights)
    return [Arm(prior, weights[prior][specs.name_of(task)]) for prior in study.priors]


def _tuning_arms(study: Study, task: str) -> list[Arm]:
    """Return ``none``, and every prior with a strength at every weight that a task tries."""
    grids = cast("dict[str, dict[str, list[float]]]", study.grids)
    tried = [
        Arm(prior, weight)
        for prior in study.priors
        for weight in grids.get(prior, {}).get(specs.name_of(task), [])
    ]
    return [Arm(BASELINE, 0.0), *tried]


class _TrialLister:
    """Lists the trials of a study; what many of them share is looked up once."""

    def __init__(self, study: Study) -> None:
        self.study = study
        self._digest = cache(source_code.component_digest)
        self._seen_by = cache(lambda prior: seen_by(prior, study))

    def trials(self, setting: Setting, arms: Sequence[Arm], stage: str) -> list[Trial]:
        """Return the trials of one stage of a setting.

        All arms of a seed come before the next seed: an interrupted study is paired as far as it
        got.
        """
        study, (task, dataset, architecture) = self.study, setting.key
        seeds = study.tuning_seed_list if stage == TUNE else study.seed_list
        of_first_seed = [
            Trial(
                task=task,
                dataset=dataset,
                architecture=architecture,
                prior=arm.prior,
                weight=arm.weight,
                train_attribution=self._seen_by(arm.prior),
                seed=seeds[0],
                stage=stage,
                scale=study.scale,
                root_seed=study.root_seed,
                device=study.device,
                digest=setting.digest,
                code=code_digest(
                    task=task, architecture=architecture, prior=arm.prior, digest=self._digest
                ),
                precision=study.precision,
            )
            for arm in arms
        ]
        return [dataclasses.replace(trial, seed=seed) for seed in seeds for trial in of_first_seed]


def read_plan(run: RunDirectory, more: Measurements | None = None, *, trained: bool = True) -> Plan:
    """Return the plan of a run directory, from what it has recorded.

    Args:
        run: the run directory.
        more: what is to be measured beside what was.
        trained: whether to leave out trials that failed; those that have not been run are never in
            the plan.

    Raises:
        UserError: if there is no run in the folder, or an attribution is unknown.
    """
    for name in ("study.toml", "environment.json", "plan.csv"):
        if not (run.root / name).is_file():
            raise UserError(f"{run.root}: no {name} here, so this is not a run")
    study = make_study(
        {**Study().model_dump(mode="json"), **read_toml(run.root / "study.toml")},
        where=str(run.root / "study.toml"),
    )
    if more is not None and (study.discovery or more.discovery):
        require_modisco()
    more = more or Measurements(())
    attributions = scored_attributions(study, more.attributions)
    study = study.model_copy(
        update={"attributions": attributions, "discovery": study.discovery or more.discovery}
    )
    facts = json.loads((run.root / "environment.json").read_text(encoding="utf-8"))
    with (run.root / "plan.csv").open(encoding="utf-8", newline="") as file:
        ids = [row["trial"] for row in csv.DictReader(file)]
    fields = [field.name for field in dataclasses.fields(Trial)]
    trials = [
        Trial(**{name: record[name] for name in fields})
        for _, record in run.records(ids)
        if record is not None and not (trained and record["status"] == FAILED)
    ]
    datasets = {name: run.root / folder for name, folder in facts["datasets"].items()}
    if not study.primary:  # a run of an earlier version
        tasks = list(dict.fromkeys(specs.name_of(trial.task) for trial in trials))
        study = study.model_copy(update={"primary": resolve_primary(study, tasks)})
    return Plan(study, trials, datasets, facts["notes"])
