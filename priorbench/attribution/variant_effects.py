"""Effects of variants: those that a trained model predicts, and those that its attributions tell.

The effect of a variant is the change from the element's own base to the other, in the window that
``VariantTable.placed`` gives it, on the strand that is given.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from priorbench.components.metric import VariantEffects
from priorbench.components.task import Batch, Task
from priorbench.data.dataset import Dataset
from priorbench.data.variants import PlacedVariants, VariantTable
from priorbench.encoding import one_hot
from priorbench.statistics.rounding import SINGLE

from .explainers import load_explainer
from .explainers.subject import BASES_AT_ONCE, ExplainedModel

_BASES_EXPLAINED = 1 << 22
"""number of bases whose attributions, of all four bases each, are in memory at once"""
_EFFECT = "variant"
"""name of the array of predicted effects; those of an attribution have its spec behind a dot"""


def predicted_effects(
    model: torch.nn.Module, task: Task, dataset: Dataset, device: torch.device
) -> NDArray[np.float32]:
    """Return the (V,) float32 change of the task's ``activity`` by every variant.

    Args:
        model: network in eval mode, on the device.
        task: the task that it was trained for.
        dataset: a dataset with variants.
        device: device of the model.
    """
    variants = _variants(dataset)
    placed = variants.placed(dataset.length)

    def activity(codes: NDArray[np.uint8]) -> NDArray[np.float64]:
        with torch.no_grad():
            batch = neutral_batch(dataset, codes, device)
            value = task.activity(model(batch.sequence, *task.inputs(batch)))
        values: NDArray[np.float64] = value.double().cpu().numpy()
        return values

    return effects_of(activity, placed)


def effects_of(
    function: Callable[[NDArray[np.uint8]], NDArray[np.float64]], placed: PlacedVariants
) -> NDArray[np.float32]:
    """Return the (V,) float32 change of a function of sequences by every variant.

    A change that float32 rounds to is 0.

    Args:
        function: function of (k, L) uint8 codes that gives (k,) values.
        placed: the windows of the variants.
    """
    step = max(1, BASES_AT_ONCE // placed.reference.shape[1])
    parts = [function(placed.reference[part]) for part in _parts(len(placed.reference), step)]
    reference = np.concatenate(parts)
    count = len(placed.window)
    changed = np.concatenate([function(placed.changed(part)) for part in _parts(count, step)])
    unchanged = reference[placed.window]
    effects: NDArray[np.float32] = (changed - unchanged).astype(np.float32)
    # what only rounds otherwise has no effect, and no direction
    effects[np.abs(effects) <= SINGLE * np.maximum(np.abs(changed), np.abs(unchanged))] = 0
    return effects


def attributed_effects(
    model: torch.nn.Module, task: Task, dataset: Dataset, device: torch.device, spec: str
) -> NDArray[np.float32] | None:
    """Return the (V,) float32 differences of hypothetical contributions, None without any.

    The effect of a variant is h of the other base less h of the element's own, at its position in
    the window without it. Arguments are those of :func:`predicted_effects`, and the spec of an
    attribution, which may have no hypothetical contributions.
    """
    explainer = load_explainer(spec)
    if not explainer.every_base:
        return None
    variants = _variants(dataset)
    placed = variants.placed(dataset.length)
    effects = np.empty(len(placed.window), dtype=np.float32)
    ref = variants.ref
    for part in _parts(len(placed.reference), max(1, _BASES_EXPLAINED // dataset.length)):
        batch = neutral_batch(dataset, placed.reference[part], device)
        subject = ExplainedModel(
            model, task.target, batch.sequence, task.inputs(batch), link=task.link
        )
        hypothetical = explainer.explain(subject, every_base=True).hypothetical
        assert hypothetical is not None
        values = hypothetical.float().cpu().numpy()
        here = np.flatnonzero((placed.window >= part.start) & (placed.window < part.stop))
        row, column = placed.window[here] - part.start, placed.column[here]
        effects[here] = values[row, placed.alt[here], column] - values[row, ref[here], column]
    return effects


def _variants(dataset: Dataset) -> VariantTable:
    assert dataset.variants is not None
    return dataset.variants


def _parts(count: int, step: int) -> Iterator[slice]:
    for start in range(0, count, step):
        yield slice(start, min(start + step, count))


def neutral_batch(dataset: Dataset, codes: NDArray[np.uint8], device: torch.device) -> Batch:
    """Return sequences that are no rows of a dataset as a Batch, on a device.

    Arrays that all examples share are as they are; of others, such as control tracks, nothing is
    known of these sequences: they are 0, and so are the labels.

    Args:
        dataset: the dataset whose networks are asked.
        codes: (B, L) uint8 codes.
        device: device of the batch.
    """
    count, margin = len(codes), dataset.margin
    arrays = {}
    for name, shape in dataset.row_shapes.items():
        values = np.zeros((1, *shape), dtype=np.float32)
        if dataset.columns[name].shape[0] == 1:
            values = dataset.columns[name].take(np.zeros(1, dtype=np.int64))
            if values.ndim == 3 and margin:
                values = values[..., margin:-margin]
        arrays[name] = torch.from_numpy(values).to(device).expand(count, *shape)
    label = arrays.pop("label")
    del arrays["sequence"]
    return Batch(one_hot(codes, device), label, arrays)


def measure_effects(
    model: torch.nn.Module,
    task: Task,
    dataset: Dataset,
    device: torch.device,
    *,
    attributions: Sequence[str],
    stored: Mapping[str, NDArray[Any]],
) -> dict[str, NDArray[Any]]:
    """Return what is not stored of predicted and attributed effects, as it is stored.

    Arguments are those of :func:`predicted_effects`, the specs of attributions, and the arrays of
    a trial by name.
    """
    packed: dict[str, NDArray[Any]] = {}
    if dataset.variants is None:
        return packed
    if _EFFECT not in stored:
        packed[_EFFECT] = predicted_effects(model, task, dataset, device)
    for spec in attributions:
        name = f"{_EFFECT}.{spec}"
        effects = None
        if name not in stored:
            effects = attributed_effects(model, task, dataset, device, spec)
        if effects is not None:
            packed[name] = effects
    return packed


def without_effects(stored: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Return stored arrays without the effects of variants."""
    return {name: a for name, a in stored.items() if name.partition(".")[0] != _EFFECT}


def stored_effects(
    stored: Mapping[str, NDArray[Any]], spec: str, variants: VariantTable | None
) -> VariantEffects | None:
    """Return the effects that a trial has stored beside the measured ones.

    Args:
        stored: arrays of the trial by name.
        spec: spec of an attribution; "" for the effects that are predicted.
        variants: the variants of its dataset, None if it has none; then so is the result.
    """
    effects = stored.get(f"{_EFFECT}.{spec}" if spec else _EFFECT)
    return None if effects is None or variants is None else with_measured(variants, effects)


def with_measured(variants: VariantTable, predicted: NDArray[np.floating]) -> VariantEffects:
    """Return (V,) predicted effects beside the measured ones."""
    return VariantEffects(
        variants.effect,
        predicted.astype(np.float64),
        variants.element,
        variants.weight,
        variants.confidence,
    )
