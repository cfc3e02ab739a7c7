"""Priors by axes: the effect of each on every primary metric, and its costs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar

from markupsafe import Markup

from priorbench import Section
from priorbench.components.metric import Metric
from priorbench.number_text import MISSING, decimals_for, fixed
from priorbench.results.finished_run import Run
from priorbench.statistics.families.verdicts import BETTER, WORSE

from ._shared.page import render
from ._shared.settings import ComparedSetting, settings_of
from ._shared.tests_table import difference_cells


class Matrix(Section):
    """One table a setting: a row a prior, a column a primary metric, then costs; what is open."""

    title: ClassVar[str] = "Priors by axes"
    position: ClassVar[int] = 7

    def render(self, run: Run) -> str:
        """Return a table for every setting in which priors were compared."""
        settings = [
            setting for setting in settings_of(run) if setting.primary and len(setting.priors) > 1
        ]
        parts = []
        for setting in settings:
            parts.append(_table(run, setting))
            parts.append(render("leads", leads=_leads(setting)))
        return Markup("").join(parts)


def _table(run: Run, setting: ComparedSetting) -> Markup:
    key = (setting.task, setting.dataset, setting.architecture)
    answer = next(part for part in run.answer.settings if part.setting == key)
    advice = answer.advice
    metrics = [metric for metric in setting.all_metrics if metric.name in setting.primary]
    prices = [metric for metric in setting.metrics if metric.axis == "cost"]
    places = {m.name: _places(setting, m) for m in (*metrics, *prices)}
    standings = {standing.prior: standing.kind for standing in advice.standings}
    rows = [
        {
            "prior": prior,
            "weight": setting.weight(prior) if prior != advice.baseline else "",
            "standing": standings.get(prior, ""),
            "advised": prior == advice.prior and not run.claims.elsewhere,
            "cells": [_cell(setting, prior, metric, places[metric.name]) for metric in metrics],
            "prices": [_price(setting, prior, metric, places[metric.name]) for metric in prices],
            "ended": answer.failures.get(prior),
        }
        for prior in setting.priors
    ]
    return render(
        "matrix",
        setting=setting,
        metrics=metrics,
        prices=prices,
        rows=rows,
        family=setting.families[0].sentence if setting.families else "",
    )


def _leads(setting: ComparedSetting) -> list[dict[str, Any]]:
    """Return exploratory main metrics by prior and verdict; priors without any are left out."""
    rows = []
    for prior in setting.priors[1:]:
        row: dict[str, Any] = {"prior": prior, BETTER: [], WORSE: []}
        for metric in setting.metrics:
            comparison = setting.comparison(prior, metric)
            if comparison is not None and metric.name not in setting.primary:
                row.get(str(comparison["verdict"]), []).append(metric)
        if row[BETTER] or row[WORSE]:
            rows.append(row)
    return rows


def _places(setting: ComparedSetting, metric: Metric) -> int:
    rows = setting.comparisons[setting.comparisons["metric"] == metric.name]
    return decimals_for(rows["mean_prior" if metric.axis == "cost" else "difference"])


def _cell(setting: ComparedSetting, prior: str, metric: Metric, places: int) -> Mapping[str, Any]:
    """Return difference, interval and verdict, and the number that the table is sorted by."""
    if prior == setting.priors[0]:
        arm = setting.arm(prior, metric)
        return {"baseline": fixed(arm.mean, decimals_for(arm.known)), "key": 0.0, "verdict": ""}
    row = setting.comparison(prior, metric)
    if row is None:
        return {"key": "", "verdict": "", "remark": MISSING, "difference": "", "interval": ""}
    return {"key": float(row["difference"]), **difference_cells(row, places)}


def _price(setting: ComparedSetting, prior: str, metric: Metric, places: int) -> Mapping[str, Any]:
    mean = setting.arm(prior, metric).mean
    return {"key": mean if math.isfinite(mean) else "", "text": fixed(mean, places)}
