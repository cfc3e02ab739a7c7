"""Measures a trained model: predictions, attributions, scores; also of one that was stored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from priorbench.attribution.explainers import load_explainer
from priorbench.components.architecture import Scale
from priorbench.components.task import Task
from priorbench.data.dataset import Dataset
from priorbench.study.study import Measurements

from . import scoring
from .model_probe import ModelProbe, ProbedModel, probed
from .modisco import discover, pack_motifs, unpack_motifs
from .stored_arrays import (
    attributions_in,
    explain,
    pack_explanation,
    pack_predictions,
    predict,
    predictions_in,
    stored_attribution,
    unpack,
)

_SPREAD = 1e-6
_LARGE_ERROR = 0.05
"""of the sum of attributions, from which on a trial is flagged"""


@dataclass(frozen=True)
class TrainedModel:
    """A trained model with what it was trained for.

    Attributes:
        model: in eval mode, on the device.
        task: what it predicts.
        dataset: what it is tested on.
        scale: says how many sequences it is probed with.
        device: where the model is.
        costs: what its training took.
    """

    model: torch.nn.Module
    task: Task
    dataset: Dataset
    scale: Scale
    device: torch.device
    costs: Mapping[str, float]


@dataclass(frozen=True)
class Measurement:
    """What was measured.

    Attributes:
        arrays: as stored in ``arrays.npz``.
        reason: why the trial counts as collapsed, or "".
        metrics: value by metric, by the spec of the attribution; "" for those of none.
        flags: what to know before attributions are trusted, one sentence each.
    """

    arrays: Mapping[str, NDArray[Any]]
    reason: str
    metrics: Mapping[str, Mapping[str, float]]
    flags: Sequence[str]

    def as_record(self) -> dict[str, Any]:
        """The part of record.json that says what was measured, and by which code."""
        return {
            "metrics": self.metrics,
            "flags": list(self.flags),
            "scored_by": scoring.metrics_digest(),
            "probed_by": scoring.probes_digest(),
            "discovered_by": scoring.discovery_digest(),
        }


def measure(examinee: TrainedModel, wanted: Measurements) -> Measurement:
    """Predict, attribute and score."""
    return measure_again(examinee, wanted, {}, {})


def measure_again(
    examinee: TrainedModel,
    wanted: Measurements,
    stored: Mapping[str, NDArray[Any]],
    known: Mapping[str, Mapping[str, float]],
) -> Measurement:
    """Attribute and score what is missing.

    Args:
        examinee: the trained model.
        wanted: what there should be in the end.
        stored: arrays that are there already: predictions, and attributions if any.
        known: by the spec of the attribution, scores of the metrics that probe the model which
            are to be kept.
    """
    arrays = dict(stored) or pack_predictions(
        predict(examinee.model, examinee.task, examinee.dataset, examinee.device)
    )
    reasons = [collapse_of_predictions(predictions_in(arrays))]
    for spec in wanted.attributions:
        if spec not in attributions_in(arrays):
            explanation = explain(
                examinee.model, examinee.task, examinee.dataset, examinee.device, spec
            )
            arrays |= pack_explanation(spec, explanation)
        reasons.append(collapse_of_attribution(stored_attribution(arrays, spec), spec))
    reason = next(filter(None, reasons), "")
    if any("not finite" in one for one in reasons):
        return Measurement(arrays, reason, {}, [])
    if wanted.discovery:
        arrays |= _discovered(arrays, wanted.attributions, examinee.task, examinee.dataset)
    metrics = score_stored(arrays, wanted.attributions, examinee.task, examinee.dataset)
    places = probed(examinee.dataset, examinee.scale)
    examined = None
    for spec in wanted.attributions:
        if spec not in known:
            examined = examined or ProbedModel(
                examinee.model,
                examinee.task,
                examinee.dataset,
                places=places,
                device=examinee.device,
            )
            seen = unpack(arrays, spec, examinee.dataset, examinee.costs).attribution
            probe = ModelProbe(examined, load_explainer(spec), seen[places].astype(np.float64))
            metrics[spec] |= scoring.score_model(probe)
        else:
            metrics[spec] |= known[spec]
    return Measurement(arrays, reason, metrics, _flags(metrics))


def _discovered(
    arrays: Mapping[str, NDArray[Any]], attributions: Sequence[str], task: Task, dataset: Dataset
) -> dict[str, NDArray[Any]]:
    """Motifs of the attributions in which nobody has looked for them yet."""
    both_strands = type(task).reverse_complement
    found: dict[str, NDArray[Any]] = {}
    for spec in attributions:
        if unpack_motifs(arrays, spec, both_strands=both_strands) is None:
            codes = dataset.codes(dataset.attributed)
            seen = stored_attribution(arrays, spec)
            found |= pack_motifs(spec, discover(codes, seen, both_strands=both_strands))
    return found


def score_stored(
    arrays: Mapping[str, NDArray[Any]], attributions: Sequence[str], task: Task, dataset: Dataset
) -> dict[str, dict[str, float]]:
    """Every metric that needs no model, by the spec of the attribution; "" for those of none."""
    found: dict[str, dict[str, float]] = {}
    for spec in attributions:
        seen = unpack(arrays, spec, dataset, {})
        if not found:
            found[""] = scoring.score_predictions(seen, task.metrics)
        found[spec] = scoring.score_attribution(seen)
        motifs = unpack_motifs(arrays, spec, both_strands=type(task).reverse_complement)
        if motifs is not None:
            found[spec] |= scoring.score_motifs(motifs, dataset)
    return found


def _flags(metrics: Mapping[str, Mapping[str, float]]) -> list[str]:
    return [
        f"{spec}: attributions miss their sum by {error:.0%} on average"
        for spec, scores in metrics.items()
        if (error := scores.get("completeness-error", 0.0)) > _LARGE_ERROR
    ]


def collapse_of_predictions(prediction: Mapping[str, NDArray[np.float32]]) -> str:
    """Why a trained model counts as collapsed, or "".

    Args:
        prediction: arrays of the test examples by name; the first axis is the examples.

    Returns:
        a reason when no prediction of an example is finite, or when every prediction is constant
        over examples.
    """
    arrays = [values.reshape(len(values), -1) for values in prediction.values()]
    # a score of one example may be undefined, such as the fit to a profile without reads
    if np.all([~np.isfinite(values).all(axis=1) for values in arrays], axis=0).any():
        return "a prediction is not finite"
    if all((_spread(values) <= _SPREAD).all() for values in arrays):
        return "predictions are constant"
    return ""


def collapse_of_attribution(attribution: NDArray[np.float32], spec: str) -> str:
    """Why a trained model counts as collapsed, or "".

    Args:
        attribution: (M, L).
        spec: how it was made.

    Returns:
        a reason when a value is not finite, or when more than half of the sequences have no
        attribution at all.
    """
    if not np.isfinite(attribution).all():
        return f"an attribution is not finite ({spec})"
    if np.mean(np.abs(attribution).max(axis=1) == 0) > 0.5:
        return f"attributions vanished in more than half of the sequences ({spec})"
    return ""


def _spread(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Largest less smallest finite value of every column; below 0 where there is none."""
    finite = np.isfinite(values)
    largest = np.where(finite, values, -np.inf).max(axis=0)
    spread: NDArray[np.float32] = largest - np.where(finite, values, np.inf).min(axis=0)
    return spread


def write_arrays(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write an ``arrays.npz`` so that a reader sees the old or the new one, never a part."""
    partial = path.with_name(f".{path.name}.partial.npz")
    np.savez(partial, allow_pickle=False, **arrays)
    partial.replace(path)
