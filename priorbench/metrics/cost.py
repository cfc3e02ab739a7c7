"""What a prior costs."""

from __future__ import annotations

from collections.abc import Mapping

from priorbench.components.contracts import Metric


def step_time_ratio(costs: Mapping[str, float], baseline: Mapping[str, float]) -> float:
    """Seconds per training step over those of the paired trial of the baseline.

    Where trials trained at once (``--ensemble``), by a few steps of each alone, before.
    """
    return costs["seconds_per_step"] / baseline["seconds_per_step"]


def peak_memory(costs: Mapping[str, float], baseline: Mapping[str, float]) -> float:
    """Peak memory of the trial in MiB: resident memory on CPU, allocated memory on a GPU.

    Where trials trained at once (``--ensemble``), of a few steps of each alone, before.
    """
    return costs["peak_memory_mib"]


def epochs_to_best(costs: Mapping[str, float], baseline: Mapping[str, float]) -> float:
    """Epochs until the validation prediction loss was lowest: those that the kept weights cost."""
    return costs["epochs_to_best"]


METRICS = (
    Metric(
        "step-time-ratio",
        "cost",
        "x",
        False,
        "seconds per training step relative to none",
        "baseline",
        step_time_ratio,
        main=True,
    ),
    Metric(
        "peak-memory",
        "cost",
        "MiB",
        False,
        "peak memory of a trial",
        "baseline",
        peak_memory,
        main=True,
    ),
    Metric(
        "epochs-to-best",
        "cost",
        "",
        False,
        "epochs until the best validation loss",
        "baseline",
        epochs_to_best,
    ),
)
