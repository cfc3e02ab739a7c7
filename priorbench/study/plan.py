"""From a study to its datasets and trials."""

from __future__ import annotations

import csv
import dataclasses
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any, cast

from priorbench import seeds
from priorbench.components import registry, source_code, specs
from priorbench.components.contracts import Scale, Task
from priorbench.components.extras import require_modisco
from priorbench.data.dataset import load_dataset
from priorbench.data.dataset_writer import DatasetWriter
from priorbench.data.readers.data_file import DataFile, load_data_file
from priorbench.errors import UserError, unknown
from priorbench.files import slug
from priorbench.run_directory import FAILED, RunDirectory

from .declared import check_margins, resolve_primary
from .prior_weights import resolve_grids, resolve_weights
from .study import Measurements, Study, make_study, read_toml
from .trial import EVALUATE, TUNE, Trial, code_digest, hash_of

DECIDES_DATA = ("data", "seeds.py")
"""the code that simulates, reads and writes datasets; a change there encodes each of them anew"""
BASELINE = "none"
_EXPLAINERS: dict[Scale, list[str]] = {
    "smoke": ["input-x-gradient"],
    "quick": ["input-x-gradient"],
    "standard": ["input-x-gradient", "deep-lift-shap"],
    "paper": ["input-x-gradient", "deep-lift-shap"],
}
SIMULATED = "simulated"


@dataclass(frozen=True)
class Arm:
    """A prior at a weight."""

    prior: str
    weight: float


@dataclass(frozen=True)
class TaskData:
    """A task with the data it is learnt from.

    Attributes:
        task: normalised spec.
        name: of the dataset, unique in a study.
        data: the user's data file, or None for simulated data.
    """

    task: str
    name: str
    data: DataFile | None


@dataclass(frozen=True)
class Setting:
    """A dataset and a network, on which all priors are compared.

    Attributes:
        source: the task and its data.
        architecture: normalised spec.
        digest: of the dataset's contents.
    """

    source: TaskData
    architecture: str
    digest: str

    @property
    def key(self) -> tuple[str, str, str]:
        """Task, dataset, architecture, as of the trials."""
        return (self.source.task, self.source.name, self.architecture)


@dataclass(frozen=True)
class Plan:
    """The trials of a study.

    Attributes:
        study: every option resolved.
        trials: in the order in which they are run; those that choose weights first.
        datasets: folder of each dataset by name.
        notes: what was dropped or chosen while data were read, by dataset.
        settings: what priors are compared on; empty for a plan that was read back.
    """

    study: Study
    trials: Sequence[Trial]
    datasets: dict[str, Path]
    notes: dict[str, list[str]]
    settings: Sequence[Setting] = ()

    def wanted(self, trial: Trial) -> Measurements:
        """What is measured of a trial; no rule that chooses a weight looks at motifs."""
        wanted = self.study.wanted
        return dataclasses.replace(wanted, discovery=False) if trial.stage == TUNE else wanted

    def of_stage(self, stage: str) -> Plan:
        """The same plan with the trials of one stage only."""
        trials = [trial for trial in self.trials if trial.stage == stage]
        return dataclasses.replace(self, trials=trials)


def resolve(study: Study, device: str) -> Study:
    """The study with plug-ins registered, specs normalised, the baseline and weights added.

    Args:
        study: as the user wrote it.
        device: ``cpu`` or ``cuda``, as chosen for this machine.

    Raises:
        UserError: for unknown names and options, and weights that make no sense.
    """
    registry.use_plugins(study.plugins)
    if study.fetch and not study.data:
        raise UserError(
            f"study {study.name!r} is about public data: `priorbench fetch {study.fetch} --to "
            "DIR` downloads them, then add `--data DIR`"
        )
    priors = _normalised("prior", [BASELINE, *study.priors])
    for path in study.plugins:
        name = registry.add_plugin(path).name
        used = {name for spec in priors for name in registry.names_in("prior", spec)}
        if name in registry.components("prior") and name not in used:
            raise UserError(f"plug-in {path}: prior {name!r} is not among the priors; add it")
    if study.discovery:
        require_modisco()
    tasks = _normalised("task", study.tasks)
    if not tasks and not study.data:
        tasks = ["binary"]
    resolved = study.model_copy(
        update={
            "priors": priors,
            "tasks": tasks,
            "architectures": _normalised("architecture", study.architectures),
            "train_attribution": _attribution(study.train_attribution),
            "attributions": _explainers(study),
            "device": device,
            "data": [path.resolve() for path in study.data],
            "plugins": [path.resolve() for path in study.plugins],
        }
    )
    task_names = list(dict.fromkeys(_name(source.task) for source in sources(resolved)))
    for spec in priors:
        for task in task_names:
            _refuse_blind(spec, task, seen_by(spec, resolved))
    check_margins(study)
    weights = resolve_weights(study, priors, task_names)
    tuning: dict[str, Any] = {"grids": resolve_grids(study, weights)}
    if study.tune:
        tuning["tuning_seeds"] = study.tuning_seed_list
    return resolved.model_copy(
        update={
            "weights": weights,
            "primary": resolve_primary(study, task_names),
            "baseline": _baseline(study, priors),
            **tuning,
        }
    )


