"""Which prior to train with: a rule on the verdicts of primary metrics, never on means.

The verdicts of :mod:`priorbench.comparisons` are read, prior by prior, and nothing else: no raw
mean, no exploratory metric, no metric that priors optimise. Prices are measured and not tested;
they only decide between priors that verdicts cannot tell apart.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pandas as pd

from priorbench.metrics import METRICS
from priorbench.statistics import ALPHA, BETTER, EQUIVALENT, INCONCLUSIVE, NONINFERIOR, WORSE
from priorbench.study.declared import PRIMARY

RULE = (
    "Of a prior only the verdicts of its primary metrics count, one an axis; means, exploratory "
    "metrics and what priors optimise (smoothness) do not.",
    "A prior is a candidate if it is better than the baseline on at least one axis and worse on "
    "none; a loss that is shown to be below the declared margin is no loss here.",
    "A candidate whose prediction is better, equivalent or non-inferior goes before one whose "
    "prediction is undecided, which is advised provisionally.",
    "Of several candidates the one that is better on more axes goes first, then the one whose "
    "training step is cheaper, as measured, then the one that the study names first; priors are "
    "not tested against each other.",
    "Without a candidate the advice is the baseline; a prior that is better on one axis and worse "
    "on another is named as a trade-off and left to the reader.",
)
"""the rule in words, as reports state it"""
PRICE = "step-time-ratio"
_NAN = float("nan")


@dataclass(frozen=True)
class Advice:
    """Which prior to train with in one setting, by RULE.

    Attributes:
        baseline: spec of the prior that all are compared with.
        prior: the advice; the baseline where there is no candidate.
        basis: ADVISED or PROVISIONAL; TRADE_OFF where there are only trade-offs; OPEN where no
            gain was shown at all.
        rivals: candidates that verdicts do not tell from the advised one.
        cases: every prior but the baseline, in the order of the study.
        n: the fewest paired seeds behind a primary test; 0 where nothing was compared.
        tests: of a difference, in the primary family.
        correction: of their p; a name of ``statistics.CORRECTIONS``.
    """

    baseline: str
    prior: str
    basis: str
    rivals: tuple[str, ...]
    cases: tuple[PriorStanding, ...]
    n: int
    tests: int
    correction: str

    @property
    def case(self) -> PriorStanding | None:
        """Of the advised prior; None for the baseline."""
        return next((one for one in self.cases if one.prior == self.prior), None)

    def of_standing(self, standing: str) -> list[PriorStanding]:
        """The priors of one standing."""
        return [one for one in self.cases if one.standing == standing]


def advise(
    comparisons: pd.DataFrame, *, baseline: str, ended: Mapping[str, FailureCount] | None = None
) -> Advice:
    """The advice for one task, dataset and architecture.

    Args:
        comparisons: rows of comparisons.csv of one setting.
        baseline: spec of the prior that they compare with.
        ended: how trials ended, by prior; all well where left out.
    """
    price = _mean_prices(comparisons)
    return _answer(comparisons, _finding, _AdviceContext(baseline, price, ended or {}))


def advise_across(
    across: pd.DataFrame,
    comparisons: pd.DataFrame,
    *,
    baseline: str,
    ended: Mapping[str, FailureCount] | None = None,
) -> Advice:
    """The advice for several datasets together, by the same rule on their common verdicts.

    An axis may have several metrics here, of tasks that differ; a prior is better or worse on it if
    it is on one of them. Metrics that no two settings share have no verdict over them.

    Args:
        across: rows of across.csv.
        comparisons: rows of comparisons.csv of the same run, for prices: their mean over settings.
        baseline: spec of the prior that they compare with.
        ended: how trials ended, by prior; all well where left out.
    """
    asked = _AdviceContext(baseline, _mean_prices(comparisons), ended or {})
    return _answer(across, _finding_across, asked)


@dataclass(frozen=True)
class _AdviceContext:
    """What an answer is made of beside verdicts."""

    baseline: str
    price: Mapping[str, float]
    ended: Mapping[str, FailureCount]


def _mean_prices(comparisons: pd.DataFrame) -> dict[str, float]:
    prices = comparisons[comparisons["metric"] == PRICE]
    means = prices["mean_prior"].astype(float).groupby(prices["prior"].astype(str)).mean()
    return {str(prior): float(mean) for prior, mean in means.items()}


def _answer(
    table: pd.DataFrame,
    finding: Callable[[Mapping[str, Any]], PrimaryResult],
    asked: _AdviceContext,
) -> Advice:
    primary = table[(table["family"] == PRIMARY) & table["metric"].map(_ranked).astype(bool)]
    found: dict[str, list[PrimaryResult]] = {str(prior): [] for prior in table["prior"].unique()}
    for row in primary.to_dict("records"):
        found[str(row["prior"])].append(finding({str(key): row[key] for key in row}))
    cases = tuple(
        PriorStanding(
            prior,
            tuple(findings),
            asked.price.get(prior, _NAN),
            asked.ended.get(prior, FailureCount()),
        )
        for prior, findings in found.items()
    )
    order = _candidates(cases)
    ns = [one.n for case in cases for one in case.findings]
    basis = order[0].standing if order else OPEN
    if not order and any(case.standing == TRADE_OFF for case in cases):
        basis = TRADE_OFF
    return Advice(
        baseline=asked.baseline,
        prior=order[0].prior if order else asked.baseline,
        basis=basis,
        rivals=tuple(one.prior for one in order[1:] if _merit(one) == _merit(order[0])),
        cases=cases,
        n=min(ns, default=0),
        tests=max((one.tests for case in cases for one in case.findings), default=0),
        correction=str(primary["correction"].iloc[0]) if len(primary) else "",
    )


def _ranked(metric: str) -> bool:
    known = METRICS[metric]
    return known.higher_is_better is not None and not known.optimised_for


def _candidates(cases: Sequence[PriorStanding]) -> list[PriorStanding]:
    """Candidates, the best first; Python's sort keeps the study's order of equals."""
    found = [one for one in cases if one.standing in (ADVISED, PROVISIONAL)]
    return sorted(found, key=lambda one: (*_merit(one), _price(one)))


def _merit(case: PriorStanding) -> tuple[bool, int]:
    """What verdicts alone order by, smaller first."""
    return (case.standing != ADVISED, -len({one.axis for one in case.gains}))


def _price(case: PriorStanding) -> float:
    return case.price if math.isfinite(case.price) else math.inf


def _finding(row: Mapping[str, Any]) -> PrimaryResult:
    """Of one setting, with what is known about its power."""
    return replace(
        _tested(row, int(row["n"])),
        margin=float(row["margin"]),
        spread=float(row["spread"]),
        detectable=float(row["detectable"]),
    )


def _finding_across(row: Mapping[str, Any]) -> PrimaryResult:
    """Of several settings; margins may differ between them."""
    return _tested(row, int(row["runs"]))


def _tested(row: Mapping[str, Any], n: int) -> PrimaryResult:
    margins = [float(row[f"p_{kind}_adjusted"]) for kind in ("noninferior", "equivalent")]
    return PrimaryResult(
        prior=str(row["prior"]),
        axis=str(row["axis"]),
        metric=str(row["metric"]),
        verdict=str(row["verdict"]),
        n=n,
        difference=float(row["difference"]),
        low=float(row["ci_low"]),
        high=float(row["ci_high"]),
        p=float(row["p_adjusted"]),
        p_margin=min((p for p in margins if math.isfinite(p)), default=_NAN),
        tests=_count(row["tests"]),
        margin_tests=_count(row["margin_tests"]),
    )


def _count(value: Any) -> int:
    return 0 if pd.isna(value) else int(value)


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
_PREDICTION = "prediction"
_NAN = float("nan")


@dataclass(frozen=True)
class PrimaryResult:
    """What was found of one prior on one primary metric.

    Attributes:
        prior: spec.
        axis: of the metric.
        metric: its name.
        verdict: one of ``statistics.DEFINITIONS``; "" where nothing was tested.
        n: paired seeds; pairs over all settings where several are asked together.
        difference: mean of the paired differences, prior less baseline.
        low: lower end of its interval; NaN where none is offered.
        high: upper end.
        p: adjusted, of no difference.
        margin: smallest loss that matters, in units of the metric; NaN where none is declared.
        p_margin: the smaller adjusted p of non-inferiority and of equivalence.
        spread: standard deviation of the paired differences.
        detectable: the difference that so many seeds find four times in five; infinite if none.
        tests: of a difference, in the primary family.
        margin_tests: against a margin, in the primary family.
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
        """Whether it is worse, by less than what was declared to matter."""
        return self.verdict == WORSE and self.p_margin <= ALPHA

    @property
    def no_loss(self) -> bool:
        """Whether a loss that matters is excluded."""
        return self.verdict in (BETTER, EQUIVALENT, NONINFERIOR) or self.small_loss


