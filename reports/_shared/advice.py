"""Advice for one setting, and for all settings together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from priorbench.answer.advice import Advice, advise, advise_across
from priorbench.answer.standing import FailureCount
from priorbench.results.finished_run import Run
from priorbench.run_directory import DONE

from .settings import ComparedSetting


def failure_counts(setting: ComparedSetting) -> dict[str, FailureCount]:
    """Return by prior how many trials of a setting failed or collapsed."""
    trials = setting.rows.drop_duplicates("trial")
    counts = (trials["status"] != DONE).groupby(trials["prior"]).agg(["sum", "size"])
    return {str(p): FailureCount(int(row["sum"]), int(row["size"])) for p, row in counts.iterrows()}


def total_failure_counts(settings: Sequence[ComparedSetting]) -> dict[str, FailureCount]:
    """Return by prior how many trials of several settings failed or collapsed."""
    totals: dict[str, FailureCount] = {}
    for setting in settings:
        for prior, count in failure_counts(setting).items():
            total = totals.get(prior, FailureCount())
            totals[prior] = FailureCount(total.failed + count.failed, total.trials + count.trials)
    return totals


def advice(setting: ComparedSetting, counts: Mapping[str, FailureCount]) -> Advice:
    """Return the advice of the rule for a setting.

    Args:
        setting: the setting.
        counts: its :func:`failure_counts`.
    """
    return advise(setting.comparisons, baseline=setting.priors[0], failures=counts)


def advice_for_all(run: Run, settings: Sequence[ComparedSetting]) -> Advice | None:
    """Return the advice of the rule for all settings together; None where there is only one."""
    if run.across.empty:
        return None
    return advise_across(
        run.across,
        run.comparisons,
        baseline=str(run.across["baseline"].iloc[0]),
        failures=total_failure_counts(settings),
    )
