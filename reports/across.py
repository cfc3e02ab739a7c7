"""All datasets together: differences over them, ranks, and profiles of single runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from markupsafe import Markup

from priorbench import Section
from priorbench.comparison.axis_ranks import AxisRanking, rank_axes
from priorbench.comparison.correction_families import families
from priorbench.comparison.over_datasets import SKILL
from priorbench.number_text import exact_p, fixed, interval, p_value
from priorbench.results.finished_run import Run
from priorbench.statistics.families.verdicts import ALPHA
from priorbench.statistics.signflip import smallest_p

from ._shared.figures.colours import BLUE, INK, SOFT
from ._shared.figures.style import style
from ._shared.figures.svg import to_svg
from ._shared.page import render
from ._shared.profiles import profiles
from ._shared.settings import settings_of
from ._shared.tests_table import tested_rows

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_WIDTH = 5.4  # inches
_ROW = 0.24


class Across(Section):
    """A table over all datasets, and one rank plot and one profile an axis."""

    title: ClassVar[str] = "All datasets together"
    position: ClassVar[int] = 26

    def render(self, run: Run) -> str:
        """Return the table, rank plots and profiles; empty for a single setting."""
        if run.across.empty:
            return ""
        rankings = rank_axes(run.comparisons)
        settings = [setting for setting in settings_of(run) if setting.primary]
        return render(
            "across",
            baseline=run.across["baseline"].iloc[0],
            family=families(run.across)[0],
            tables=len(settings),
            level=exact_p(run.claims.level),
            together=f"{100 * min(1.0, len(settings) * run.claims.level):.3g}%",
            rows=tested_rows(run.across, _more),
            plots=[{"ranking": ranking, **_limits(ranking)} for ranking in rankings],
            svgs=[_rank_plot(ranking) for ranking in rankings],
            **profiles(settings),
        )


def _more(row: Mapping[str, Any], places: int) -> dict[str, Any]:
    return {
        "metrics": f"of {row['metrics'].replace(' ', ', ')}" if row["metric"] == SKILL else "",
        "settings": row["settings"],
        "datasets": row["datasets"],
        "runs": row["runs"],
        "better_in": row["better_in"],
        "wilcoxon": p_value(row["p_wilcoxon"]),
        "mixed": fixed(row["mixed_effect"], places, signed=True),
        "mixed_interval": interval(row["mixed_low"], row["mixed_high"], places),
        "middle": fixed(row["iqm_difference"], places, signed=True),
        "middle_interval": interval(row["iqm_low"], row["iqm_high"], places),
        "improvement": fixed(row["improvement"], 2),
        "improvement_interval": interval(row["improvement_low"], row["improvement_high"], 2),
    }


def _limits(ranking: AxisRanking) -> dict[str, Any]:
    """Return whether a number of datasets can distinguish any two priors."""
    count = len(ranking.priors)
    smallest = min(1.0, smallest_p(ranking.datasets) * count * (count - 1) / 2)
    friedman = p_value(ranking.ranking.friedman_p)
    return {"smallest": smallest, "enough": smallest <= ALPHA, "friedman": friedman}


def _rank_plot(ranking: AxisRanking) -> Markup:
    """Return average ranks on a line, best on the left; bars join what is not distinguished."""
    from matplotlib.figure import Figure

    ranks = ranking.ranking.ranks
    order = np.argsort(ranks, kind="stable")
    bars = ranking.ranking.groups
    rows = len(order)
    with style():
        height = 0.5 + _ROW * rows + 0.13 * len(bars)
        figure = Figure(figsize=(_WIDTH, height), layout="constrained")
        axes = figure.subplots()
        _draw_bars(axes, bars, ranks)
        for row, arm in enumerate(order):
            y = len(bars) * 0.55 + 0.6 + row
            axes.plot([ranks[arm]] * 2, [0, y], color=SOFT, linewidth=0.8)
            axes.plot(ranks[arm], y, "o", color=INK, markersize=5)
            left = ranks[arm] > (1 + rows) / 2
            axes.annotate(
                f"{ranking.priors[arm]}  {ranks[arm]:.2f}",
                (ranks[arm], y),
                xytext=(-7 if left else 7, 0),
                textcoords="offset points",
                ha="right" if left else "left",
                va="center",
                parse_math=False,
                bbox={"boxstyle": "round,pad=0.1", "fc": "white", "ec": "none"},
                zorder=3,
            )
        _label(axes, rows, len(bars))
        return to_svg(figure, _description(ranking))


def _draw_bars(axes: Axes, bars: Any, ranks: Any) -> None:
    for level, group in enumerate(bars):
        places = ranks[list(group)]
        y = 0.45 + 0.55 * level
        axes.plot(
            [places.min() - 0.06, places.max() + 0.06],
            [y, y],
            color=BLUE,
            linewidth=4,
            solid_capstyle="round",
        )


def _label(axes: Axes, rows: int, bars: int) -> None:
    axes.set_xlim(0.8, rows + 0.2)
    axes.set_ylim(rows + 0.55 * bars + 0.3, 0)
    axes.set_xticks(range(1, rows + 1))
    axes.xaxis.tick_top()
    axes.xaxis.set_label_position("top")
    axes.set_xlabel("average rank (1 is best)")
    axes.set_yticks([])
    for side in ("left", "bottom"):
        axes.spines[side].set_visible(False)
    axes.spines["top"].set_visible(True)


def _description(ranking: AxisRanking) -> str:
    ranks = ranking.ranking.ranks
    in_order = np.argsort(ranks, kind="stable")
    averages = ", ".join(f"{ranking.priors[arm]} {ranks[arm]:.2f}" for arm in in_order)
    joined = "; ".join(
        " and ".join(ranking.priors[arm] for arm in group) for group in ranking.ranking.groups
    )
    return f"Average ranks on {ranking.axis}: {averages}. Not distinguished: {joined or 'none'}"
