"""How many seeds a claim takes, with a finished run as the pilot: `priorbench power`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from priorbench.statistics.effects import pair_correlation
from priorbench.statistics.power import ClaimKind, cautious_spread, needed_runs, smallest_effect
from priorbench.study.declared import DeclaredClaims
from priorbench.study.trial import SETTING_COLUMNS, SettingKey

from .correction_families import Family
from .paired_runs import PairedRuns
from .within_dataset import POWER

DIFFERENCE, NONINFERIORITY = "difference", "non-inferiority"
POWER_COLUMNS = [
    *(*SETTING_COLUMNS, "prior", "claim", "tests", "pilot_seeds", "correlation"),
    *("spread", "effect", "seeds_80", "seeds_95", "cautious_80", "cautious_95", "visible"),
]


def plan_seeds(
    all_pairs: Sequence[PairedRuns],
    claims: DeclaredClaims,
    families: Mapping[SettingKey, Family],
    effect: float | None,
) -> pd.DataFrame:
    """Return the seeds needed for every prior and claim, for a test alone and in its family.

    Columns ``seeds_*`` take the pilot's standard deviation of the differences for the truth,
    ``cautious_*`` its upper 80% confidence limit. A claim of non-inferiority supposes that there
    is no difference at all. ``visible`` is the smallest difference that as many seeds as the pilot
    has find four times in five.

    Args:
        all_pairs: the pairs of one metric.
        claims: what was declared.
        families: the family of that metric's tests, by setting.
        effect: the difference to be found, in units of the metric; the observed one if None.

    Returns:
        a table with POWER_COLUMNS.
    """
    rows = [
        row for pairs in all_pairs for row in _rows(pairs, claims, families[pairs.setting], effect)
    ]
    return pd.DataFrame(rows, columns=POWER_COLUMNS)


def _rows(
    pairs: PairedRuns, claims: DeclaredClaims, family: Family, effect: float | None
) -> Iterator[dict[str, Any]]:
    n = len(pairs.differences)
    if n < 2 or pairs.nothing_ran or np.isnan(pairs.differences).any():
        return
    allowance = pairs.allowance(claims)
    size = abs(float(pairs.differences.mean())) if effect is None else abs(effect)
    kinds = [(DIFFERENCE, size, 2, family.tests, pairs.differences)]
    if allowance is not None:
        slack, size = pairs.gain + allowance, float(allowance.mean())
        kinds.append((NONINFERIORITY, size, 1, family.margin_tests, slack))
    correlation = (
        np.nan if pairs.metric.of_pairs else pair_correlation(pairs.baseline, pairs.values)
    )
    for name, target, sides, tests, values in kinds:
        for count in dict.fromkeys((1, max(tests, 1))):
            yield {
                **dict(zip(SETTING_COLUMNS, pairs.setting, strict=True)),
                "prior": pairs.prior,
                "claim": name,
                "tests": count,
                "pilot_seeds": n,
                "correlation": correlation,
                **_seeds(
                    target,
                    float(values.std(ddof=1)),
                    n,
                    ClaimKind(claims.level, sides, count, family.correction),
                ),
            }


def _seeds(effect: float, spread: float, n: int, claim: ClaimKind) -> dict[str, Any]:
    row: dict[str, Any] = {"spread": spread, "effect": effect}
    for name, scale in (("seeds", spread), ("cautious", cautious_spread(spread, n))):
        for power in (0.8, 0.95):
            # nothing to find, and nothing that it varies by: no number of seeds shows it
            ratio = effect / scale if scale > 0 else np.inf if effect > 0 else 0.0
            row[f"{name}_{100 * power:.0f}"] = needed_runs(ratio, power, claim)
    row["visible"] = smallest_effect(n, POWER, claim) * spread
    return row
