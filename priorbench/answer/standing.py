"""The standing of a prior: what is shown of its gains and of its safety, axis by axis.

`within_dataset.py` and `over_datasets.py` make the tables before; `advice.py` chooses among the
standings afterwards. No exploratory metric is read here, and none that priors optimise.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import pandas as pd

from priorbench.metrics import METRICS
from priorbench.statistics.families.multiplicity import HOLM, adjust
from priorbench.statistics.families.verdicts import ALPHA, BETTER, INCONCLUSIVE, WORSE

from .primary_result import PrimaryResult, primary_rows, result_of

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
class FailureCount:
    """How many trials of a prior failed or collapsed, and how many it has."""

    failed: int = 0
    trials: int = 0


@dataclass(frozen=True)
class PairsBeyondMargin:
    """On how many pairs of an axis, over all settings, a prior gains and loses what matters.

    Attributes:
        axis: name of the axis.
        gaining: number of pairs whose gain is larger than the margin.
        losing: number of pairs whose loss is.
        pairs: number of pairs.
    """

    axis: str
    gaining: int
    losing: int
    pairs: int


@dataclass(frozen=True)
class PriorStanding:
    """What is shown of one prior.

    Attributes:
        prior: spec of the prior.
        results: one result per primary metric, in the order of the table.
        p_safe: p of the claim that no axis loses as much as its margin, adjusted for the number of
            priors; 1 where an axis has no margin or test.
        price: measured seconds per training step over those of ``none``; NaN where unknown.
        failures: how many of its trials failed.
        lost_in: results of single settings in which a loss that matters is likely, for a standing
            over several.
        missing: axes, and over several settings where, that others have a result on and it has
            not.
        withheld: axes whose claims were changed after training, so that their safety is not shown.
        beyond: pairs that gain or lose more than the margin, axis by axis; empty where nobody has
            counted.
    """

    prior: str
    results: tuple[PrimaryResult, ...]
    p_safe: float = _NAN
    price: float = _NAN
    failures: FailureCount = field(default_factory=FailureCount)
    lost_in: tuple[PrimaryResult, ...] = ()
    missing: tuple[str, ...] = ()
    withheld: tuple[str, ...] = ()
    beyond: tuple[PairsBeyondMargin, ...] = ()

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
        results[str(row["prior"])].append(result_of(row))
    overall = "runs" in table
    single = [result_of(row) for row in primary_rows(comparisons).to_dict("records")]
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
            _beyond_margin([result for result in single if result.prior == prior]),
        )
        for (prior, own), p in zip(results.items(), p_safe, strict=True)
    )


def _beyond_margin(results: Sequence[PrimaryResult]) -> tuple[PairsBeyondMargin, ...]:
    """Return the pairs of a prior's results in single settings that differ by what matters.

    Agreement of seeds is left out: that of a network is with all others, and no pair's own.
    """
    by_axis: dict[str, list[PrimaryResult]] = {}
    for result in results:
        if math.isfinite(result.seeds_losing) and not METRICS[result.metric].of_pairs:
            by_axis.setdefault(result.axis, []).append(result)
    return tuple(
        PairsBeyondMargin(
            axis,
            gaining=int(sum(result.seeds_gaining for result in counted)),
            losing=int(sum(result.seeds_losing for result in counted)),
            pairs=sum(result.n for result in counted),
        )
        for axis, counted in by_axis.items()
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
