"""What a plan can conclude, said before its first trial."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from priorbench.number_text import counted, decimals_for, fixed, p_value
from priorbench.statistics.power import ClaimKind, smallest_adjusted_p, smallest_effect
from priorbench.study.declared import PRIMARY, DeclaredClaims

from .sentences import level_text, reach_sentence

_POWER = 0.8


def plan_lines(
    seeds: int, priors: int, claims: DeclaredClaims, spreads: Mapping[str, float]
) -> list[str]:
    """Return what the tests of one setting can conclude; nothing where nothing is compared.

    Args:
        seeds: number of seeds of each prior.
        priors: number of priors that are compared with the baseline.
        claims: what is declared, at the look that the run will be.
        spreads: standard deviation of paired differences by primary metric, where an earlier run
            knows it.
    """
    metrics = max((len(axes) for axes in claims.primary.values()), default=0)
    tests = priors * metrics
    if not tests:
        return []
    warning = reach_sentence(seeds, tests, claims)
    if warning:
        return [f"warning: {warning}"]
    claim = ClaimKind(claims.level, tests=tests, correction=claims.correction)
    effect = smallest_effect(seeds, _POWER, claim)
    smallest = p_value(smallest_adjusted_p(seeds, claim))
    line = (
        f"{counted(seeds, 'seed')}, {counted(priors, 'prior')}, "
        f"{counted(metrics, 'primary metric')}: smallest adjusted p {smallest} at a level of "
        f"{level_text(claims.level)}"
    )
    if claims.look > 1:
        line += f", as this is look {claims.look} at this study"
    if math.isfinite(effect):
        line += (
            f"; a difference of {fixed(effect, 1)} standard deviations of the paired differences "
            "is found four times in five"
        )
        known = ", ".join(
            f"{metric} {fixed(effect * spread, decimals_for([effect * spread]))}"
            for metric, spread in spreads.items()
        )
        if known:
            line += f", which by the results so far is {known}"
    return [line]


def earlier_spreads(root: Path) -> dict[str, float]:
    """Return the median spread of each primary metric in the comparisons that a folder holds."""
    path = root / "comparisons.csv"
    if not path.is_file():
        return {}
    table = pd.read_csv(path, usecols=["family", "metric", "spread"])
    primary = table[table["family"] == PRIMARY].dropna()
    medians = primary.groupby("metric", sort=False)["spread"].median()
    return {str(metric): float(spread) for metric, spread in medians.items()}
