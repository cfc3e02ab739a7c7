"""Tables of every prior on every metric, with its difference to the baseline."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any, ClassVar

import numpy as np
from markupsafe import Markup

from priorbench import Section
from priorbench.components.metric import Metric
from priorbench.evaluation.network_free import KMERS, MOTIF_SCAN
from priorbench.evaluation.profile_scores import REPLICATE, SHUFFLED
from priorbench.evaluation.scoring import CENTRE, ORACLE, PERFECT, RANDOM
from priorbench.number_text import MISSING, counted, decimals_for, fixed, listed, p_value
from priorbench.results.finished_run import Run
from priorbench.statistics.families.verdicts import WORSE

from ._shared.page import render
from ._shared.settings import ArmScores, ComparedSetting, settings_of
from ._shared.tests_table import INTERVAL_METHODS, chances, difference_cells, reach

_REFERENCES = {  # role and meaning by name
    ORACLE: ("ceiling", "the known motif itself as attribution"),
    RANDOM: (
        "floor",
        "a random attribution; a predictor that knows only averages; of variants, shuffled effects",
    ),
    MOTIF_SCAN: (
        "no network",
        "the known matrices, scanned (where their matches are the truth, located by construction)",
    ),
    KMERS: ("no network", "logistic regression on enriched gapped k-mers"),
    CENTRE: (
        "no sequence",
        "nearness to the window's centre: what localisation is where motifs lie in the middle",
    ),
    SHUFFLED: ("floor of profiles", "the observed reads with their positions shuffled"),
    REPLICATE: (
        "replicate",
        "one half of the reads as prediction of the other; of variants, another measurement",
    ),
    PERFECT: (
        "ceiling of profiles",
        "the observed reads' own shares as their prediction, which no model reaches",
    ),
}


class Comparison(Section):
    """Means, paired differences, intervals, p and verdicts, one table a setting."""

    title: ClassVar[str] = "Comparison"
    position: ClassVar[int] = 20

    def render(self, run: Run) -> str:
        """Return the tables, setting by setting, and a glossary of their metrics."""
        settings = settings_of(run)
        tables = [_tables(run, setting) for setting in settings]
        return Markup("").join([*tables, _glossary(settings)])


def _glossary(settings: Sequence[ComparedSetting]) -> Markup:
    metrics = {metric.name: metric for setting in settings for metric in setting.all_metrics}
    if not metrics:
        return Markup("")
    names = {str(name) for setting in settings for name in setting.references["prior"]}
    meanings = {name: meaning for name, (_, meaning) in _REFERENCES.items() if name in names}
    return render("glossary", metrics=list(metrics.values()), references=meanings)


def _tables(run: Run, setting: ComparedSetting) -> Markup:
    """Return the main metrics in one table, and all others folded, a table an axis."""
    others = [metric for metric in setting.all_metrics if not metric.main]
    return render(
        "comparison",
        setting=setting,
        reach=reach(run, setting),
        intervals=_intervals(setting, setting.metrics),
        table=_table(setting, setting.metrics),
        count=len(others),
        more=[_table(setting, list(group)) for _, group in groupby(others, lambda m: m.axis)],
    )


def _table(setting: ComparedSetting, metrics: Sequence[Metric]) -> dict[str, Any]:
    places = {metric.name: _places(setting, metric) for metric in metrics}
    axes = [metric.axis for metric in metrics]
    columns = [
        {
            "metric": metric,
            "first": i == 0 or axes[i - 1] != metric.axis,
            "family": "primary" if metric.name in setting.primary else "exploratory",
        }
        for i, metric in enumerate(metrics)
    ]
    rows = [
        {
            "prior": prior,
            "weight": setting.weight(prior) if prior != setting.priors[0] else "",
            "cells": [_cell(setting, prior, metric, places[metric.name]) for metric in metrics],
        }
        for prior in setting.priors
    ]
    return {
        "axes": [(axis, len(list(group))) for axis, group in groupby(axes)],
        "columns": columns,
        "rows": rows,
        "references": _references(setting, places, metrics),
        "trials": counted(len(setting.seeds), "seed"),
    }


def _intervals(setting: ComparedSetting, metrics: Sequence[Metric]) -> str:
    """Return which kind of interval stands beside which metrics."""
    rows = setting.comparisons[setting.comparisons["metric"].isin([m.name for m in metrics])]
    rows = rows.assign(interval=rows["interval"].replace({"": "none", **INTERVAL_METHODS}))
    by_kind = rows.groupby("interval", sort=False)["metric"].unique()
    if len(by_kind) < 2:
        return "".join(by_kind.index)
    usual = max(by_kind.index, key=lambda kind: len(by_kind[kind]))
    others = [
        f"{kind} for {listed(list(by_kind[kind]))}" for kind in by_kind.index if kind != usual
    ]
    return "; ".join([str(usual), *others])


def _places(setting: ComparedSetting, metric: Metric) -> int:
    return decimals_for(setting.arm(prior, metric).mean for prior in setting.priors)


def _cell(setting: ComparedSetting, prior: str, metric: Metric, places: int) -> dict[str, Any]:
    own = setting.arm(prior, metric)
    values = own.known
    cell = {
        "mean": fixed(own.mean, places) if len(values) else MISSING,
        "sd": fixed(float(values.std(ddof=1)), places) if len(values) > 1 else "",
        "failed": _failed_note(metric, own),
        "why": "" if len(values) else _why_missing(metric, int(own.failed.sum())),
        "verdict": "",
    }
    comparison = setting.comparison(prior, metric)
    return cell if comparison is None else {**cell, **_difference(comparison, metric, places)}


def _failed_note(metric: Metric, own: ArmScores) -> str:
    values = own.values[own.failed]
    if not len(values):
        return ""
    if metric.higher_is_better is not None:
        return f"{len(values)} failed: as worst"
    return f"{len(values)} failed: {'left out' if np.isnan(values).any() else 'as measured'}"


def _why_missing(metric: Metric, failed: int) -> str:
    if failed:
        return "no trial finished"
    return "needs two seeds" if metric.scope == "seeds" else "not defined on these data"


def _difference(row: Mapping[str, Any], metric: Metric, places: int) -> dict[str, Any]:
    cells = difference_cells(row, places)
    if metric.higher_is_better is None and not row["verdict"]:
        cells["remark"] = "not ranked"
    elif row["verdict"] == WORSE and row["p_equivalent_adjusted"] <= row["level"]:
        cells["remark"] += ", by less than the margin"
    return {
        **cells,
        "unadjusted": p_value(row["p"]),
        "chances": chances(row),
        "missing": row["missing"],
    }


def _references(
    setting: ComparedSetting, places: Mapping[str, int], metrics: Sequence[Metric]
) -> list[dict[str, Any]]:
    rows = []
    for name, (role, _) in _REFERENCES.items():
        values = [setting.reference(name, metric) for metric in metrics]
        if any(map(math.isfinite, values)):
            texts = [
                fixed(value, places[metric.name])
                for value, metric in zip(values, metrics, strict=True)
            ]
            rows.append({"name": name, "role": role, "values": texts})
    return rows
