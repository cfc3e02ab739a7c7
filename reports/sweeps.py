"""Differences to the baseline along an option of the task, or of a prior."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from markupsafe import Markup

from priorbench import Section
from priorbench.comparison.option_trends import TREND_DEFINITIONS, SweptTask, swept_tasks
from priorbench.components.metric import Metric
from priorbench.number_text import decimals_for, fixed, interval, p_value
from priorbench.results.finished_run import Run
from priorbench.study.trial import SETTING_COLUMNS

from ._shared.figures.colours import INK, SOFT, Look, key_of, looks
from ._shared.figures.style import style
from ._shared.figures.svg import to_svg
from ._shared.option_curves import label_differences, option_curve, ranked_metrics
from ._shared.page import render
from ._shared.prior_sweeps import prior_sweeps
from ._shared.settings import MANY_SETTINGS, ComparedSetting, settings_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_WIDTH, _HEIGHT = 3.7, 2.6  # inches
_LABEL_ROOM = 0.24
"""share of the axis that the label of a cut takes"""


@dataclass(frozen=True)
class SweptSettings:
    """Settings that differ in one option of their task, a number.

    Attributes:
        title: heading.
        option: name of the option.
        is_length: whether the option is a motif's length in bp.
        points: value and setting, ascending.
        cuts: cuts of the low-pass priors, in bp.
        trends: rows of a table on how the differences change along the option.
    """

    title: str
    option: str
    is_length: bool
    points: Sequence[tuple[float, ComparedSetting]]
    cuts: Mapping[str, float]
    trends: Sequence[Mapping[str, Any]] = ()

    @property
    def baseline(self) -> str:
        """Prior that the others are compared with."""
        return self.points[0][1].priors[0]

    @property
    def priors(self) -> list[str]:
        """Priors that are compared with the baseline."""
        return list(self.points[0][1].priors[1:])

    @property
    def metrics(self) -> list[Metric]:
        """First metric of every axis that is drawn."""
        return ranked_metrics(self.points[0][1])


class Sweeps(Section):
    """One figure a metric where specs of a task, or of a prior, differ in one number."""

    title: ClassVar[str] = "Sweeps"
    position: ClassVar[int] = 25

    def render(self, run: Run) -> str:
        """Return figures along every swept option; empty where none is swept."""
        of_priors = (prior_sweeps(run, setting) for setting in settings_of(run)[:MANY_SETTINGS])
        return Markup("").join([*map(_sweep, sweeps(run)), *of_priors])


def sweeps(run: Run) -> list[SweptSettings]:
    """Return every option of a task along which a run has three points or more."""
    facts = run.environment.get("tasks", {})  # runs of earlier versions lack it
    settings = {
        (setting.task, setting.dataset, setting.architecture): setting
        for setting in settings_of(run)
        if len(setting.priors) > 1
    }
    priors = run.environment.get("priors", {})
    cuts = {spec: float(texts["cut"]) for spec, texts in priors.items() if texts.get("cut")}
    options = {spec: known["options"] for spec, known in facts.items()}
    return [
        SweptSettings(
            f"{swept.task} · {swept.dataset} · {swept.architecture}"
            f"{f' ({swept.held})' if swept.held else ''}",
            swept.option,
            facts[swept.points[0][1]]["motif_length_option"] == swept.option,
            [
                (value, settings[spec, swept.dataset, swept.architecture])
                for value, spec in swept.points
            ],
            cuts,
            _trend_rows(run, swept),
        )
        for swept in swept_tasks(list(settings), options)
    ]


def _trend_rows(run: Run, swept: SweptTask) -> list[Mapping[str, Any]]:
    """Return the rows of trends.csv about an option, as text."""
    key = [swept.task, swept.dataset, swept.architecture, swept.option, swept.held]
    columns = [*SETTING_COLUMNS, "option", "held"]
    here = run.trends[(run.trends[columns].astype(str) == key).all(axis=1)]
    return [
        {
            **{str(column): value for column, value in row.items()},
            "change": fixed(row["change"], places, signed=True),
            "interval": interval(row["ci_low"], row["ci_high"], places),
            "p": p_value(row["p_adjusted"]) if row["verdict"] else "",
        }
        for row in here.to_dict("records")
        for places in [decimals_for([row["change"]])]
    ]


def _sweep(sweep: SweptSettings) -> Markup:
    shapes = looks(sweep.priors)
    with_cut = {p: shapes[p] for p in sweep.priors if p in sweep.cuts} if sweep.is_length else {}
    return render(
        "sweeps",
        sweep=sweep,
        definitions=TREND_DEFINITIONS,
        key=key_of(shapes),
        runs=list(dict.fromkeys(run for _, setting in sweep.points for run in setting.runs)),
        seeds=sorted({len(setting.seeds) for _, setting in sweep.points}),
        intervals=any(setting.comparisons["ci_low"].notna().any() for _, setting in sweep.points),
        panels=[
            {"metric": metric, "svg": _figure(sweep, metric, shapes, scaled=False)}
            for metric in sweep.metrics
        ],
        scaled=[
            {"metric": metric, "svg": _figure(sweep, metric, with_cut, scaled=True)}
            for metric in sweep.metrics
            if with_cut
        ],
    )


def _figure(
    sweep: SweptSettings, metric: Metric, shapes: Mapping[str, Look], *, scaled: bool
) -> Markup:
    """Return a figure of differences along the option, or along length over the prior's cut."""
    from matplotlib.figure import Figure

    descriptions = []
    with style():
        figure = Figure(figsize=(_WIDTH, _HEIGHT), layout="constrained")
        axes = figure.subplots()
        axes.axhline(0, color=SOFT, linewidth=1)
        shifts = _shifts(sweep, len(shapes))
        for shift, (prior, look) in zip(shifts, shapes.items(), strict=True):
            points = [(value, setting, prior) for value, setting in sweep.points]
            curve = option_curve(points, metric)
            curve.draw(axes, (curve.values + shift) / (sweep.cuts[prior] if scaled else 1), look)
            descriptions.append(f"{prior}: {curve.description}")
        _label(axes, sweep, scaled)
        if sweep.is_length:
            _mark_cuts(axes, {1.0: SOFT} if scaled else _cut_colours(sweep, shapes), scaled)
        return to_svg(
            figure,
            f"{metric.name} of {sweep.title}, difference to {sweep.baseline}"
            f"{' by length over cut' if scaled else ''} at {sweep.option}: "
            f"{'; '.join(descriptions)}",
        )


