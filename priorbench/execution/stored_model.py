"""A trial's trained model as it was stored, to be measured again."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load

from priorbench.components import registry
from priorbench.components.task import Task
from priorbench.data.codes import SCORED_ON
from priorbench.data.dataset import load_dataset
from priorbench.errors import UserError
from priorbench.evaluation.measure import TrainedModel
from priorbench.storage.run_directory import MODEL, RunDirectory
from priorbench.study.keys.networks import GIVEN
from priorbench.training.loop import seeded_torch
from priorbench.user_models.network import load_network

from .job import Job, TrialParts


def stored_model(job: Job, run: RunDirectory, device: torch.device) -> TrainedModel:
    """Return the trained model of a job's trial, in eval mode, on a device.

    Args:
        job: the job, whose plug-ins are registered.
        run: the run directory that holds the model.
        device: where the model is to be.

    Raises:
        DamagedFile: if the model is not as it was written.
        UserError: if the code that builds a network trained elsewhere is not what it was.
    """
    if job.trial.network:
        trained = _given_model(job, run, device)
    else:
        parts = TrialParts.of(job)
        with seeded_torch(0, torch.device("cpu")):
            model = parts.regularisation.adapt(parts.model())
        trained = parts.trained_model(model, device)
    trained.model.load_state_dict(load(run.read_file(job.trial.id, MODEL)))
    trained.model.to(device).eval()
    return trained


def _given_model(job: Job, run: RunDirectory, device: torch.device) -> TrainedModel:
    """Return a network that was trained elsewhere, without its weights."""
    trial, record = job.trial, run.record(job.trial.id)
    assert record is not None
    task: Task = registry.build("task", trial.task)
    scored = SCORED_ON[trial.stage]
    dataset = load_dataset(job.dataset, scored, train_share=task.train_share, trusted=True)
    given = record[GIVEN]
    with seeded_torch(0, torch.device("cpu")):
        network, code = load_network(
            given["model"], Path(given["folder"]), task.network_shape_of(dataset), given["layout"]
        )
    if code != trial.code:
        raise UserError(f"the code of {given['model']} changed since its networks were read")
    return TrainedModel(network, task, dataset, trial.scale, device)
