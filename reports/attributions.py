"""Attributions of one test sequence under every prior."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import groupby
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from priorbench import Section
from priorbench.dataset import DECOY, MOTIF, Dataset
from priorbench.results import Run
from priorbench.sequences import N_CODE, decode

from ._blocks import MANY_BLOCKS, ORACLE, Block, blocks
from ._examples import SHOWN, Example, choose_example, normalised
from ._figures import BASE_COLOURS, INK, LINE, SOFT, style, to_svg
from ._page import render

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_BANDS = {MOTIF: ("motif", "#dbe9f6"), DECOY: ("decoy", "#ececec")}
_WIDTH, _TRACK_HEIGHT = 13.0, 0.85


class Attributions(Section):
    """Attribution logos, one track per prior, over the same positions."""

    title: ClassVar[str] = "Attributions of one sequence"
    position: ClassVar[int] = 40

    def render(self, run: Run) -> str:
        """See Section."""
        shown, rest = blocks(run)[:MANY_BLOCKS], blocks(run)[MANY_BLOCKS:]
        found = ((block, choose_example(run, block)) for block in shown)
        figures = [
            _figure(run.datasets[block.key], block, example) for block, example in found if example
        ]
        more = [render("not_drawn", blocks=rest, many=MANY_BLOCKS)] if rest else []
        return Markup("").join([*figures, *more])


def _figure(dataset: Dataset, block: Block, example: Example) -> Markup:
    codes = dataset.codes(dataset.attributed[[example.row]])[0]
    tracks = dict(example.tracks)
    if dataset.oracle is not None and np.any(dataset.oracle[example.row]):
        tracks = {ORACLE: dataset.oracle[example.row], **tracks}
    truth = dataset.truth[example.row] if dataset.truth is not None else None
    shown = set() if truth is None else set(truth[example.start : example.stop])
    label = (
        f"Attribution logos of one test sequence of {block.title}, positions "
        f"{example.start} to {example.stop - 1}: {', '.join(tracks)}. "
        f"Sequence: {decode(codes[example.start : example.stop])}"
    )
    return render(
        "attributions",
        block=block,
        example=example,
        svg=_draw(tracks, codes, truth, example, label),
        bands=[name for code, (name, _) in _BANDS.items() if code in shown],
        truth_known=truth is not None,
        oracle=ORACLE in tracks,
        length=dataset.length,
        shown=SHOWN,
    )


def _draw(
    tracks: Mapping[str, NDArray[np.float32]],
    codes: NDArray[np.uint8],
    truth: NDArray[np.uint8] | None,
    example: Example,
    label: str,
) -> Markup:
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    with style():
        figure = Figure(
            figsize=(_WIDTH, _TRACK_HEIGHT * len(tracks) + 0.5),
            layout=ConstrainedLayoutEngine(h_pad=0.02, hspace=0),
        )
        column = figure.subplots(len(tracks), 1, sharex=True, squeeze=False)[:, 0]
        for axes, (name, track) in zip(column, tracks.items(), strict=True):
            _draw_track(axes, name, normalised(track), codes)
            if truth is not None:
                _shade(axes, truth, example, named=axes is column[0])
            axes.set_xlim(example.start - 0.1, example.stop)
        column[-1].set_xlabel("position in the window (bp, from 0)")
        column[-1].tick_params(axis="x", length=3, labelbottom=True)
        column[-1].spines["bottom"].set_visible(True)
        return to_svg(figure, label)


def _draw_track(
    axes: Axes, name: str, track: NDArray[np.float64], codes: NDArray[np.uint8]
) -> None:
    from tangermeme.plot import plot_logo

    heights = np.zeros((4, len(codes)))
    known = codes != N_CODE
    heights[codes[known], np.flatnonzero(known)] = track[known]
    if heights.any():  # plot_logo has no limits for a track of zeros
        plot_logo(heights, ax=axes, color=BASE_COLOURS, min_height_pct=0.01)
    low, high = min(track.min(), 0.0), max(track.max(), 0.0)
    margin = 0.06 * max(high - low, 1e-9)
    axes.set_ylim(low - margin, high + margin)
    axes.axhline(0, color=LINE, linewidth=0.8, zorder=0)
    shown = name.replace(":", "\n").replace("+", "\n+")
    axes.set_ylabel(
        shown, rotation=0, ha="right", va="center", color=INK, fontsize=10, parse_math=False
    )
    axes.set_yticks([])
    axes.tick_params(axis="x", length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)


def _shade(axes: Axes, truth: NDArray[np.uint8], example: Example, *, named: bool) -> None:
    """Bands where motifs and decoys are, with their names above the first track."""
    positions = range(example.start, example.stop)
    for code, group in groupby(positions, key=lambda position: int(truth[position])):
        if code not in _BANDS:
            continue
        run = list(group)
        name, colour = _BANDS[code]
        axes.axvspan(run[0] - 0.05, run[-1] + 1, color=colour, linewidth=0, zorder=-1)
        if named:
            axes.annotate(
                name,
                ((run[0] + run[-1] + 1) / 2, 1.02),
                xycoords=axes.get_xaxis_transform(),
                ha="center",
                fontsize=8.5,
                color=SOFT,
            )
