"""Colours and markers of all figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import cycle, zip_longest

# after Okabe & Ito 2008, distinct for colour-blind readers; those too light on white are darker
INK, SOFT, LINE, GRID = "#1c2430", "#515b69", "#d5dae1", "#eceff2"
BLUE, ORANGE, GREEN, VERMILION = "#0072b2", "#c27f00", "#009e73", "#d55e00"
SEED_COLOURS = (BLUE, VERMILION, GREEN, "#b5508f", ORANGE, "#3f3f3f", "#3c93cf", "#7a4b00")
BASE_COLOURS = {"A": GREEN, "C": BLUE, "G": ORANGE, "T": VERMILION}

MARKERS = {"o": "●", "s": "■", "D": "◆", "^": "▲", "v": "▼", "P": "✚", "X": "✖", "d": "♦"}
"""characters in keys by the name of the marker in matplotlib"""
Look = tuple[str, str]
"""colour and marker"""


def looks(names: Sequence[str]) -> dict[str, Look]:
    """Return colour and marker by name; names beyond the palette are grey."""
    pairs = zip_longest(names, SEED_COLOURS[: len(names)], fillvalue=SOFT)
    return {
        name: (colour, marker)
        for (name, colour), marker in zip(pairs, cycle(MARKERS), strict=False)
    }


def key_of(looks: Mapping[str, Look]) -> list[dict[str, str]]:
    """Return the entries of a figure's key, for ``key.jinja``."""
    return [
        {"name": name, "colour": colour, "sign": MARKERS[marker]}
        for name, (colour, marker) in looks.items()
    ]
