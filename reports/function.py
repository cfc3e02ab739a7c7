"""Effects of variants that models predict, against those that an experiment measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from markupsafe import Markup

from priorbench import Section
from priorbench.components.metric import Metric, VariantEffects
from priorbench.data.variants import VariantTable, strong_effects
from priorbench.metrics.function import POOLED, pearson, spearman
from priorbench.number_text import MISSING, fixed
from priorbench.results.finished_run import Run
from priorbench.storage.run_directory import DONE

from ._shared.figures.colours import BLUE, INK, LINE, SOFT
from ._shared.figures.style import style
from ._shared.figures.svg import to_svg
from ._shared.page import not_drawn, render
from ._shared.settings import MANY_SETTINGS, ComparedSetting, settings_of
from ._shared.tests_table import difference_cells

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_SEEDS, _ELEMENTS = 20, 30
"""largest numbers of seeds whose mean is drawn, and of elements, those with most variants"""
_FIGURES = 6
"""largest number of priors that are drawn"""
_COLUMNS, _WIDTH, _HEIGHT = 5, 1.6, 1.5
_DOTS_PER_INCH = 150
_PLACES = 3


class Function(Section):
    """A scatter of every element, and the paired comparison of priors on the axis function."""

    title: ClassVar[str] = "Effects of variants"
    position: ClassVar[int] = 44

    def render(self, run: Run) -> str:
        """Return figures and tables, setting by setting; empty for a run without variants."""
        settings = settings_of(run)
        parts = [part for setting in settings[:MANY_SETTINGS] if (part := _setting(run, setting))]
        return Markup("").join([*parts, not_drawn(settings)]) if parts else ""


def _setting(run: Run, setting: ComparedSetting) -> Markup:
    """Return what is shown of a setting; empty where its data have no variants."""
    dataset = run.datasets.get(setting.key)
    variants = None if dataset is None else dataset.variants
    effects = {prior: _mean_effects(run, setting, prior) for prior in setting.priors}
    known = {prior: mean for prior, mean in effects.items() if mean is not None}
    if variants is None or not known:
        return Markup("")
    shown = _shown_elements(variants)
    drawn = list(known.items())[:_FIGURES]
    return render(
        "function",
        setting=setting,
        figures=[
            {"prior": prior, "svg": _draw(mean, variants, shown, f"{prior} on {setting.title}")}
            for prior, mean in drawn
        ],
        seeds=min(len(setting.seeds), _SEEDS),
        left_out=len(known) - len(drawn),
        elements=_element_rows(known, variants, shown),
        of_elements=(len(shown), len(set(variants.element.tolist()))),
        priors=list(known),
        tables=[
            {
                "metrics": metrics,
                "rows": _rows(setting, metrics),
                "references": _reference_rows(setting, metrics),
            }
            for metrics in _groups(setting)
        ],
    )


def _mean_effects(run: Run, setting: ComparedSetting, prior: str) -> VariantEffects | None:
    """Return the effects that a prior's networks predict, mean over the lowest seeds."""
    rows = setting.rows
    rows = rows[(rows["status"] == DONE) & (rows["prior"] == prior)]
    trials = rows.sort_values("seed")["trial"].drop_duplicates().astype(str)[:_SEEDS]
    every = [effects for trial in trials if (effects := run.effects(trial)) is not None]
    if not every:
        return None
    mean = np.mean([effects.predicted for effects in every], axis=0)
    first = every[0]
    return VariantEffects(first.measured, mean, first.element, first.weight, first.confidence)


def _shown_elements(variants: VariantTable) -> list[int]:
    """Return the numbers of the elements with most variants, in the order of the file."""
    counts = np.bincount(variants.element, minlength=len(variants.names))
    most = np.argsort(-counts, kind="stable")[:_ELEMENTS]
    return sorted(number for number in most.tolist() if counts[number])


