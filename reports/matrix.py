"""Priors by axes: what each does to every primary metric, and what it costs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

from markupsafe import Markup

from priorbench import Section
from priorbench.components.metric import Metric
from priorbench.results.finished_run import Run
from priorbench.statistics.verdicts import BETTER, INCONCLUSIVE, WORSE

from ._advice import advice, ended
from ._numbers import MISSING, decimals_for, fixed, interval
from ._page import render
from ._settings import ComparedSetting, agrees_in_every_seed, reach, remark, settings_of


class Matrix(Section):
    """One table a setting: a row a prior, a column a primary metric, then prices; what is open."""

    title: ClassVar[str] = "Priors by axes"
    position: ClassVar[int] = 7

    def render(self, run: Run) -> str:
        """See Section."""
        found = [
            setting for setting in settings_of(run) if setting.primary and len(setting.priors) > 1
        ]
        limits = {setting.title: reach(setting) for setting in found}
        # what all datasets have in common is said once
        common = next(iter(limits.values())) if len(set(limits.values())) == 1 else None
        parts = [render("limits", reach=common)] if common is not None else []
        for setting in found:
            parts.append(_table(setting))
            if common is None:
                parts.append(render("limits", reach=limits[setting.title]))
            parts.append(render("leads", hints=_hints(setting), leads=_leads(setting)))
        return Markup("").join(parts)


def _table(setting: ComparedSetting) -> Markup:
    trials = ended(setting)
    found = advice(setting, trials)
    metrics = [metric for metric in setting.all_metrics if metric.name in setting.primary]
    prices = [metric for metric in setting.metrics if metric.axis == "cost"]
    places = {m.name: _places(setting, m) for m in (*metrics, *prices)}
    standing = {case.prior: case.kind for case in found.standings}
    rows = [
        {
            "prior": prior,
            "weight": setting.weight(prior) if prior != found.baseline else "",
            "standing": standing.get(prior, ""),
            "advised": prior == found.prior,
            "cells": [_cell(setting, prior, metric, places[metric.name]) for metric in metrics],
            "prices": [_price(setting, prior, metric, places[metric.name]) for metric in prices],
            "ended": trials.get(prior),
        }
        for prior in setting.priors
    ]
    return render(
        "matrix",
        setting=setting,
        metrics=metrics,
        prices=prices,
        rows=rows,
        family=_family(setting),
        answer=found,
    )


def _hints(setting: ComparedSetting) -> list[dict[str, Any]]:
    """For every prior, inconclusive primary metrics on which all seeds point the same way."""
    rows = []
    for prior in setting.priors[1:]:
        row: dict[str, Any] = {"prior": prior, BETTER: [], WORSE: []}
        for metric, comparison in _judged(setting, prior):
            open_still = comparison["verdict"] == INCONCLUSIVE and metric.name in setting.primary
            if open_still and agrees_in_every_seed(comparison):
                better = (comparison["difference"] > 0) == metric.higher_is_better
                row[BETTER if better else WORSE].append(metric)
        if row[BETTER] or row[WORSE]:
            rows.append(row)
    return rows


def _leads(setting: ComparedSetting) -> list[dict[str, Any]]:
    """For every prior, exploratory metrics on which it is called better or worse, prices aside."""
    rows = []
    for prior in setting.priors[1:]:
        row: dict[str, Any] = {"prior": prior, BETTER: [], WORSE: []}
        for metric, comparison in _judged(setting, prior):
            explored = metric.name not in setting.primary and metric.axis != "cost"
            if explored and comparison["verdict"] in (BETTER, WORSE):
                row[comparison["verdict"]].append(metric)
        if row[BETTER] or row[WORSE]:
            rows.append(row)
    return rows


def _judged(setting: ComparedSetting, prior: str) -> Iterator[tuple[Metric, Mapping[str, Any]]]:
    """What is shown at first sight and has a verdict, with its comparison."""
    for metric in setting.metrics:
        comparison = setting.comparison(prior, metric)
        if comparison is not None and comparison["verdict"]:
            yield metric, comparison


def _family(setting: ComparedSetting) -> str:
    return setting.families[0].sentence if setting.families else ""


def _places(setting: ComparedSetting, metric: Metric) -> int:
    rows = setting.comparisons[setting.comparisons["metric"] == metric.name]
    return decimals_for(rows["mean_prior" if metric.axis == "cost" else "difference"])


def _cell(setting: ComparedSetting, prior: str, metric: Metric, places: int) -> Mapping[str, Any]:
    """Effect, interval and verdict, and the number to sort by."""
    if prior == setting.priors[0]:
        return {"baseline": _mean(setting, prior, metric), "key": 0.0, "verdict": ""}
    row = setting.comparison(prior, metric)
    if row is None:
        return {"key": "", "verdict": "", "remark": MISSING, "difference": "", "interval": ""}
    return {
        "key": float(row["difference"]),
        "verdict": row["verdict"],
        "remark": remark(row["verdict"]),
        "difference": fixed(row["difference"], places, signed=True),
        "interval": interval(row["ci_low"], row["ci_high"], places),
    }


def _mean(setting: ComparedSetting, prior: str, metric: Metric) -> str:
    values = _values(setting, prior, metric)
    return fixed(sum(values) / len(values), decimals_for(values)) if values else MISSING


def _price(setting: ComparedSetting, prior: str, metric: Metric, places: int) -> Mapping[str, Any]:
    values = _values(setting, prior, metric)
    if not values:
        return {"key": "", "text": MISSING}
    mean = sum(values) / len(values)
    return {"key": mean, "text": fixed(mean, places)}


def _values(setting: ComparedSetting, prior: str, metric: Metric) -> Sequence[float]:
    values: Sequence[float] = setting.arm(prior, metric).known.tolist()
    return values
