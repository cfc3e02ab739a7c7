"""Figure of attributions along a sequence: letters of one seed above a strip of every seed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from priorbench.data.codes import DECOY, MOTIF, SUBOPTIMAL
from priorbench.encoding import N_CODE
from priorbench.number_text import fixed

from ..figures.colours import BASE_COLOURS, BLUE, INK, LINE, SOFT, VERMILION
from ..figures.style import spec_lines, style
from ..figures.svg import to_svg
from .examples import PriorTracks, SequenceExample, normalised

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BANDS = {
    MOTIF: ("motif", "#dbe9f6"),
    SUBOPTIMAL: ("mutated", "#f7dfc8"),
    DECOY: ("decoy", "#ececec"),
}
"""name and colour of the marks along a sequence, by position code"""
_WIDTH, _LETTERS, _STRIP, _GAP = 13.0, 0.62, 0.085, 0.1  # inches
_LETTER_WIDTH = 0.95  # bp
_SMALLEST_LETTER = 0.01
"""share of a track's largest value below which letters are left out"""


@dataclass(frozen=True)
class TrackFigure:
    """Contents of a figure.

    Attributes:
        example: sequence with its attributions.
        codes: (L,) uint8 codes of the sequence's bases.
        truth: (L,) uint8 position codes; None where unknown.
        oracle: (L,) attribution of an oracle; None where unknown or all zero.
        seeds: seeds that the rows of a strip stand for.
        lettered: seed whose attribution is drawn in letters.
    """

    example: SequenceExample
    codes: NDArray[np.uint8]
    truth: NDArray[np.uint8] | None
    oracle: NDArray[np.float32] | None
    seeds: Sequence[int]
    lettered: int


def draw(scene: TrackFigure, label: str) -> Markup:
    """Return a figure.

    Args:
        scene: contents of the figure.
        label: description for readers who cannot see it.
    """
    from matplotlib.figure import Figure

    example = scene.example
    rows = len(example.tracks)
    strip = _STRIP * len(scene.seeds)
    oracle = [_LETTERS, _GAP / 2] if scene.oracle is not None else []
    heights = [*oracle, *[_LETTERS, strip, _GAP] * rows]
    above, below = 0.2, 0.42 - _GAP
    size = sum(heights) + above + below
    with style():
        figure = Figure(figsize=(_WIDTH, size))
        grid = figure.add_gridspec(
            len(heights),
            1,
            height_ratios=heights,
            hspace=0,
            left=_left(example.tracks) / _WIDTH,
            right=1 - 1.05 / _WIDTH,
            bottom=below / size,
            top=1 - above / size,
        )
        places = iter(range(len(heights)))
        column: list[Axes] = []
        if scene.oracle is not None:
            column.append(axes := figure.add_subplot(grid[next(places)]))
            next(places)
            _letters(axes, normalised(scene.oracle), scene)
            _name(axes, "oracle")
        for prior, tracks in example.tracks.items():
            letters, strips, _ = (grid[next(places)] for _ in range(3))
            column += [figure.add_subplot(letters), figure.add_subplot(strips)]
            track = tracks.of_seed.get(scene.lettered)
            if track is None:
                column[-2].set_ylim(-1, 1)
                _note(column[-2], f"seed {scene.lettered} failed or collapsed")
            else:
                _letters(column[-2], normalised(track), scene)
            _strips(column[-1], tracks, scene)
            _name(column[-2], prior)
            _scores(column[-2], tracks)
        _marks(column, scene)
        _positions(column, example)
        return to_svg(figure, label)


def _left(tracks: Mapping[str, PriorTracks]) -> float:
    """Return the width in inches that names need beside the tracks."""
    lines = [line for prior in tracks for line in spec_lines(prior).split("\n")]
    return max(0.65, 0.085 * max(map(len, lines)) + 0.15)


def _letters(axes: Axes, track: NDArray[np.float64], scene: TrackFigure) -> None:
    """Draw the observed bases as high as their attribution, mirrored downwards if negative."""
    from matplotlib.collections import PathCollection
    from matplotlib.path import Path

    codes = scene.codes
    window = np.arange(scene.example.start, scene.example.stop)
    large = window[(np.abs(track[window]) >= _SMALLEST_LETTER) & (codes[window] != N_CODE)]
    letters = {}
    for code, base in enumerate(BASE_COLOURS):
        outline, kinds = _glyph(base)
        glyphs = [
            Path(outline * (_LETTER_WIDTH, track[at]) + (at, 0), kinds)
            for at in large[codes[large] == code]
        ]
        if glyphs:  # one path a base: one a letter would be twice as much to load
            letters[base] = Path.make_compound_path(*glyphs)
    colours = [BASE_COLOURS[base] for base in letters]
    drawn = PathCollection(list(letters.values()), facecolors=colours, linewidths=0)
    axes.add_collection(drawn, autolim=False)
    low, high = min(track.min(), 0.0), max(track.max(), 0.0)
    margin = 0.06 * max(high - low, 1e-9)
    axes.set_ylim(low - margin, high + margin)
    axes.axhline(0, color=LINE, linewidth=0.8, zorder=0)


