"""The advice of a setting, and of all settings together, for the sections that show it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from priorbench.comparison.advice import Answer, FailureCount, answer, answer_across
from priorbench.results.finished_run import Run
from priorbench.run_directory import DONE

from .settings import ComparedSetting


def ended(setting: ComparedSetting) -> dict[str, FailureCount]:
    """How many trials of every prior failed or collapsed."""
    trials = setting.rows.drop_duplicates("trial")
    counts = (trials["status"] != DONE).groupby(trials["prior"]).agg(["sum", "size"])
    return {str(p): FailureCount(int(row["sum"]), int(row["size"])) for p, row in counts.iterrows()}


def ended_in_all(settings: Sequence[ComparedSetting]) -> dict[str, FailureCount]:
    """The same over several settings."""
    found: dict[str, FailureCount] = {}
    for setting in settings:
        for prior, one in ended(setting).items():
            before = found.get(prior, FailureCount())
            found[prior] = FailureCount(before.failed + one.failed, before.trials + one.trials)
    return found


def advice(setting: ComparedSetting, trials: Mapping[str, FailureCount] | None = None) -> Answer:
    """The answer of the engine's rule for a setting.

    Args:
        setting: a setting.
        trials: how they ended, where that is known already.
    """
    return answer(setting.comparisons, baseline=setting.priors[0], ended=trials or ended(setting))


def advice_for_all(run: Run, settings: Sequence[ComparedSetting]) -> Answer | None:
    """The answer of the same rule for all settings together; None where there is only one."""
    if run.across.empty:
        return None
    return answer_across(
        run.across,
        run.comparisons,
        baseline=str(run.across["baseline"].iloc[0]),
        ended=ended_in_all(settings),
    )
