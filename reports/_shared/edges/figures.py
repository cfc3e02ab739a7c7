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

from ..figures.colours import SEED_COLOURS, SOFT, style
from ..figures.svg import to_svg
from ..numbers import fixed

_WIDTH, _HEIGHT = 4.2, 2.7  # inches
_DASHES = ("-", (0, (5, 1.5)), (0, (1.5, 1)), (0, (5, 1.5, 1.5, 1.5)), (0, (8, 2, 2, 2, 2, 2)))
_NEIGHBOURHOOD = 3 * WIDTH
_TOLD = 5

Look = tuple[str, object]
"""colour and dashes"""


@dataclass(frozen=True)
class Panel:
    """A figure of curves.

    Attributes:
        name: for its file.
        title: what is shown.
        note: how to read it.
        x: label of the horizontal axis.
        y: label of the vertical axis.
        curves: (k,) x and y by prior.
        level: height of the line that means no effect, or None.
    """

    name: str
    title: str
    note: str
    x: str
    y: str
    curves: Mapping[str, tuple[ArrayLike, ArrayLike]]
    level: float | None = 0.0


def looks(priors: Sequence[str]) -> dict[str, Look]:
    """Colour and dashes by prior, so that no curve is known by its colour alone."""
    return dict(zip(priors, zip(cycle(SEED_COLOURS), cycle(_DASHES)), strict=False))


def draw(panel: Panel, look: Mapping[str, Look]) -> Markup:
    """The panel's figure."""
    from matplotlib.figure import Figure

    with style():
        figure = Figure(figsize=(_WIDTH, _HEIGHT), layout="constrained")
        axes = figure.subplots()
        if panel.level is not None:
            axes.axhline(panel.level, color=SOFT, linewidth=0.9)
        for prior, (x, y) in panel.curves.items():
            colour, dashes = look[prior]
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
        axes.tick_params(length=0)
        axes.grid(axis="y", color="#eceff2", linewidth=0.8)
        axes.set_axisbelow(True)
        return to_svg(figure, f"{panel.name}: {panel.title}; {_told(panel)}")


def key_figure(look: Mapping[str, Look]) -> list[dict[str, object]]:
    """What the key of a page needs: name, colour, and an inline line as it is drawn."""
    return [
        {"prior": prior, "line": _sample(colour, dashes)}
        for prior, (colour, dashes) in look.items()
    ]


def _sample(colour: str, dashes: object) -> Markup:
    pattern = "" if dashes == "-" else " ".join(f"{2 * n:g}" for n in dashes[1])  # type: ignore[index]
    return Markup(
        '<svg aria-hidden="true" role="img" aria-label="line" width="34" height="8" '
        'style="background:#fff;border-radius:3px">'
        '<line x1="2" y1="4" x2="32" y2="4" stroke="{}" stroke-width="2.4" stroke-dasharray="{}"/>'
        "</svg>"
    ).format(colour, pattern)


def _told(panel: Panel) -> str:
    """A few points of every curve, for those who cannot see it."""
    texts = []
    for prior, (x, y) in panel.curves.items():
        places, values = np.asarray(x), np.asarray(y)
        some = np.unique(np.linspace(0, len(places) - 1, _TOLD).round().astype(int))
        points = ", ".join(f"{places[i]:g} {fixed(float(values[i]), 3)}" for i in some)
        texts.append(f"{prior}: {points}")
    return "; ".join(texts)


def penalty_panels(effects: Effects) -> Iterator[Panel]:
    """Values of the penalties."""
    penalties = {prior: found for prior, (found, _) in effects.items()}
    unit = "share of (noise − motif)"
    yield Panel(
        "position",
        "One motif, by its place",
        f"The penalty of a motif of {WIDTH} bp less that of the same motif in the middle half. "
        "Flat is a penalty that does not see position; a mirror sees the very middle.",
        "first position of the motif (bp)",
        unit,
        {prior: (e.start, (e.lone - e.centre) / e.scale) for prior, e in penalties.items()},
    )
    for name, title, note in (
        (
            "pairs-across",
            "Two motifs that meet across the ends",
            "What the two gain over two that are far apart. Above 0 at a gap of a few bp: the "
            "penalty takes the two ends for neighbours (wrap-around gain).",
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
        "Its penalty less that of the same values rising and falling again, whose ends are alike. "
        "Off 0: the jump between the ends counts. A jump spreads the spectrum over frequencies "
        "that have weight, away from the zero frequency, which has none, and so lowers the "
        "Fourier penalty.",
        "steepness (1: from 0 to twice the mean)",
        unit,
        {prior: (e.level, (e.ramp - e.tent) / e.scale) for prior, e in penalties.items()},
    )


def gradient_panels(effects: Effects) -> Iterator[Panel]:
    """Pushes of the penalties."""
    gradients = {prior: found for prior, (_, found) in effects.items()}
    push = "push (above 0: up)"
    yield Panel(
        "noise-size",
        "Noise: how hard positions are pushed",
        "Mean absolute push on Gaussian noise, by distance to the nearest end.",
        "distance to the nearest end (bp)",
        "mean |push|",
        {prior: (e.distance, e.noise_size) for prior, e in gradients.items()},
        None,
    )
    yield Panel(
        "noise-push",
        "Noise: who is pushed up, who down",
        "Mean push on Gaussian noise, by distance to the nearest end.",
        "distance to the nearest end (bp)",
        push,
        {prior: (e.distance, e.noise_push) for prior, e in gradients.items()},
    )
    yield Panel(
        "ramp-push",
        "A ramp: who is pushed",
        "Push on an attribution that rises from 0 at the start to its maximum at the end.",
        "position (bp)",
        push,
        {prior: (np.arange(len(e.ramp_push)), e.ramp_push) for prior, e in gradients.items()},
    )
    yield Panel(
        "far-end-push",
        "A motif at the start: what happens at the other end",
        "Push on the faint background near the end of the window with a motif at its start, less "
        "the same with the motif in the middle. Above 0: attribution is invited to the end across.",
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
    """Scores of trained models; means over seeds."""
    for name, title, y in (
        ("localisation", "Localisation by distance", "average precision"),
        ("mass", "Attribution on the motif by distance", "share of |attribution|"),
    ):
        yield Panel(
            f"trained-{name}",
            title,
            "Sequences with one motif, in bins of about as many each; dots are at the bins’ mean "
            "range. Means over seeds.",
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
        "Sequences with their motif in the middle: mean |attribution| outside it, over its own "
        "mean. Without an effect of the ends it would be 1 up to the flanks of the motif.",
        "distance to the nearest end (bp)",
        "over its mean",
        {prior: (np.arange(len(track)), track) for prior, track in setting.background.items()},
        1.0,
    )
