"""Scores of every seed under every prior, metric by metric."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import pandas as pd
from markupsafe import Markup

from priorbench import Section
from priorbench.components.metric import Metric
from priorbench.evaluation.scoring import ORACLE, RANDOM
from priorbench.number_text import decimals_for, fixed
from priorbench.results.finished_run import Run

from ._shared.figures.colours import INK, SEED_COLOURS, SOFT, VERMILION
from ._shared.figures.style import pale_grid, spec_lines, style
from ._shared.figures.svg import to_svg
from ._shared.page import render
from ._shared.settings import MANY_SETTINGS, ComparedSetting, settings_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_WIDTH, _HEIGHT = 3.7, 2.4  # inches
_REFERENCE_ROOM = 0.6
"""largest distance of a reference that is drawn to scale from the seeds, in heights of the panel"""


class PairedSeeds(Section):
    """One panel per metric; a line joins the trials of one seed."""

    title: ClassVar[str] = "Paired seeds"
    position: ClassVar[int] = 30

    def render(self, run: Run) -> str:
        """Return the panels, setting by setting."""
        settings = settings_of(run)
        few = len(settings) <= MANY_SETTINGS
        return Markup("").join(
            render(
                "paired_seeds",
                setting=setting,
                elsewhere=run.claims.elsewhere,
                few=few,
                panels=[p for metric in _drawn(setting, few) if (p := _panel(setting, metric))],
                seeds=list(zip(setting.seeds, _colours(setting), strict=True)),
                coloured=_coloured(setting),
            )
            for setting in settings
        )


def _drawn(setting: ComparedSetting, few: bool) -> Sequence[Metric]:
    """Return the metrics with a panel: the main ones, or in a run of many settings the primary."""
    if few:
        return setting.metrics
    return [metric for metric in setting.all_metrics if metric.name in setting.primary]


def _colours(setting: ComparedSetting) -> Sequence[str]:
    count = len(setting.seeds)
    return SEED_COLOURS[:count] if _coloured(setting) else ["#8b95a1"] * count


def _coloured(setting: ComparedSetting) -> bool:
    return len(setting.seeds) <= len(SEED_COLOURS)


def _panel(setting: ComparedSetting, metric: Metric) -> dict[str, Any] | None:
    """Return a metric with its figure; None where no trial has a value."""
    from matplotlib.figure import Figure

    scores = setting.scores(metric).dropna(subset="value")
    if scores.empty:
        return None
    references = {
        name: value
        for name in (ORACLE, RANDOM)
        if math.isfinite(value := setting.reference(name, metric))
    }
    names = [spec_lines(prior) for prior in setting.priors]
    with style():
        figure = Figure(figsize=(_WIDTH, _HEIGHT + _name_height(names)), layout="constrained")
        axes = figure.subplots()
        _draw(axes, scores, setting)
        _label(axes, names)
        _draw_references(axes, references, decimals_for(scores["value"]))
        image = to_svg(figure, _description(setting, metric, scores, references))
    return {"metric": metric, "svg": image}


def _draw(axes: Axes, scores: pd.DataFrame, setting: ComparedSetting) -> None:
    # positions instead of names: the axis also shows priors without a value
    placed = scores.assign(x=scores["prior"].map(list(setting.priors).index))
    colours = dict(zip(setting.seeds, _colours(setting), strict=True))
    # seaborn takes a second for these lines
    for seed, trials in placed.groupby("seed"):
        (line,) = axes.plot(trials["x"], trials["value"], "o-", ms=4.5, mew=0, lw=0.9, alpha=0.85)
        line.set_color(colours[int(str(seed))])
    means = placed.groupby("x")["value"].mean()
    axes.hlines(means, means.index - 0.3, means.index + 0.3, color=INK, linewidth=2, zorder=1.5)
    failed = placed[placed["failed"]]
    axes.plot(failed["x"], failed["value"], "x", color=VERMILION, ms=9, mew=2.2, zorder=5)


def _draw_references(axes: Axes, references: Mapping[str, float], places: int) -> None:
    """Draw dashed lines, or notes at the edge where a line would squash the seeds together."""
    low, high = axes.get_ylim()
    room = _REFERENCE_ROOM * (high - low)
    near = {n: v for n, v in references.items() if low - room <= v <= high + room}
    axes.set_ylim(min([low, *near.values()]), max([high, *near.values()]))
    for name, value in references.items():
        if name in near:
            axes.axhline(value, color=SOFT, linewidth=0.9, linestyle=(0, (4, 3)), zorder=0)
            text, height, where = name, value, axes.get_yaxis_transform()
        else:
            text = f"{name}\n{fixed(value, places)} {'↑' if value > high else '↓'}"
            height, where = float(value > high), axes.transAxes
        axes.annotate(
            text,
            (1, height),
            xycoords=where,
            xytext=(3, 0),
            textcoords="offset points",
            va="center" if name in near else "top" if height else "bottom",
            fontsize=7.5,
            color=SOFT,
        )


def _crowded(names: Sequence[str]) -> bool:
    return len(names) > 4 or max(map(len, names)) > 12


def _name_height(names: Sequence[str]) -> float:
    """Return the height in inches that turned names need below the panel."""
    longest = max(len(line) for name in names for line in name.split("\n"))
    return 0.05 * longest if _crowded(names) else 0.0


def _label(axes: Axes, names: Sequence[str]) -> None:
    # a dollar in a user's name is no formula
    axes.set_xticks(range(len(names)), names, parse_math=False)
    if _crowded(names):
        for text in axes.get_xticklabels():
            text.set(rotation=40, ha="right", rotation_mode="anchor")
    axes.set_xlim(-0.5, len(names) - 0.5)
    axes.set_xlabel("")
    axes.set_ylabel("")
    pale_grid(axes)


def _description(
    setting: ComparedSetting, metric: Metric, scores: pd.DataFrame, references: Mapping[str, float]
) -> str:
    means = scores.groupby("prior", sort=False)["value"].mean()
    places = decimals_for(means)
    texts = [f"{prior} {fixed(mean, places)}" for prior, mean in means.items()]
    texts += [f"{name} reference {fixed(value, places)}" for name, value in references.items()]
    return f"{metric.name} on {setting.title}, one dot per seed; means: {', '.join(texts)}"
