"""The plan of a study: its settings, the arms that are compared in each, and their trials."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, partial
from pathlib import Path
from typing import cast

from priorbench.components import registry, specs
from priorbench.components.task import Task
from priorbench.data.dataset import load_dataset
from priorbench.storage import source_code
from priorbench.storage.run_directory import RunDirectory
from priorbench.storage.sealed_files import DamagedFile

from .data_sources import DataSource, encode, sources
from .network_choice import (
    NetworkCandidates,
    fitting_networks,
    is_chosen,
    named_networks,
    recorded_network,
    require_channels,
    require_fit,
)
from .recorded_study import planned_rows, recorded_facts, recorded_study
from .resolve import require_every_base, require_modisco, scored_attributions, seen_by
from .study import BASELINE, STUDY_FILE, Measurements, Study, make_study
from .trial import EVALUATE, SELECT, TUNE, SettingKey, Trial, code_digest


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
    def key(self) -> SettingKey:
        """Task, dataset and architecture, as in :attr:`Trial.setting`."""
        return (self.source.task, self.source.name, self.architecture)

    @property
    def data_key(self) -> str:
        """The dataset, ``task/dataset``."""
        return f"{self.source.task}/{self.source.name}"


@dataclass(frozen=True)
class Plan:
    """The trials of a study.

    Attributes:
        study: the resolved study.
        trials: trials in the order in which they are run; those that choose networks come first,
            then those that choose weights.
        datasets: folder of each dataset by name.
        notes: what was dropped or chosen while data were read, by dataset.
        warnings: what makes the results on a dataset doubtful, by dataset; none for most.
        settings: where priors are compared; empty for a plan that was read back. One for each
            network that fits, until the network is chosen.
        candidates: the networks among which one is chosen, by dataset; those of other datasets
            are named.
        variants: hash of the variants of each dataset that has any.
    """

    study: Study
    trials: Sequence[Trial]
    datasets: dict[str, Path]
    notes: dict[str, list[str]]
    warnings: dict[str, list[str]]
    settings: Sequence[Setting] = ()
    candidates: Mapping[str, NetworkCandidates] = field(default_factory=dict)
    variants: Mapping[str, str] = field(default_factory=dict)

    def measurements(self, trial: Trial) -> Measurements:
        """Return what is measured of a trial.

        No rule that chooses looks at discovered motifs, at attributions of all four bases, or at
        variants.
        """
        measurements = self.study.measurements
        if trial.stage == EVALUATE:
            variants = self.variants.get(f"{trial.task}/{trial.dataset}", "")
            return replace(measurements, variants=variants)
        return Measurements(measurements.attributions)

    def of_stage(self, stage: str) -> Plan:
        """Return the same plan with the trials of one stage only."""
        return replace(self, trials=[trial for trial in self.trials if trial.stage == stage])


def make_plan(study: Study, run: RunDirectory, say: Callable[[str], None]) -> Plan:
    """Encode the datasets, where that has not been done, and list the trials.

    Where networks are chosen, these are the trials that choose them; :func:`with_networks` adds
    the others when that is done. The study is resolved; ``say`` is called with lines of progress.

    Raises:
        UserError: if the data cannot be used.
    """
    settings: list[Setting] = []
    candidates: dict[str, NetworkCandidates] = {}
    plan = data_plan(study, run, say)
    for source in sources(study):
        key = f"{source.task}/{source.name}"
        dataset = load_dataset(plan.datasets[key])
        task: Task = registry.build("task", source.task)
        for prior in study.priors:
            require_channels(prior, key, dataset)
        if is_chosen(study, source):
            candidates[key] = fitting_networks(task, dataset, study.scale)
            recorded_network(study, key, candidates[key].fitting)  # refuses what does not fit
            networks = candidates[key].fitting
        else:
            networks = named_networks(study, task)
            for network in networks:
                require_fit(network, task, dataset, study.scale)
        settings += [Setting(source, network, dataset.digest) for network in networks]
    plan = replace(plan, settings=settings, candidates=candidates)
    return _with_selection(plan) if candidates else with_networks(plan, {})


def data_plan(study: Study, run: RunDirectory, say: Callable[[str], None]) -> Plan:
    """Encode the datasets of a study, and return a plan with them and without settings.

    Arguments and errors are those of :func:`make_plan`.
    """
    datasets: dict[str, Path] = {}
    notes: dict[str, list[str]] = {}
    warnings: dict[str, list[str]] = {}
    variants: dict[str, str] = {}
    for source in sources(study):
        folder = encode(source, study, run, say)
        dataset = load_dataset(folder)
        key = f"{source.task}/{source.name}"
        datasets[key], notes[key] = folder, list(dataset.meta["notes"])
        if dataset.variants_digest:
            variants[key] = dataset.variants_digest
        if dataset.meta["warnings"]:
            warnings[key] = list(dataset.meta["warnings"])
    return Plan(study, [], datasets, notes, warnings, variants=variants)


def _with_selection(plan: Plan) -> Plan:
    """Return the plan with a trial of every network of which one is chosen."""
    contested = {key for key, networks in plan.candidates.items() if len(networks.fitting) > 1}
    arms = [[(BASELINE, 0.0)] if s.data_key in contested else [] for s in plan.settings]
    return _with_trials(plan, SELECT, arms)


def with_networks(plan: Plan, chosen: Mapping[str, str]) -> Plan:
    """Return the plan with the settings of the chosen networks only, and the trials that follow.

    Where weights are tuned, these are the trials that choose them; :func:`with_evaluation` adds
    the others when that is done.

    Args:
        plan: a plan from :func:`make_plan`.
        chosen: normalised spec of the network by dataset, for each of the plan's candidates.
    """
    kept = [s for s in plan.settings if chosen.get(s.data_key, s.architecture) == s.architecture]
    study = plan.study.model_copy(update={"chosen_architectures": dict(chosen)})
    plan = replace(plan, study=study, settings=kept)
    return _with_tuning(plan) if study.tune else with_evaluation(plan, {})


def _with_tuning(plan: Plan) -> Plan:
    """Return the plan with the trials that choose weights."""
    study = plan.study
    grids = cast("dict[str, dict[str, list[float]]]", study.grids)
    tried = [
        [
            (BASELINE, 0.0),
            *(
                (prior, weight)
                for prior in study.priors
                for weight in grids.get(prior, {}).get(specs.name_of(setting.source.task), [])
            ),
        ]
        for setting in plan.settings
    ]
    return _with_trials(plan, TUNE, tried)


def with_evaluation(plan: Plan, chosen: Mapping[tuple[SettingKey, str], float]) -> Plan:
    """Return the plan with its evaluation trials.

    Args:
        plan: a plan whose networks are known.
        chosen: weight by setting and prior; others have the study's weight.
    """
    weights = cast("dict[str, dict[str, float]]", plan.study.weights)
    arms = [
        [
            (prior, chosen.get((setting.key, prior), weights[prior][specs.name_of(setting.key[0])]))
            for prior in plan.study.priors
        ]
        for setting in plan.settings
    ]
    return _with_trials(plan, EVALUATE, arms)


def _with_trials(plan: Plan, stage: str, arms: Sequence[Sequence[tuple[str, float]]]) -> Plan:
    """Return the plan with the trials of a stage, from the priors and weights of each setting.

    All arms of a seed, in all settings, come before the next seed: an interrupted study is paired
    as far as it got.
    """
    study, of_first_seed = plan.study, list[Trial]()
    seeds = study.seed_list if stage == EVALUATE else study.tuning_seed_list
    if stage == SELECT:
        seeds = seeds[:1]
    # many trials share a component
    digest, sees = cache(source_code.component_digest), cache(partial(seen_by, study=study))
    for setting, of_setting in zip(plan.settings, arms, strict=True):
        task, dataset, architecture = setting.key
        of_first_seed += [
            Trial(
                task=task,
                dataset=dataset,
                architecture=architecture,
                prior=prior,
                weight=weight,
                train_attribution=sees(prior),
                seed=seeds[0],
                stage=stage,
                scale=study.scale,
                root_seed=study.root_seed,
                device=study.device,
                digest=setting.digest,
                code=code_digest(task=task, architecture=architecture, prior=prior, digest=digest),
                precision=study.precision,
                schedule=study.schedule.text,
            )
            for prior, weight in of_setting
        ]
    trials = [replace(trial, seed=seed) for seed in seeds for trial in of_first_seed]
    return replace(plan, trials=[*plan.trials, *trials])


def read_plan(
    run: RunDirectory,
    more: Measurements | None = None,
    on_damage: Callable[[DamagedFile], None] | None = None,
) -> Plan:
    """Return the plan of a run directory, from what it has recorded, with the trials that were run.

    Args:
        run: the run directory.
        more: what is to be measured beside what was.
        on_damage: function that is called with what is wrong with a record, whose trial is then
            left out.

    Raises:
        UserError: if there is no run in the folder, or an attribution is unknown.
        DamagedFile: if one of the files is not as it was written.
    """
    study = make_study(recorded_study(run), where=str(run.root / STUDY_FILE))
    if more is not None and (study.discovery or more.discovery):
        require_modisco()
    more = more or Measurements(())
    attributions = scored_attributions(study, more.attributions)
    require_every_base(replace(more, attributions=attributions))
    study = study.model_copy(
        update={
            "attributions": attributions,
            "discovery": study.discovery or more.discovery,
            "keep_hypothetical": study.keep_hypothetical or more.keep_hypothetical,
        }
    )
    facts = recorded_facts(run)
    ids = [row["trial"] for row in planned_rows(run)]
    trials = [
        Trial.from_record(record) for _, record in run.records(ids, on_damage) if record is not None
    ]
    datasets = {name: run.root / folder for name, folder in facts["datasets"].items()}
    warnings, variants = facts.get("warnings", {}), facts.get("variants", {})
    return Plan(study, trials, datasets, facts["notes"], warnings, variants=variants)
