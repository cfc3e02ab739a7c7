"""Paired comparisons of priors: from scores to comparisons.csv."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from priorbench.components.metric import Metric
from priorbench.metrics.motif_set import NOTHING_FOUND, MotifSet
from priorbench.run_directory import DONE
from priorbench.statistics import (
    ALPHA,
    ClaimKind,
    Evidence,
    Judgement,
    compared_agreement,
    equivalence_p,
    judge,
    noninferiority_p,
    paired_difference,
    smallest_effect,
)
from priorbench.study.declared import CORRECTION, PRIMARY, DeclaredClaims
from priorbench.study.trial import EVALUATE

from .paired_runs import (
    REFERENCE,
    SETTING_COLUMNS,
    Agreement,
    PairedRuns,
    counted_scores,
    paired_runs,
)

DIFFERENCE_COLUMNS = (
    "n",
    "mean_baseline",
    "mean_prior",
    "difference",
    "ci_low",
    "ci_high",
    "effect_size",
    "p",
    "p_adjusted",
    "test",
    "verdict",
)
"""what every table says of two arms"""
COMPARISON_COLUMNS = [
    *SETTING_COLUMNS,
    "prior",
    "baseline",
    "attribution",
    "metric",
    "axis",
    *DIFFERENCE_COLUMNS,
    "family",
    "correction",
    "tests",
    "smallest_p",
    "interval",
    "margin",
    "margin_tests",
    "p_noninferior",
    "p_noninferior_adjusted",
    "p_equivalent",
    "p_equivalent_adjusted",
    "p_t",
    "p_wilcoxon",
    "cliffs_delta",
    "improvement",
    "improvement_low",
    "improvement_high",
    "correlation",
    "spread",
    "detectable",
    "missing",
    "both_failed",
]
_NO_INTERVAL = {
    "interval": "",
    **dict.fromkeys(
        ("ci_low", "ci_high", "improvement_low", "improvement_high"),
        float("nan"),
    ),
}
POWER = 0.8
"""power at which a run is said to have been able to see an effect"""


def compare(results: pd.DataFrame, agreement: Agreement, claims: DeclaredClaims) -> pd.DataFrame:
    """One row per setting, prior, attribution and metric: paired differences to the baseline.

    Args:
        results: with the columns of results.csv.
        agreement: for metrics of pairs of trials.
        claims: what was declared: primary metrics, margins, the baseline.
    """
    return compare_pairs(paired_runs(results, agreement, claims.baseline), claims)


def compare_pairs(pairs: Sequence[PairedRuns], claims: DeclaredClaims) -> pd.DataFrame:
    """As :func:`compare`, from arrays.

    A setting has two families of tests: the primary metrics of all its priors, read from the main
    attribution, corrected by Holm's method, and everything else, corrected by Benjamini and
    Hochberg's. Metrics without a direction are described and never judged.
    """
    rows = [_row(one, claims) for one in pairs]
    families: dict[tuple[Any, ...], list[int]] = {}
    for i, one in enumerate(pairs):
        if one.metric.higher_is_better is not None:
            families.setdefault((one.setting, rows[i]["family"]), []).append(i)
    for (_, name), members in families.items():
        judged = judge([_evidence(pairs[i], rows[i]) for i in members], CORRECTION[name])
        for i, found in zip(members, judged, strict=True):
            rows[i] |= vars(found) | {"detectable": _detectable(rows[i], found)}
    table = pd.DataFrame(rows, columns=COMPARISON_COLUMNS)
    return table.astype({"tests": "Int64", "margin_tests": "Int64"})


def describe(pairs: PairedRuns) -> dict[str, Any]:
    """Difference, interval, effect sizes and tests of one comparison, before correction.

    Where both arms failed on every seed there is no interval: that all are equally bad says nothing
    about how far apart they would be.
    """
    if pairs.metric.of_pairs:
        found = vars(compared_agreement(pairs.differences, (pairs.baseline, pairs.values)))
    else:
        found = vars(paired_difference(pairs.baseline, pairs.values))
    return found | _NO_INTERVAL if pairs.nothing_ran else found


def _row(pairs: PairedRuns, claims: DeclaredClaims) -> dict[str, Any]:
    metric = pairs.metric
    n = len(pairs.differences)
    row = {
        **dict(zip(SETTING_COLUMNS, pairs.setting, strict=True)),
        "prior": pairs.prior,
        "baseline": claims.baseline,
        "attribution": pairs.attribution,
        "metric": metric.name,
        "axis": metric.axis,
        **describe(pairs),
        **margin_tests(pairs, claims),
        "p_adjusted": float("nan"),
        "verdict": "",
        "family": "",
        "correction": "",
        "spread": (
            float(pairs.differences.std(ddof=1))
            if n > 1 and not pairs.nothing_ran
            else float("nan")
        ),
        "missing": " ".join(map(str, pairs.missing)),
        "both_failed": int(pairs.both_failed.sum()),
    }
    if metric.higher_is_better is not None:
        family = claims.family(pairs.setting[0], pairs.attribution, metric)
        row |= {"family": family, "correction": CORRECTION[family]}
    return row


def margin_tests(pairs: PairedRuns, claims: DeclaredClaims) -> dict[str, float]:
    """The margin in units of the metric, and p against it; NaN where none is declared.

    The agreement of runs has no test against a margin.
    """
    margin = claims.margin(pairs.metric)
    if margin is None or pairs.metric.of_pairs:
        return dict.fromkeys(("margin", "p_noninferior", "p_equivalent"), float("nan"))
    allowance = pairs.allowance(margin)
    return {
        "margin": float(margin.allowance(pairs.baseline).mean()),
        "p_noninferior": noninferiority_p(pairs.gain, allowance),
        "p_equivalent": equivalence_p(pairs.gain, allowance),
    }


def _evidence(pairs: PairedRuns, row: dict[str, Any]) -> Evidence:
    return Evidence(
        pairs.sign * row["difference"], row["p"], row["p_noninferior"], row["p_equivalent"]
    )


def _detectable(row: dict[str, Any], found: Judgement) -> float:
    """The difference that so many runs would have shown four times in five, in a primary family."""
    if row["family"] != PRIMARY or not np.isfinite(row["spread"]):
        return float("nan")
    return smallest_effect(int(row["n"]), POWER, ClaimKind(tests=found.tests)) * float(
        row["spread"]
    )


def agreement_of(
    results: pd.DataFrame,
    attributed: Callable[[str, str], NDArray[np.float32] | None],
    discovered: Callable[[str, str], MotifSet | None],
) -> Agreement:
    """Agreement computed from stored attributions, and from the motifs found in them.

    Args:
        results: with the columns of results.csv.
        attributed: (M, L) attributions of a trial by id and spec, or None if it left none.
        discovered: the same of what was discovered.
    """
    done = set(results.loc[results["status"] == DONE, "trial"])

    def agreement(trials: pd.DataFrame, metric: Metric, attribution: str) -> NDArray[np.float64]:
        if metric.scope == "motif-sets":
            sets = [
                discovered(trial, attribution) if trial in done else None
                for trial in trials["trial"]
            ]
            matched: NDArray[np.float64] = metric.function([one or NOTHING_FOUND for one in sets])
            return matched
        found = [
            attributed(trial, attribution) if trial in done else None for trial in trials["trial"]
        ]
        shape = next((a.shape for a in found if a is not None), (1, 1))
        nothing = np.zeros(shape, dtype=np.float32)
        arrays: Sequence[NDArray[np.float32]] = [nothing if a is None else a for a in found]
        matrix: NDArray[np.float64] = metric.function(arrays)
        return matrix

    return agreement


__all__ = [
    "ALPHA",
    "COMPARISON_COLUMNS",
    "DIFFERENCE_COLUMNS",
    "EVALUATE",
    "POWER",
    "REFERENCE",
    "SETTING_COLUMNS",
    "Agreement",
    "agreement_of",
    "compare",
    "compare_pairs",
    "counted_scores",
    "describe",
    "margin_tests",
    "paired_runs",
]
