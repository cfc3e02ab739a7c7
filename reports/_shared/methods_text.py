"""The facts of a run that its methods are told from."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch

from priorbench import UserError
from priorbench.components import docstrings, registry
from priorbench.components.contracts import Architecture, NetworkShape, Scale, Task
from priorbench.components.specs import split_spec
from priorbench.data.codes import TEST, TRAIN, VALID
from priorbench.data.dataset import Dataset
from priorbench.results.finished_run import Run
from priorbench.study.plan import SIMULATED
from priorbench.training.schedules import Schedule, schedule_of

SIMULATION, GENOME, FILES = "simulation", "genome", "files"
"""where sequences come from"""


@dataclass(frozen=True)
class DatasetMethods:
    """A dataset, as one task sees it.

    Attributes:
        task: spec.
        name: of the dataset.
        source: SIMULATION, GENOME or FILES.
        training: sequences that models were trained on.
        available: training sequences that there are.
        validation: sequences.
        test: sequences.
        attributed: test sequences that were attributed.
        length: window in bp.
        known: whether motif positions are known.
        matched: whether they are matches of known matrices.
        digest: of the contents.
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
        """Whether a share of the training sequences is used."""
        return self.training < self.available


@dataclass(frozen=True)
class TrainingMethods:
    """How some tasks were trained.

    Attributes:
        tasks: specs.
        schedule: of all of them.
        strands: whether sequences were shown on either strand.
        shift: by how many bp windows were shifted at most.
    """

    tasks: Sequence[str]
    schedule: Schedule
    strands: bool
    shift: int


@dataclass(frozen=True)
class NetworkMethods:
    """An architecture as it was built.

    Attributes:
        spec: of the architecture.
        summary: one line.
        citation: where it comes from.
        parameters: how many, for every form that it was built for, ascending.
        layers: module by module, for the first of them; "" where it cannot be built here.
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
        spec: as in the study.
        summary: what it is, without a line break.
        citation: where it comes from.
    """

    spec: str
    summary: str = ""
    citation: str = ""


def built_task(spec: str) -> Task | None:
    """A task from its spec; None for one of a plug-in that is not loaded."""
    try:
        task: Task = registry.build("task", spec)
    except UserError:
        return None
    return task


def data_of(run: Run) -> list[DatasetMethods]:
    """Every dataset of a run."""
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
    """The tasks of a run, with what they ask and how they are simulated, if they are."""
    found = []
    for spec in dict.fromkeys(key.rpartition("/")[0] for key in run.datasets):
        task = built_task(spec)
        simulated = any(one.task == spec and one.source == SIMULATION for one in data)
        if task is None:
            found.append(CitedComponent(spec))
        else:
            text = about(docstrings.about(type(task)), simulated=simulated)
            text += _simulated_with(task) if simulated else ""
            found.append(CitedComponent(spec, text, type(task).citation))
    return found


def _simulated_with(task: Task) -> str:
    """A sentence of the options that are this task's own, at their values."""
    shared = {field.name for field in dataclasses.fields(Task)}
    own = [f"{key} {value}" for key, value in dataclasses.asdict(task).items() if key not in shared]
    return f" Options: {', '.join(own)}." if own else ""


def about(text: str, *, simulated: bool) -> str:
    """What a task's docstring says, on one line; without simulation what is said of it is left out.

    Args:
        text: paragraphs: what is asked; then how it is simulated and whom the prior applies to.
        simulated: whether there are simulated data.
    """
    words = " ".join(text.replace("``", "").split())
    if simulated:
        return words
    first = " ".join(text.split("\n\n", maxsplit=1)[0].replace("``", "").split())
    applies = re.search(r"The prior applies .*", words)
    told = re.sub(r"Simulated: .*?(?=The prior applies|$)", "", words)
    if told == words:  # all beyond the first paragraph is about what is simulated
        told = f"{first} {applies[0]}" if applies else first
    return told.strip()


