"""The first thing on the page: which prior, what it buys, what it costs, how sure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

from priorbench import Section
from priorbench.comparison.advice import RULE, Advice
from priorbench.comparison.standing import STANDINGS, PrimaryResult, PriorStanding
from priorbench.comparison.within_dataset import POWER
from priorbench.results.finished_run import Run
from priorbench.statistics.multiplicity import HOLM
from priorbench.statistics.power import ClaimKind, approximate_runs
from priorbench.statistics.signflip import smallest_p
from priorbench.statistics.verdicts import ALPHA, BETTER

from ._advice import advice, advice_for_all, ended, ended_in_all
from ._numbers import MISSING, decimals_for, fixed, interval, p_value
from ._page import render
from ._settings import SIGNS, ComparedSetting, reach, settings_of

_CORRECTIONS = {HOLM: "Holm’s method"}


class TheAnswer(Section):
    """Three sentences made of verdicts, and what would change them.

    For all datasets together, where there are several, then for each.
    """

    title: ClassVar[str] = "The answer"
    position: ClassVar[int] = 5

    def render(self, run: Run) -> str:
        """See Section."""
        found = settings_of(run)
        cards = [_of_setting(run, setting) for setting in found]
        return render(
            "answer",
            questions=dict.fromkeys(
                part.study["question"] for part in run.parts.values() if part.study["question"]
            ),
            joined=_joined(run, found),
            together=_of_all(run, found, cards),
            cards=cards,
            rule=RULE,
            standings=STANDINGS,
            tuned=not run.tuning.empty,
        )


def _joined(run: Run, found: Sequence[ComparedSetting]) -> Mapping[str, Any] | None:
    """What must be known before numbers of several runs are read as one."""
    if len(run.parts) == 1:
        return None
    trials = sum(len(part.records) for part in run.parts.values())
    return {
        "runs": list(run.parts),
        "shared": trials - len(run.records),
        "pooled": [setting.title for setting in found if len(setting.runs) > 1],
    }


def _of_setting(run: Run, setting: ComparedSetting) -> dict[str, Any]:
    trials = ended(setting)
    found = advice(setting, trials)
    return {
        **_card(found, trials),
        "title": setting.title,
        "alone": len(setting.priors) == 1,
        "reach": reach(setting),
        "edges": _edges(run, [setting]),
        "undecided": [row for case in found.standings for row in _undecided(case)],
        "visible": _visible(found.standings),
    }


def _of_all(
    run: Run, found: Sequence[ComparedSetting], cards: Sequence[Mapping[str, Any]]
) -> Mapping[str, Any] | None:
    """The card over all settings; None where there are not several that share a metric."""
    answer = advice_for_all(run, found)
    if answer is None:
        return None
    rows = {(str(r["prior"]), str(r["metric"])): r for r in run.across.to_dict("records")}
    case = answer.advised
    against = [
        (card["title"], [one["axis"] for one in other["losses"]])
        for card in cards
        for other in card["every"]
        if case and other["prior"] == case.prior and other["losses"]
    ]
    return {
        **_card(answer, ended_in_all(found)),
        "settings": int(run.across["settings"].max()),
        "datasets": int(run.across["datasets"].max()),
        "reach_of_datasets": smallest_p(int(run.across["datasets"].max())) <= ALPHA,
        "against": against,
        "gained": [
            {
                "metric": one.metric,
                "better_in": int(rows[one.prior, one.metric]["better_in"]),
                "datasets": int(rows[one.prior, one.metric]["datasets"]),
                "wilcoxon": p_value(float(rows[one.prior, one.metric]["p_wilcoxon"])),
            }
            for one in (case.gains if case else [])
        ],
        "edges": _edges(run, found),
    }


def _card(found: Advice, trials: Mapping[str, Any]) -> dict[str, Any]:
    """What cards of one setting and of all have in common."""
    every = [_told(case) for case in found.standings]
    return {
        "answer": found,
        "case": _told(found.advised) if found.advised else None,
        "correction": _CORRECTIONS.get(found.correction, found.correction),
        "alpha": p_value(ALPHA).rstrip("0"),
        "largest": _largest(found),
        "every": every,
        "others": [case for case in every if case["prior"] != found.prior],
        "failures": [(prior, one) for prior, one in trials.items() if one.failed],
    }


def _told(case: PriorStanding) -> dict[str, Any]:
    return {
        "prior": case.prior,
        "standing": case.kind,
        "gains": [_finding(one) for one in case.gains],
        "losses": [_finding(one) for one in case.losses],
        "small": [_finding(one) for one in case.results if one.small_loss],
        "predictions": [_finding(one) for one in case.predictions],
        "undecided": [_finding(one) for one in case.undecided],
        "price": fixed(case.price, 2) if math.isfinite(case.price) else "",
        "ended": case.failures,
    }


def _finding(one: PrimaryResult) -> dict[str, Any]:
    places = _places([one])
    return {
        "axis": one.axis,
        "metric": one.metric,
        "verdict": one.verdict,
        "sign": SIGNS.get(one.verdict, ""),
        "difference": fixed(one.difference, places, signed=True),
        "interval": interval(one.low, one.high, places),
        "margin": fixed(one.margin, places) if math.isfinite(one.margin) else "",
        "small": one.small_loss,
    }


def _places(findings: Iterable[PrimaryResult]) -> int:
    return decimals_for([x for one in findings for x in (one.difference, one.margin)])


def _largest(found: Advice) -> str:
    """The largest adjusted p that the advice rests on, that of "no loss" included."""
    case = found.advised
    if case is None:
        return ""
    shown = [one.p_margin for one in case.predictions if one.no_loss and one.verdict != BETTER]
    return p_value(max([*(one.p for one in case.gains), *shown]))


def _edges(run: Run, found: Sequence[ComparedSetting]) -> list[str]:
    """Priors whose chosen weight is the largest or the smallest that was tried, in some setting."""
    table = run.tuning
    if table.empty:
        return []
    keys = {(setting.task, setting.dataset, setting.architecture) for setting in found}
    at_edge = table[table["chosen"].astype(bool) & table["edge"].astype(bool)]
    columns = [at_edge[name].astype(str) for name in ("task", "dataset", "architecture", "prior")]
    return list(
        dict.fromkeys(prior for *key, prior in zip(*columns, strict=True) if tuple(key) in keys)
    )


def _visible(cases: Iterable[PriorStanding]) -> list[Mapping[str, str]]:
    """By metric, the smallest difference that was to be seen, over the priors."""
    by_metric: dict[str, list[PrimaryResult]] = {}
    for case in cases:
        for one in case.results:
            if math.isfinite(one.detectable):
                by_metric.setdefault(one.metric, []).append(one)
    return [
        {"metric": metric, "span": _span([one.detectable for one in found])}
        for metric, found in by_metric.items()
    ]


def _span(values: list[float]) -> str:
    places = decimals_for(values)
    low, high = (fixed(value, places) for value in (min(values), max(values)))
    return low if low == high else f"{low} to {high}"


def _undecided(case: PriorStanding) -> Iterable[Mapping[str, Any]]:
    """What is open about a prior, and the seeds that would settle it."""
    for one in case.undecided:
        places = _places([one])
        difference = ClaimKind(tests=max(one.tests, 1))
        loss = ClaimKind(sides=1, tests=max(one.margin_tests, 1))
        yield {
            "prior": case.prior,
            "metric": one.metric,
            "difference": fixed(one.difference, places, signed=True),
            "visible": "none" if math.isinf(one.detectable) else fixed(one.detectable, places),
            "seeds": _seeds(abs(one.difference), one.spread, difference),
            "margin": fixed(one.margin, places),
            "no_loss": _seeds(one.margin, one.spread, loss),
        }


def _seeds(effect: float, spread: float, claim: ClaimKind) -> str:
    if not (math.isfinite(effect) and spread > 0):
        return MISSING
    needed = approximate_runs(effect / spread, POWER, claim)
    return f"{needed:,}" if needed is not None and needed <= 10_000 else "more than 10,000"
