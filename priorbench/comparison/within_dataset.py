"""Paired comparisons of priors within one dataset, setting by setting: comparisons.csv.

`paired_runs.py` makes the pairs before; `standing.py` and `advice.py` read the verdicts afterwards.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from priorbench.statistics.equivalence import equivalence_p, noninferiority_p
from priorbench.statistics.families.verdicts import ALPHA, Evidence, judge
from priorbench.statistics.graded import graded_answer
from priorbench.statistics.paired import compared_agreement, paired_difference
from priorbench.statistics.power import ClaimKind, smallest_effect
from priorbench.study.declared import PRIMARY, DeclaredClaims
from priorbench.study.trial import SETTING_COLUMNS

from .paired_runs import PairedRuns, paired_runs
from .trial_agreement import Agreement

DIFFERENCE_COLUMNS = (
    *("n", "mean_baseline", "mean_prior", "difference", "ci_low", "ci_high", "effect_size"),
    *("p", "p_adjusted", "test", "verdict"),
)
"""what every table says of two arms; the interval is corrected as p is"""
MARGIN_COLUMNS = (
    *("p_noninferior", "p_noninferior_adjusted"),
    *("p_equivalent", "p_equivalent_adjusted"),
)
SKILL_COLUMNS = ("skill_gain", "skill_margin", "p_adjusted_own", "ci_low_alone", "ci_high_alone")
"""gain and margin as shares of the range of the score; p adjusted for the prior's own tests only;
interval of this comparison alone, without correction"""
GRADED_COLUMNS = ("prob_better", "prob_same", "prob_worse")
COMPARISON_COLUMNS = [
    *(*SETTING_COLUMNS, "prior", "baseline", "attribution", "metric", "axis"),
    *DIFFERENCE_COLUMNS,
    *("family", "correction", "level", "tests", "smallest_p", "interval", "margin", "margin_tests"),
    *MARGIN_COLUMNS,
    *SKILL_COLUMNS,
    *GRADED_COLUMNS,
    *("p_t", "p_wilcoxon", "cliffs_delta", "improvement", "improvement_low", "improvement_high"),
    *("correlation", "spread", "detectable", "seeds_better", "seeds_worse"),
    *("seeds_gaining", "seeds_losing", "missing", "both_failed"),
]
UNCERTAIN_COUNTS = ["tests", "margin_tests", "seeds_gaining", "seeds_losing"]
"""columns of counts that are not known everywhere"""
_NAN = float("nan")
_NO_INTERVAL = {
    "interval": "",
    **dict.fromkeys(("ci_low", "ci_high", "ci_low_alone", "ci_high_alone"), _NAN),
    **dict.fromkeys(("improvement_low", "improvement_high"), _NAN),
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
    attribution, corrected as the study declares, and everything else, corrected by Benjamini and
    Hochberg's method. Metrics without a direction, costs and smoothness are described and never
    judged.

    Returns:
        a table with COMPARISON_COLUMNS.
    """
    rows = [_row(pairs, claims) for pairs in all_pairs]
    families: dict[tuple[Any, ...], list[int]] = {}
    for i, pairs in enumerate(all_pairs):
        if rows[i]["family"]:
            families.setdefault((pairs.setting, rows[i]["family"]), []).append(i)
    for (_, name), members in families.items():
        family = [all_pairs[i] for i in members]
        judged = judged_rows(
            [rows[i] for i in members],
            [pairs.sign for pairs in family],
            _evidence(family, [rows[i] for i in members], claims),
            correction=claims.correction_of(name),
            level=claims.level,
        )
        for i, row in zip(members, judged, strict=True):
            rows[i] = row
            if name == PRIMARY and np.isfinite(row["spread"]):
                claim = ClaimKind(claims.level, tests=row["tests"], correction=claims.correction)
                row["detectable"] = smallest_effect(int(row["n"]), POWER, claim) * row["spread"]
    table = pd.DataFrame(rows, columns=COMPARISON_COLUMNS)
    return table.astype(dict.fromkeys(UNCERTAIN_COUNTS, "Int64"))


def _evidence(
    family: Sequence[PairedRuns], rows: Sequence[Mapping[str, Any]], claims: DeclaredClaims
) -> list[Evidence]:
    """Return the tests of one setting; their units are its seeds."""
    seeds = sorted({seed for pairs in family for seed in pairs.seeds})
    place = {seed: i for i, seed in enumerate(seeds)}
    evidence = []
    for pairs, row in zip(family, rows, strict=True):
        places = [place[seed] for seed in pairs.seeds]
        allowance = pairs.allowance(claims)
        evidence.append(
            Evidence(
                gains=_spread_out(pairs.gain, places, len(seeds)),
                p=row["p"],
                allowance=None if allowance is None else _spread_out(allowance, places, len(seeds)),
                p_noninferior=row["p_noninferior"],
                p_equivalent=row["p_equivalent"],
                prior=pairs.prior,
            )
        )
    return evidence