def read_plan(run: RunDirectory, more: Measurements | None = None, *, trained: bool = True) -> Plan:
    """The plan of a run directory, from what it has recorded.

    Args:
        run: its folder.
        more: what is to be measured beside what was.
        trained: leave out trials that failed; those that have not been run are never in it.

    Raises:
        UserError: if there is no run in the folder, or for unknown attributions.
    """
    for name in ("study.toml", "environment.json", "plan.csv"):
        if not (run.root / name).is_file():
            raise UserError(f"{run.root}: no {name} here, so this is not a run")
    study = make_study(
        {**Study().model_dump(mode="json"), **read_toml(run.root / "study.toml")},
        where=str(run.root / "study.toml"),
    )
    if more is not None:
        asked = [*(study.attributions or _EXPLAINERS[study.scale]), *more.attributions]
        discovery = study.discovery or more.discovery
        if discovery:
            require_modisco()
        study = study.model_copy(update={"attributions": asked, "discovery": discovery})
    study = study.model_copy(update={"attributions": _explainers(study)})
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
        tasks = list(dict.fromkeys(_name(trial.task) for trial in trials))
        study = study.model_copy(update={"primary": resolve_primary(study, tasks)})
    return Plan(study, trials, datasets, facts["notes"])


def _explainers(study: Study) -> list[str]:
    """Normal specs of the attributions that are scored, without repeats."""
    from priorbench.attribution.explainers import load_explainer  # waits for torch

    try:
        wanted = study.attributions or _EXPLAINERS[study.scale]
        normal = [specs.normalise(_name(spec), load_explainer(spec)) for spec in wanted]
    except UserError as error:
        raise UserError(f"attributions: {error}") from None
    return list(dict.fromkeys(normal))


def _attribution(spec: str) -> str:
    from priorbench.attribution.differentiable import load_attribution  # waits for torch

    try:
        return specs.normalise(_name(spec), load_attribution(spec))
    except UserError as error:
        raise UserError(f"train_attribution: {error}") from None


def _baseline(study: Study, priors: Sequence[str]) -> str:
    """The normal spec of the prior that the others are compared with."""
    baseline = _normalise("prior", study.baseline)
    if baseline not in priors:
        raise UserError(f"baseline: {unknown('prior of this study', baseline, priors)}")
    return baseline


def seen_by(spec: str, study: Study) -> str:
    """Spec of the training attribution that a prior's penalty sees in a resolved study."""
    return registry.load_prior(spec).sees or study.train_attribution


def _refuse_blind(spec: str, task: str, attribution: str) -> None:
    for part in registry.load_prior(spec).parts(1.0, task):
        if _name(attribution) in part.prior.blind_to:
            raise UserError(
                f"prior {spec!r}: its penalty is constant for the training attribution "
                f"{attribution}; choose another of the two"
            )


def _name(spec: str) -> str:
    return specs.split_spec(spec)[0]


def _normalise(kind: str, spec: str) -> str:
    return registry.normal_spec(kind, spec)


def _normalised(kind: str, written: Sequence[str]) -> list[str]:
    """Normal specs without repeats; compositions of the same priors in another order are one."""
    found: dict[tuple[str, ...], str] = {}
    for spec in written:
        normal = _normalise(kind, spec)
        found.setdefault(tuple(sorted(normal.split("+"))), normal)
    return list(found.values())


def sources(study: Study) -> list[TaskData]:
    """The datasets of a resolved study: its data files, then simulated data.

    Raises:
        UserError: if two datasets have the same name, or a data file is for an unknown task.
    """
    found = []
    served = set()
    for path in study.data:
        data = load_data_file(path)
        wanted = [s for s in study.tasks if _name(s) == data.task]
        specs_of_task = wanted or [_task_of(data)]
        served.update(wanted)
        found += [TaskData(spec, data.name, data) for spec in specs_of_task]
    found += [TaskData(spec, SIMULATED, None) for spec in study.tasks if spec not in served]
    for (task, name), count in Counter((source.task, source.name) for source in found).items():
        if count > 1:
            raise UserError(f"two datasets of task {task!r} are called {name!r}; set `name` in one")
    return found


def _task_of(data: DataFile) -> str:
    try:
        return _normalise("task", data.task)
    except UserError as error:
        raise UserError(f"{data.source}: {error}") from None


