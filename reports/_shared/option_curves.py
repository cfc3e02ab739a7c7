"""Curves of differences to the baseline along an option of a task or of a prior."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from priorbench.components.metric import Metric
from priorbench.number_text import fixed

from .figures.colours import Look
from .figures.style import pale_grid
from .settings import ComparedSetting

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_RANKED = ("prediction", "localisation", "stability")


@dataclass(frozen=True)
class OptionCurve:
    """Differences of a prior to the baseline at values of an option.

    Attributes:
        values: (k,) values of the option, ascending.
        differences: (k,) mean differences.
        low: (k,) lower ends of their intervals; NaN where there is none.
        high: (k,) upper ends; likewise.
    """

    values: NDArray[np.float64]
    differences: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]

    @property
    def description(self) -> str:
        """Values with their differences, for readers who cannot see the figure."""
        return ", ".join(
            f"{value:g} {fixed(difference, 3, signed=True)}"
            for value, difference in zip(self.values, self.differences, strict=True)
        )

    def draw(self, axes: Axes, x: NDArray[np.float64], look: Look) -> None:
        """Draw the curve with its intervals at (k,) horizontal positions."""
        colour, marker = look
        axes.vlines(x, self.low, self.high, color=colour, linewidth=1.1, alpha=0.8)
        axes.plot(x, self.differences, marker=marker, color=colour, markersize=4.5, linewidth=1.1)


def option_curve(
    points: Sequence[tuple[float, ComparedSetting, str]], metric: Metric
) -> OptionCurve:
    """Return the differences at the values of an option; values without one are left out.

    Args:
        points: value, setting and prior, ascending by value.
        metric: metric of the differences.
    """
    rows = [(value, setting.comparison(prior, metric)) for value, setting, prior in points]
    known = [(value, row) for value, row in rows if row is not None]
    columns = [
        [float(row[column]) for _, row in known] for column in ("difference", "ci_low", "ci_high")
    ]
    differences, *ends = map(np.array, columns)
    # an interval that excludes nothing has infinite ends, and is not drawn
    low, high = (np.where(np.isfinite(end), end, np.nan) for end in ends)
    return OptionCurve(np.array([value for value, _ in known]), differences, low, high)


def label_differences(axes: Axes, baseline: str) -> None:
    """Label the vertical axis as a difference to the baseline, over a pale grid."""
    axes.set_ylabel(f"difference to {baseline}", parse_math=False)
    pale_grid(axes)


def ranked_metrics(setting: ComparedSetting) -> list[Metric]:
    """Return the first metric of a setting on every axis that is drawn along options."""
    ranked = [metric for metric in setting.metrics if metric.higher_is_better is not None]
    firsts = [next((m for m in ranked if m.axis == axis), None) for axis in _RANKED]
    return [metric for metric in firsts if metric is not None]
