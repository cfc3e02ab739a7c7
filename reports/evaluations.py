"""Scores of the same trials under several attributions: the trained one by the scored one."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from markupsafe import Markup

from priorbench import Section
from priorbench.comparison.correction_families import CORRECTIONS_IN_WORDS
from priorbench.components.metric import Metric
from priorbench.number_text import decimals_for, fixed
from priorbench.results.finished_run import Run
from priorbench.study.keys.networks import trained_elsewhere

from ._shared.page import render
from ._shared.settings import ComparedSetting, settings_of
from ._shared.tests_table import difference_cells

_RANKED = ("localisation", "stability", "faithfulness")


class Evaluations(Section):
    """One table a metric: priors, as they were trained, by the attribution that is scored."""

    title: ClassVar[str] = "Other attributions"
    position: ClassVar[int] = 35

    def render(self, run: Run) -> str:
        """Return the tables, setting by setting; empty where one attribution was scored."""
        if len(run.attributions) < 2:
            return ""
        by_attribution = {spec: settings_of(run, spec) for spec in run.attributions}
        numbers = range(len(by_attribution[run.attributions[0]]))
        return Markup("").join(
            _matrices(run, {spec: settings[i] for spec, settings in by_attribution.items()})
            for i in numbers
        )


def _matrices(run: Run, by_attribution: Mapping[str, ComparedSetting]) -> Markup:
    first = next(iter(by_attribution.values()))
    metrics = [m for m in first.metrics if m.axis in _RANKED and m.higher_is_better is not None]
    return render(
        "evaluations",
        setting=first,
        attributions=list(by_attribution),
        matrices=[{"metric": metric, "rows": _rows(by_attribution, metric)} for metric in metrics],
        trained="" if trained_elsewhere(run.study) else str(run.study["train_attribution"]),
        correction=CORRECTIONS_IN_WORDS[run.claims.correction],
    )


def _rows(
    by_attribution: Mapping[str, ComparedSetting], metric: Metric
) -> Sequence[Mapping[str, Any]]:
    first = next(iter(by_attribution.values()))
    means = {
        (prior, spec): setting.arm(prior, metric).mean if prior in setting.priors else math.nan
        for spec, setting in by_attribution.items()
        for prior in first.priors
    }
    places = decimals_for(means.values())
    return [
        {
            "prior": prior,
            "cells": [
                {
                    "mean": fixed(means[prior, spec], places),
                    **difference_cells(setting.comparison(prior, metric), places),
                }
                for spec, setting in by_attribution.items()
            ],
        }
        for prior in first.priors
    ]
