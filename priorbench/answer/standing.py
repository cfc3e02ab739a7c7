"""The standing of a prior: what is shown of its gains and of its safety, axis by axis.

`within_dataset.py` and `over_datasets.py` make the tables before; `advice.py` chooses among the
standings afterwards. No exploratory metric is read here, and none that priors optimise.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from priorbench.comparison.over_datasets import SKILL
from priorbench.metrics import METRICS
from priorbench.statistics.confidence import SIGN_FLIP_FROM
from priorbench.statistics.families.multiplicity import HOLM, adjust
from priorbench.statistics.families.verdicts import ALPHA, BETTER, INCONCLUSIVE, WORSE
from priorbench.study.declared import PRIMARY

ADVISED, PROVISIONAL, TRADE_OFF = "advised", "provisional", "trade-off"
HARMFUL, COSTLESS, OPEN = "harmful", "costless", "open"
STANDINGS = {
    ADVISED: "better on an axis, and a loss beyond the margin is excluded on every axis",
    PROVISIONAL: "better on an axis, and every axis excludes a loss beyond the margin, by its own "
    "interval and among the tests of the family; not yet as one claim, corrected over priors",
    TRADE_OFF: "better on an axis, and on another with a loss that is likely, or estimated to be "
    "beyond the margin",
    HARMFUL: "better on no axis and worse on one, by more than is excluded",
    COSTLESS: "better on no axis, and a loss beyond the margin is excluded on every axis",
    OPEN: "none of these: a gain, or its safety, was not shown",
}
"""what is shown of a prior, the best first"""
_PRICE = "step-time-ratio"
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


@dataclass(frozen=True)
class FailureCount:
    """How many trials of a prior failed or collapsed, and how many it has."""

    failed: int = 0
    trials: int = 0


@dataclass(frozen=True)
class PriorStanding:
    """What is shown of one prior.

    Attributes:
        prior: spec of the prior.
        results: one result per primary metric, in the order of the table.
        p_safe: p of the claim that no axis loses as much as its margin, adjusted for the number of
            priors; NaN where an axis has no margin or test.
        price: measured seconds per training step over those of ``none``; NaN where unknown.
        failures: how many of its trials failed.
        lost_in: results of single settings in which a loss that matters is likely, for a standing
            over several.
        missing: axes, and over several settings where, that others have a result on and it has
            not.
        withheld: axes whose claims were changed after training, so that their safety is not shown.
    """

    prior: str
    results: tuple[PrimaryResult, ...]
    p_safe: float = _NAN
    price: float = _NAN
    failures: FailureCount = field(default_factory=FailureCount)
    lost_in: tuple[PrimaryResult, ...] = ()
    missing: tuple[str, ...] = ()
    withheld: tuple[str, ...] = ()

    @property
    def n(self) -> int:
        """The fewest pairs behind one of its results; 0 without any."""
        return min((result.n for result in self.results), default=0)

    @property
    def gains(self) -> list[PrimaryResult]:
        """Results in which it is better."""
        return [result for result in self.results if result.verdict == BETTER]

    @property
    def losses(self) -> list[PrimaryResult]:
        """Results in which a loss is shown or estimated that matters."""
        return [result for result in self.results if result.lost]

    @property
    def estimated_losses(self) -> list[PrimaryResult]:
        """Results whose estimate is on the bad side, however small."""
        return [result for result in self.results if result.gain < 0]

    @property
    def undecided(self) -> list[PrimaryResult]:
        """Results without a conclusion."""
        return [result for result in self.results if result.verdict in (INCONCLUSIVE, "")]

    @property
    def leads(self) -> list[PrimaryResult]:
        """Results with a small p that corrections do not let stand, whatever the verdict."""
        return [result for result in self.results if result.lead]

    @property
    def asked(self) -> bool:
        """Whether safety was asked wherever there are results, of claims as they were declared."""
        return bool(self.results) and not (self.missing or self.withheld)

    @property
    def safe(self) -> bool:
        """Whether a loss beyond the margin is excluded on every axis, corrected over priors."""
        level = min((result.level for result in self.results), default=ALPHA)
        return self.asked and self.p_safe <= level and not self.lost_in

    @property
    def kind(self) -> str:
        """A key of STANDINGS."""
        if self.gains:
            if self.safe:
                return ADVISED
            if self.losses or self.lost_in:
                return TRADE_OFF
            alone = self.asked and all(result.safe_alone for result in self.results)
            return PROVISIONAL if alone else OPEN
        if any(
            result.verdict == WORSE and result.lost for result in (*self.results, *self.lost_in)
        ):
            return HARMFUL
        return COSTLESS if self.safe else OPEN


def standings_of(
    table: pd.DataFrame,
    comparisons: pd.DataFrame,
    failures: Mapping[str, FailureCount],
    withheld: Sequence[str] = (),
) -> tuple[PriorStanding, ...]:
    """Return the standings of all priors, in one setting or over all of them.

    That a prior loses nothing that matters is an intersection-union test: each axis at the full
    level, so that its p is the largest of its axes. These p are corrected over the priors by Holm's
    method. Priors that are added make none of them smaller.

    Args:
        table: rows of comparisons.csv of the setting, or of across.csv.
        comparisons: rows of comparisons.csv, for prices, their mean over settings, and for losses
            in single settings, where the table is across.csv.
        failures: number of failed trials by prior; none where left out.
        withheld: axes whose claims were changed after training.
    """
    results: dict[str, list[PrimaryResult]] = {str(p): [] for p in table["prior"].unique()}
    for row in primary_rows(table).to_dict("records"):
        results[str(row["prior"])].append(_result(row))
    overall = "runs" in table
    single = [_result(row) for row in primary_rows(comparisons).to_dict("records")]
    lost_in: dict[str, list[PrimaryResult]] = {}
    for result in single if overall else ():
        if result.likely_worse and result.lost:
            lost_in.setdefault(result.prior, []).append(result)
    missing = _missing(results, single)
    p_safe = adjust([_unsafe_p(own) for own in results.values()], HOLM)
    priced = comparisons[comparisons["metric"] == _PRICE]
    prices = priced["mean_prior"].astype(float).groupby(priced["prior"].astype(str)).mean()
    return tuple(
        PriorStanding(
            prior,
            tuple(own),
            float(p),
            float(prices.get(prior, _NAN)),
            failures.get(prior, FailureCount()),
            tuple(lost_in.get(prior, ())),
            missing[prior],
            tuple(withheld),
        )
        for (prior, own), p in zip(results.items(), p_safe, strict=True)
    )


def _missing(priors: Iterable[str], results: Sequence[PrimaryResult]) -> dict[str, tuple[str, ...]]:
    """Return by prior the axes and settings that some other prior has a result on."""
    several = len({result.setting for result in results}) > 1
    places = dict.fromkeys((result.axis, result.setting) for result in results)
    known = {(result.prior, result.axis, result.setting) for result in results}
    return {
        prior: tuple(
            f"{axis} in {setting}" if several else axis
            for axis, setting in places
            if (prior, axis, setting) not in known
        )
        for prior in priors
    }


def _unsafe_p(results: Sequence[PrimaryResult]) -> float:
    """Return the largest p of a loss beyond the margin; 1 where one of them was not tested."""
    values = [result.p_noninferior for result in results]
    return max(values) if values and all(map(math.isfinite, values)) else 1.0


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


def _result(row: Mapping[Hashable, Any]) -> PrimaryResult:
    counts = [0 if pd.isna(row[name]) else int(row[name]) for name in ("tests", "margin_tests")]
    name = str(row["metric"])
    sign = 1.0 if name == SKILL or METRICS[name].higher_is_better else -1.0
    ends = sorted(sign * float(row[column]) for column in ("ci_low", "ci_high"))
    alone = [sign * float(row[column]) for column in ("ci_low_alone", "ci_high_alone")]
    setting = [str(row[column]) for column in ("task", "dataset", "architecture") if column in row]
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
    )