def _spread_out(
    values: NDArray[np.float64], places: Sequence[int], count: int
) -> NDArray[np.float64]:
    """Return (count,) values in their places, NaN elsewhere."""
    result = np.full(count, np.nan)
    result[places] = values
    return result


def _row(pairs: PairedRuns, claims: DeclaredClaims) -> dict[str, Any]:
    family = claims.family(pairs.setting[0], pairs.attribution, pairs.metric)
    if pairs.metric.of_pairs:
        difference = compared_agreement(pairs.differences, (pairs.baseline, pairs.values))
    else:
        difference = paired_difference(pairs.baseline, pairs.values)
    several = len(pairs.differences) > 1 and not pairs.nothing_ran
    return {
        **dict(zip(SETTING_COLUMNS, pairs.setting, strict=True)),
        **pairs.columns,
        "baseline": claims.baseline,
        **vars(difference),
        "ci_low_alone": difference.ci_low,
        "ci_high_alone": difference.ci_high,
        # that all runs failed says nothing about how far apart they would be
        **(_NO_INTERVAL if pairs.nothing_ran else {}),
        **_against_margin(pairs, claims),
        "skill_gain": pairs.sign * difference.difference / pairs.score_range.width,
        "p_adjusted": _NAN,
        "p_adjusted_own": _NAN,
        "verdict": "",
        "family": family,
        "correction": claims.correction_of(family),
        "level": claims.level if family else _NAN,
        "spread": float(pairs.differences.std(ddof=1)) if several else _NAN,
        "detectable": _NAN,
        # a mean may be of seeds that gain and of a few that lose
        "seeds_better": int((pairs.seed_gains > 0).sum()),
        "seeds_worse": int((pairs.seed_gains < 0).sum()),
        **_seeds_beyond(pairs.seed_gains, pairs.allowance(claims)),
        "missing": " ".join(map(str, pairs.missing)),
        "both_failed": int(pairs.both_failed.sum()),
    }


def _against_margin(pairs: PairedRuns, claims: DeclaredClaims) -> dict[str, float]:
    """Return the margin in units of the metric, p against it and a graded answer; NaN without."""
    allowance = pairs.allowance(claims)
    graded = graded_answer(pairs.gain, allowance)
    answer = dict(zip(GRADED_COLUMNS, vars(graded).values(), strict=True))
    if allowance is None:
        names = ("margin", "skill_margin", "p_noninferior", "p_equivalent")
        return dict.fromkeys(names, _NAN) | answer
    margin = pairs.margin(claims)
    assert margin is not None
    size = float(margin.allowance(pairs.baseline).mean())
    return answer | {
        "margin": size,
        "skill_margin": size / pairs.score_range.width,
        "p_noninferior": noninferiority_p(pairs.gain, allowance),
        "p_equivalent": equivalence_p(pairs.gain, allowance),
    }


def _seeds_beyond(
    gains: NDArray[np.float64], allowance: NDArray[np.float64] | None
) -> dict[str, float]:
    """Return on how many seeds a prior gains and loses more than its margin; NaN without one."""
    if allowance is None:
        return {"seeds_gaining": _NAN, "seeds_losing": _NAN}
    counts = {"seeds_gaining": gains > allowance, "seeds_losing": gains < -allowance}
    return {name: int(np.count_nonzero(beyond)) for name, beyond in counts.items()}


def judged_rows(
    rows: Sequence[dict[str, Any]],
    signs: Sequence[float],
    evidence: Sequence[Evidence],
    *,
    correction: str,
    level: float = ALPHA,
) -> list[dict[str, Any]]:
    """Return the rows of one family of tests with adjusted p, verdicts and corrected intervals.

    Args:
        rows: cells by column of one family.
        signs: 1 where a higher value is better, else -1; one a row.
        evidence: the tests of each row, in the same order of units.
        correction: a name of ``multiplicity.CORRECTIONS``.
        level: level of every kind of claim.
    """
    judged = []
    for row, sign, judgement in zip(rows, signs, judge(evidence, correction, level), strict=True):
        cells = dict(vars(judgement))
        corrected = cells.pop("interval")
        if row["interval"]:  # that all runs failed says nothing of how far apart they would be
            ends = sorted((sign * corrected.low, sign * corrected.high))
            cells |= {"ci_low": ends[0], "ci_high": ends[1], "interval": corrected.method}
        judged.append(row | cells)
    return judged
