"""The standing of a prior: the verdicts on its primary metrics, taken together.

`within_dataset.py` and `over_datasets.py` make the tables of verdicts before; `advice.py` chooses
among the standings afterwards. No raw mean is read here, no exploratory metric, and no metric that
priors optimise.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from priorbench.metrics import METRICS
from priorbench.statistics.verdicts import (
    ALPHA,
    BETTER,
    EQUIVALENT,
    INCONCLUSIVE,
    NONINFERIOR,
    WORSE,
)
from priorbench.study.declared import PRIMARY

ADVISED, PROVISIONAL, TRADE_OFF = "advised", "provisional", "trade-off"
HARMFUL, COSTLESS, OPEN = "harmful", "costless", "open"
STANDINGS = {
    ADVISED: "better on an axis, worse on none, and no loss of prediction that matters",
    PROVISIONAL: "better on an axis and worse on none, but what it costs in prediction is not "
    "settled",
    TRADE_OFF: "better on one axis and worse on another",
    HARMFUL: "better on no axis and worse on one",
    COSTLESS: "better on no axis, but no loss of prediction that matters",
    OPEN: "neither better nor worse on any axis, and nothing shown about its cost",
}
"""what verdicts say of a prior, the best first"""
_PRICE = "step-time-ratio"
_PREDICTION = "prediction"
_NAN = float("nan")


@dataclass(frozen=True)
class PrimaryResult:
    """The result of one prior on one primary metric.

    Attributes:
        prior: spec of the prior.
        axis: axis of the metric.
        metric: name of the metric.
        verdict: one of ``statistics.DEFINITIONS``; "" where nothing was tested.
        n: number of paired seeds; of pairs over all settings in a result over datasets.
        difference: mean of the paired differences, prior minus baseline.
        low: lower end of its interval; NaN where none is offered.
        high: upper end of its interval.
        p: adjusted p of no difference.
        margin: smallest loss that matters, in units of the metric; NaN where none is declared.
        p_margin: the smaller adjusted p of non-inferiority and of equivalence.
        spread: standard deviation of the paired differences.
        detectable: the difference that so many seeds find four times in five; infinite if none.
        tests: number of tests of a difference in the primary family.
        margin_tests: number of tests against a margin in the primary family.
    """

    prior: str
    axis: str
    metric: str
    verdict: str
    n: int
    difference: float = _NAN
    low: float = _NAN
    high: float = _NAN
    p: float = _NAN
    margin: float = _NAN
    p_margin: float = _NAN
    spread: float = _NAN
    detectable: float = _NAN
    tests: int = 0
    margin_tests: int = 0

    @property
    def small_loss(self) -> bool:
        """Whether the prior is worse by less than what was declared to matter."""
        return self.verdict == WORSE and self.p_margin <= ALPHA

    @property
    def no_loss(self) -> bool:
        """Whether a loss that matters is excluded."""
        return self.verdict in (BETTER, EQUIVALENT, NONINFERIOR) or self.small_loss


@dataclass(frozen=True)
class FailureCount:
    """How many trials of a prior failed or collapsed, and how many it has."""

    failed: int = 0
    trials: int = 0


@dataclass(frozen=True)
class PriorStanding:
    """What the verdicts say of one prior.

    Attributes:
        prior: spec of the prior.
        results: one result per primary metric, in the order of the table.
        price: measured seconds per training step over those of ``none``; NaN where unknown.
        failures: how many of its trials failed.
    """

    prior: str
    results: tuple[PrimaryResult, ...]
    price: float = _NAN
    failures: FailureCount = field(default_factory=FailureCount)

    @property
    def gains(self) -> list[PrimaryResult]:
        """Results in which it is better."""
        return [result for result in self.results if result.verdict == BETTER]

    @property
    def losses(self) -> list[PrimaryResult]:
        """Results in which it is worse, small losses left out."""
        return [r for r in self.results if r.verdict == WORSE and not r.small_loss]

    @property
    def undecided(self) -> list[PrimaryResult]:
        """Results without a conclusion."""
        return [result for result in self.results if result.verdict in (INCONCLUSIVE, "")]

    @property
    def predictions(self) -> list[PrimaryResult]:
        """Results on the axis of prediction; none where the study declared no metric there."""
        return [result for result in self.results if result.axis == _PREDICTION]

    @property
    def kind(self) -> str:
        """A key of STANDINGS."""
        safe = bool(self.predictions) and all(result.no_loss for result in self.predictions)
        if self.gains and self.losses:
            return TRADE_OFF
        if self.gains:
            return ADVISED if safe else PROVISIONAL
        if self.losses:
            return HARMFUL
        return COSTLESS if safe else OPEN


def standings_of(
    table: pd.DataFrame, comparisons: pd.DataFrame, failures: Mapping[str, FailureCount]
) -> tuple[PriorStanding, ...]:
    """Return the standings of all priors, in one setting or over all of them.

    Args:
        table: rows of comparisons.csv of the setting, or of across.csv.
        comparisons: rows of comparisons.csv, for prices: their mean over settings.
        failures: number of failed trials by prior; none where left out.
    """
    results: dict[str, list[PrimaryResult]] = {str(p): [] for p in table["prior"].unique()}
    for row in primary_rows(table).to_dict("records"):
        results[str(row["prior"])].append(_result(row))
    priced = comparisons[comparisons["metric"] == _PRICE]
    prices = priced["mean_prior"].astype(float).groupby(priced["prior"].astype(str)).mean()
    return tuple(
        PriorStanding(
            prior, tuple(own), float(prices.get(prior, _NAN)), failures.get(prior, FailureCount())
        )
        for prior, own in results.items()
    )


def primary_rows(table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows whose verdicts count: primary metrics, those that priors optimise aside.

    Args:
        table: rows of comparisons.csv or of across.csv.
    """
    return table[(table["family"] == PRIMARY) & table["metric"].map(_counts).astype(bool)]


def _counts(name: str) -> bool:
    metric = METRICS[name]
    return metric.higher_is_better is not None and not metric.optimised_for


def _result(row: Mapping[Hashable, Any]) -> PrimaryResult:
    """Return the result of a row; across.csv has no margin: settings may differ in it."""
    margins = [float(row[f"p_{kind}_adjusted"]) for kind in ("noninferior", "equivalent")]
    counts = [0 if pd.isna(row[name]) else int(row[name]) for name in ("tests", "margin_tests")]
    return PrimaryResult(
        prior=str(row["prior"]),
        axis=str(row["axis"]),
        metric=str(row["metric"]),
        verdict=str(row["verdict"]),
        n=int(row["n"] if "n" in row else row["runs"]),
        difference=float(row["difference"]),
        low=float(row["ci_low"]),
        high=float(row["ci_high"]),
        p=float(row["p_adjusted"]),
        margin=float(row.get("margin", _NAN)),
        p_margin=min((p for p in margins if math.isfinite(p)), default=_NAN),
        spread=float(row.get("spread", _NAN)),
        detectable=float(row.get("detectable", _NAN)),
        tests=counts[0],
        margin_tests=counts[1],
    )
