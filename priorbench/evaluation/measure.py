"""Measures a trained or stored model: its predictions, attributions, motifs and scores."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from priorbench.attribution.explainers import load_explainer
from priorbench.attribution.variant_effects import measure_effects, stored_effects
from priorbench.components.architecture import Scale
from priorbench.components.task import Task
from priorbench.data.dataset import Dataset
from priorbench.encoding import one_hot
from priorbench.metrics.published.filters import FirstFilters
from priorbench.storage.files import writing
from priorbench.study.study import Measurements

from . import scoring
from .first_filters import filter_matrices
from .hypothetical import WITHOUT, explain_every_base, with_every_base
from .model_probe import ModelProbe, ProbedModel, probed_places
from .modisco import discover, pack_motifs, unpack_motifs
from .stored_arrays import (
    attributions_in,
    explain,
    hypothetical_in,
    pack_explanation,
    pack_hypothetical,
    pack_predictions,
    predict,
    predictions_in,
    stored_attribution,
    stored_hypothetical,
    unpack,
)

_SPREAD = 1e-6
"""largest spread of predictions that count as constant"""
_LARGE_ERROR = 0.05
"""relative error in the sum of attributions above which a trial is flagged"""


@dataclass(frozen=True)
class TrainedModel:
    """A trained model, and what is needed to measure it.

    Attributes:
        model: the model in eval mode, on the device.
        task: the task that it was trained for.
        dataset: the dataset that it is scored on.
        scale: scale that decides how many sequences it is probed with.
        device: device of the model.
    """

    model: torch.nn.Module
    task: Task
    dataset: Dataset
    scale: Scale
    device: torch.device


@dataclass(frozen=True)
class Measurement:
    """What was measured of a trained model.

    Attributes:
        arrays: contents of ``arrays.npz`` by name.
        reason: why the trial counts as collapsed, or "".
        metrics: value by metric, by the spec of the attribution; "" for metrics of none.
        flags: warnings about attributions, one sentence each.
        variants: hash of what decides the stored effects of variants; "" where there are none.
    """

    arrays: Mapping[str, NDArray[Any]]
    reason: str
    metrics: Mapping[str, Mapping[str, float]]
    flags: Sequence[str]
    variants: str = ""

    def as_record(self) -> dict[str, Any]:
        """Return the part of record.json that says what was measured, and by which code."""
        return {
            "metrics": self.metrics,
            "flags": list(self.flags),
            "scored_by": scoring.metrics_digest(),
            "probed_by": scoring.probes_digest(),
            "discovered_by": scoring.discovery_digest(),
            "kept_hypothetical": hypothetical_in(self.arrays),
            **({"variants": self.variants} if self.variants else {}),
        }


def measure(
    trained: TrainedModel,
    measurements: Measurements,
    stored: Mapping[str, NDArray[Any]] = MappingProxyType({}),
    known: Mapping[str, Mapping[str, float]] = MappingProxyType({}),
) -> Measurement:
    """Predict, attribute and score what is missing.

    Args:
        trained: the trained model.
        measurements: what there is to be in the end.
        stored: arrays that were measured before: predictions, and attributions if any.
        known: scores, by spec of the attribution, of metrics that probe the model, to be kept.
    """
    task, dataset = trained.task, trained.dataset
    arrays = dict(stored) or pack_predictions(predict(trained.model, task, dataset, trained.device))
    reasons = [collapse_of_predictions(predictions_in(arrays))]
    for spec in measurements.attributions:
        if spec not in attributions_in(arrays):
            explanation = explain(trained.model, task, dataset, trained.device, spec)
            arrays |= pack_explanation(spec, explanation)
        reasons.append(collapse_of_attribution(stored_attribution(arrays, spec), spec))
    reason = next(filter(None, reasons), "")
    if any("not finite" in text for text in reasons):
        return Measurement(arrays, reason, {}, [])
    arrays |= _read_every_base(trained, arrays, measurements)
    arrays |= measure_effects(
        trained.model,
        task,
        dataset,
        trained.device,
        attributions=measurements.attributions,
        stored=arrays,
    )
    threads = torch.get_num_threads()
    metrics = score_stored(arrays, measurements.attributions, task, dataset)
    # filters are compared with motifs as discovered ones are, by what takes long to compile
    of_filters = _filter_scores(trained) if measurements.discovery else {}
    # where motifs are matched, numba's threads become torch's too, one for each core
    torch.set_num_threads(threads)
    unprobed = [spec for spec in measurements.attributions if spec not in known]
    probe_scores = {**known, **_probe_scores(trained, arrays, unprobed)}
    for spec in measurements.attributions:
        metrics[spec] |= {**probe_scores[spec], **of_filters}
    variants = scoring.effects_digest(dataset.variants_digest if dataset.variants else "")
    return Measurement(arrays, reason, metrics, _flags(metrics, measurements), variants)


def _read_every_base(
    trained: TrainedModel, arrays: Mapping[str, NDArray[Any]], measurements: Measurements
) -> dict[str, NDArray[Any]]:
    """Return what is missing of attributions of all four bases, packed.

    These are the hypothetical contributions themselves, where they are to be kept, and the motifs
    that are discovered in them.
    """
    task, dataset = trained.task, trained.dataset
    both = type(task).reverse_complement
    packed: dict[str, NDArray[Any]] = {}
    for spec in with_every_base(measurements.attributions):
        every_base = stored_hypothetical(arrays, spec)
        keep = measurements.keep_hypothetical and every_base is None
        search = measurements.discovery and unpack_motifs(arrays, spec, both_strands=both) is None
        if not keep and not search:
            continue
        if every_base is None:
            every_base = explain_every_base(trained.model, task, dataset, trained.device, spec)
        if keep:
            packed |= pack_hypothetical(spec, every_base)
        if search:
            codes = dataset.codes(dataset.attributed)
            packed |= pack_motifs(spec, discover(codes, every_base, both_strands=both))
    return packed


def _filter_scores(trained: TrainedModel) -> dict[str, float]:
    """Return the scores of the first layer's filters, which no attribution changes."""
    dataset = trained.dataset
    rows = dataset.attributed[probed_places(dataset, trained.scale)]
    matrices = filter_matrices(trained.model, one_hot(dataset.codes(rows), trained.device))
    both_strands = type(trained.task).reverse_complement
    return scoring.score_filters(FirstFilters(matrices, both_strands), dataset)


