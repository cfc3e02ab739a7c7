"""Priors by axes: what each does to every primary metric, and what it costs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from markupsafe import Markup

from priorbench import Section
from priorbench.contracts import Metric
from priorbench.results import Run

from ._advice import advice, ended
from ._blocks import Block, blocks, remark
from ._numbers import MISSING, decimals_for, fixed
from ._page import render


class Matrix(Section):
    """One table a block: a row a prior, a column a primary metric, then prices."""

    title: ClassVar[str] = "Priors by axes"
    position: ClassVar[int] = 7

    def render(self, run: Run) -> str:
        """See Section."""
        return Markup("").join(
            _table(block) for block in blocks(run) if block.primary and len(block.priors) > 1
        )


def _table(block: Block) -> Markup:
    found = advice(block)
    metrics = [metric for metric in block.all_metrics if metric.name in block.primary]
    prices = [metric for metric in block.metrics if metric.axis == "cost"]
    trials = ended(block)
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


def _family(block: Block) -> str:
    return block.families[0].sentence if block.families else ""


def _places(block: Block, metric: Metric) -> int:
    rows = block.comparisons[block.comparisons["metric"] == metric.name]
    return decimals_for(rows["mean_prior" if metric.axis == "cost" else "difference"])


def _cell(block: Block, prior: str, metric: Metric, places: int) -> Mapping[str, Any]:
    """Effect, interval and verdict, and the number to sort by."""
    if prior == block.priors[0]:
        return {"baseline": _mean(block, prior, metric), "key": 0.0, "verdict": ""}
    row = block.comparison(prior, metric)
    if row is None:
        return {"key": "", "verdict": "", "remark": MISSING, "difference": "", "interval": ""}
    interval = ""
    if math.isfinite(row["ci_low"]):
        interval = f"[{fixed(row['ci_low'], places)}, {fixed(row['ci_high'], places)}]"
    return {
        "key": float(row["difference"]),
        "verdict": row["verdict"],
        "remark": remark(row["verdict"]),
        "difference": fixed(row["difference"], places, signed=True),
        "interval": interval,
    }


def _mean(block: Block, prior: str, metric: Metric) -> str:
    values = _values(block, prior, metric)
    return fixed(sum(values) / len(values), decimals_for(values)) if values else MISSING


def _price(block: Block, prior: str, metric: Metric, places: int) -> Mapping[str, Any]:
    values = _values(block, prior, metric)
    if not values:
        return {"key": "", "text": MISSING}
    mean = sum(values) / len(values)
    return {"key": mean, "text": fixed(mean, places)}


def _values(block: Block, prior: str, metric: Metric) -> Sequence[float]:
    scores = block.scores(metric)
    values = scores.loc[scores["prior"] == prior, "value"].dropna()
    return [float(value) for value in values]
