"""Verdicts: the words that stand for the p values of a family of comparisons."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .multiplicity import adjust

ALPHA = 0.05
"""level of every claim, after correction"""
BETTER, WORSE, EQUIVALENT = "better", "worse", "equivalent"
NONINFERIOR, INCONCLUSIVE = "non-inferior", "inconclusive"
DEFINITIONS = {
    BETTER: "the mean difference is in the good direction, and adjusted p is at most .05",
    WORSE: "the mean difference is in the bad direction, and adjusted p is at most .05",
    EQUIVALENT: "no difference was shown, and one as large as the margin, either way, is excluded "
    "(two one-sided tests, adjusted p at most .05)",
    NONINFERIOR: "no difference was shown, and a loss as large as the margin is excluded "
    "(one-sided test, adjusted p at most .05); a gain is not. A loss that few runs have may be "
    "missed",
    INCONCLUSIVE: "none of these could be shown; it is no evidence that there is no difference",
}
"""verdicts and what they mean, in the order in which they are tried"""


@dataclass(frozen=True)
class Evidence:
    """The results of one comparison's tests, before correction.

    Attributes:
        gain: mean difference, positive where the prior is better.
        p: two-sided p of no difference; NaN where there was no test.
        p_noninferior: one-sided p of a loss as large as the margin; NaN without a margin.
        p_equivalent: p of a difference as large as the margin; NaN without a margin.
    """

    gain: float
    p: float
    p_noninferior: float = float("nan")
    p_equivalent: float = float("nan")


@dataclass(frozen=True)
class Judgement:
    """The verdict on one comparison, given the others of its family.

    Attributes:
        p_adjusted: adjusted p of no difference.
        p_noninferior_adjusted: adjusted p of a loss as large as the margin.
        p_equivalent_adjusted: adjusted p of a difference as large as the margin.
        tests: number of tests of a difference in the family.
        margin_tests: number of tests against a margin in the family.
        verdict: a key of DEFINITIONS; "" where nothing was tested.
    """

    p_adjusted: float
    p_noninferior_adjusted: float
    p_equivalent_adjusted: float
    tests: int
    margin_tests: int
    verdict: str


def judge(family: Sequence[Evidence], correction: str, alpha: float = ALPHA) -> list[Judgement]:
    """Return the verdicts on the comparisons of one family.

    The three kinds of claim (a difference, non-inferiority, equivalence) are corrected each over
    the family's tests of that kind.

    Args:
        family: results of the comparisons.
        correction: a name in ``multiplicity.CORRECTIONS``.
        alpha: level of every kind of claim after correction.
    """
    columns = [
        adjust([getattr(evidence, name) for evidence in family], correction)
        for name in ("p", "p_noninferior", "p_equivalent")
    ]
    tests, margin_tests = (int(np.isfinite(columns[i]).sum()) for i in (0, 1))
    return [
        Judgement(
            p_adjusted=float(p),
            p_noninferior_adjusted=float(p_noninferior),
            p_equivalent_adjusted=float(p_equivalent),
            tests=tests,
            margin_tests=margin_tests,
            verdict=_verdict(evidence.gain, (p, p_equivalent, p_noninferior), alpha),
        )
        for evidence, p, p_noninferior, p_equivalent in zip(family, *columns, strict=True)
    ]


def _verdict(gain: float, adjusted: tuple[float, float, float], alpha: float) -> str:
    p, p_equivalent, p_noninferior = adjusted
    if not np.isfinite(p):
        return ""
    if p <= alpha:
        return BETTER if gain > 0 else WORSE
    if p_equivalent <= alpha:
        return EQUIVALENT
    return NONINFERIOR if p_noninferior <= alpha else INCONCLUSIVE