@dataclass(frozen=True)
class FailureCount:
    """How the trials of a prior ended.

    Attributes:
        failed: failed or collapsed ones.
        trials: all.
    """

    failed: int = 0
    trials: int = 0


@dataclass(frozen=True)
class PriorStanding:
    """What the verdicts say of one prior.

    Attributes:
        prior: spec.
        findings: one per primary metric, in the order of the table.
        price: measured seconds per training step over those of ``none``; NaN where unknown.
        ended: how its trials ended.
    """

    prior: str
    findings: tuple[PrimaryResult, ...]
    price: float = _NAN
    ended: FailureCount = field(default_factory=FailureCount)

    @property
    def gains(self) -> list[PrimaryResult]:
        """Where it is better."""
        return [one for one in self.findings if one.verdict == BETTER]

    @property
    def losses(self) -> list[PrimaryResult]:
        """Where it is worse, small losses left out."""
        return [one for one in self.findings if one.verdict == WORSE and not one.small_loss]

    @property
    def undecided(self) -> list[PrimaryResult]:
        """Where nothing could be said."""
        return [one for one in self.findings if one.verdict in (INCONCLUSIVE, "")]

    @property
    def predictions(self) -> list[PrimaryResult]:
        """On the axis of prediction; none where the study declared no metric there."""
        return [one for one in self.findings if one.axis == _PREDICTION]

    @property
    def standing(self) -> str:
        """One of STANDINGS."""
        safe = bool(self.predictions) and all(one.no_loss for one in self.predictions)
        if self.gains and self.losses:
            return TRADE_OFF
        if self.gains:
            return ADVISED if safe else PROVISIONAL
        if self.losses:
            return HARMFUL
        return COSTLESS if safe else OPEN
