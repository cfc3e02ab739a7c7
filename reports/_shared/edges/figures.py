"""Figures of what happens near the ends of the window."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle

import numpy as np
from markupsafe import Markup
from numpy.typing import ArrayLike

from priorbench.edges.penalty_effects import WIDTH
from priorbench.edges.summary import Effects
from priorbench.edges.trained_models import TrainedEdges
from priorbench.number_text import fixed

from ..figures.colours import SEED_COLOURS, SOFT
from ..figures.style import pale_grid, style
from ..figures.svg import to_svg

_WIDTH, _HEIGHT = 4.2, 2.7  # inches
_DASHES = ("-", (0, (5, 1.5)), (0, (1.5, 1)), (0, (5, 1.5, 1.5, 1.5)), (0, (8, 2, 2, 2, 2, 2)))
_NEIGHBOURHOOD = 3 * WIDTH
"""distance in bp from an end, or between two motifs, up to which curves are drawn"""
_DESCRIBED_POINTS = 5
"""number of points of a curve in the description of a figure"""

Line = tuple[str, object]
"""colour and dashes"""


@dataclass(frozen=True)
class Panel:
    """A figure of curves.

    Attributes:
        name: name, which its file's name begins with.
        title: title of the figure.
        note: sentences on how to read it.
        x: label of the horizontal axis.
        y: label of the vertical axis.
        curves: (k,) x and (k,) y by prior.
        level: height of the line that means no effect; None if there is none.
    """

    name: str
    title: str
    note: str
    x: str
    y: str
    curves: Mapping[str, tuple[ArrayLike, ArrayLike]]
    level: float | None = 0.0


def lines_of(priors: Sequence[str]) -> dict[str, Line]:
    """Return colour and dashes by prior, so that no curve is known by its colour alone."""
    return dict(zip(priors, zip(cycle(SEED_COLOURS), cycle(_DASHES)), strict=False))


def draw(panel: Panel, lines: Mapping[str, Line]) -> Markup:
    """Return a figure as SVG."""
    from matplotlib.figure import Figure

    with style():
        figure = Figure(figsize=(_WIDTH, _HEIGHT), layout="constrained")
        axes = figure.subplots()
        if panel.level is not None:
            axes.axhline(panel.level, color=SOFT, linewidth=0.9)
        for prior, (x, y) in panel.curves.items():
            colour, dashes = lines[prior]
            marker = "o" if np.size(x) <= 10 else ""
            axes.plot(
                x,
                y,
                color=colour,
                linestyle=dashes,
                linewidth=1.6,
                marker=marker,
                markersize=3.5,
                label=prior,
            )
        axes.set_xlabel(panel.x)
        axes.set_ylabel(panel.y)
        pale_grid(axes)
        return to_svg(figure, f"{panel.name}: {panel.title}; {_description(panel)}")


def key_of(lines: Mapping[str, Line]) -> list[dict[str, object]]:
    """Return the entries of a figure's key: the prior, and a piece of its line as SVG."""
    return [
        {"prior": prior, "line": _sample(colour, dashes)}
        for prior, (colour, dashes) in lines.items()
    ]


def _sample(colour: str, dashes: object) -> Markup:
    pattern = "" if dashes == "-" else " ".join(f"{2 * n:g}" for n in dashes[1])  # type: ignore[index]
    return Markup(
        '<svg aria-hidden="true" role="img" aria-label="line" width="34" height="8" '
        'style="background:#fff;border-radius:3px">'
        '<line x1="2" y1="4" x2="32" y2="4" stroke="{}" stroke-width="2.4" stroke-dasharray="{}"/>'
        "</svg>"
    ).format(colour, pattern)


def _description(panel: Panel) -> str:
    """Return a few points of every curve, for readers who cannot see the figure."""
    texts = []
    for prior, (x, y) in panel.curves.items():
        places, values = np.asarray(x), np.asarray(y)
        some = np.linspace(0, len(places) - 1, _DESCRIBED_POINTS).round().astype(int)
        points = ", ".join(f"{places[i]:g} {fixed(float(values[i]), 3)}" for i in np.unique(some))
        texts.append(f"{prior}: {points}")
    return "; ".join(texts)


