"""Style of all figures: fonts, axes, grids, names beside them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from textwrap import wrap
from typing import TYPE_CHECKING, Literal

from .colours import GRID, INK, LINE, SOFT

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_STYLE = {
    "svg.fonttype": "none",  # text stays text: searchable, and in the font of the page
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],  # ships with matplotlib, so layouts are the same anywhere
    "font.size": 9,
    "text.color": INK,
    "axes.labelcolor": SOFT,
    "axes.edgecolor": LINE,
    "axes.unicode_minus": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
}


@contextmanager
def style() -> Iterator[None]:
    """Set the style of the report, for drawing and for saving alike."""
    import matplotlib

    with matplotlib.rc_context(_STYLE):
        yield


def pale_grid(axes: Axes, axis: Literal["both", "x", "y"] = "y") -> None:
    """Draw a pale grid behind the data, and ticks without marks."""
    axes.tick_params(length=0)
    axes.grid(axis=axis, color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)


def spec_lines(spec: str) -> str:
    """Return a spec on several lines: one an option and one a part of a composition."""
    return spec.replace(":", "\n").replace("+", "\n+")


def wrapped_spec(spec: str, width: int) -> str:
    """Return a spec on as few lines of that many letters as it takes, broken between options."""
    broken = spec.replace(":", " :").replace("+", " +")
    lines = wrap(broken, width, break_on_hyphens=False)
    return "\n".join(line.replace(" :", ":").replace(" +", "+") for line in lines)
