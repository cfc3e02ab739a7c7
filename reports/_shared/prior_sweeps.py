"""Differences to the baseline along an option of a prior, such as the cut."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

import numpy as np
from markupsafe import Markup

from priorbench.comparison.option_trends import OptionSweep, sweeps
from priorbench.components.contracts import Metric
from priorbench.components.specs import split_composition, split_spec
from priorbench.results.finished_run import Run

from .figures.colours import MARKERS, SOFT, looks, style
from .figures.svg import to_svg
from .numbers import fixed
from .page import render
from .settings import ComparedSetting

_WIDTH, _HEIGHT = 3.7, 2.6  # inches


def prior_sweeps(run: Run, setting: ComparedSetting, metrics: Sequence[Metric]) -> Markup:
    """A figure a metric for every option of a prior with three values or more in a setting."""
    facts = run.environment.get("priors", {})  # options are lacking in runs of earlier versions
    options = {spec: facts.get(spec, {}).get("options") for spec in setting.priors}
    known = {spec: found for spec, found in options.items() if found}
    return Markup("").join(
        _figures(setting, name, lines, metrics) for name, lines in _lines(setting, known)
    )


def _lines(
    setting: ComparedSetting, options: Mapping[str, Mapping[str, Any]]
) -> Iterator[tuple[str, list[OptionSweep]]]:
    """Name of a prior, and its sweeps along one option: one a value of the others."""
    named: dict[str, list[str]] = {}
    for spec in setting.priors[1:]:
        if spec in options and len(split_composition(spec)) == 1:
            named.setdefault(split_spec(spec)[0], []).append(spec)
    for name, specs in named.items():
        for _, lines in groupby(sweeps(specs, options), key=lambda line: line.option):
            yield name, list(lines)


def _figures(
    setting: ComparedSetting, name: str, lines: Sequence[OptionSweep], metrics: Sequence[Metric]
) -> Markup:
    shapes = looks([line.held for line in lines])
    return render(
        "prior_sweeps",
        setting=setting,
        name=name,
        option=lines[0].option,
        key=[
            {"held": held, "colour": colour, "sign": MARKERS[marker]}
            for held, (colour, marker) in shapes.items()
            if held
        ],
        panels=[
            {"metric": metric, "svg": _panel(setting, name, lines, metric, shapes)}
            for metric in metrics
        ],
    )


def _panel(
    setting: ComparedSetting,
    name: str,
    lines: Sequence[OptionSweep],
    metric: Metric,
    shapes: Mapping[str, tuple[str, str]],
) -> Markup:
    """Differences with their intervals; the values are evenly spaced, whatever they are."""
    from matplotlib.figure import Figure

    values = sorted({value for line in lines for value, _ in line.points})
    told = []
    with style():
        figure = Figure(figsize=(_WIDTH, _HEIGHT), layout="constrained")
        axes = figure.subplots()
        axes.axhline(0, color=SOFT, linewidth=1)
        for beside, line in zip(np.linspace(-0.1, 0.1, max(len(lines), 2)), lines, strict=False):
            colour, marker = shapes[line.held]
            rows = [(value, setting.comparison(spec, metric)) for value, spec in line.points]
            known = [(value, row) for value, row in rows if row is not None]
            x = np.array([values.index(value) for value, _ in known]) + beside
            axes.vlines(
                x,
                [row["ci_low"] for _, row in known],
                [row["ci_high"] for _, row in known],
                color=colour,
                linewidth=1.1,
                alpha=0.8,
            )
            y = [float(row["difference"]) for _, row in known]
            axes.plot(x, y, marker=marker, color=colour, markersize=4.5, linewidth=1.1)
            pairs = ", ".join(
                f"{value:g} {fixed(d, 3, signed=True)}"
                for (value, _), d in zip(known, y, strict=True)
            )
            told.append(f"{line.held or name}: {pairs}")
        axes.set_xticks(range(len(values)), [f"{value:g}" for value in values])
        axes.set_xlabel(lines[0].option, parse_math=False)
        axes.set_ylabel(f"difference to {setting.priors[0]}", parse_math=False)
        axes.tick_params(length=0)
        axes.grid(axis="y", color="#eceff2", linewidth=0.8)
        axes.set_axisbelow(True)
        return to_svg(
            figure,
            f"{metric.name} of {name} on {setting.title}, difference to {setting.priors[0]} at "
            f"{lines[0].option}: {'; '.join(told)}",
        )