def penalty_panels(effects: Effects) -> Iterator[Panel]:
    """Yield figures of the penalties' values."""
    penalties = {prior: penalty for prior, (penalty, _) in effects.items()}
    unit = "share of |noise − motif|"
    yield Panel(
        "position",
        "One motif, by its position",
        f"The penalty of a motif of {WIDTH} bp less that of the same motif in the middle half. A "
        "penalty that does not depend on position is flat; one with a mirrored window differs at "
        "the very middle.",
        "first position of the motif (bp)",
        unit,
        {prior: (e.start, (e.lone - e.centre) / e.scale) for prior, e in penalties.items()},
    )
    for name, title, note in (
        (
            "pairs-across",
            "Two motifs that meet across the ends",
            "By how much the penalty of the two is lower than that of two motifs far apart. Above "
            "0 at a gap of a few bp, the penalty treats the two ends as neighbours (wrap-around "
            "gain).",
        ),
        (
            "pairs-inside",
            "Two motifs that meet in the middle",
            "The same inside the window, with the same gaps, for comparison.",
        ),
    ):
        yield Panel(
            name,
            title,
            note,
            "gap between the two motifs (bp)",
            unit,
            {
                prior: (
                    e.gap[e.gap <= _NEIGHBOURHOOD],
                    (e.gain_across if name == "pairs-across" else e.gain_inside)[
                        e.gap <= _NEIGHBOURHOOD
                    ]
                    / e.scale,
                )
                for prior, e in penalties.items()
            },
        )
    yield Panel(
        "ramp",
        "A ramp, whose ends differ in level",
        "Its penalty less that of a tent: the same values rising and falling again, so that the "
        "ends are alike. Where the difference is not 0, the jump between the ends counts. A jump "
        "moves power from the zero frequency, which has no weight, to frequencies that have "
        "weight, and so lowers the Fourier penalty.",
        "steepness (1: from 0 to twice the mean)",
        unit,
        {prior: (e.level, (e.ramp - e.tent) / e.scale) for prior, e in penalties.items()},
    )


def gradient_panels(effects: Effects) -> Iterator[Panel]:
    """Yield figures of the penalties' gradients."""
    gradients = {prior: gradient for prior, (_, gradient) in effects.items()}
    push = "push (above 0: up)"
    yield Panel(
        "noise-size",
        "Noise: size of the push",
        "Mean absolute push on Gaussian noise, by distance to the nearest end.",
        "distance to the nearest end (bp)",
        "mean |push|",
        {prior: (e.distance, e.noise_size) for prior, e in gradients.items()},
        None,
    )
    yield Panel(
        "noise-push",
        "Noise: direction of the push",
        "Mean push on Gaussian noise, by distance to the nearest end.",
        "distance to the nearest end (bp)",
        push,
        {prior: (e.distance, e.noise_push) for prior, e in gradients.items()},
    )
    yield Panel(
        "ramp-push",
        "A ramp: direction of the push",
        "Push on an attribution that rises from 0 at the start to its maximum at the end.",
        "position (bp)",
        push,
        {prior: (np.arange(len(e.ramp_push)), e.ramp_push) for prior, e in gradients.items()},
    )
    yield Panel(
        "far-end-push",
        "A motif at the start: push at the other end",
        "Push on the faint background near the end of the window with a motif at its start, less "
        "the push with the motif in the middle. Above 0, the penalty rewards attribution at the "
        "end across from the motif.",
        "distance to the end of the window (bp)",
        push,
        {
            prior: (
                np.arange(_NEIGHBOURHOOD),
                (e.start_push - e.middle_push)[::-1][:_NEIGHBOURHOOD],
            )
            for prior, e in gradients.items()
        },
    )


def trained_panels(setting: TrainedEdges) -> Iterator[Panel]:
    """Yield figures of the scores of trained models, means over seeds."""
    for name, title, y in (
        ("localisation", "Localisation by distance", "average precision"),
        ("mass", "Attribution on the motif by distance", "share of |attribution|"),
    ):
        yield Panel(
            f"trained-{name}",
            title,
            "Sequences with one motif, in bins of about equal size; dots are at the middle of the "
            "bins’ range. Means over seeds.",
            "distance of the motif from the nearest end (bp)",
            y,
            {
                prior: ((curve.low + curve.high) / 2, getattr(curve, name))
                for prior, curve in setting.curves.items()
            },
            None,
        )
    yield Panel(
        "trained-background",
        "Background attribution by distance",
        "Sequences with their motif in the middle: mean |attribution| outside it, divided by its "
        "mean over positions. Without an effect of the ends it would be 1 up to the flanks of the "
        "motif.",
        "distance to the nearest end (bp)",
        "relative to its mean",
        {prior: (np.arange(len(track)), track) for prior, track in setting.background.items()},
        1.0,
    )
