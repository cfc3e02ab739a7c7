"""Paired comparisons of priors within one dataset, setting by setting: comparisons.csv.

`paired_runs.py` makes the pairs before; `standing.py` and `advice.py` read the verdicts afterwards.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from priorbench.statistics.equivalence import equivalence_p, noninferiority_p
from priorbench.statistics.paired import compared_agreement, paired_difference
from priorbench.statistics.power import ClaimKind, smallest_effect
from priorbench.statistics.verdicts import Evidence, judge
from priorbench.study.declared import CORRECTION, PRIMARY, DeclaredClaims
from priorbench.study.trial import SETTING_COLUMNS

from .paired_runs import PairedRuns, paired_runs
from .trial_agreement import Agreement

DIFFERENCE_COLUMNS = (
    *("n", "mean_baseline", "mean_prior", "difference", "ci_low", "ci_high", "effect_size"),
    *("p", "p_adjusted", "test", "verdict"),
)
"""what every table says of two arms"""
MARGIN_COLUMNS = (
    *("p_noninferior", "p_noninferior_adjusted"),
    *("p_equivalent", "p_equivalent_adjusted"),
)
COMPARISON_COLUMNS = [
    *(*SETTING_COLUMNS, "prior", "baseline", "attribution", "metric", "axis"),
    *DIFFERENCE_COLUMNS,
    *("family", "correction", "tests", "smallest_p", "interval", "margin", "margin_tests"),
    *MARGIN_COLUMNS,
    *("p_t", "p_wilcoxon", "cliffs_delta", "improvement", "improvement_low", "improvement_high"),
    *("correlation", "spread", "detectable", "missing", "both_failed"),
]
_NAN = float("nan")
_NO_INTERVAL = {
    "interval": "",
    **dict.fromkeys(("ci_low", "ci_high", "improvement_low", "improvement_high"), _NAN),
}
POWER = 0.8
"""power at which a run is said to have been able to see an effect"""


def compare(results: pd.DataFrame, agreement: Agreement, claims: DeclaredClaims) -> pd.DataFrame:
    """Compare every prior with the baseline: one row per setting, prior, attribution and metric.

    Arguments and table are those of :func:`paired_runs` and :func:`compare_pairs`.
    """
    return compare_pairs(paired_runs(results, agreement, claims.baseline), claims)


def compare_pairs(all_pairs: Sequence[PairedRuns], claims: DeclaredClaims) -> pd.DataFrame:
    """Compare priors as :func:`compare` does, where runs are paired already.

    A setting has two families of tests: the primary metrics of all its priors, read from the main
    attribution, corrected by Holm's method, and everything else, corrected by Benjamini and
    Hochberg's. Metrics without a direction are described and never judged.

    Returns:
        a table with COMPARISON_COLUMNS.
    """
    rows = [_row(pairs, claims) for pairs in all_pairs]
    families: dict[tuple[Any, ...], list[int]] = {}
    for i, pairs in enumerate(all_pairs):
        if rows[i]["family"]:
            families.setdefault((pairs.setting, rows[i]["family"]), []).append(i)
    for (_, name), members in families.items():
        signs = [all_pairs[i].sign for i in members]
        judged = judged_rows([rows[i] for i in members], signs, CORRECTION[name])
        for i, row in zip(members, judged, strict=True):
            rows[i] = row
            if name == PRIMARY and np.isfinite(row["spread"]):
                effect = smallest_effect(int(row["n"]), POWER, ClaimKind(tests=row["tests"]))
                row["detectable"] = effect * float(row["spread"])
    table = pd.DataFrame(rows, columns=COMPARISON_COLUMNS)
    return table.astype({"tests": "Int64", "margin_tests": "Int64"})


def _row(pairs: PairedRuns, claims: DeclaredClaims) -> dict[str, Any]:
    metric, family = pairs.metric, ""
    if metric.higher_is_better is not None:
        family = claims.family(pairs.setting[0], pairs.attribution, metric)
    if metric.of_pairs:
        difference = compared_agreement(pairs.differences, (pairs.baseline, pairs.values))
    else:
        difference = paired_difference(pairs.baseline, pairs.values)
    several = len(pairs.differences) > 1 and not pairs.nothing_ran
    return {
        **dict(zip(SETTING_COLUMNS, pairs.setting, strict=True)),
        **pairs.columns,
        "baseline": claims.baseline,
        **vars(difference),
        # that all runs failed says nothing about how far apart they would be
        **(_NO_INTERVAL if pairs.nothing_ran else {}),
        **_margin_tests(pairs, claims),
        "p_adjusted": _NAN,
        "verdict": "",
        "family": family,
        "correction": CORRECTION.get(family, ""),
        "spread": float(pairs.differences.std(ddof=1)) if several else _NAN,
        "detectable": _NAN,
        "missing": " ".join(map(str, pairs.missing)),
        "both_failed": int(pairs.both_failed.sum()),
    }


def _margin_tests(pairs: PairedRuns, claims: DeclaredClaims) -> dict[str, float]:
    """Return the margin in units of the metric, and p against it; NaN where none is declared.

    The agreement of runs has no test against a margin.
    """
    margin = claims.margin(pairs.metric)
    if margin is None or pairs.metric.of_pairs:
        return dict.fromkeys(("margin", "p_noninferior", "p_equivalent"), _NAN)
    allowance = pairs.allowance(margin)
    return {
        "margin": float(margin.allowance(pairs.baseline).mean()),
        "p_noninferior": noninferiority_p(pairs.gain, allowance),
        "p_equivalent": equivalence_p(pairs.gain, allowance),
    }


def judged_rows(
    rows: Sequence[dict[str, Any]], signs: Sequence[float], correction: str
) -> list[dict[str, Any]]:
    """Return the rows of one family of tests with adjusted p and verdicts.

    Args:
        rows: cells by column: difference and p, and p_noninferior and p_equivalent where there is
            a margin.
        signs: 1 where a higher value is better, else -1; one a row.
        correction: a name of ``statistics.CORRECTIONS``.
    """
    margins = ("p_noninferior", "p_equivalent")
    evidence = [
        Evidence(sign * row["difference"], row["p"], *(row.get(name, _NAN) for name in margins))
        for row, sign in zip(rows, signs, strict=True)
    ]
    judgements = judge(evidence, correction)
    return [row | vars(judgement) for row, judgement in zip(rows, judgements, strict=True)]
