"""What the verdicts of primary metrics say of one prior."""

from __future__ import annotations

from dataclasses import dataclass, field

from .statistics import ALPHA, BETTER, EQUIVALENT, INCONCLUSIVE, NONINFERIOR, WORSE

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
class Finding:
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
class Ended:
    """How the trials of a prior ended.

    Attributes:
        failed: failed or collapsed ones.
        trials: all.
    """

    failed: int = 0
    trials: int = 0


@dataclass(frozen=True)
class Case:
    """What the verdicts say of one prior.

    Attributes:
        prior: spec.
        findings: one per primary metric, in the order of the table.
        price: measured seconds per training step over those of ``none``; NaN where unknown.
        ended: how its trials ended.
    """

    prior: str
    findings: tuple[Finding, ...]
    price: float = _NAN
    ended: Ended = field(default_factory=Ended)

    @property
    def gains(self) -> list[Finding]:
        """Where it is better."""
        return [one for one in self.findings if one.verdict == BETTER]

    @property
    def losses(self) -> list[Finding]:
        """Where it is worse, small losses left out."""
        return [one for one in self.findings if one.verdict == WORSE and not one.small_loss]

    @property
    def undecided(self) -> list[Finding]:
        """Where nothing could be said."""
        return [one for one in self.findings if one.verdict in (INCONCLUSIVE, "")]

    @property
    def predictions(self) -> list[Finding]:
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
