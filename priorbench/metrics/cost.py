"""What a trial costs, compared with the paired trial without a prior."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from priorbench.components.metric import Metric

from .tools.definition import define

METRICS: list[Metric] = []
_metric = partial(define, METRICS, axis="cost", higher_is_better=False, scope="baseline", main=True)


@_metric("step-time-ratio", "seconds per training step relative to none", unit="x")
def step_time_ratio(costs: Mapping[str, float], baseline: Mapping[str, float]) -> float:
    """Seconds per training step over those of the paired trial of the baseline.

    Where trials trained at once (``--ensemble``), a few steps of each alone were timed before.
    """
    return costs["seconds_per_step"] / baseline["seconds_per_step"]


@_metric("peak-memory", "peak memory of a trial", unit="MiB")
def peak_memory(costs: Mapping[str, float], baseline: Mapping[str, float]) -> float:
    """Peak memory of the trial in MiB: resident memory on CPU, allocated memory on a GPU.

    Where trials trained at once (``--ensemble``), a few steps of each alone were measured before.
    """
    return costs["peak_memory_mib"]


@_metric("epochs-to-best", "epochs until the best validation loss", main=False)
def epochs_to_best(costs: Mapping[str, float], baseline: Mapping[str, float]) -> float:
    """Epochs until the validation prediction loss was lowest: those that the kept weights cost."""
    return costs["epochs_to_best"]