def _shifts(sweep: SweptSettings, count: int) -> list[float]:
    """Return (count,) shifts along the option, so that intervals at one value do not overlap."""
    spacing = min(np.diff([value for value, _ in sweep.points]))
    share = min(0.12, 0.6 / max(count, 1))
    return [(i - (count - 1) / 2) * share * spacing for i in range(count)]


def _label(axes: Axes, sweep: SweptSettings, scaled: bool) -> None:
    if scaled:
        axes.set_xlabel("motif length / the prior's own cut")
    else:
        unit = " (motif length in bp)" if sweep.is_length else ""
        axes.set_xlabel(f"{sweep.option}{unit}", parse_math=False)
        values = [value for value, _ in sweep.points]
        if len(values) <= 16:
            axes.set_xticks(values, [f"{value:g}" for value in values])
    label_differences(axes, sweep.baseline)


def _cut_colours(sweep: SweptSettings, shapes: Mapping[str, Look]) -> dict[float, str]:
    """Return cuts with the colour of their prior; a cut that several priors share is grey."""
    colours: dict[float, str] = {}
    for prior, (colour, _) in shapes.items():
        cut = sweep.cuts.get(prior)
        if cut is not None:
            colours[cut] = SOFT if cut in colours else colour
    return colours


def _mark_cuts(axes: Axes, colours: Mapping[float, str], scaled: bool) -> None:
    """Draw dashed lines at cuts within the axis, their labels above it, where no interval is."""
    low, high = axes.get_xlim()
    level, previous = 0, -math.inf
    for cut in sorted(cut for cut in colours if low <= cut <= high):
        level = level + 1 if cut - previous < _LABEL_ROOM * (high - low) else 0
        previous = cut
        axes.axvline(cut, color=colours[cut], linewidth=1.1, linestyle=(0, (4, 3)), zorder=0)
        axes.annotate(
            "cut" if scaled else f"cut {cut:.1f} bp",
            (cut, 1),
            xycoords=axes.get_xaxis_transform(),
            xytext=(0, 2 + 9 * level),
            textcoords="offset points",
            ha="center",
            fontsize=8,
            color=INK,
        )
    axes.set_xlim(low, high)