def _probe_scores(
    trained: TrainedModel, arrays: Mapping[str, NDArray[Any]], attributions: Sequence[str]
) -> dict[str, dict[str, float]]:
    """Return the scores of the metrics that probe the model, by the spec of the attribution."""
    if not attributions:
        return {}
    places = probed_places(trained.dataset, trained.scale)
    probed = ProbedModel(
        trained.model, trained.task, trained.dataset, places=places, device=trained.device
    )
    scores = {}
    for spec in attributions:
        attribution = stored_attribution(arrays, spec)[places].astype(np.float64)
        scores[spec] = scoring.score_model(ModelProbe(probed, load_explainer(spec), attribution))
    return scores


def score_stored(
    arrays: Mapping[str, NDArray[Any]], attributions: Sequence[str], task: Task, dataset: Dataset
) -> dict[str, dict[str, float]]:
    """Return the scores that need no model, by the spec of the attribution; "" for those of none.

    The arrays are a trial's, by name; the attributions of all specs must be among them.
    """
    scores: dict[str, dict[str, float]] = {}
    for spec in attributions:
        of_trial = unpack(arrays, spec, dataset, {})
        if not scores:
            scores[""] = scoring.score_predictions(of_trial, task.metrics)
            effects = stored_effects(arrays, "", dataset.variants)
            scores[""] |= scoring.score_effects(effects, attributed=False)
        scores[spec] = scoring.score_attribution(of_trial)
        effects = stored_effects(arrays, spec, dataset.variants)
        scores[spec] |= scoring.score_effects(effects, attributed=True)
        motifs = unpack_motifs(arrays, spec, both_strands=type(task).reverse_complement)
        if motifs is not None:
            scores[spec] |= scoring.score_motifs(motifs, dataset)
    return scores


def _flags(metrics: Mapping[str, Mapping[str, float]], measurements: Measurements) -> list[str]:
    missed = [
        f"{spec}: attributions miss their sum by {error:.0%} on average"
        for spec, scores in metrics.items()
        if (error := scores.get("completeness-error", 0.0)) > _LARGE_ERROR
    ]
    without = [
        spec
        for spec in measurements.attributions
        if spec not in with_every_base(measurements.attributions)
    ]
    wanted = {
        "no motifs are looked for in it": measurements.discovery,
        "none are kept": measurements.keep_hypothetical,
    }
    return missed + [
        f"{spec}: {WITHOUT}, and {what}"
        for what, asked_for in wanted.items()
        for spec in without
        if asked_for
    ]


def collapse_of_predictions(prediction: Mapping[str, NDArray[np.float32]]) -> str:
    """Return why a trained model counts as collapsed, or "", from its (N, ...) predictions.

    It does if no prediction of an example is finite, or if every one is constant over examples.
    """
    arrays = [values.reshape(len(values), -1) for values in prediction.values()]
    # a score of one example may be undefined, such as the fit to a profile without reads
    if np.all([~np.isfinite(values).all(axis=1) for values in arrays], axis=0).any():
        return "a prediction is not finite"
    if all((_spread(values) <= _SPREAD).all() for values in arrays):
        return "predictions are constant"
    return ""


def collapse_of_attribution(attribution: NDArray[np.float32], spec: str) -> str:
    """Return why a trained model counts as collapsed, or "", from its (M, L) attributions.

    It does if a value is not finite, or if more than half of the sequences have no attribution at
    all; those of a saturated output may be as small as they are.
    """
    if not np.isfinite(attribution).all():
        return f"an attribution is not finite ({spec})"
    if np.mean(np.abs(attribution).max(axis=1) == 0) > 0.5:
        return f"attributions vanished in more than half of the sequences ({spec})"
    return ""


def _spread(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the largest less the smallest finite value of every column; below 0 without one."""
    finite = np.isfinite(values)
    largest = np.where(finite, values, -np.inf).max(axis=0)
    spread: NDArray[np.float32] = largest - np.where(finite, values, np.inf).min(axis=0)
    return spread


def write_arrays(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write arrays of numbers as an ``.npz`` file, the same bytes for the same arrays."""
    # numpy.savez writes the time of day too and, in version 1.26, `allow_pickle` as an array
    with writing(path), zipfile.ZipFile(path, "w") as file:
        for name, array in arrays.items():
            with file.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.asanyarray(array), allow_pickle=False)
