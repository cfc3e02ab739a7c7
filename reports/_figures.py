"""Matplotlib figures: their look, and as inline SVG or as files."""

from __future__ import annotations

import html
import io
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from itertools import cycle, zip_longest
from pathlib import Path
from typing import TYPE_CHECKING

from markupsafe import Markup

from ._svg import compact

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# after Okabe & Ito 2008, told apart by colour-blind readers; those too light on white are darker
INK, SOFT, LINE = "#1c2430", "#515b69", "#d5dae1"
BLUE, ORANGE, GREEN, VERMILION = "#0072b2", "#c27f00", "#009e73", "#d55e00"
SEED_COLOURS = (BLUE, VERMILION, GREEN, "#b5508f", ORANGE, "#3f3f3f", "#3c93cf", "#7a4b00")
BASE_COLOURS = {"A": GREEN, "C": BLUE, "G": ORANGE, "T": VERMILION}

MARKERS = {"o": "●", "s": "■", "D": "◆", "^": "▲", "v": "▼", "P": "✚", "X": "✖", "d": "♦"}
"""by name in figures, as in keys"""

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

_DPI = 200
_sink: ContextVar[Callable[[Figure, str], None] | None] = ContextVar("sink", default=None)


def looks(priors: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Colour and marker of every prior; those beyond the palette are grey."""
    pairs = zip_longest(priors, SEED_COLOURS[: len(priors)], fillvalue=SOFT)
    return {
        prior: (colour, marker)
        for (prior, colour), marker in zip(pairs, cycle(MARKERS), strict=False)
    }


@contextmanager
def style() -> Iterator[None]:
    """The report's look, for drawing and for :func:`to_svg` alike."""
    import matplotlib

    with matplotlib.rc_context(_STYLE):
        yield


@contextmanager
def handed_to(sink: Callable[[Figure, str], None]) -> Iterator[None]:
    """Within this, :func:`to_svg` gives every figure and its label to ``sink`` as well."""
    token = _sink.set(sink)
    try:
        yield
    finally:
        _sink.reset(token)


def save(figure: Figure, stem: Path) -> list[Path]:
    """Write a figure as ``stem.svg`` and ``stem.png``, on white; the same bytes every time.

    Curves that have labels get a legend: on a page the key stands beside the figure.

    Args:
        figure: drawn within :func:`style`.
        stem: path without an ending.
    """
    import matplotlib

    handles = [handle for axes in figure.axes for handle in axes.get_legend_handles_labels()[0]]
    if handles:
        legend = figure.legend(handles=handles, loc="outside lower center", ncols=2, fontsize=7)
        for text in legend.get_texts():
            text.set_parse_math(False)  # a dollar in a name is no formula
    paths = [stem.with_name(f"{stem.name}.{ending}") for ending in ("svg", "png")]
    with style(), matplotlib.rc_context({"svg.hashsalt": "priorbench"}):
        figure.savefig(paths[0], facecolor="white", metadata={"Date": None})
        figure.savefig(paths[1], facecolor="white", dpi=_DPI)
    return paths


def stem_of(number: int, label: str) -> str:
    """A file's name for the ``number``-th figure: how its label begins."""
    begin = re.split(r"[:;,] ", label)[0].lower()
    return f"{number:02d}-{re.sub(r'[^a-z0-9]+', '-', begin).strip('-')[:60]}"


def to_svg(figure: Figure, label: str) -> Markup:
    """A figure as an ``<svg>`` element.

    Args:
        figure: drawn within :func:`style`.
        label: what it shows, for those who cannot see it.
    """
    import matplotlib

    buffer = io.StringIO()
    # the salt only has to be fixed: ids are made again below
    with matplotlib.rc_context({"svg.hashsalt": "priorbench"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    sink = _sink.get()
    if sink is not None:
        sink(figure, label)
    text = compact(buffer.getvalue(), label)
    size = r'<svg([^>]*?) width="[^"]*" height="[^"]*"'
    quoted = html.escape(label, quote=True).replace("\\", "\\\\")
    return Markup(re.sub(size, rf'<svg role="img" aria-label="{quoted}"\1', text, count=1))
