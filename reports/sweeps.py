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
from priorbench.components.contracts import Metric
from priorbench.results.finished_run import Run

from ._shared.figures.colours import INK, MARKERS, SOFT, looks, style
from ._shared.figures.svg import to_svg
from ._shared.numbers import decimals_for, fixed, interval, p_value
from ._shared.page import render
from ._shared.prior_sweeps import prior_sweeps
from ._shared.settings import MANY_SETTINGS, ComparedSetting, settings_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_RANKED = ("prediction", "localisation", "stability")
_WIDTH, _HEIGHT = 3.7, 2.6  # inches
_LABEL_ROOM = 0.24
"""share of the axis that the label of a cut takes"""


@dataclass(frozen=True)
class SweptSettings:
    """Settings that differ in one number.

    Attributes:
        title: for headings.
        option: the task's option that varies.
        is_length: whether it is a motif's length in bp.
        points: value and setting, ascending.
        cuts: of the low-pass priors, in bp.
        trends: rows of a table of how the differences change along the option.
    """

    title: str
    option: str
    is_length: bool
    points: Sequence[tuple[float, ComparedSetting]]
    cuts: Mapping[str, float]
    trends: Sequence[Mapping[str, Any]] = ()

    @property
    def baseline(self) -> str:
        """What the priors are compared with."""
        return self.points[0][1].priors[0]

    @property
    def priors(self) -> list[str]:
        """What is compared with the baseline."""
        return list(self.points[0][1].priors[1:])

    @property
    def metrics(self) -> list[Metric]:
        """The first metric of every axis that is ranked."""
        return ranked_metrics(self.points[0][1])


def ranked_metrics(setting: ComparedSetting) -> list[Metric]:
    """The first metric of a setting on every axis that is ranked."""
    known = [m for m in setting.metrics if m.higher_is_better is not None]
    found = [next((m for m in known if m.axis == axis), None) for axis in _RANKED]
    return [metric for metric in found if metric is not None]


class Sweeps(Section):
    """One figure a metric where specs of a task, or of a prior, differ in one number."""

    title: ClassVar[str] = "Sweeps"
    position: ClassVar[int] = 25

    def render(self, run: Run) -> str:
        """See Section."""
        of_priors = (
            prior_sweeps(run, setting, ranked_metrics(setting))
            for setting in settings_of(run)[:MANY_SETTINGS]
        )
        return Markup("").join([*map(_sweep, sweeps(run)), *of_priors])


def sweeps(run: Run) -> list[SweptSettings]:
    """Every option along which a run has three points or more."""
    facts = run.environment.get("tasks", {})  # which runs of earlier versions lack
    found = {
        (setting.task, setting.dataset, setting.architecture): setting
        for setting in settings_of(run)
        if len(setting.priors) > 1
    }
    priors = run.environment.get("priors", {})
    cuts = {spec: float(texts["cut"]) for spec, texts in priors.items() if texts.get("cut")}
    options = {spec: known["options"] for spec, known in facts.items()}
    return [
        SweptSettings(
            f"{one.task} · {one.dataset} · {one.architecture}{f' ({one.held})' * bool(one.held)}",
            one.option,
            facts[one.points[0][1]]["motif_length_option"] == one.option,
            [(value, found[spec, one.dataset, one.architecture]) for value, spec in one.points],
            cuts,
            _trend_rows(run, one),
        )
        for one in swept_tasks(list(found), options)
    ]


def _trend_rows(run: Run, swept: SweptTask) -> list[Mapping[str, Any]]:
    """What was tested along the option, by the rows of trends.csv."""
    keys = [swept.task, swept.dataset, swept.architecture, swept.option, swept.held]
    columns = ["task", "dataset", "architecture", "option", "held"]
    here = run.trends[(run.trends[columns].astype(str) == keys).all(axis=1)]
    return [
        {
            **{str(key): value for key, value in row.items()},
            "change": fixed(row["change"], places, signed=True),
            "interval": interval(row["ci_low"], row["ci_high"], places),
            "p": p_value(row["p_adjusted"]) if row["verdict"] else "",
        }
        for row in here.to_dict("records")
        for places in [decimals_for([row["change"]])]
    ]


def _sweep(sweep: SweptSettings) -> Markup:
    shapes = looks(sweep.priors)
    with_cut = [prior for prior in sweep.priors if prior in sweep.cuts] if sweep.is_length else []
    return render(
        "sweeps",
        sweep=sweep,
        definitions=TREND_DEFINITIONS,
        key=[
            {"prior": prior, "colour": colour, "sign": MARKERS[marker]}
            for prior, (colour, marker) in shapes.items()
        ],
        runs=list(dict.fromkeys(run for _, setting in sweep.points for run in setting.runs)),
        seeds=sorted({len(setting.seeds) for _, setting in sweep.points}),
        intervals=any(setting.comparisons["ci_low"].notna().any() for _, setting in sweep.points),
        panels=[
            {"metric": metric, "svg": _panel(sweep, metric, shapes, scaled=False)}
            for metric in sweep.metrics
        ],
        scaled=[
            {
                "metric": metric,
                "svg": _panel(sweep, metric, {p: shapes[p] for p in with_cut}, scaled=True),
            }
            for metric in sweep.metrics
            if with_cut
        ],
    )


