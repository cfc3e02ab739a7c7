"""Average ranks of priors on a line, for the report and for pages of findings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from priorbench.comparison.axis_ranks import AxisRanking

from ..figures.colours import BLUE, INK, SOFT

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def draw_ranks(axes: Axes, ranking: AxisRanking) -> None:
    """Draw average ranks, best on the left; bars join priors that are not distinguished.

    Args:
        axes: axes of a figure in the style of the report, which this clears of ticks.
        ranking: ranks of the priors on an axis.
    """
    ranks, bars = ranking.ranking.ranks, ranking.ranking.groups
    order = np.argsort(ranks, kind="stable")
    rows = len(order)
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


def _draw_bars(axes: Axes, bars: Sequence[Sequence[int]], ranks: NDArray[np.float64]) -> None:
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