@cache
def _glyph(base: str) -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
    """Return points (k, 2) and codes (k,) of the path of a bold letter that fills a unit square."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import TextPath

    outline = TextPath((0, 0), base, size=1, prop=FontProperties(family="monospace", weight="bold"))
    extent = outline.get_extents()
    points = np.asarray(outline.vertices, dtype=np.float64)
    return (points - extent.min) / extent.size, np.asarray(outline.codes)


def _strips(axes: Axes, tracks: PriorTracks, scene: TrackFigure) -> None:
    """Draw a row for every seed, from blue for positive through white to vermilion for negative."""
    from matplotlib.colors import LinearSegmentedColormap

    example = scene.example
    rows = np.full((len(scene.seeds), example.stop - example.start), np.nan)
    for i, seed in enumerate(scene.seeds):
        if seed in tracks.of_seed:
            rows[i] = normalised(tracks.of_seed[seed])[example.start : example.stop]
    colours = LinearSegmentedColormap.from_list("signed", [VERMILION, "white", BLUE])
    axes.imshow(
        np.ma.masked_invalid(rows),
        cmap=colours.with_extremes(bad="#e4e6ea"),
        vmin=-1,
        vmax=1,
        aspect="auto",
        interpolation="none",
        extent=(example.start, example.stop, len(scene.seeds), 0),
    )
    for i in range(1, len(scene.seeds)):
        axes.axhline(i, color="white", linewidth=0.7)


def _name(axes: Axes, name: str) -> None:
    axes.annotate(
        spec_lines(name),
        (0, 0.45),
        xycoords="axes fraction",
        xytext=(-8, 0),
        textcoords="offset points",
        ha="right",
        va="center",
        color=INK,
        fontsize=10,
        parse_math=False,
    )


def _scores(axes: Axes, tracks: PriorTracks) -> None:
    """Write the scores of this sequence at the right."""
    lines = []
    if tracks.motif_auprc is not None:
        low, high = (fixed(value, 2) for value in tracks.motif_auprc)
        lines += ["motif-auprc", low if low == high else f"{low} to {high}"]
    if math.isfinite(tracks.agreement):
        lines += ["seed-cosine", fixed(tracks.agreement, 2)]
    axes.annotate(
        "\n".join(lines),
        (1, 1),
        xycoords="axes fraction",
        xytext=(7, 0),
        textcoords="offset points",
        va="top",
        color=SOFT,
        fontsize=8,
        linespacing=1.25,
    )


def _note(axes: Axes, text: str) -> None:
    axes.annotate(
        text, (0.5, 0.5), xycoords="axes fraction", ha="center", va="center", color=SOFT, fontsize=9
    )


def _marks(column: Sequence[Axes], scene: TrackFigure) -> None:
    """Draw bands and lines where motifs and decoys are, with their names above the first track."""
    truth = scene.truth
    if truth is None:
        return
    window = range(scene.example.start, scene.example.stop)
    for code, group in groupby(window, key=lambda position: int(truth[position])):
        if code not in BANDS:
            continue
        run = list(group)
        name, colour = BANDS[code]
        start, stop = run[0] - 0.025, run[-1] + 0.975
        for axes in column:
            axes.axvspan(start, stop, color=colour, linewidth=0, zorder=-1)
            for edge in (start, stop):
                axes.axvline(
                    edge, color=SOFT, linewidth=0.7, dashes=(2, 2) if code == DECOY else ()
                )
        column[0].annotate(
            name,
            ((start + stop) / 2, 1.02),
            xycoords=column[0].get_xaxis_transform(),
            ha="center",
            fontsize=8.5,
            color=SOFT,
        )


def _positions(column: Sequence[Axes], example: SequenceExample) -> None:
    for axes in column:
        axes.set_xlim(example.start - 0.1, example.stop)
        axes.set_yticks([])
        for spine in axes.spines.values():
            spine.set_visible(False)
    for axes in column[:-1]:
        axes.set_xticks([])
    column[-1].set_xlabel("position in the window (bp, from 0)")
    column[-1].tick_params(axis="x", length=3, labelbottom=True)
    column[-1].spines["bottom"].set_visible(True)
