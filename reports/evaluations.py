"""The same trials, explained in several ways: attribution trained on by attribution scored."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from markupsafe import Markup

from priorbench import Section
from priorbench.components.contracts import Metric
from priorbench.results.finished_run import Run

from ._shared.numbers import MISSING, decimals_for, fixed, p_value
from ._shared.page import render
from ._shared.settings import ComparedSetting, settings_of

_RANKED = ("localisation", "stability", "faithfulness")


class Evaluations(Section):
    """A matrix a metric: priors, with what they were trained on, by the attribution scored."""

    title: ClassVar[str] = "Other attributions"
    position: ClassVar[int] = 35

    def render(self, run: Run) -> str:
        """See Section."""
        if len(run.attributions) < 2:
            return ""
        by_spec = {spec: settings_of(run, spec) for spec in run.attributions}
        numbers = range(len(by_spec[run.attributions[0]]))
        trained = str(run.study["train_attribution"])
        return Markup("").join(
            _matrices({spec: found[i] for spec, found in by_spec.items()}, trained) for i in numbers
        )


def _matrices(found: Mapping[str, ComparedSetting], trained: str) -> Markup:
    first = next(iter(found.values()))
    metrics = [m for m in first.metrics if m.axis in _RANKED and m.higher_is_better is not None]
    return render(
        "evaluations",
        setting=first,
        attributions=list(found),
        matrices=[{"metric": metric, "rows": _rows(found, metric)} for metric in metrics],
        trained=trained,
    )


def _rows(found: Mapping[str, ComparedSetting], metric: Metric) -> Sequence[Mapping[str, Any]]:
    first = next(iter(found.values()))
    means = {
        (prior, spec): setting.arm(prior, metric).mean if prior in setting.priors else math.nan
        for spec, setting in found.items()
        for prior in first.priors
    }
    places = decimals_for([value for value in means.values() if math.isfinite(value)])
    return [
        {
            "prior": prior,
            "cells": [
                _cell(setting, prior, metric, (means[prior, spec], places))
                for spec, setting in found.items()
            ],
        }
        for prior in first.priors
    ]


def _cell(
    setting: ComparedSetting, prior: str, metric: Metric, shown: tuple[float, int]
) -> Mapping[str, str]:
    mean, places = shown
    cell = {"mean": fixed(mean, places) if math.isfinite(mean) else MISSING, "verdict": ""}
    comparison = setting.comparison(prior, metric)
    if comparison is None:
        return cell
    verdict = comparison["verdict"]
    return {
        **cell,
        "difference": fixed(comparison["difference"], places, signed=True),
        "p": p_value(comparison["p_adjusted"]) if verdict else "",
        "verdict": verdict,
    }
