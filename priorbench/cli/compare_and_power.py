"""The commands `compare` and `power`: answers about one metric of a finished run."""

from __future__ import annotations

from pathlib import Path


def compare(
    directory: Path, *, metric: str, baseline: str | None = None, attribution: str | None = None
) -> None:
    """Print the paired differences of one metric to a baseline.

    Example: priorbench compare runs/default-1a2b3c4d --metric motif-auprc

    Args:
        attribution: Attribution that the metric is computed on, one that was scored. Default: the
            first of the run's study. Example: deep-lift-shap
    """
    from priorbench.results.finished_run import load_run
    from priorbench.workflow.metric_answers import compare_metric

    print(compare_metric(load_run(directory), metric, baseline, attribution))


def power(
    directory: Path, *, metric: str, effect: float | None = None, baseline: str | None = None
) -> None:
    """Print how many seeds it takes to show a difference, or a loss too small to matter.

    The run is the pilot study: how much its seeds differ says how many are needed.

    Example: priorbench power runs/default-1a2b3c4d --metric auroc --effect 0.01

    Args:
        effect: Difference that is to be shown, in units of the metric. Default: the observed
            difference, which is mostly too large. Example: 0.01
    """
    from priorbench.results.finished_run import load_run
    from priorbench.workflow.metric_answers import power_of_metric

    print(power_of_metric(load_run(directory), metric, baseline, effect))