def _panel(
    sweep: SweptSettings, metric: Metric, shapes: Mapping[str, tuple[str, str]], *, scaled: bool
) -> Markup:
    """Differences with their intervals along the option, or along length over the prior's cut."""
    from matplotlib.figure import Figure

    told = []
    with style():
        figure = Figure(figsize=(_WIDTH, _HEIGHT), layout="constrained")
        axes = figure.subplots()
        axes.axhline(0, color=SOFT, linewidth=1)
        for beside, (prior, look) in zip(_offsets(sweep, len(shapes)), shapes.items(), strict=True):
            place, rows = _rows(sweep, metric, prior)
            _draw(axes, (place + beside) / (sweep.cuts[prior] if scaled else 1), rows, *look)
            told.append(f"{prior}: {_told(place, rows)}")
        _label(axes, sweep, scaled)
        if sweep.is_length:
            _mark_cuts(axes, {1.0: SOFT} if scaled else _marks(sweep, shapes), scaled)
        return to_svg(
            figure,
            f"{metric.name} of {sweep.title}, difference to {sweep.baseline}"
            f"{' by length over cut' if scaled else ''} at {sweep.option}: {'; '.join(told)}",
        )


def _offsets(sweep: SweptSettings, count: int) -> Any:
    """(count,) shifts along the option, so that intervals at one value can be told apart."""
    spacing = min(np.diff([value for value, _ in sweep.points]))
    return (np.arange(count) - (count - 1) / 2) * min(0.12, 0.6 / max(count, 1)) * spacing


def _rows(sweep: SweptSettings, metric: Metric, prior: str) -> tuple[Any, Any]:
    """(k,) values of the option, and (k, 3) difference with the ends of its interval."""
    found = [(value, setting.comparison(prior, metric)) for value, setting in sweep.points]
    known = [(value, row) for value, row in found if row is not None]
    columns = ("difference", "ci_low", "ci_high")
    rows = [[float(row[column]) for column in columns] for _, row in known]
    return np.array([value for value, _ in known]), np.array(rows).reshape(-1, 3)


def _draw(axes: Axes, x: Any, rows: Any, colour: str, marker: str) -> None:
    axes.vlines(x, rows[:, 1], rows[:, 2], color=colour, linewidth=1.1, alpha=0.8)
    axes.plot(x, rows[:, 0], marker=marker, color=colour, markersize=4.5, linewidth=1.1)


def _told(place: Any, rows: Any) -> str:
    pairs = zip(place, rows[:, 0], strict=True)
    return ", ".join(
        f"{value:g} {fixed(difference, 3, signed=True)}" for value, difference in pairs
    )


def _label(axes: Axes, sweep: SweptSettings, scaled: bool) -> None:
    if scaled:
        axes.set_xlabel("motif length / the prior's own cut")
    else:
        unit = " (motif length in bp)" if sweep.is_length else ""
        axes.set_xlabel(f"{sweep.option}{unit}", parse_math=False)
        values = [value for value, _ in sweep.points]
        if len(values) <= 16:
            axes.set_xticks(values, [f"{value:g}" for value in values])
    axes.set_ylabel(f"difference to {sweep.baseline}", parse_math=False)
    axes.tick_params(length=0)
    axes.grid(axis="y", color="#eceff2", linewidth=0.8)
    axes.set_axisbelow(True)


def _marks(sweep: SweptSettings, shapes: Mapping[str, tuple[str, str]]) -> dict[float, str]:
    """Cuts with the colour of their prior; one that several priors share is nobody's."""
    marks: dict[float, str] = {}
    for prior, (colour, _) in shapes.items():
        cut = sweep.cuts.get(prior)
        if cut is not None:
            marks[cut] = SOFT if cut in marks else colour
    return marks


def _mark_cuts(axes: Axes, marks: Mapping[float, str], scaled: bool) -> None:
    """Dashed lines at cuts within the axis; labels above it, where no interval is."""
    low, high = axes.get_xlim()
    level, previous = 0, -math.inf
    for cut in sorted(cut for cut in marks if low <= cut <= high):
        level = level + 1 if cut - previous < _LABEL_ROOM * (high - low) else 0
        previous = cut
        axes.axvline(cut, color=marks[cut], linewidth=1.1, linestyle=(0, (4, 3)), zorder=0)
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
