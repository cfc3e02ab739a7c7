"""A trial's trained model as it was stored, to be measured again."""

from __future__ import annotations

import torch
from safetensors.torch import load

from priorbench.evaluation.measure import TrainedModel
from priorbench.storage.run_directory import MODEL, RunDirectory
from priorbench.training.loop import seeded_torch

from .job import TrialParts


def stored_model(parts: TrialParts, run: RunDirectory, device: torch.device) -> TrainedModel:
    """Return the trained model of a trial, in eval mode, on a device.

    Args:
        parts: what the trial is made of.
        run: the run directory that holds the model.
        device: where the model is to be.

    Raises:
        DamagedFile: if the model is not as it was written.
    """
    with seeded_torch(0, torch.device("cpu")):
        model = parts.regularisation.adapt(parts.model())
    model.load_state_dict(load(run.read_file(parts.job.trial.id, MODEL)))
    return parts.trained_model(model.to(device).eval(), device)
