"""The answer at the top of the page: which prior to train with, its gains and costs, how sure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

from priorbench import Section
from priorbench.answer.advice import RULE, Advice
from priorbench.answer.standing import STANDINGS, FailureCount, PrimaryResult, PriorStanding
from priorbench.comparison.correction_families import correction_in_words
from priorbench.comparison.within_dataset import POWER
from priorbench.number_text import MISSING, decimals_for, fixed, interval, p_value
from priorbench.results.finished_run import Run
from priorbench.statistics.families.verdicts import ALPHA, BETTER
from priorbench.statistics.power import ClaimKind, approximate_runs
from priorbench.statistics.signflip import smallest_p
from priorbench.study.trial import SETTING_COLUMNS

from ._shared.advice import advice, advice_for_all, failure_counts, total_failure_counts
from ._shared.page import render
from ._shared.settings import ComparedSetting, reach, settings_of
from ._shared.tests_table import detectable_text


class TheAnswer(Section):
    """Three sentences made of verdicts, and what would change them.

    They are about all settings together, where there are several, then about each.
    """

    title: ClassVar[str] = "The answer"
    position: ClassVar[int] = 5

    def render(self, run: Run) -> str:
        """Return a card about all settings together, and a card about each."""
        settings = settings_of(run)
        cards = [_setting_card(run, setting) for setting in settings]
        return render(
            "answer",
            questions=dict.fromkeys(
                part.study["question"] for part in run.parts.values() if part.study["question"]
            ),
            joined=_joined(run, settings),
            together=_overall_card(run, settings, cards),
            cards=cards,
            rule=RULE,
            standings=STANDINGS,
            tuned=not run.tuning.empty,
        )


def _joined(run: Run, settings: Sequence[ComparedSetting]) -> Mapping[str, Any] | None:
    """Return which trials and settings several runs share; None for a single run."""
    if len(run.parts) == 1:
        return None
    trials = sum(len(part.records) for part in run.parts.values())
    return {
        "runs": list(run.parts),
        "shared": trials - len(run.records),
        "pooled": [setting.title for setting in settings if len(setting.runs) > 1],
    }


def _setting_card(run: Run, setting: ComparedSetting) -> dict[str, Any]:
    counts = failure_counts(setting)
    answer = advice(setting, counts)
    return {
        **_card(answer, counts),
        "title": setting.title,
        "alone": len(setting.priors) == 1,
        "reach": reach(setting),
        "edges": _priors_at_edges(run, [setting]),
        "undecided": [row for standing in answer.standings for row in _undecided(standing)],
        "detectable": _detectable(answer.standings),
    }


def _overall_card(
    run: Run, settings: Sequence[ComparedSetting], cards: Sequence[Mapping[str, Any]]
) -> Mapping[str, Any] | None:
    """Return the card over all settings; None where there are not several that share a metric."""
    answer = advice_for_all(run, settings)
    if answer is None:
        return None
    rows = {(str(r["prior"]), str(r["metric"])): r for r in run.across.to_dict("records")}
    advised = answer.advised
    worse_in = [
        (card["title"], [loss["axis"] for loss in standing["losses"]])
        for card in cards
        for standing in card["every"]
        if advised and standing["prior"] == advised.prior and standing["losses"]
    ]
    gained = []
    for gain in advised.gains if advised else []:
        row = rows[gain.prior, gain.metric]
        gained.append(
            {
                "metric": gain.metric,
                "better_in": int(row["better_in"]),
                "datasets": int(row["datasets"]),
                "wilcoxon": p_value(float(row["p_wilcoxon"])),
            }
        )
    datasets = int(run.across["datasets"].max())
    return {
        **_card(answer, total_failure_counts(settings)),
        "settings": int(run.across["settings"].max()),
        "datasets": datasets,
        "reach_of_datasets": smallest_p(datasets) <= ALPHA,
        "worse_in": worse_in,
        "gained": gained,
        "edges": _priors_at_edges(run, settings),
    }


def _card(answer: Advice, counts: Mapping[str, FailureCount]) -> dict[str, Any]:
    """Return what the cards of one setting and of all have in common."""
    every = [_standing(standing) for standing in answer.standings]
    return {
        "answer": answer,
        "case": _standing(answer.advised) if answer.advised else None,
        "correction": correction_in_words(answer.correction),
        "alpha": p_value(ALPHA).rstrip("0"),
        "largest": _largest_p(answer),
        "every": every,
        "others": [standing for standing in every if standing["prior"] != answer.prior],
        "failures": [(prior, count) for prior, count in counts.items() if count.failed],
    }


def _standing(standing: PriorStanding) -> dict[str, Any]:
    return {
        "prior": standing.prior,
        "standing": standing.kind,
        "gains": [_result(result) for result in standing.gains],
        "losses": [_result(result) for result in standing.losses],
        "small": [_result(result) for result in standing.results if result.small_loss],
        "predictions": [_result(result) for result in standing.predictions],
        "undecided": [_result(result) for result in standing.undecided],
        "price": fixed(standing.price, 2) if math.isfinite(standing.price) else "",
        "ended": standing.failures,
    }


def _result(result: PrimaryResult) -> dict[str, Any]:
    places = _places(result)
    return {
        "axis": result.axis,
        "metric": result.metric,
        "verdict": result.verdict,
        "difference": fixed(result.difference, places, signed=True),
        "interval": interval(result.low, result.high, places),
        "margin": fixed(result.margin, places) if math.isfinite(result.margin) else "",
        "small": result.small_loss,
    }


def _places(result: PrimaryResult) -> int:
    return decimals_for([result.difference, result.margin])


def _largest_p(answer: Advice) -> str:
    """Return the largest adjusted p that the advice rests on, those of "no loss" included."""
    advised = answer.advised
    if advised is None:
        return ""
    no_loss = [r.p_margin for r in advised.predictions if r.no_loss and r.verdict != BETTER]
    return p_value(max([*(result.p for result in advised.gains), *no_loss]))


def _priors_at_edges(run: Run, settings: Sequence[ComparedSetting]) -> list[str]:
    """Return priors whose chosen weight is the largest or the smallest tried in some setting."""
    table = run.tuning
    if table.empty:
        return []
    keys = {(setting.task, setting.dataset, setting.architecture) for setting in settings}
    at_edge = table[table["chosen"].astype(bool) & table["edge"].astype(bool)]
    columns = [at_edge[name].astype(str) for name in (*SETTING_COLUMNS, "prior")]
    return list(
        dict.fromkeys(prior for *key, prior in zip(*columns, strict=True) if tuple(key) in keys)
    )


def _detectable(standings: Iterable[PriorStanding]) -> list[Mapping[str, str]]:
    """Return by metric the smallest detectable difference, as a span over the priors."""
    by_metric: dict[str, list[float]] = {}
    for standing in standings:
        for result in standing.results:
            if math.isfinite(result.detectable):
                by_metric.setdefault(result.metric, []).append(result.detectable)
    return [{"metric": metric, "span": _span(sizes)} for metric, sizes in by_metric.items()]


def _span(values: list[float]) -> str:
    places = decimals_for(values)
    low, high = (fixed(value, places) for value in (min(values), max(values)))
    return low if low == high else f"{low} to {high}"


def _undecided(standing: PriorStanding) -> Iterable[Mapping[str, Any]]:
    """Yield the undecided comparisons of a prior, with the seeds that would settle each."""
    for result in standing.undecided:
        places = _places(result)
        difference = ClaimKind(tests=max(result.tests, 1))
        loss = ClaimKind(sides=1, tests=max(result.margin_tests, 1))
        yield {
            "prior": standing.prior,
            "metric": result.metric,
            "difference": fixed(result.difference, places, signed=True),
            "detectable": detectable_text(result.detectable, places),
            "seeds": _seeds_needed(abs(result.difference), result.spread, difference),
            "margin": fixed(result.margin, places),
            "no_loss": _seeds_needed(result.margin, result.spread, loss),
        }


def _seeds_needed(effect: float, spread: float, claim: ClaimKind) -> str:
    if not (math.isfinite(effect) and spread > 0):
        return MISSING
    needed = approximate_runs(effect / spread, POWER, claim)
    return f"{needed:,}" if needed is not None and needed <= 10_000 else "more than 10,000"
