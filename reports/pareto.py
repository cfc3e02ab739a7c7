"""Prediction against localisation of every prior, at all weights that were tried."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

import pandas as pd
from markupsafe import Markup

from priorbench import Section
from priorbench.comparison.paired_runs import counted_scores
from priorbench.components.metric import Metric
from priorbench.evaluation.scoring import RANDOM
from priorbench.metrics import METRICS
from priorbench.number_text import decimals_for, fixed
from priorbench.results.finished_run import Run
from priorbench.study.trial import EVALUATE, SETTING_COLUMNS

from ._shared.figures.colours import INK, LINE, SOFT, Look, key_of, looks
from ._shared.figures.style import pale_grid, style
from ._shared.figures.svg import to_svg
from ._shared.page import not_drawn, render
from ._shared.settings import MANY_SETTINGS, ComparedSetting, settings_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_TUNE = "tune"
_WIDTH, _HEIGHT = 6.4, 4.6  # inches
_STAGES = {_TUNE: "validation data, tuning seeds", EVALUATE: "test data, evaluation seeds"}


@dataclass(frozen=True)
class Point:
    """Scores of a prior at a weight, over its seeds.

    Attributes:
        prior: spec of the prior.
        weight: its weight.
        stage: ``tune`` or ``evaluate``.
        x: mean prediction.
        y: mean localisation, or stability where motifs are not known.
        x_spread: standard deviation of the prediction over seeds; 0 for a single seed.
        y_spread: standard deviation of the localisation or stability; likewise.
        best: whether no other point of the same stage dominates this one, being at least as good on
            both metrics and better on one.
    """

    prior: str
    weight: float
    stage: str
    x: float
    y: float
    x_spread: float
    y_spread: float
    best: bool


class Pareto(Section):
    """One figure a setting: prediction against localisation, one curve a prior."""

    title: ClassVar[str] = "Prediction against localisation"
    position: ClassVar[int] = 28

    def render(self, run: Run) -> str:
        """Return the figures; empty where no setting has two points to compare."""
        settings = settings_of(run)
        figures = [_figure(run, setting) for setting in settings[:MANY_SETTINGS]]
        return Markup("").join([*figures, not_drawn(settings)]) if any(figures) else ""


def axes_of(run: Run, setting: ComparedSetting) -> tuple[Metric, Metric] | None:
    """Return the primary metrics that are drawn: prediction, and localisation or stability.

    Stability is drawn where motifs are not known and some prior has several weights. The result is
    None where neither can be drawn.
    """
    primary = run.claims.primary.get(setting.task.split(":")[0], {})
    present = {metric.name for metric in setting.all_metrics}
    declared = {axis: METRICS[name] for axis, name in primary.items() if name in present}
    weights = _rows(run, setting).groupby("prior")["weight"].nunique()
    if "prediction" not in declared:
        return None
    if "localisation" in declared:
        return declared["prediction"], declared["localisation"]
    if "stability" in declared and (weights > 1).any():
        return declared["prediction"], declared["stability"]
    return None


def points(run: Run, setting: ComparedSetting, axes: tuple[Metric, Metric]) -> list[Point]:
    """Return every prior at every weight in every stage; failed trials as they count."""
    values: dict[tuple[str, float, str], dict[str, pd.Series[float]]] = {}
    rows = _rows(run, setting)
    if setting.common_seeds:  # means over other seeds would not compare
        common = rows["seed"].isin(setting.common_seeds)
        rows = rows[common | (rows["stage"] != EVALUATE)]
    for metric in axes:
        for stage, some in rows[rows["metric"] == metric.name].groupby("stage", sort=False):
            counted = counted_scores(some, metric, setting.reference(RANDOM, metric))
            table = some.assign(value=counted)
            for (prior, weight), trials in table.groupby(["prior", "weight"], sort=False):
                key = (str(prior), float(str(weight)), str(stage))
                values.setdefault(key, {})[metric.name] = trials["value"].dropna()
    points = [
        _point(key, [scores[metric.name] for metric in axes])
        for key, scores in values.items()
        if len(scores) == len(axes) and all(map(len, scores.values()))
    ]
    return [_marked(point, points, axes) for point in points]


def _rows(run: Run, setting: ComparedSetting) -> pd.DataFrame:
    results = run.results
    here = results["stage"].isin([_TUNE, EVALUATE])
    for column in SETTING_COLUMNS:
        here &= results[column].astype(str) == getattr(setting, column)
    return results[here & results["attribution"].isin(["", run.attributions[0]])]


def _point(key: tuple[str, float, str], scores: Sequence[pd.Series[float]]) -> Point:
    x, y = (float(values.mean()) for values in scores)
    spreads = [float(values.std(ddof=1)) if len(values) > 1 else 0.0 for values in scores]
    return Point(*key, x=x, y=y, x_spread=spreads[0], y_spread=spreads[1], best=False)


def _marked(point: Point, others: Sequence[Point], axes: tuple[Metric, Metric]) -> Point:
    signs = [1 if metric.higher_is_better else -1 for metric in axes]
    mine = (signs[0] * point.x, signs[1] * point.y)
    for other in others:
        theirs = (signs[0] * other.x, signs[1] * other.y)
        if (
            other.stage == point.stage
            and theirs != mine
            and min(theirs[0] - mine[0], theirs[1] - mine[1]) >= 0
        ):
            return point
    return replace(point, best=True)


def _figure(run: Run, setting: ComparedSetting) -> Markup:
    metrics = axes_of(run, setting)
    drawn = points(run, setting, metrics) if metrics else []
    if not metrics or len(drawn) < 2:
        return Markup("")
    shapes = looks(setting.priors)
    priors = {point.prior for point in drawn}
    stages = {point.stage for point in drawn}
    return render(
        "pareto",
        setting=setting,
        metrics=metrics,
        stages=[text for stage, text in _STAGES.items() if stage in stages],
        tuned=_TUNE in stages,
        spread=any(point.x_spread or point.y_spread for point in drawn),
        key=key_of({prior: look for prior, look in shapes.items() if prior in priors}),
        svg=_draw(drawn, metrics, shapes, setting),
    )


def _draw(
    points: Sequence[Point],
    metrics: tuple[Metric, Metric],
    shapes: Mapping[str, Look],
    setting: ComparedSetting,
) -> Markup:
    from matplotlib.figure import Figure

    with style():
        figure = Figure(figsize=(_WIDTH, _HEIGHT), layout="constrained")
        axes = figure.subplots()
        for prior, look in shapes.items():
            for stage in _STAGES:
                curve = [p for p in points if p.prior == prior and p.stage == stage]
                _curve(axes, sorted(curve, key=lambda point: point.weight), look)
        for metric, axis in zip(metrics, (axes.xaxis, axes.yaxis), strict=True):
            axis.set_label_text(f"{metric.name} ({metric.axis}), better →")
            axis.set_inverted(metric.higher_is_better is False)
        pale_grid(axes, "both")
        return to_svg(figure, _description(points, metrics, setting))


def _curve(axes: Axes, curve: Sequence[Point], look: Look) -> None:
    """Draw the weights of a prior in order: hollow for tuning, a ring where nothing is better."""
    colour, marker = look
    x, y = [point.x for point in curve], [point.y for point in curve]
    axes.plot(x, y, color=colour, linewidth=1.1, alpha=0.8, zorder=2)
    for point in curve:
        axes.errorbar(
            point.x,
            point.y,
            xerr=point.x_spread or None,
            yerr=point.y_spread or None,
            color=colour,
            alpha=0.35,
            linewidth=1,
            zorder=1,
        )
        if point.best:
            axes.plot(point.x, point.y, "o", ms=13, mfc="none", mec=SOFT, mew=1, zorder=3)
        face = "white" if point.stage == _TUNE else colour
        axes.plot(point.x, point.y, marker, ms=6.5, color=colour, mfc=face, mew=1.4, zorder=4)
    if len(curve) > 1:
        for point in (curve[0], curve[-1]):
            axes.annotate(
                f"{point.weight:g}",
                (point.x, point.y),
                xytext=(7, 5),
                textcoords="offset points",
                fontsize=7.5,
                color=INK,
                bbox={"boxstyle": "round,pad=0.1", "fc": "white", "ec": LINE, "lw": 0.4},
                zorder=5,
            )


def _description(
    points: Sequence[Point], metrics: tuple[Metric, Metric], setting: ComparedSetting
) -> str:
    places = [decimals_for([p.x for p in points]), decimals_for([p.y for p in points])]
    texts = [
        f"{p.prior} at {p.weight:g}{' in tuning' if p.stage == _TUNE else ''}: "
        f"{fixed(p.x, places[0])}, {fixed(p.y, places[1])}{', not dominated' if p.best else ''}"
        for p in points
        if math.isfinite(p.x)
    ]
    names = " and ".join(metric.name for metric in metrics)
    return f"{names} on {setting.title}, means over seeds. {'; '.join(texts)}"
