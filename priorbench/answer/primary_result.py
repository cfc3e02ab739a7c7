"""The result of a prior on one primary metric: what of a row of tests counts in the answer."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from priorbench.comparison.over_datasets import SKILL
from priorbench.metrics import METRICS
from priorbench.statistics.confidence import SIGN_FLIP_FROM
from priorbench.statistics.families.verdicts import ALPHA
from priorbench.study.declared import PRIMARY
from priorbench.study.trial import SETTING_COLUMNS

_NAN = float("nan")


@dataclass(frozen=True)
class PrimaryResult:
    """The result of one prior on one primary metric.

    Attributes:
        prior: spec of the prior.
        axis: axis of the metric.
        metric: name of the metric; over settings with different ones ``over_datasets.SKILL``.
        verdict: one of ``verdicts.DEFINITIONS``; "" where nothing was tested.
        n: number of paired seeds; of pairs over all settings in a result over datasets.
        gain: mean of the paired differences, positive where the prior is better.
        low: lower end of the corrected interval of the gain; NaN where none is offered.
        high: upper end of that interval.
        low_alone: lower end of the interval of the gain without correction.
        high_alone: upper end of that interval.
        p_raw: p of no difference without correction.
        p: adjusted p of no difference.
        p_own: p of no difference, adjusted for the prior's own tests only.
        p_noninferior: p of a loss as large as the margin, without correction.
        p_noninferior_adjusted: the same, adjusted for all such tests of the family.
        margin: smallest loss that matters, in units of the metric; NaN where none is known.
        level: level of the claims.
        spread: standard deviation of the paired differences.
        detectable: the difference that so many seeds find four times in five; infinite if none.
        tests: number of tests of a difference in the primary family.
        margin_tests: number of tests against a margin in the primary family.
        correction: correction of p.
        baseline_mean: mean of the baseline; NaN in a result over datasets.
        prior_mean: mean of the prior.
        setting: title of the setting; "" in a result over datasets.
        seeds_gaining: number of seeds on which the prior gains more than the margin; NaN where
            nobody has counted, as over datasets.
        seeds_losing: number of seeds on which it loses more than the margin.
    """

    prior: str
    axis: str
    metric: str
    verdict: str
    n: int
    gain: float = _NAN
    low: float = _NAN
    high: float = _NAN
    low_alone: float = _NAN
    high_alone: float = _NAN
    p_raw: float = _NAN
    p: float = _NAN
    p_own: float = _NAN
    p_noninferior: float = _NAN
    p_noninferior_adjusted: float = _NAN
    margin: float = _NAN
    level: float = ALPHA
    spread: float = _NAN
    detectable: float = _NAN
    tests: int = 0
    margin_tests: int = 0
    correction: str = ""
    baseline_mean: float = _NAN
    prior_mean: float = _NAN
    setting: str = ""
    seeds_gaining: float = _NAN
    seeds_losing: float = _NAN

    @property
    def higher_is_better(self) -> bool:
        """Whether a higher value of the metric is better."""
        return self.metric == SKILL or bool(METRICS[self.metric].higher_is_better)

    @property
    def difference(self) -> float:
        """Mean of the paired differences, prior minus baseline."""
        return self.gain if self.higher_is_better else -self.gain

    @property
    def likely_worse(self) -> bool:
        """Whether a loss is likely, whatever else was compared.

        It is what withholds advice, and no verdict: p is adjusted for the prior's own tests only,
        and its level is .05 at every look, so that neither other priors nor further looks hide
        a loss. Fewer than six pairs have no test; Student's interval stands in where there is one.
        """
        if self.n < SIGN_FLIP_FROM:
            return self.high_alone < 0
        return self.gain < 0 and self.p_own <= ALPHA

    @property
    def ends(self) -> tuple[float, float]:
        """Ends of the interval of the difference in the metric's units, the lower one first."""
        if self.higher_is_better:
            return self.low, self.high
        return -self.high, -self.low

    @property
    def lost(self) -> bool:
        """Whether the estimated loss is beyond the margin, or likely and not excluded there."""
        beyond = self.gain < -self.margin if math.isfinite(self.margin) else False
        unproved = not self.p_noninferior <= self.level
        return beyond or (self.likely_worse and unproved)

    @property
    def safe_alone(self) -> bool:
        """Whether estimate, uncorrected interval and the family's test exclude the margin."""
        excluded = self.gain > -self.margin and self.low_alone > -self.margin
        return excluded and self.p_noninferior_adjusted <= self.level

    @property
    def lead(self) -> bool:
        """Whether a small p, uncorrected, points to a difference that was not shown."""
        return self.p_raw <= ALPHA and not self.p <= self.level


def primary_rows(table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows whose verdicts count: primary metrics, those that priors optimise aside.

    Args:
        table: rows of comparisons.csv or of across.csv.
    """
    return table[(table["family"] == PRIMARY) & table["metric"].map(_counts).astype(bool)]


def _counts(name: str) -> bool:
    if name == SKILL:
        return True
    metric = METRICS[name]
    return metric.higher_is_better is not None and not metric.optimised_for


def result_of(row: Mapping[Hashable, Any]) -> PrimaryResult:
    """Return the result of a row of comparisons.csv or of across.csv."""
    counts = [0 if pd.isna(row[name]) else int(row[name]) for name in ("tests", "margin_tests")]
    name = str(row["metric"])
    sign = 1.0 if name == SKILL or METRICS[name].higher_is_better else -1.0
    ends = sorted(sign * float(row[column]) for column in ("ci_low", "ci_high"))
    alone = [sign * float(row[column]) for column in ("ci_low_alone", "ci_high_alone")]
    setting = [str(row[column]) for column in SETTING_COLUMNS if column in row]
    beyond = [row.get(column, _NAN) for column in ("seeds_gaining", "seeds_losing")]
    gaining, losing = [_NAN if pd.isna(count) else float(count) for count in beyond]
    return PrimaryResult(
        prior=str(row["prior"]),
        axis=str(row["axis"]),
        metric=name,
        verdict=str(row["verdict"]),
        n=int(row["n"] if "n" in row else row["runs"]),
        gain=sign * float(row["difference"]),
        low=ends[0],
        high=ends[1],
        low_alone=min(alone),
        high_alone=max(alone),
        p_raw=float(row["p"]),
        p=float(row["p_adjusted"]),
        p_own=float(row["p_adjusted_own"]),
        p_noninferior=float(row["p_noninferior"]),
        p_noninferior_adjusted=float(row["p_noninferior_adjusted"]),
        margin=float(row["margin"]),
        level=float(row["level"]),
        spread=float(row.get("spread", _NAN)),
        detectable=float(row.get("detectable", _NAN)),
        tests=counts[0],
        margin_tests=counts[1],
        correction=str(row["correction"]),
        baseline_mean=float(row.get("mean_baseline", _NAN)),
        prior_mean=float(row.get("mean_prior", _NAN)),
        setting=" · ".join(setting),
        seeds_gaining=gaining,
        seeds_losing=losing,
    )
