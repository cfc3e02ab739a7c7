"""What a trial costs, compared with the paired trial without a prior."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from priorbench.components.metric import Metric


def step_time_ratio(costs: Mapping[str, float], baseline: Mapping[str, float]) -> float:
    """Seconds per training step over those of the paired trial of the baseline.

    Where trials trained at once (``--ensemble``), a few steps of each alone were timed before.
    """
    return costs["seconds_per_step"] / baseline["seconds_per_step"]


def peak_memory(costs: Mapping[str, float], baseline: Mapping[str, float]) -> float:
    """Peak memory of the trial in MiB: resident memory on CPU, allocated memory on a GPU.

    Where trials trained at once (``--ensemble``), a few steps of each alone were measured before.
    """
    return costs["peak_memory_mib"]


def epochs_to_best(costs: Mapping[str, float], baseline: Mapping[str, float]) -> float:
    """Epochs until the validation prediction loss was lowest: those that the kept weights cost."""
    return costs["epochs_to_best"]


_metric = partial(Metric, axis="cost", unit="", higher_is_better=False, scope="baseline", main=True)
METRICS = (
    _metric(
        name="step-time-ratio",
        unit="x",
        summary="seconds per training step relative to none",
        function=step_time_ratio,
    ),
    _metric(name="peak-memory", unit="MiB", summary="peak memory of a trial", function=peak_memory),
    _metric(
        name="epochs-to-best",
        summary="epochs until the best validation loss",
        function=epochs_to_best,
        main=False,
    ),
)