def trainings_of(run: Run) -> list[TrainingMethods]:
    """Schedules, those of several tasks that are alike told once; unknown tasks are left out."""
    groups: dict[tuple[Schedule, bool, int], list[str]] = {}
    for key, dataset in run.datasets.items():
        spec = key.rpartition("/")[0]
        task = built_task(spec)
        if task is not None:
            schedule = schedule_of(task, run.study["scale"], run.study["precision"])
            how = (schedule, type(task).reverse_complement, dataset.margin)
            groups.setdefault(how, []).append(spec)
    return [
        TrainingMethods(list(dict.fromkeys(specs)), schedule, strands, shift)
        for (schedule, strands, shift), specs in groups.items()
    ]


def networks_of(run: Run) -> list[NetworkMethods]:
    """The architectures of a run's trials."""
    forms: dict[str, list[NetworkShape]] = {}
    used = {
        (str(record["architecture"]), f"{record['task']}/{record['dataset']}")
        for record in run.records.values()
    }
    for architecture, key in sorted(used):
        found = forms.setdefault(architecture, [])
        form = _form(run, key)
        if form is not None and form not in found:
            found.append(form)
    return [_network(spec, found, run.study["scale"]) for spec, found in forms.items()]


def _form(run: Run, key: str) -> NetworkShape | None:
    task, dataset = built_task(key.rpartition("/")[0]), run.datasets.get(key)
    return None if task is None or dataset is None else task.network_shape_of(dataset)


def _network(spec: str, forms: Sequence[NetworkShape], scale: Scale) -> NetworkMethods:
    component = registry.components("architecture").get(split_spec(spec)[0])
    texts = registry.describe(component) if component is not None else {}
    built = [model for form in forms if (model := _built(spec, form, scale)) is not None]
    counts = sorted({sum(p.numel() for p in model.parameters()) for model in built})
    layers = str(built[0]) if built else ""
    return NetworkMethods(spec, texts.get("summary", ""), texts.get("citation", ""), counts, layers)


@lru_cache(maxsize=64)
def _built(spec: str, form: NetworkShape, scale: Scale) -> torch.nn.Module | None:
    """A network without weights; None where it cannot be built here."""
    try:
        architecture: Architecture = registry.build("architecture", spec)
        with torch.device("meta"):
            return architecture.build(form, scale)
    except UserError:
        return None


def attributions_of(specs: Iterable[str]) -> list[CitedComponent]:
    """Attributions that are scored, in words."""
    from priorbench.attribution.explainers import load_explainer

    found = [(spec, load_explainer(spec)) for spec in specs]
    return [CitedComponent(spec, one.summary, one.citation) for spec, one in found]


def seen_of(run: Run) -> list[CitedComponent]:
    """What the penalties of a run's trials see of a network."""
    from priorbench.attribution.differentiable import load_attribution

    usual = str(run.study["train_attribution"])
    specs = dict.fromkeys(r.get("train_attribution", usual) for r in run.records.values())
    found = [(spec, load_attribution(spec)) for spec in specs or [usual]]
    return [CitedComponent(spec, one.summary, one.citation) for spec, one in found]


def epochs_of(run: Run) -> Mapping[str, float] | None:
    """Mean number of epochs that were run, and of the one that was kept; None if not recorded."""
    records = [r for r in run.records.values() if r.get("history") and r["stage"] == "evaluate"]
    if not records:
        return None
    return {
        "run": float(np.mean([len(record["history"]) for record in records])),
        "kept": float(np.mean([record["best_epoch"] + 1 for record in records])),
    }


def at_once_of(run: Run) -> Mapping[str, int] | None:
    """How many networks were trained together with others, of how many; None if none was."""
    sizes = [int(record.get("ensemble", 1)) for record in run.records.values()]
    together = [size for size in sizes if size > 1]
    if not together:
        return None
    return {"networks": len(together), "all": len(sizes), "most": max(together)}


def ended_of(run: Run) -> Mapping[str, Any]:
    """Evaluation trials: all of them, and those that failed or collapsed."""
    evaluated = [r for r in run.records.values() if r["stage"] == "evaluate"]
    failed = [record for record in evaluated if record["status"] != "done"]
    tuned = sum(record["stage"] == "tune" for record in run.records.values())
    return {"trials": len(evaluated), "failed": len(failed), "tuning": tuned}
