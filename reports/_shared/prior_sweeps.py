"""Figures of differences to the baseline along an option of a prior, such as its cut."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

import numpy as np
from markupsafe import Markup

from priorbench.comparison.option_trends import OptionSweep, sweeps
from priorbench.components.metric import Metric
from priorbench.components.specs import split_composition, split_spec
from priorbench.results.finished_run import Run

from .figures.colours import SOFT, Look, key_of, looks
from .figures.style import style
from .figures.svg import to_svg
from .option_curves import label_differences, option_curve, ranked_metrics
from .page import render
from .settings import ComparedSetting

_WIDTH, _HEIGHT = 3.7, 2.6  # inches


def prior_sweeps(run: Run, setting: ComparedSetting) -> Markup:
    """Return figures, one a metric, for every option of a prior with three values or more."""
    facts = run.environment.get("priors", {})
    # runs of earlier versions lack options
    options = {
        spec: facts[spec]["options"]
        for spec in setting.priors
        if facts.get(spec, {}).get("options")
    }
    return Markup("").join(
        _figures(setting, name, sweeps) for name, sweeps in _sweeps(setting, options)
    )


def _sweeps(
    setting: ComparedSetting, options: Mapping[str, Mapping[str, Any]]
) -> Iterator[tuple[str, list[OptionSweep]]]:
    """Yield the name of a prior with its sweeps along one option, one a value of the others."""
    named: dict[str, list[str]] = {}
    for spec in setting.priors[1:]:
        if spec in options and len(split_composition(spec)) == 1:
            named.setdefault(split_spec(spec)[0], []).append(spec)
    for name, specs in named.items():
        for _, along_option in groupby(sweeps(specs, options), key=lambda sweep: sweep.option):
            yield name, list(along_option)


def _figures(setting: ComparedSetting, name: str, sweeps: Sequence[OptionSweep]) -> Markup:
    shapes = looks([sweep.held for sweep in sweeps])
    return render(
        "prior_sweeps",
        setting=setting,
        name=name,
        option=sweeps[0].option,
        key=key_of({held: look for held, look in shapes.items() if held}),
        panels=[
            {"metric": metric, "svg": _figure(setting, name, sweeps, metric, shapes)}
            for metric in ranked_metrics(setting)
        ],
    )


def _figure(
    setting: ComparedSetting,
    name: str,
    sweeps: Sequence[OptionSweep],
    metric: Metric,
    shapes: Mapping[str, Look],
) -> Markup:
    """Return a figure of differences with intervals; the values of the option are evenly spaced."""
    from matplotlib.figure import Figure

    values = sorted({value for sweep in sweeps for value, _ in sweep.points})
    descriptions = []
    with style():
        figure = Figure(figsize=(_WIDTH, _HEIGHT), layout="constrained")
        axes = figure.subplots()
        axes.axhline(0, color=SOFT, linewidth=1)
        shifts = np.linspace(-0.1, 0.1, max(len(sweeps), 2))
        for shift, sweep in zip(shifts, sweeps, strict=False):
            curve = option_curve([(v, setting, spec) for v, spec in sweep.points], metric)
            places = np.array([values.index(value) for value in curve.values])
            curve.draw(axes, places + shift, shapes[sweep.held])
            descriptions.append(f"{sweep.held or name}: {curve.description}")
        axes.set_xticks(range(len(values)), [f"{value:g}" for value in values])
        axes.set_xlabel(sweeps[0].option, parse_math=False)
        label_differences(axes, setting.priors[0])
        return to_svg(
            figure,
            f"{metric.name} of {name} on {setting.title}, difference to {setting.priors[0]} at "
            f"{sweeps[0].option}: {'; '.join(descriptions)}",
        )
