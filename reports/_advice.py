"""The advice of a block, and of all blocks together, for the sections that show it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from priorbench.comparison.advice import Answer, FailureCount, answer, answer_across
from priorbench.results.finished_run import Run
from priorbench.run_directory import DONE

from ._blocks import ComparisonBlock


def ended(block: ComparisonBlock) -> dict[str, FailureCount]:
    """How many trials of every prior failed or collapsed."""
    trials = block.rows.drop_duplicates("trial")
    counts = (trials["status"] != DONE).groupby(trials["prior"]).agg(["sum", "size"])
    return {str(p): FailureCount(int(row["sum"]), int(row["size"])) for p, row in counts.iterrows()}


def ended_in_all(blocks: Sequence[ComparisonBlock]) -> dict[str, FailureCount]:
    """The same over several blocks."""
    found: dict[str, FailureCount] = {}
    for block in blocks:
        for prior, one in ended(block).items():
            before = found.get(prior, FailureCount())
            found[prior] = FailureCount(before.failed + one.failed, before.trials + one.trials)
    return found


def advice(block: ComparisonBlock, trials: Mapping[str, FailureCount] | None = None) -> Answer:
    """The answer of the engine's rule for a block.

    Args:
        block: a block.
        trials: how they ended, where that is known already.
    """
    return answer(block.comparisons, baseline=block.priors[0], ended=trials or ended(block))


def advice_for_all(run: Run, blocks: Sequence[ComparisonBlock]) -> Answer | None:
    """The answer of the same rule for all settings together; None where there is only one."""
    if run.across.empty:
        return None
    return answer_across(
        run.across,
        run.comparisons,
        baseline=str(run.across["baseline"].iloc[0]),
        ended=ended_in_all(blocks),
    )
