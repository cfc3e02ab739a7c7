"""Priors by axes: what each does to every primary metric, and what it costs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

from markupsafe import Markup

from priorbench import Section
from priorbench.components.contracts import Metric
from priorbench.results.finished_run import Run
from priorbench.statistics import BETTER, INCONCLUSIVE, WORSE

from ._advice import advice, ended
from ._blocks import ComparisonBlock, agrees_in_every_seed, blocks, reach, remark
from ._numbers import MISSING, decimals_for, fixed, interval
from ._page import render


class Matrix(Section):
    """One table a block: a row a prior, a column a primary metric, then prices; what is open."""

    title: ClassVar[str] = "Priors by axes"
    position: ClassVar[int] = 7

    def render(self, run: Run) -> str:
        """See Section."""
        found = [block for block in blocks(run) if block.primary and len(block.priors) > 1]
        limits = {block.title: reach(block) for block in found}
        # what all datasets have in common is said once
        common = next(iter(limits.values())) if len(set(limits.values())) == 1 else None
        parts = [render("limits", reach=common)] if common is not None else []
        for block in found:
            parts.append(_table(block))
            if common is None:
                parts.append(render("limits", reach=limits[block.title]))
            parts.append(render("leads", hints=_hints(block), leads=_leads(block)))
        return Markup("").join(parts)


def _table(block: ComparisonBlock) -> Markup:
    trials = ended(block)
    found = advice(block, trials)
    metrics = [metric for metric in block.all_metrics if metric.name in block.primary]
    prices = [metric for metric in block.metrics if metric.axis == "cost"]
    places = {m.name: _places(block, m) for m in (*metrics, *prices)}
    standing = {case.prior: case.standing for case in found.cases}
    rows = [
        {
            "prior": prior,
            "weight": block.weight(prior) if prior != found.baseline else "",
            "standing": standing.get(prior, ""),
            "advised": prior == found.prior,
            "cells": [_cell(block, prior, metric, places[metric.name]) for metric in metrics],
            "prices": [_price(block, prior, metric, places[metric.name]) for metric in prices],
            "ended": trials.get(prior),
        }
        for prior in block.priors
    ]
    return render(
        "matrix",
        block=block,
        metrics=metrics,
        prices=prices,
        rows=rows,
        family=_family(block),
        answer=found,
    )


def _hints(block: ComparisonBlock) -> list[dict[str, Any]]:
    """For every prior, inconclusive primary metrics on which all seeds point the same way."""
    rows = []
    for prior in block.priors[1:]:
        row: dict[str, Any] = {"prior": prior, BETTER: [], WORSE: []}
        for metric, comparison in _judged(block, prior):
            open_still = comparison["verdict"] == INCONCLUSIVE and metric.name in block.primary
            if open_still and agrees_in_every_seed(comparison):
                better = (comparison["difference"] > 0) == metric.higher_is_better
                row[BETTER if better else WORSE].append(metric)
        if row[BETTER] or row[WORSE]:
            rows.append(row)
    return rows


def _leads(block: ComparisonBlock) -> list[dict[str, Any]]:
    """For every prior, exploratory metrics on which it is called better or worse, prices aside."""
    rows = []
    for prior in block.priors[1:]:
        row: dict[str, Any] = {"prior": prior, BETTER: [], WORSE: []}
        for metric, comparison in _judged(block, prior):
            explored = metric.name not in block.primary and metric.axis != "cost"
            if explored and comparison["verdict"] in (BETTER, WORSE):
                row[comparison["verdict"]].append(metric)
        if row[BETTER] or row[WORSE]:
            rows.append(row)
    return rows


def _judged(block: ComparisonBlock, prior: str) -> Iterator[tuple[Metric, Mapping[str, Any]]]:
    """What is shown at first sight and has a verdict, with its comparison."""
    for metric in block.metrics:
        comparison = block.comparison(prior, metric)
        if comparison is not None and comparison["verdict"]:
            yield metric, comparison


def _family(block: ComparisonBlock) -> str:
    return block.families[0].sentence if block.families else ""


def _places(block: ComparisonBlock, metric: Metric) -> int:
    rows = block.comparisons[block.comparisons["metric"] == metric.name]
    return decimals_for(rows["mean_prior" if metric.axis == "cost" else "difference"])


def _cell(block: ComparisonBlock, prior: str, metric: Metric, places: int) -> Mapping[str, Any]:
    """Effect, interval and verdict, and the number to sort by."""
    if prior == block.priors[0]:
        return {"baseline": _mean(block, prior, metric), "key": 0.0, "verdict": ""}
    row = block.comparison(prior, metric)
    if row is None:
        return {"key": "", "verdict": "", "remark": MISSING, "difference": "", "interval": ""}
    return {
        "key": float(row["difference"]),
        "verdict": row["verdict"],
        "remark": remark(row["verdict"]),
        "difference": fixed(row["difference"], places, signed=True),
        "interval": interval(row["ci_low"], row["ci_high"], places),
    }


def _mean(block: ComparisonBlock, prior: str, metric: Metric) -> str:
    values = _values(block, prior, metric)
    return fixed(sum(values) / len(values), decimals_for(values)) if values else MISSING


def _price(block: ComparisonBlock, prior: str, metric: Metric, places: int) -> Mapping[str, Any]:
    values = _values(block, prior, metric)
    if not values:
        return {"key": "", "text": MISSING}
    mean = sum(values) / len(values)
    return {"key": mean, "text": fixed(mean, places)}


def _values(block: ComparisonBlock, prior: str, metric: Metric) -> Sequence[float]:
    values: Sequence[float] = block.arm(prior, metric).known.tolist()
    return values
