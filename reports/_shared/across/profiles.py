"""Performance profiles: how often single trials gain so much or more, axis by axis."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from priorbench.metrics import METRICS
from priorbench.number_text import fixed
from priorbench.statistics.ranks import PerformanceProfile, performance_profile

from ..figures.colours import SOFT, Look, key_of, looks
from ..figures.style import pale_grid, style
from ..figures.svg import to_svg
from ..seed_gains import skill_gains
from ..settings import ComparedSetting

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_WIDTH, _HEIGHT = 3.7, 2.6  # inches
_POINTS = 201
_MARK_EVERY = 25


@dataclass(frozen=True)
class _AxisGains:
    """Gains in skill on one axis.

    Attributes:
        axis: name of the axis.
        metrics: primary metrics of the settings.
        settings: number of settings.
        by_prior: (n,) gains of every setting, by prior.
    """

    axis: str
    metrics: Sequence[str]
    settings: int
    by_prior: Mapping[str, Sequence[NDArray[np.float64]]]

    @property
    def known(self) -> bool:
        """Whether every gain is a number."""
        gains = [values for of_prior in self.by_prior.values() for values in of_prior]
        return all(len(values) and np.isfinite(values).all() for values in gains)


def profiles(settings: Sequence[ComparedSetting]) -> dict[str, Any]:
    """Return panels, key, whether there are bands, and the axes that cannot be drawn.

    Args:
        settings: settings in which priors were compared.
    """
    priors = list(dict.fromkeys(p for setting in settings for p in setting.priors[1:]))
    shapes = looks(priors)
    axes = list(_axes(settings))
    drawn = [gains for gains in axes if gains.known]
    panels, bands = [], False
    for gains in drawn:
        thresholds = thresholds_of(gains.by_prior)
        curves = {p: performance_profile(g, thresholds) for p, g in gains.by_prior.items()}
        bands |= any(np.isfinite(curve.low).any() for curve in curves.values())
        svg = _figure(gains, thresholds, curves, shapes)
        panel = {"axis": gains.axis, "metrics": gains.metrics, "settings": gains.settings}
        panels.append({**panel, "svg": svg})
    unknown = [gains.axis for gains in axes if not gains.known]
    return {"panels": panels, "key": key_of(shapes), "bands": bands, "unknown": unknown}


def _axes(settings: Sequence[ComparedSetting]) -> Iterator[_AxisGains]:
    metrics: dict[str, list[tuple[ComparedSetting, str]]] = {}
    for setting in settings:
        for metric in setting.all_metrics:
            if metric.name in setting.primary:
                metrics.setdefault(metric.axis, []).append((setting, metric.name))
    for axis, places in metrics.items():
        by_prior: dict[str, list[NDArray[np.float64]]] = {}
        for setting, name in places:
            for prior in setting.priors[1:]:
                gains = skill_gains(setting, prior, METRICS[name])
                by_prior.setdefault(prior, []).append(gains)
        yield _AxisGains(axis, list(dict.fromkeys(n for _, n in places)), len(places), by_prior)


def thresholds_of(
    gains: Mapping[str, Sequence[NDArray[np.float64]]],
) -> NDArray[np.float64]:
    """Return gains from the smallest to the largest, 0 among them, with room on either side.

    Args:
        gains: (n,) gains of every setting, by prior.
    """
    values = np.concatenate([v for of_prior in gains.values() for v in of_prior])
    low, high = min(values.min(), 0.0), max(values.max(), 0.0)
    room = 0.05 * (high - low) or 0.01
    return np.linspace(low - room, high + room, _POINTS)


def _figure(
    gains: _AxisGains,
    thresholds: NDArray[np.float64],
    curves: Mapping[str, PerformanceProfile],
    shapes: Mapping[str, Look],
) -> Markup:
    from matplotlib.figure import Figure

    with style():
        figure = Figure(figsize=(_WIDTH, _HEIGHT), layout="constrained")
        axes = figure.subplots()
        draw_profile(axes, thresholds, curves, shapes)
        return to_svg(figure, _description(gains, curves, thresholds))


def draw_profile(
    axes: Axes,
    thresholds: NDArray[np.float64],
    curves: Mapping[str, PerformanceProfile],
    shapes: Mapping[str, Look],
) -> None:
    """Draw the share of trials that gain so much or more, a curve with a band for each prior.

    Args:
        axes: axes of a figure in the style of the report.
        thresholds: (n,) gains.
        curves: the profiles at these gains, by prior.
        shapes: colour and marker of each prior.
    """
    axes.axvline(0, color=SOFT, linewidth=0.9)
    # bands of many priors lie on each other
    alpha = min(0.13, 0.5 / max(len(curves), 1))
    for number, (prior, curve) in enumerate(curves.items()):
        colour, marker = shapes[prior]
        axes.fill_between(thresholds, curve.low, curve.high, color=colour, alpha=alpha, lw=0)
        axes.plot(
            thresholds,
            curve.share,
            label=prior,
            color=colour,
            linewidth=1.3,
            marker=marker,
            markersize=4,
            markevery=(5 * number % _MARK_EVERY, _MARK_EVERY),
        )
    axes.set_ylim(-0.03, 1.03)
    axes.set_xlabel("gain in skill, at least")
    axes.set_ylabel("share of trials")
    pale_grid(axes, "both")


def _description(
    gains: _AxisGains, curves: Mapping[str, PerformanceProfile], thresholds: NDArray[np.float64]
) -> str:
    place = int(np.searchsorted(thresholds, 0.0))
    texts = [f"{prior} {fixed(float(curve.share[place]), 2)}" for prior, curve in curves.items()]
    return (
        f"Performance profile on {gains.axis} over {gains.settings} settings: share of trials with "
        f"a gain in skill of at least {fixed(float(thresholds[place]), 3)}, {', '.join(texts)}"
    )
