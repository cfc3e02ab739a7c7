"""Test predictions and attributions of a trained model, and how they are stored."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from .attributions import input_x_gradient
from .contracts import Task, TrialArrays
from .dataset import TEST, Dataset
from .errors import UserError
from .objective import forward
from .training import load_batch

_BATCH = 256


def predict(
    model: torch.nn.Module, task: Task, dataset: Dataset, device: torch.device
) -> dict[str, NDArray[np.float32]]:
    """Predictions of the test rows by name, (N, ...) each; the model must be in eval mode."""
    rows = dataset.rows(TEST)
    parts: dict[str, list[NDArray[np.float32]]] = {}
    with torch.no_grad():
        for start in range(0, len(rows), _BATCH):
            batch = load_batch(dataset, rows[start : start + _BATCH], device)
            for name, values in task.predictions(forward(model, task, batch), batch).items():
                parts.setdefault(name, []).append(values.float().cpu().numpy())
    return {name: np.concatenate(values) for name, values in parts.items()}


def attribute(
    model: torch.nn.Module, task: Task, dataset: Dataset, device: torch.device
) -> NDArray[np.float32]:
    """(M, L) gradient x input of the dataset's attributed rows; the model in eval mode."""
    rows = dataset.attributed
    parts = []
    for start in range(0, len(rows), _BATCH):
        batch = load_batch(dataset, rows[start : start + _BATCH], device)
        result = input_x_gradient(
            model,
            batch.sequence,
            task.target,
            args=task.inputs(batch),
            create_graph=False,
        )
        parts.append(result.observed.detach().float().cpu().numpy())
    return np.concatenate(parts)


def pack(
    prediction: Mapping[str, NDArray[np.float32]], attribution: NDArray[np.float32]
) -> dict[str, NDArray[Any]]:
    """Arrays as they are stored: attributions at float16, as a fraction of their maximum.

    Attributions may be tiny, so that float16 alone would lose them.
    """
    scale = np.float32(np.abs(attribution).max(initial=0))
    fraction = attribution / scale if scale > 0 else attribution
    return {
        **{f"prediction.{name}": values for name, values in prediction.items()},
        "attribution": fraction.astype(np.float16),
        "attribution_scale": np.asarray(scale),
    }


def unpack(path: Path, dataset: Dataset, costs: Mapping[str, float]) -> TrialArrays:
    """What a metric sees, from a stored ``arrays.npz``; UserError if that is damaged."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            stored = dict(arrays)
    except (OSError, EOFError, ValueError, zipfile.BadZipFile, zlib.error) as error:
        raise UserError(
            f"{path}: cannot be read ({error}); delete {path.parent} and run the command again"
        ) from None
    prediction = {
        name.removeprefix("prediction."): values
        for name, values in stored.items()
        if name.startswith("prediction.")
    }
    attribution = stored["attribution"].astype(np.float32) * stored["attribution_scale"]
    label = dataset.columns["label"].take(dataset.rows(TEST))
    return TrialArrays(prediction, label, attribution, dataset.truth, dataset.oracle, costs)