def _groups(setting: ComparedSetting) -> list[list[Metric]]:
    """Return the metrics of a table each: one kind of effects, averaged in one way."""
    groups: dict[tuple[str, bool], list[Metric]] = {}
    for metric in setting.all_metrics:
        if metric.axis == "function":
            key = (metric.scope, metric.name.endswith(POOLED))
            groups.setdefault(key, []).append(metric)
    return list(groups.values())


def _rows(setting: ComparedSetting, metrics: Sequence[Metric]) -> list[Mapping[str, Any]]:
    """Return the means of every prior with their paired differences, metric by metric."""
    return [
        {
            "prior": prior,
            "cells": [
                {
                    "mean": fixed(setting.arm(prior, metric).mean, _PLACES),
                    **difference_cells(setting.comparison(prior, metric), _PLACES),
                }
                for metric in metrics
            ],
        }
        for prior in setting.priors
    ]


def _reference_rows(setting: ComparedSetting, metrics: Sequence[Metric]) -> list[Mapping[str, Any]]:
    """Return the scores of what needs no network."""
    rows = setting.references[setting.references["metric"].isin([m.name for m in metrics])]
    return [
        {
            "name": name,
            "values": [fixed(setting.reference(name, metric), _PLACES) for metric in metrics],
        }
        for name in rows["prior"].drop_duplicates().astype(str)
    ]


def _element_rows(
    effects: Mapping[str, VariantEffects], variants: VariantTable, shown: Sequence[int]
) -> list[dict[str, Any]]:
    """Return the rank correlation of each element under every prior."""
    rows = []
    for number in shown:
        own = variants.element == number
        scores = [spearman(mean.at(own)) for mean in effects.values()]
        rows.append(
            {
                "name": variants.names[number],
                "count": int(own.sum()),
                "strong": int(variants.strong[own].sum()),
                "cells": [fixed(score, _PLACES) for score in scores],
            }
        )
    return rows


def _draw(mean: VariantEffects, variants: VariantTable, shown: Sequence[int], title: str) -> Markup:
    """Return a panel for every element: predicted effects over measured ones."""
    from matplotlib.figure import Figure

    lines = -(-len(shown) // _COLUMNS)
    columns = min(_COLUMNS, len(shown))
    words = []
    with style():
        figure = Figure(
            figsize=(_WIDTH * columns + 0.4, _HEIGHT * lines + 0.3),
            layout="constrained",
            dpi=_DOTS_PER_INCH,
        )
        grid = figure.subplots(lines, columns, squeeze=False)
        for axes, number in zip(grid.flat, shown, strict=False):
            effects = mean.at(variants.element == number)
            r = fixed(pearson(effects), 2)
            _panel(axes, effects, f"{variants.names[number]}: r {r}")
            words.append(f"{variants.names[number]} {r if r != MISSING else 'unknown'}")
        for axes in list(grid.flat)[len(shown) :]:
            axes.axis("off")
        figure.supxlabel("measured effect", fontsize=9, color=SOFT)
        figure.supylabel("predicted effect", fontsize=9, color=SOFT)
        return to_svg(
            figure,
            f"Predicted over measured effects of variants, {title}; correlation by element: "
            f"{', '.join(words)}",
        )


def _panel(axes: Axes, effects: VariantEffects, title: str) -> None:
    """Draw the variants of an element, the strong effects in front."""
    axes.axhline(0, color=LINE, linewidth=0.8, zorder=0)
    axes.axvline(0, color=LINE, linewidth=0.8, zorder=0)
    strong = strong_effects(effects.measured, effects.confidence)
    for chosen, colour, size in ((~strong, SOFT, 2.0), (strong, BLUE, 4.0)):
        part = effects.at(chosen)
        # thousands of marks: as an image they are small
        axes.scatter(
            part.measured,
            part.predicted,
            s=size,
            c=colour,
            alpha=0.45,
            linewidths=0,
            rasterized=True,
        )
    axes.set_title(title, fontsize=8, color=INK, parse_math=False)
    axes.tick_params(length=0, labelsize=6.5)
    axes.locator_params(nbins=4)
