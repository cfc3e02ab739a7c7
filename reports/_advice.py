"""The advice of a block, for the sections that show it."""

from __future__ import annotations

from priorbench.answers import Answer, Ended, answer
from priorbench.store import DONE

from ._blocks import Block


def ended(block: Block) -> dict[str, Ended]:
    """How many trials of every prior failed or collapsed."""
    trials = block.rows.drop_duplicates("trial")
    counts = (trials["status"] != DONE).groupby(trials["prior"]).agg(["sum", "size"])
    return {str(p): Ended(int(row["sum"]), int(row["size"])) for p, row in counts.iterrows()}


def advice(block: Block) -> Answer:
    """The answer of the engine's rule for a block."""
    return answer(block.comparisons, baseline=block.priors[0], ended=ended(block))
