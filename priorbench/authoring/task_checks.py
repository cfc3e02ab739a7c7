"""The checks that every task must pass: its simulated data, losses, target, floor and ceiling."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from priorbench.attribution.methods import InputXGradient
from priorbench.components import registry, specs
from priorbench.components.task import Batch, Task
from priorbench.data.codes import TEST, TRAIN, VALID
from priorbench.data.dataset import Dataset, load_dataset
from priorbench.data.dataset_writer import DatasetWriter
from priorbench.evaluation.reference_scores import reference_scores
from priorbench.evaluation.scoring import ORACLE, RANDOM
from priorbench.metrics import METRICS
from priorbench.seeds import RandomStreams
from priorbench.training.batches import load_batch
from priorbench.training.loop import fit, seeded_torch
from priorbench.training.objective import Regularisation, forward
from priorbench.training.schedules import schedule_of

from .check_tools import CheckFailed, CheckResult, NotApplicable, run_check

_FLOOR = 0.9
"""average precision that the oracle's attribution must have against the truth"""
_ROWS = 16
_CPU = torch.device("cpu")


class TaskSubject:
    """A task with what its checks share: a simulated dataset, a batch of it, a network.

    Attributes:
        spec: the task's spec.
        task: the task.
        folder: folder that datasets are written to.
    """

    def __init__(self, spec: str, folder: Path) -> None:
        """Build the task; nothing is simulated yet."""
        self.spec, self.folder = spec, folder
        self.task: Task = registry.build("task", spec)

    @cached_property
    def dataset(self) -> Dataset:
        """The simulated data at smoke scale, as trials that are scored on the test split see it."""
        return self.simulated("first", 0)

    def simulated(self, name: str, seed: int) -> Dataset:
        """Return the simulated data of a seed, written to a folder of this name."""
        with DatasetWriter(self.folder / name) as writer:
            self.task.simulate(writer, "smoke", np.random.default_rng(seed))
            writer.finish(task=specs.name_of(self.spec), name="simulated")
        return load_dataset(self.folder / name)

    def network(self) -> torch.nn.Module:
        """Return an untrained network of the architecture that the task prefers."""
        with seeded_torch(0, _CPU):
            architecture = registry.build("architecture", self.task.architecture)
            network: torch.nn.Module = architecture.build(
                self.task.network_shape_of(self.dataset), "smoke"
            )
        return network

    @cached_property
    def references(self) -> dict[str, dict[str, float]]:
        """Scores of what needs no network, by name."""
        return reference_scores(self.dataset, self.task)

    @cached_property
    def batch(self) -> Batch:
        """The first examples of the training split."""
        return load_batch(self.dataset, self.dataset.rows(TRAIN)[:_ROWS], _CPU)


Check = Callable[[TaskSubject], str]


def describes_itself(subject: TaskSubject) -> str:
    """Check that there are a summary, metrics that exist and a network that fits."""
    task = subject.task
    if not getattr(task, "summary", ""):
        raise CheckFailed("has no summary: set the class attribute `summary`, one line")
    unknown = [name for name in task.metrics if name not in METRICS]
    if unknown or not task.metrics:
        raise CheckFailed(
            f"metrics {', '.join(unknown) or 'are none'}: see priorbench list metrics"
        )
    subject.network()
    return task.summary


def draws_from_its_generator(subject: TaskSubject) -> str:
    """Check that equal seeds give equal data, byte for byte, and other seeds others."""
    first = subject.dataset.digest
    if subject.simulated("again", 0).digest != first:
        raise CheckFailed("equal seeds give other data: draw from the generator that is passed in")
    if subject.simulated("other", 1).digest == first:
        raise NotApplicable("every seed gives the same data: are they meant to be fixed?")
    return "the same from the same seed, others from another"


def fills_every_split(subject: TaskSubject) -> str:
    """Check that there are examples of every split, and some to attribute."""
    counts = [len(subject.dataset.rows(split)) for split in (TRAIN, VALID, TEST)]
    if min(counts) == 0:
        raise CheckFailed(f"{counts} examples for training, validation and test")
    if not len(subject.dataset.attributed):
        raise CheckFailed("no sequence of the test split is attributed: call writer.attribute")
    return f"{counts} examples, {len(subject.dataset.attributed)} attributed"


