"""Facts of a run that the text of its methods is made from."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch

from priorbench import UserError
from priorbench.components import docstrings, registry
from priorbench.components.architecture import Architecture, NetworkShape, Scale
from priorbench.components.specs import TRAINING_OPTIONS, split_spec
from priorbench.components.task import Task
from priorbench.data.codes import TEST, TRAIN, VALID
from priorbench.data.dataset import Dataset
from priorbench.results.finished_run import Run
from priorbench.schedule_table import ScheduleTable
from priorbench.storage.run_directory import DONE
from priorbench.study.data_sources import SIMULATED
from priorbench.study.keys.networks import trained_elsewhere
from priorbench.study.trial import EVALUATE, SELECT
from priorbench.training.schedules import Schedule, schedule_of

SIMULATION, GENOME, FILES = "simulation", "genome", "files"
"""origins of sequences"""


@dataclass(frozen=True)
class DatasetMethods:
    """A dataset, as one task uses it.

    Attributes:
        task: spec of the task.
        name: name of the dataset.
        source: SIMULATION, GENOME or FILES.
        training: number of sequences that models were trained on.
        available: number of sequences in the training split.
        validation: number of sequences in the validation split.
        test: number of sequences in the test split.
        attributed: number of test sequences that were attributed.
        length: length of a window in bp.
        known: whether motif positions are known.
        matched: whether motif positions are matches of known matrices.
        digest: digest of the contents.
    """

    task: str
    name: str
    source: str
    training: int
    available: int
    validation: int
    test: int
    attributed: int
    length: int
    known: bool
    matched: bool
    digest: str

    @property
    def shared(self) -> bool:
        """Whether only a share of the training split is used."""
        return self.training < self.available


@dataclass(frozen=True)
class TrainingMethods:
    """Training that several tasks have in common.

    Attributes:
        tasks: specs of the tasks.
        schedule: schedule of their training.
        strands: whether sequences were shown on either strand.
        shift: largest shift of a window in bp.
    """

    tasks: Sequence[str]
    schedule: Schedule
    strands: bool
    shift: int


@dataclass(frozen=True)
class NetworkMethods:
    """An architecture as it was built.

    Attributes:
        spec: spec of the architecture.
        summary: description in one line.
        citation: works that it comes from.
        parameters: number of parameters for each input and output shape, ascending.
        layers: modules of the first network; "" where it cannot be built here.
    """

    spec: str
    summary: str
    citation: str
    parameters: Sequence[int]
    layers: str


@dataclass(frozen=True)
class CitedComponent:
    """A component in words.

    Attributes:
        spec: spec, as in the study.
        summary: description without a line break.
        citation: works that it comes from.
    """

    spec: str
    summary: str = ""
    citation: str = ""


def built_task(spec: str) -> Task | None:
    """Return the task of a spec; None for one of a plug-in that is not loaded."""
    try:
        task: Task = registry.build("task", spec)
    except UserError:
        return None
    return task


def data_of(run: Run) -> list[DatasetMethods]:
    """Return every dataset of a run."""
    return [_data(key.rpartition("/")[0], dataset) for key, dataset in run.datasets.items()]


def _data(task: str, dataset: Dataset) -> DatasetMethods:
    built = built_task(task)
    share = 1.0 if built is None else built.train_share
    used = dataclasses.replace(dataset, train_share=share)
    name = str(dataset.meta["name"])
    simulated = name == SIMULATED and dataset.place is None
    return DatasetMethods(
        task,
        name,
        SIMULATION if simulated else GENOME if dataset.place is not None else FILES,
        len(used.rows(TRAIN)),
        len(dataset.rows(TRAIN)),
        len(dataset.rows(VALID)),
        len(dataset.rows(TEST)),
        len(dataset.attributed),
        dataset.length,
        dataset.truth is not None,
        bool(dataset.motifs) and not simulated,
        dataset.digest,
    )


def tasks_of(run: Run, data: Sequence[DatasetMethods]) -> list[CitedComponent]:
    """Return the tasks of a run: what they predict, and how their data are simulated."""
    tasks = []
    for spec in dict.fromkeys(key.rpartition("/")[0] for key in run.datasets):
        task = built_task(spec)
        simulated = any(used.task == spec and used.source == SIMULATION for used in data)
        if task is None:
            tasks.append(CitedComponent(spec))
        else:
            text = task_text(docstrings.about(type(task)), simulated=simulated)
            if trained_elsewhere(run.study):
                text = re.sub(r"\s*The prior applies [^.]*\.", "", text)
            text += _options_sentence(task) if simulated else ""
            tasks.append(CitedComponent(spec, text, type(task).citation))
    return tasks


def _options_sentence(task: Task) -> str:
    """Return a sentence with the values of a task's own options; "" if it has none."""
    shared = {*(field.name for field in dataclasses.fields(Task)), *TRAINING_OPTIONS}
    own = [f"{key} {value}" for key, value in dataclasses.asdict(task).items() if key not in shared]
    return f" Options: {', '.join(own)}." if own else ""


