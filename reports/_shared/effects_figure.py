"""The figure of the answer: gains over the baseline with simultaneous intervals, axis by axis."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from priorbench.answer.advice import Advice
from priorbench.answer.primary_result import PrimaryResult
from priorbench.number_text import decimals_for, fixed, interval
from priorbench.statistics.families.verdicts import BETTER, EQUIVALENT, NONINFERIOR, WORSE
from priorbench.study.declared import CLAIMED

from .figures.colours import BLUE, GRID, INK, LINE, SOFT, VERMILION
from .figures.style import style, wrapped_spec
from .figures.svg import to_svg
from .settings import remark

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_WIDTH = 4.2  # inches: on a phone a letter is hardly smaller than in print
_ROW, _HEAD, _FOOT = 0.185, 0.42, 0.2
_LONGEST_NAME, _LINE = 24, 0.8
"""letters of a line of a name, and height of its further lines, in rows"""
_SHORT_OF_EDGE = 0.06
"""share of the axis that is left free beside what is drawn"""
_MARKS = {
    BETTER: ("o", BLUE, BLUE),
    WORSE: ("X", VERMILION, VERMILION),
    EQUIVALENT: ("s", INK, "white"),
    NONINFERIOR: ("D", INK, "white"),
}
"""marker, colour and filling by verdict, so that none is known by its colour alone"""
_OPEN = ("o", INK, "white")
Gains = Mapping[tuple[str, str], NDArray[np.float64]]
"""gains of single seeds by prior and metric"""


@dataclass(frozen=True)
class EffectsFigure:
    """A figure with what its caption has to say.

    Attributes:
        svg: the figure.
        intervals: whether some row has an interval.
        seeds: whether some row shows single seeds.
        unbounded: whether some interval has no ends, as so few seeds exclude nothing.
        without_margin: axes for which no margin is known, so that none is shaded.
        rows: number of rows of a panel.
    """

    svg: Markup
    intervals: bool
    seeds: bool
    unbounded: bool
    without_margin: Sequence[str]
    rows: int


def effects_figure(advice: Advice, title: str, gains: Gains) -> EffectsFigure | None:
    """Return the figure of the results behind an advice; None where there are none.

    Args:
        advice: the advice, with the standings of all priors.
        title: what it is about.
        gains: gains of single seeds, drawn where a result has no interval.
    """
    panels = _panels(advice)
    if not panels:
        return None
    results = [result for panel in panels for result in panel]
    return EffectsFigure(
        _draw(panels, advice.baseline, title, gains),
        intervals=any(not math.isnan(result.low) for result in results),
        seeds=any(_points(result, gains) is not None for result in results),
        unbounded=any(math.isinf(result.low) for result in results),
        without_margin=[p[0].axis for p in panels if not any(math.isfinite(r.margin) for r in p)],
        rows=max(map(len, panels)),
    )


def _panels(advice: Advice) -> list[list[PrimaryResult]]:
    """Return the results of every axis, in the order of the claims."""
    by_axis: dict[tuple[str, str], list[PrimaryResult]] = {}
    for standing in advice.standings:
        for result in standing.results:
            by_axis.setdefault((result.axis, result.metric), []).append(result)
    order: list[str] = list(CLAIMED)
    places = {key: order.index(key[0]) if key[0] in order else len(order) for key in by_axis}
    return [by_axis[key] for key in sorted(by_axis, key=lambda key: places[key])]


def _points(result: PrimaryResult, gains: Gains) -> NDArray[np.float64] | None:
    """Return the gains of single seeds where there is no interval."""
    values = gains.get((result.prior, result.metric))
    return values if math.isnan(result.low) and values is not None and len(values) > 1 else None


def _draw(
    panels: Sequence[Sequence[PrimaryResult]], baseline: str, title: str, gains: Gains
) -> Markup:
    from matplotlib.figure import Figure

    names = [[wrapped_spec(r.prior, _LONGEST_NAME) for r in panel] for panel in panels]
    rows = [np.array([1 + _LINE * name.count("\n") for name in panel]) for panel in names]
    heights = [_HEAD + _ROW * float(heights.sum()) for heights in rows]
    with style():
        figure = Figure(figsize=(_WIDTH, sum(heights) + _FOOT), layout="constrained")
        figure.get_layout_engine().set(h_pad=0.01, w_pad=0.02, hspace=0.02)  # type: ignore[call-arg, union-attr]
        columns = figure.subplots(len(panels), 1, squeeze=False, height_ratios=heights)[:, 0]
        for axes, panel, labels, own in zip(columns, panels, names, rows, strict=True):
            places = np.cumsum(own) - own / 2  # the middles of rows
            _draw_panel(axes, panel, gains, places)
            axes.set_ylim(own.sum() + 0.1, -0.1)
            axes.set_yticks(places, labels, parse_math=False)
        label = figure.supxlabel(
            f"gain over {baseline}: right of 0 is better", fontsize=8, color=SOFT, parse_math=False
        )
        figure.draw_without_rendering()
        figure.set_layout_engine("none")
        # the layout of several panels differs in its last digits from time to time
        x, y = label.get_position()
        label.set_position((round(x, 4), round(y, 4)))
        for axes in columns:
            axes.set_position(np.round(axes.get_position().bounds, 4))
        return to_svg(figure, _description(panels, baseline, title))


def _draw_panel(
    axes: Axes, panel: Sequence[PrimaryResult], gains: Gains, places: NDArray[np.float64]
) -> None:
    low, high = _limits(panel, gains)
    margin = max((r.margin for r in panel if math.isfinite(r.margin)), default=0.0)
    axes.axvspan(-margin, margin, color=GRID, lw=0, zorder=0)
    for edge in (-margin, margin) if margin else ():
        axes.axvline(edge, color=LINE, linewidth=0.8, zorder=0.5)
    axes.axvline(0, color=SOFT, linewidth=0.9, zorder=1)
    for y, result in zip(places, panel, strict=True):
        _draw_row(axes, float(y), result, _points(result, gains), (low, high))
    axes.set_xlim(low, high)
    axes.set_title(_heading(panel[0]), loc="left", fontsize=9, color=INK, pad=3)
    axes.tick_params(length=0, labelsize=8)
    axes.tick_params(axis="y", labelsize=8.5, labelcolor=INK)
    axes.spines["left"].set_visible(False)
    axes.locator_params(axis="x", nbins=4)


def _draw_row(
    axes: Axes,
    y: float,
    result: PrimaryResult,
    points: NDArray[np.float64] | None,
    limits: tuple[float, float],
) -> None:
    marker, colour, face = _MARKS.get(result.verdict, _OPEN)
    if not math.isnan(result.low):
        ends = np.clip([result.low, result.high], *limits)
        dashes = (0, (1, 2)) if math.isinf(result.low) else "solid"
        axes.hlines(y, *ends, color=colour, linewidth=1.5, linestyle=dashes, zorder=2)
    if points is not None:
        axes.plot(points, np.full(len(points), y), "|", color=SOFT, ms=6, mew=1, zorder=2)
    axes.plot(result.gain, y, marker, ms=5.5, color=colour, mfc=face, mew=1.3, zorder=3)
    axes.annotate(
        remark(result.verdict) if result.verdict else "no test",
        (1, y),
        xycoords=axes.get_yaxis_transform(),
        xytext=(5, 0),
        textcoords="offset points",
        va="center",
        fontsize=8.5,
        color=INK,
        fontweight="bold" if result.verdict in (BETTER, WORSE) else "normal",
    )


def _limits(panel: Sequence[PrimaryResult], gains: Gains) -> tuple[float, float]:
    """Return the ends of the axis: all that is finite is on it, and the margin on either side."""
    drawn = [0.0]
    for result in panel:
        points = _points(result, gains)
        drawn += [result.gain, result.low, result.high, result.margin, -result.margin]
        drawn += [] if points is None else points.tolist()
    finite = [value for value in drawn if math.isfinite(value)]
    room = _SHORT_OF_EDGE * (max(finite) - min(finite)) or 1.0
    return min(finite) - room, max(finite) + room


def _heading(result: PrimaryResult) -> str:
    return f"{result.axis}: {result.metric}" if result.metric != result.axis else result.axis


def _description(panels: Sequence[Sequence[PrimaryResult]], baseline: str, title: str) -> str:
    texts = []
    for panel in panels:
        places = decimals_for([value for r in panel for value in (r.gain, r.margin)])
        margin = next((r.margin for r in panel if math.isfinite(r.margin)), math.nan)
        about = f", margin {fixed(margin, places)}" if math.isfinite(margin) else ""
        rows = [
            " ".join(
                filter(
                    None,
                    (
                        f"{r.prior} {fixed(r.gain, places, signed=True)}",
                        interval(r.low, r.high, places),
                        r.verdict or "not tested",
                    ),
                )
            )
            for r in panel
        ]
        texts.append(f"{_heading(panel[0])}{about}: {', '.join(rows)}")
    bounded = any(not math.isnan(result.low) for panel in panels for result in panel)
    return (
        f"Gains over {baseline}{' with simultaneous intervals' if bounded else ''} on {title}, "
        f"positive where a prior is better; {'; '.join(texts)}"
    )
