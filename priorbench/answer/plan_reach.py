"""What a plan can conclude, said before its first trial."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping

import pandas as pd

from priorbench.number_text import counted, decimals_for, fixed, p_value
from priorbench.statistics.power import ClaimKind, smallest_adjusted_p, smallest_effect
from priorbench.statistics.signflip import smallest_p
from priorbench.storage.run_directory import RunDirectory
from priorbench.storage.sealed_files import DamagedFile
from priorbench.study.declared import PRIMARY, DeclaredClaims

from .sentences import level_text, reach_sentence

_POWER = 0.8


def plan_lines(
    seeds: int,
    priors: int,
    claims: DeclaredClaims,
    *,
    settings: int = 1,
    spreads: Mapping[str, float] | None = None,
) -> list[str]:
    """Return what the tests of a plan can conclude; nothing where nothing is compared.

    Args:
        seeds: number of seeds of each prior.
        priors: number of priors that are compared with the baseline.
        claims: what is declared, at the look that the run will be.
        settings: number of settings that are compared.
        spreads: standard deviation of paired differences by primary metric, where an earlier run
            knows it.
    """
    metrics = max((len(axes) for axes in claims.primary.values()), default=0)
    tests = priors * metrics
    if not tests:
        return []
    warning = reach_sentence(seeds, tests, claims, settings)
    lines = [f"warning: {warning}"] if warning else []
    pairs, about = seeds, counted(seeds, "seed")
    if warning:
        pairs, about = seeds * settings, f"All {settings} settings together"
        if settings == 1 or reach_sentence(pairs, tests, claims):
            return lines
    claim = ClaimKind(claims.level, tests=tests, correction=claims.correction)
    effect = smallest_effect(pairs, _POWER, claim)
    smallest = p_value(smallest_adjusted_p(pairs, claim))
    line = (
        f"{about}, {counted(priors, 'prior')}, {counted(metrics, 'primary metric')}: smallest "
        f"adjusted p {smallest} at a level of {level_text(claims.level)}"
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
            for metric, spread in (spreads or {}).items()
        )
        if known and not warning:
            line += f", which by the results so far is {known}"
    return [*lines, line, *_safety_lines(seeds * settings, priors, claims)]


def _safety_lines(pairs: int, priors: int, claims: DeclaredClaims) -> list[str]:
    """Warn where so few pairs cannot show that any of so many priors is safe."""
    # one side of a test, corrected over the priors by Holm's method
    smallest = priors * smallest_p(pairs) / 2
    if smallest <= claims.level:
        return []
    return [
        f"warning: With {counted(pairs, 'pair')} and {counted(priors, 'prior')} advice can only be "
        f"provisional: the smallest p of the claim that a prior is safe is {p_value(smallest)}, "
        "corrected for their number. Take more seeds, or fewer priors."
    ]


def earlier_spreads(run: RunDirectory) -> dict[str, float]:
    """Return the median spread of each primary metric in the comparisons that a folder holds.

    There are none where comparisons.csv is missing, or not as it was written.
    """
    try:
        text = run.manifest.read("comparisons.csv")
    except DamagedFile:
        return {}
    table = pd.read_csv(io.BytesIO(text), usecols=["family", "metric", "spread"])
    primary = table[table["family"] == PRIMARY].dropna()
    medians = primary.groupby("metric", sort=False)["spread"].median()
    return {str(metric): float(spread) for metric, spread in medians.items()}
