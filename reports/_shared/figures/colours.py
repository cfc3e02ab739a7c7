"""Colours, markers and typography of all figures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import cycle, zip_longest

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
