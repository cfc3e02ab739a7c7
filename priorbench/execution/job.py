"""A job: what a worker is handed to run one trial, and what it builds of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import torch

from priorbench.attribution.methods import load_attribution
from priorbench.components import registry, specs
from priorbench.components.architecture import Architecture
from priorbench.components.prior import Prior
from priorbench.components.task import Task
from priorbench.data.codes import SCORED_ON
from priorbench.data.dataset import Dataset, load_dataset
from priorbench.evaluation.measure import TrainedModel
from priorbench.seeds import RandomStreams
from priorbench.study.study import Measurements
from priorbench.study.trial import Trial
from priorbench.training.loop import seeded_torch
from priorbench.training.objective import Regularisation


@dataclass(frozen=True)
class Job:
    """What a worker needs to run a trial.

    Attributes:
        trial: the trial to be run.
        dataset: folder of the encoded dataset.
        plugins: plug-in files to register first.
        run: the run directory.
        measurements: what is measured of the trained model.
        score_only: whether the trial was trained before, and is only to be scored again.
    """

    trial: Trial
    dataset: Path
    plugins: Sequence[Path]
    run: Path
    measurements: Measurements
    score_only: bool = False


@dataclass(frozen=True)
class TrialParts:
    """What a trial is made of, built from its job."""

    job: Job
    task: Task
    architecture: Architecture
    regularisation: Regularisation
    dataset: Dataset
    streams: RandomStreams

    @classmethod
    def of(cls, job: Job) -> Self:
        """Build the parts of a job's trial; its plug-ins are registered already."""
        trial = job.trial
        prior: Prior = registry.build("prior", trial.prior)
        parts = prior.parts(trial.weight, specs.name_of(trial.task))
        task: Task = registry.build("task", trial.task)
        stage = SCORED_ON[trial.stage]
        architecture: Architecture = registry.build("architecture", trial.architecture)
        method = load_attribution(trial.train_attribution)
        return cls(
            job,
            task,
            architecture,
            Regularisation(parts, method, apart=architecture.examples_apart),
            load_dataset(job.dataset, stage, train_share=task.train_share, trusted=True),
            # more data or more epochs do not change what is drawn
            RandomStreams(
                trial.root_seed, (registry.data_spec(trial.task), trial.dataset), trial.seed
            ),
        )

    def model(self, streams: RandomStreams | None = None) -> torch.nn.Module:
        """Build the network with its initial weights, by the trial's random streams or others."""
        streams = streams or self.streams
        with seeded_torch(streams.derive("init"), torch.device("cpu")):
            return self.architecture.build(
                self.task.network_shape_of(self.dataset), self.job.trial.scale
            )

    def trained_model(self, model: torch.nn.Module, device: torch.device) -> TrainedModel:
        """Put a trained network together with what it is measured on."""
        return TrainedModel(model, self.task, self.dataset, self.job.trial.scale, device)
