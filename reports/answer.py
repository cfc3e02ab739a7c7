"""The answer at the top of the page: which prior to train with, what it rests on, how sure."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

from priorbench import Section
from priorbench.answer.advice import RULE, Advice
from priorbench.answer.primary_result import PrimaryResult
from priorbench.answer.run_answer import Answer
from priorbench.answer.sentences import level_text
from priorbench.answer.standing import STANDINGS, PriorStanding
from priorbench.comparison.within_dataset import POWER
from priorbench.metrics import METRICS
from priorbench.number_text import MISSING, decimals_for, fixed, p_value
from priorbench.results.finished_run import Run
from priorbench.statistics.families.verdicts import ALPHA
from priorbench.statistics.power import ClaimKind, approximate_runs
from priorbench.statistics.signflip import smallest_p
from priorbench.study.trial import SETTING_COLUMNS, SettingKey

from ._shared.effects_figure import effects_figure
from ._shared.page import render
from ._shared.seed_gains import seed_gains
from ._shared.settings import ComparedSetting, settings_of
from ._shared.tests_table import detectable_text


class TheAnswer(Section):
    """The advice in sentences, one figure of gains by axis, and what would change the advice.

    They are about all settings together, where there are several, then about each.
    """

    title: ClassVar[str] = "The answer"
    position: ClassVar[int] = 5

    def render(self, run: Run) -> str:
        """Return a card about all settings together, and a card about each."""
        settings = {_key(setting): setting for setting in settings_of(run)}
        answer = run.answer
        cards = [
            _setting_card(run, part, settings[part.setting])
            for part in answer.settings
            if part.setting in settings
        ]
        return render(
            "answer",
            questions=dict.fromkeys(
                part.study["question"] for part in run.parts.values() if part.study["question"]
            ),
            notes=answer.notes,
            joined=_joined(run, list(settings.values())),
            together=_overall_card(run, answer.together) if answer.together else None,
            cards=cards,
            rule=RULE,
            standings=STANDINGS,
            tuned=not run.tuning.empty,
            elsewhere=run.claims.elsewhere,
        )


def _key(setting: ComparedSetting) -> SettingKey:
    return (setting.task, setting.dataset, setting.architecture)


def _joined(run: Run, settings: Sequence[ComparedSetting]) -> Mapping[str, Any] | None:
    """Return which trials and settings several runs share; None for a single run."""
    if len(run.parts) == 1:
        return None
    trials = sum(len(part.records) for part in run.parts.values())
    return {
        "runs": list(run.parts),
        "shared": trials - len(run.records),
        "pooled": [setting.title for setting in settings if len(setting.runs) > 1],
        "level": level_text(run.claims.level),
    }


def _setting_card(run: Run, answer: Answer, setting: ComparedSetting) -> dict[str, Any]:
    advice = answer.advice
    gains = {
        (result.prior, result.metric): seed_gains(setting, result.prior, METRICS[result.metric])
        for standing in advice.standings
        for result in standing.results
        if math.isnan(result.low)
    }
    return {
        **_card(answer),
        "network": answer.network,
        "title": setting.title,
        "doubtful": [],
        "alone": len(setting.priors) == 1,
        "figure": effects_figure(advice, setting.title, gains),
        "edges": _priors_at_edges(run, [_key(setting)]),
        "undecided": [row for standing in advice.standings for row in _undecided(standing)],
        "detectable": _detectable(advice.standings),
    }


def _overall_card(run: Run, answer: Answer) -> Mapping[str, Any]:
    """Return the card over all settings, with the networks' checks of all of them."""
    doubtful = [(part.title, part.network) for part in run.answer.settings if part.network]
    datasets = int(run.across["datasets"].max())
    return {
        **_card(answer),
        "network": (),
        "doubtful": doubtful,
        "alone": False,
        "figure": effects_figure(answer.advice, "all settings together", {}),
        "settings": int(run.across["settings"].max()),
        "datasets": datasets,
        "reach_of_datasets": smallest_p(datasets) <= ALPHA,
        "gained": list(_by_dataset(run, answer.advice)),
        "edges": _priors_at_edges(run, [part.setting for part in run.answer.settings]),
    }


def _card(answer: Answer) -> dict[str, Any]:
    """Return what the cards of one setting and of all have in common."""
    return {
        "advice": answer.advice,
        "confidence": f"{100 * (1 - answer.advice.level):.6g}%",
        # what follows the first full stop of the headline is not as strong
        "headline": re.split(r"(?<=\w\.) (?=[A-Z0-9])", answer.sentences[0], maxsplit=1),
        "sentences": answer.sentences[1:],
        "failures": [(prior, count) for prior, count in answer.failures.items() if count.failed],
    }


def _by_dataset(run: Run, advice: Advice) -> Iterable[Mapping[str, Any]]:
    """Yield in how many datasets each gain of the advised prior is one."""
    rows = {(str(r["prior"]), str(r["axis"])): r for r in run.across.to_dict("records")}
    for gain in advice.advised.gains if advice.advised else []:
        row = rows[gain.prior, gain.axis]
        yield {
            "axis": gain.axis,
            "better_in": int(row["better_in"]),
            "datasets": int(row["datasets"]),
            "wilcoxon": p_value(float(row["p_wilcoxon"])),
        }


def _priors_at_edges(run: Run, keys: Sequence[SettingKey | None]) -> list[str]:
    """Return priors whose chosen weight is the largest or the smallest tried in some setting."""
    table = run.tuning
    if table.empty:
        return []
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
        places = decimals_for([result.difference, result.margin])
        yield {
            "prior": standing.prior,
            "metric": result.metric,
            "difference": fixed(result.difference, places, signed=True),
            "detectable": detectable_text(result.detectable, places),
            "seeds": _seeds_needed(result, abs(result.difference), sides=2),
            "margin": fixed(result.margin, places),
            "no_loss": _seeds_needed(result, result.margin, sides=1),
        }


def _seeds_needed(result: PrimaryResult, effect: float, *, sides: int) -> str:
    """Return about how many seeds find an effect, after the correction of the family."""
    if not (math.isfinite(effect) and result.spread > 0):
        return MISSING
    tests = result.tests if sides == 2 else result.margin_tests
    claim = ClaimKind(result.level, sides, max(tests, 1), result.correction)
    needed = approximate_runs(effect / result.spread, POWER, claim)
    return f"{needed:,}" if needed is not None and needed <= 10_000 else "more than 10,000"
