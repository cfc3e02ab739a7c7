"""The commands `compare` and `power`: answers about one metric of a finished run."""

from __future__ import annotations

from typing import Annotated

from .options import Baseline, Metric, RunPath, option


def compare(
    directory: RunPath,
    metric: Metric,
    baseline: Baseline = None,
    attribution: Annotated[
        str | None,
        option(
            does="Attribution that the metric is computed on, one that was scored.",
            default="the first of the run's study",
            example="deep-lift-shap",
        ),
    ] = None,
) -> None:
    """Print the paired differences of one metric to a baseline.

    Example: priorbench compare runs/default-1a2b3c4d --metric motif-auprc
    """
    from priorbench.results.finished_run import load_run
    from priorbench.workflow.metric_answers import compare_metric

    print(compare_metric(load_run(directory), metric, baseline, attribution))


def power(
    directory: RunPath,
    metric: Metric,
    effect: Annotated[
        float | None,
        option(
            does="Difference that is to be shown, in units of the metric.",
            default="the observed difference, which is mostly too large",
            example="0.01",
        ),
    ] = None,
    baseline: Baseline = None,
) -> None:
    """Print how many seeds it takes to show a difference, or a loss too small to matter.

    The run is the pilot study: how much its seeds differ says how many are needed.

    Example: priorbench power runs/default-1a2b3c4d --metric auroc --effect 0.01
    """
    from priorbench.results.finished_run import load_run
    from priorbench.workflow.metric_answers import power_of_metric

    print(power_of_metric(load_run(directory), metric, baseline, effect))