def task_text(text: str, *, simulated: bool) -> str:
    """Return a task's docstring on one line, without its simulation where nothing is simulated.

    Args:
        text: paragraphs of the docstring: first what the task predicts, then how its data are
            simulated and which examples the prior applies to.
        simulated: whether there are simulated data.
    """
    words = " ".join(text.replace("``", "").split())
    if simulated:
        return words
    first = " ".join(text.split("\n\n", maxsplit=1)[0].replace("``", "").split())
    applies = re.search(r"The prior applies .*", words)
    rest = re.sub(r"Simulated: .*?(?=The prior applies|$)", "", words)
    if rest == words:  # all beyond the first paragraph is about what is simulated
        rest = f"{first} {applies[0]}" if applies else first
    return rest.strip()


def trainings_of(run: Run) -> list[TrainingMethods]:
    """Return how tasks were trained, tasks trained alike together; what is unknown is left out."""
    if trained_elsewhere(run.study):
        return []
    groups: dict[tuple[Schedule, bool, int], list[str]] = {}
    for key, dataset in run.datasets.items():
        spec = key.rpartition("/")[0]
        task = built_task(spec)
        if task is not None:
            schedule = schedule_of(
                task,
                run.study["scale"],
                run.study["precision"],
                ScheduleTable(**run.study.get("schedule", {})).text,
            )
            key_of_group = (schedule, type(task).reverse_complement, dataset.margin)
            groups.setdefault(key_of_group, []).append(spec)
    return [
        TrainingMethods(list(dict.fromkeys(specs)), schedule, strands, shift)
        for (schedule, strands, shift), specs in groups.items()
    ]


def networks_of(run: Run) -> list[NetworkMethods]:
    """Return the architectures of a run's trials."""
    shapes: dict[str, list[NetworkShape]] = {}
    used = {
        (str(record["architecture"]), f"{record['task']}/{record['dataset']}")
        for record in run.records.values()
        if record["stage"] == EVALUATE  # those that were only tried are not compared
    }
    for architecture, key in sorted(used):
        known = shapes.setdefault(architecture, [])
        shape = _shape(run, key)
        if shape is not None and shape not in known:
            known.append(shape)
    return [_network(spec, known, run.study["scale"]) for spec, known in shapes.items()]


def _shape(run: Run, key: str) -> NetworkShape | None:
    task, dataset = built_task(key.rpartition("/")[0]), run.datasets.get(key)
    return None if task is None or dataset is None else task.network_shape_of(dataset)


def _network(spec: str, shapes: Sequence[NetworkShape], scale: Scale) -> NetworkMethods:
    component = registry.components("architecture").get(split_spec(spec)[0])
    texts = registry.describe(component) if component is not None else {}
    built = [model for shape in shapes if (model := _built(spec, shape, scale)) is not None]
    counts = sorted({sum(p.numel() for p in model.parameters()) for model in built})
    layers = str(built[0]) if built else ""
    return NetworkMethods(spec, texts.get("summary", ""), texts.get("citation", ""), counts, layers)


@lru_cache(maxsize=64)
def _built(spec: str, shape: NetworkShape, scale: Scale) -> torch.nn.Module | None:
    """Return a network without weights; None where it cannot be built here."""
    try:
        architecture: Architecture = registry.build("architecture", spec)
        with torch.device("meta"):
            return architecture.build(shape, scale)
    except UserError:
        return None


def scored_attributions_of(run: Run) -> list[CitedComponent]:
    """Return the attributions that a run scores."""
    from priorbench.attribution.explainers import load_explainer

    explainers = {spec: load_explainer(spec) for spec in run.attributions}
    return [CitedComponent(spec, e.summary, e.citation) for spec, e in explainers.items()]


def penalised_attributions_of(run: Run) -> list[CitedComponent]:
    """Return the attributions that the penalties of a run's trials are computed from."""
    from priorbench.attribution.methods import load_attribution

    usual = str(run.study["train_attribution"])
    if trained_elsewhere(run.study):
        return []
    specs = dict.fromkeys(r.get("train_attribution", usual) for r in run.records.values())
    attributions = {spec: load_attribution(spec) for spec in specs or [usual]}
    return [CitedComponent(spec, a.summary, a.citation) for spec, a in attributions.items()]


def epochs_of(run: Run) -> Mapping[str, float] | None:
    """Return the mean numbers of epochs run and of the epoch kept; None where not recorded."""
    records = [r for r in run.records.values() if r.get("history") and r["stage"] == "evaluate"]
    if not records:
        return None
    return {
        "run": float(np.mean([len(record["history"]) for record in records])),
        "kept": float(np.mean([record["best_epoch"] + 1 for record in records])),
    }


def ensembles_of(run: Run) -> Mapping[str, int] | None:
    """Return how many networks were trained together with others; None if none was."""
    sizes = [int(record.get("ensemble", 1)) for record in run.records.values()]
    together = [size for size in sizes if size > 1]
    if not together:
        return None
    return {"networks": len(together), "all": len(sizes), "most": max(together)}


def trial_counts_of(run: Run) -> Mapping[str, int]:
    """Return numbers of trials: evaluated, not ended well, that chose weights, or a network."""
    evaluated = [r for r in run.records.values() if r["stage"] == "evaluate"]
    failed = sum(record["status"] != DONE for record in evaluated)
    tuning = sum(record["stage"] == "tune" for record in run.records.values())
    choosing = sum(record["stage"] == SELECT for record in run.records.values())
    return {"trials": len(evaluated), "failed": failed, "tuning": tuning, "choosing": choosing}