def make_plan(study: Study, run: RunDirectory, say: Callable[[str], None]) -> Plan:
    """Encode the datasets, where that has not been done, and list the trials.

    Where weights are tuned, these are the trials that choose them; :func:`with_evaluation` adds
    the others when that is done.

    Args:
        study: resolved.
        run: where datasets are kept.
        say: called with a line of progress.

    Raises:
        UserError: for data that cannot be used.
    """
    settings: list[Setting] = []
    datasets: dict[str, Path] = {}
    notes: dict[str, list[str]] = {}
    known = _Known(study)
    for source in sources(study):
        folder = _prepare(source, known, run, say)
        dataset = load_dataset(folder)
        key = f"{source.task}/{source.name}"
        datasets[key], notes[key] = folder, list(dataset.meta["notes"])
        task: Task = registry.build("task", source.task)
        for architecture in study.architectures or [task.architecture]:
            network = registry.build("architecture", architecture)
            network.build(task.network_shape_of(dataset), study.scale)  # refuses what does not fit
            settings.append(Setting(source, architecture, dataset.digest))
    plan = Plan(study, [], datasets, notes, settings)
    if not study.tune:
        return with_evaluation(plan, {})
    trials = [
        trial
        for setting in settings
        for trial in _trials(setting, tuning_arms(study, setting.source.task), TUNE, known)
    ]
    return dataclasses.replace(plan, trials=trials)


def with_evaluation(plan: Plan, chosen: Mapping[tuple[tuple[str, str, str], str], float]) -> Plan:
    """The plan with its evaluation trials.

    Args:
        plan: of :func:`make_plan`.
        chosen: weight by setting and prior; those of the study where nothing was chosen.
    """
    trials, known = [], _Known(plan.study)
    for setting in plan.settings:
        wanted = [
            Arm(one.prior, chosen.get((setting.key, one.prior), one.weight))
            for one in arms(plan.study, setting.source.task)
        ]
        trials += _trials(setting, wanted, EVALUATE, known)
    return dataclasses.replace(plan, trials=[*plan.trials, *trials])


class _Known:
    """What many trials and datasets of a study share, looked up once while its plan is made."""

    def __init__(self, study: Study) -> None:
        self.study = study
        self.digest = cache(source_code.component_digest)
        self.seen_by = cache(lambda prior: seen_by(prior, study))

    @cached_property
    def reading(self) -> str:
        """Digest of the code that reads and simulates data."""
        return source_code.code_hash(*DECIDES_DATA)


def _trials(setting: Setting, wanted: Sequence[Arm], stage: str, known: _Known) -> list[Trial]:
    """The trials of one stage of a setting.

    All arms of a seed come before the next seed: an interrupted study is paired as far as it got.
    """
    study, (task, dataset, architecture) = known.study, setting.key
    seeds = study.tuning_seed_list if stage == TUNE else study.seed_list
    # what a seed does not change is looked up once
    of_first_seed = [
        Trial(
            task=task,
            dataset=dataset,
            architecture=architecture,
            prior=arm.prior,
            weight=arm.weight,
            train_attribution=known.seen_by(arm.prior),
            seed=seeds[0],
            stage=stage,
            scale=study.scale,
            root_seed=study.root_seed,
            device=study.device,
            digest=setting.digest,
            code=code_digest(
                task=task, architecture=architecture, prior=arm.prior, digest=known.digest
            ),
            precision=study.precision,
        )
        for arm in wanted
    ]
    return [dataclasses.replace(trial, seed=seed) for seed in seeds for trial in of_first_seed]


def arms(study: Study, task: str) -> list[Arm]:
    """Every prior of a resolved study with its weight for a task."""
    weights = cast("dict[str, dict[str, float]]", study.weights)
    return [Arm(spec, weights[spec][_name(task)]) for spec in study.priors]


def tuning_arms(study: Study, task: str) -> list[Arm]:
    """The baseline, and every prior with a strength at every weight that is tried for a task."""
    grids = cast("dict[str, dict[str, list[float]]]", study.grids)
    tried = [
        Arm(spec, weight)
        for spec in study.priors
        for weight in grids.get(spec, {}).get(_name(task), [])
    ]
    return [Arm(BASELINE, 0.0), *tried]


def _prepare(
    source: TaskData, known: _Known, run: RunDirectory, say: Callable[[str], None]
) -> Path:
    """The dataset's folder, encoded now unless the same inputs were encoded before."""
    study, name = known.study, _name(source.task)
    written = registry.data_spec(source.task)
    key = hash_of(
        [
            written,
            study.root_seed,
            known.digest(registry.components("task")[name].path),
            known.reading,
            _fingerprint(source.data) if source.data else study.scale,
        ]
    )
    folder = run.data / f"{name}-{slug(source.name)}-{key}"
    if (folder / "meta.json").exists():
        return folder
    say(f"reading {source.data.source}" if source.data else f"simulating task {source.task}")
    task: Task = registry.build("task", written)
    generator = seeds.generator(study.root_seed, written, source.name, "data")
    with DatasetWriter(folder) as writer:
        if source.data is None:
            task.simulate(writer, study.scale, generator)
        else:
            task.read(writer, source.data, generator)
        writer.finish(task=written, name=source.name)
    return folder


def _fingerprint(data: DataFile) -> list[Any]:
    files = [
        [str(path), (stat := path.stat()).st_size, stat.st_mtime_ns]
        for path in data.paths().values()
    ]
    return [data.model_dump(mode="json"), files]