def knows_its_motifs(subject: TaskSubject) -> str:
    """Check that the oracle attributes the known positions, and noise does not."""
    if subject.dataset.truth is None:
        raise NotApplicable("known positions are not given to writer.attribute")
    oracle, noise = (subject.references[name]["motif-auprc"] for name in (ORACLE, RANDOM))
    if not oracle >= _FLOOR > noise:
        raise CheckFailed(f"motif auPRC of the oracle is {oracle:.2f}, of noise {noise:.2f}")
    return f"motif auPRC {oracle:.2f} of the oracle, {noise:.2f} of noise"


def has_a_row_for_each_example(subject: TaskSubject) -> str:
    """Check the shapes of loss, target, predictions, and of those that a prior applies to."""
    task, batch = subject.task, subject.batch
    count = len(batch.label)
    output = forward(subject.network().eval(), task, batch)
    shapes = {
        "prediction_loss": tuple(task.prediction_loss(output, batch).shape),
        "target": tuple(task.target(output).shape),
        "applies": tuple(task.applies(batch).shape),
    }
    for name, shape in shapes.items():
        if shape != (count,):
            raise CheckFailed(f"{name} has shape {shape}, wanted ({count},)")
    if task.applies(batch).dtype != torch.bool:
        raise CheckFailed("applies is not bool")
    for name, values in task.predictions(output, batch).items():
        if len(values) != count:
            raise CheckFailed(f"predictions {name!r} have {len(values)} rows, wanted {count}")
    return f"{int(task.applies(batch).sum())} of {count} examples are attributed"


def attributes_the_sequence(subject: TaskSubject) -> str:
    """Check that the target depends on the sequence, example by example."""
    sequence = subject.batch.sequence.clone().requires_grad_()
    batch = Batch(sequence, subject.batch.label, subject.batch.arrays)
    output = forward(subject.network().eval(), subject.task, batch)
    (gradient,) = torch.autograd.grad(subject.task.explained(output).sum(), sequence)
    if not torch.isfinite(gradient).all() or not gradient.abs().sum(dim=(1, 2)).all():
        raise CheckFailed("the gradient of the target by the sequence is zero or not finite")
    return "a gradient for every example"


def has_a_floor(subject: TaskSubject) -> str:
    """Check that a model that knows averages only has every prediction that metrics read."""
    chance = subject.task.chance(subject.dataset)
    output = forward(subject.network().eval(), subject.task, subject.batch)
    predicted, rows = subject.task.predictions(output, subject.batch), subject.dataset.scored_rows
    for name, values in predicted.items():
        wanted = (len(rows), *values.shape[1:])
        if name not in chance or chance[name].shape != wanted:
            given = chance[name].shape if name in chance else "nothing"
            raise CheckFailed(f"chance gives {given} for {name!r}, wanted {wanted}")
    first = subject.task.metrics[0]
    return f"{first} of averages: {subject.references[RANDOM][first]:.3g}"


def can_be_learnt(subject: TaskSubject) -> str:
    """Check that the loss falls when the task's network is trained at smoke scale."""
    trained = fit(
        subject.network(),
        subject.task,
        Regularisation([], InputXGradient()),
        subject.dataset,
        schedule=schedule_of(subject.task, "smoke"),
        streams=RandomStreams(0, (subject.spec, "simulated"), 0),
        device=_CPU,
    )
    losses = [epoch.training_loss for epoch in trained.history]
    if trained.divergence or not losses[-1] < losses[0]:
        raise CheckFailed(trained.divergence or f"the loss does not fall: {losses}")
    return f"loss {losses[0]:.3g} in the first epoch, {losses[-1]:.3g} in the last"


CHECKS: tuple[Check, ...] = (
    describes_itself,
    draws_from_its_generator,
    fills_every_split,
    knows_its_motifs,
    has_a_row_for_each_example,
    attributes_the_sequence,
    has_a_floor,
    can_be_learnt,
)


def check_task(spec: str) -> Iterator[CheckResult]:
    """Run every check on the task of a spec, one after the other.

    Raises:
        UserError: if there is no such task.
    """
    with tempfile.TemporaryDirectory() as folder:
        subject = TaskSubject(spec, Path(folder))
        for check in CHECKS:
            yield run_check(check, subject)
