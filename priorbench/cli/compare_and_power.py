"""The commands `compare` and `power`: answers about one metric of a finished run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from priorbench.errors import UserError

from .output.as_json import print_json, records
from .output.tables import print_table, print_wrapped

if TYPE_CHECKING:
    from priorbench.workflow.metric_answers import MetricAnswer


def compare(
    directory: Path,
    *,
    metric: str,
    baseline: str | None = None,
    attribution: str | None = None,
    json: bool = False,
    csv: bool = False,
) -> None:
    """Print the paired differences of one metric to a baseline.

    Example: priorbench compare runs/default-1a2b3c4d --metric motif-auprc

    Args:
        attribution: Attribution that the metric is computed on, one that was scored. Default: the
            first of the run's study. Example: deep-lift-shap
        csv: Print CSV, with the columns of comparisons.csv. Default: off.
    """
    _refuse_both(json=json, csv=csv)
    from priorbench.results.finished_run import load_run
    from priorbench.workflow.metric_answers import compare_metric

    _print(compare_metric(load_run(directory), metric, baseline, attribution), json=json, csv=csv)


def power(
    directory: Path,
    *,
    metric: str,
    effect: float | None = None,
    baseline: str | None = None,
    json: bool = False,
    csv: bool = False,
) -> None:
    """Print how many seeds it takes to show a difference, or a loss too small to matter.

    The run is the pilot study: how much its seeds differ says how many are needed.

    Example: priorbench power runs/default-1a2b3c4d --metric auroc --effect 0.01

    Args:
        effect: Difference that is to be shown, in units of the metric. Default: the observed
            difference, which is mostly too large. Example: 0.01
        csv: Print CSV, with the columns that the page "Output for programs" of the documentation
            explains. Default: off.
    """
    _refuse_both(json=json, csv=csv)
    from priorbench.results.finished_run import load_run
    from priorbench.workflow.metric_answers import power_of_metric

    _print(power_of_metric(load_run(directory), metric, baseline, effect), json=json, csv=csv)


def _refuse_both(*, json: bool, csv: bool) -> None:
    if json and csv:
        raise UserError("--json and --csv: give one of the two")


def _print(answer: MetricAnswer, *, json: bool, csv: bool) -> None:
    """Print an answer as CSV, as JSON, or as tables and sentences."""
    if csv:
        print(answer.rows.to_csv(index=False), end="")
        return
    if json:
        print_json(_as_json(answer))
        return
    for table in answer.tables:
        print_wrapped(table.title)
        print_table(table.headings, table.rows, words=table.words)
        print()
    for line in [*answer.notes, *(f"Next: {step}" for step in answer.next_steps)]:
        print_wrapped(line)


def _as_json(answer: MetricAnswer) -> dict[str, Any]:
    claims, metric = answer.claims, answer.metric
    return {
        "metric": metric.name,
        "axis": metric.axis,
        "unit": metric.unit,
        "higher_is_better": metric.higher_is_better,
        "baseline": claims.baseline,
        "look": claims.look,
        "level": claims.level,
        "rows": records(answer.rows),
        "notes": answer.notes,
        "next": answer.next_steps,
    }
