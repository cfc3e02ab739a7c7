"""Predictions and attributions of a trained model, and the arrays that store them."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from priorbench.attribution.explainers import load_explainer
from priorbench.attribution.explainers.subject import ExplainedModel, Explanation
from priorbench.components.metric import TrialArrays
from priorbench.components.task import Batch, Task
from priorbench.data.dataset import Dataset
from priorbench.training.batches import load_batch
from priorbench.training.objective import forward

_BATCH = 256
_PREDICTION, _ATTRIBUTION, _SCALE, _SUMS = "prediction", "attribution", "scale", "sums"
_HYPOTHETICAL = "hypothetical"


def predict(
    model: torch.nn.Module, task: Task, dataset: Dataset, device: torch.device
) -> dict[str, NDArray[np.float32]]:
    """Return predictions of the scored rows by name, (N, ...) each; the model is in eval mode."""
    rows = dataset.scored_rows
    parts: dict[str, list[NDArray[np.float32]]] = {}
    with torch.no_grad():
        for start in range(0, len(rows), _BATCH):
            batch = load_batch(dataset, rows[start : start + _BATCH], device)
            for name, values in task.predictions(forward(model, task, batch), batch).items():
                parts.setdefault(name, []).append(values.float().cpu().numpy())
    return {name: np.concatenate(values) for name, values in parts.items()}


def explain(
    model: torch.nn.Module, task: Task, dataset: Dataset, device: torch.device, spec: str
) -> Explanation:
    """Return attributions of the dataset's attributed rows by the explainer of a spec.

    The model is in eval mode, on the device.
    """
    batch = load_batch(dataset, dataset.attributed, device)
    return load_explainer(spec).explain(explained_model(model, task, batch))


def explained_model(model: torch.nn.Module, task: Task, batch: Batch) -> ExplainedModel:
    """Return a model in eval mode with what the task attributes of a batch."""
    return ExplainedModel(model, task.target, batch.sequence, task.inputs(batch), link=task.link)


def pack_predictions(prediction: Mapping[str, NDArray[np.float32]]) -> dict[str, NDArray[Any]]:
    """Return predictions as they are stored."""
    return {f"{_PREDICTION}.{name}": values for name, values in prediction.items()}


def pack_explanation(spec: str, explanation: Explanation) -> dict[str, NDArray[Any]]:
    """Return attributions as they are stored: in float16, as a fraction of each row's maximum.

    Attributions may be tiny, so that float16 alone would lose them, and those of a saturated
    output are tiny in some sequences only. Their sums, for which float16 is too coarse, are stored
    beside the sums that they should have.
    """
    attribution = explanation.attribution.float().cpu().numpy()
    finite = np.where(np.isfinite(attribution), np.abs(attribution), 0)
    scale = finite.max(axis=1, keepdims=True, initial=0)
    packed: dict[str, NDArray[Any]] = {
        f"{_ATTRIBUTION}.{spec}": (attribution / np.where(scale > 0, scale, 1)).astype(np.float16),
        f"{_SCALE}.{spec}": scale,
    }
    if explanation.expected is not None:
        total = explanation.attribution.double().sum(dim=1).cpu().numpy()
        packed[f"{_SUMS}.{spec}"] = np.stack([total, explanation.expected.double().cpu().numpy()])
    return packed


def pack_hypothetical(spec: str, hypothetical: NDArray[np.float32]) -> dict[str, NDArray[Any]]:
    """Return (M, 4, L) hypothetical contributions of an attribution as they are stored."""
    return {f"{_HYPOTHETICAL}.{spec}": hypothetical}


def stored_hypothetical(
    stored: Mapping[str, NDArray[Any]], spec: str
) -> NDArray[np.float32] | None:
    """Return the (M, 4, L) float32 hypothetical contributions, None if they were not kept."""
    return stored.get(f"{_HYPOTHETICAL}.{spec}")


def hypothetical_in(stored: Mapping[str, NDArray[Any]]) -> list[str]:
    """Return the specs of the attributions whose hypothetical contributions are stored."""
    return list(_of_kind(stored, _HYPOTHETICAL))


def without_hypothetical(stored: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Return stored arrays without hypothetical contributions, which other code computed."""
    return {name: a for name, a in stored.items() if name.partition(".")[0] != _HYPOTHETICAL}


def read_arrays(contents: bytes) -> dict[str, NDArray[Any]]:
    """Return the arrays of an ``arrays.npz``, whose contents were checked before."""
    with np.load(io.BytesIO(contents), allow_pickle=False) as arrays:
        return dict(arrays)


def predictions_in(stored: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Return the predictions that are stored, by name."""
    return _of_kind(stored, _PREDICTION)


def attributions_in(stored: Mapping[str, NDArray[Any]]) -> list[str]:
    """Return the specs of the attributions that are stored."""
    return list(_of_kind(stored, _ATTRIBUTION))


def _of_kind(stored: Mapping[str, NDArray[Any]], kind: str) -> dict[str, NDArray[Any]]:
    split = ((name.partition("."), values) for name, values in stored.items())
    return {name: values for (start, _, name), values in split if start == kind}


def stored_attribution(stored: Mapping[str, NDArray[Any]], spec: str) -> NDArray[np.float32]:
    """Return the (M, L) float32 attribution of a spec, which must be stored."""
    fraction = stored[f"{_ATTRIBUTION}.{spec}"].astype(np.float32)
    attribution: NDArray[np.float32] = fraction * stored[f"{_SCALE}.{spec}"]
    return attribution


def unpack(
    stored: Mapping[str, NDArray[Any]], spec: str, dataset: Dataset, costs: Mapping[str, float]
) -> TrialArrays:
    """Return what metrics are computed from: a trial's stored arrays with one attribution."""
    return TrialArrays(
        predictions_in(stored),
        dataset.columns["label"].take(dataset.scored_rows),
        stored_attribution(stored, spec),
        dataset.truth,
        dataset.oracle,
        costs,
        sums=stored.get(f"{_SUMS}.{spec}"),
        negative_weight=dataset.negative_weight,
        hypothetical=stored_hypothetical(stored, spec),
        **known_motifs(dataset),
    )


def known_motifs(dataset: Dataset) -> dict[str, Any]:
    """Return ``codes``, ``instances`` and ``matrices`` of the attributed rows, for TrialArrays."""
    table = dataset.instances()
    return {
        "codes": dataset.codes(dataset.attributed),
        "instances": None if table is None else table.rows,
        "matrices": dataset.true_matrices(),
    }
