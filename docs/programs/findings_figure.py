"""Figure of a section of docs/findings.md: gains over the baseline, with their intervals."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from findings_rows import Facts, Row, compared, gain, setting_key, setting_names

from priorbench.comparison.option_trends import swept_tasks, task_options
from priorbench.components.specs import split_spec
from priorbench.reports._shared.figures.colours import INK, LINE, SOFT, looks
from priorbench.reports._shared.figures.style import style, wrapped_spec
from priorbench.study.trial import SETTING_COLUMNS

_DECIDED = ("better", "worse")
_PANEL, _LINE_HEIGHT, _ROW = 2.5, 2.3, 0.2  # inches
_LONGEST_NAME, _LINE = 40, 0.7
"""letters of a line of a name, and height of its further lines, in rows"""


def draw_section(facts: Facts, comparison: Row, path: Path) -> None:
    """Write the figure of a section, along an option of a task where the run swept one.

    Args:
        facts: facts of the run.
        comparison: baseline, and priors if not all are drawn.
        path: file to write, which ends in .svg.
    """
    rows = compared(facts, comparison)
    names = setting_names(rows)
    first = facts["trends"][0] if facts["trends"] else None
    trends = [t for t in facts["trends"] if first and _sweep(t) == _sweep(first)]
    if trends:
        rows = list(_with_values(rows, trends[0]))
    _draw(rows, trends, names, path)


def _sweep(row: Row) -> tuple[str, str]:
    return row["option"], row["held"]


def _with_values(rows: Sequence[Row], trend: Row) -> Iterator[dict[str, Any]]:
    """Yield the rows of a sweep, each with the value of its option."""
    settings = [tuple(row[c] for c in SETTING_COLUMNS) for row in rows]
    options = {setting[0]: task_options(setting[0]) for setting in settings}
    for swept in swept_tasks(list(dict.fromkeys(settings)), options):
        if (swept.option, swept.held) == _sweep(trend):
            values = {spec: value for value, spec in swept.points}
            for row in rows:
                if row["task"] in values and split_spec(row["task"])[0] == swept.task:
                    yield {**row, "value": values[row["task"]]}


def _draw(rows: Sequence[Row], trends: Sequence[Row], names: Mapping[str, str], path: Path) -> None:
    """Write the figure as SVG, the same bytes every time.

    Args:
        rows: comparisons with one baseline, of all settings.
        trends: rows of a sweep's tests; where there are some, gains are drawn along the option.
        names: names of the settings, by :func:`setting_key`.
        path: file to write, which ends in .svg.
    """
    import matplotlib
    from matplotlib.figure import Figure

    names_of_axes = list(dict.fromkeys(row["axis"] for row in rows))
    priors = list(dict.fromkeys(row["prior"] for row in rows))
    sweep = trends[0] if trends else None
    with style(), matplotlib.rc_context({"svg.hashsalt": "priorbench"}):
        labels = dict.fromkeys(_label(row, names) for row in rows)
        lines = sum(1 + _LINE * label.count("\n") for label in labels)
        height = _LINE_HEIGHT if sweep else 0.9 + _ROW * lines
        figure = Figure(figsize=(_PANEL * len(names_of_axes), height + 0.5), layout="constrained")
        columns = figure.subplots(1, len(names_of_axes), sharey=not sweep, squeeze=False)[0]
        for axes, name in zip(columns, names_of_axes, strict=True):
            own = [row for row in rows if row["axis"] == name]
            metrics = ", ".join(dict.fromkeys(row["metric"] for row in own))
            if sweep:
                _draw_along_option(axes, own, sweep, priors)
            else:
                _draw_forest(axes, own, names, priors)
            axes.set_title(f"{name}\n{metrics}", fontsize=8.5, color=INK)
            axes.tick_params(length=0, labelsize=7.5)
        figure.supxlabel(
            f"{sweep['option']}" if sweep else f"gain over {rows[0]['baseline']}",
            fontsize=8.5,
            color=SOFT,
        )
        if sweep:
            columns[0].set_ylabel(f"gain over {rows[0]['baseline']}", fontsize=8.5)
        handles, labels = columns[0].get_legend_handles_labels()
        if len(priors) <= 8 and handles:
            unique = dict(zip(labels, handles, strict=True))
            figure.legend(
                unique.values(), unique.keys(), loc="outside upper center", ncols=4, fontsize=7.5
            )
        figure.savefig(path, facecolor="white", metadata={"Date": None})


def _draw_forest(
    axes: Any, rows: Sequence[Row], names: Mapping[str, str], priors: Sequence[str]
) -> None:
    """Draw a line for every setting and prior; a filled mark is an established difference."""
    shapes, labels = looks(priors), [_label(row, names) for row in rows]
    heights = np.array([1 + _LINE * label.count("\n") for label in labels])
    places = np.cumsum(heights) - heights / 2  # the middles of rows
    for y, row in zip(places, rows, strict=True):
        colour, marker = shapes[row["prior"]]
        low, high = sorted((gain(row, "ci_low"), gain(row, "ci_high")))
        axes.hlines(y, low, high, color=colour, linewidth=1.2)
        axes.plot(
            gain(row, "difference"),
            y,
            marker=marker,
            markersize=4.5,
            color=colour,
            markerfacecolor=colour if row["verdict"] in _DECIDED else "white",
            linestyle="",
        )
    axes.axvline(0, color=SOFT, linewidth=0.9, zorder=0)
    axes.set_yticks(places, labels, parse_math=False)
    axes.set_ylim(heights.sum(), 0)
    axes.grid(axis="x", color=LINE, linewidth=0.5)
    axes.locator_params(axis="x", nbins=3)


def _label(row: Row, names: Mapping[str, str]) -> str:
    """Return what stands beside a row: its prior, and its setting where there are several."""
    prior = wrapped_spec(row["prior"], _LONGEST_NAME)
    return f"{names.get(setting_key(row), '')}  {prior}" if len(names) > 1 else prior


def _draw_along_option(axes: Any, rows: Sequence[Row], sweep: Row, priors: Sequence[str]) -> None:
    """Draw gains over the values of an option, which are evenly spaced, as in the test."""
    values = [float(text) for text in sweep["values"].split(" ")]
    shapes = looks(priors)
    for shift, prior in zip(np.linspace(-0.12, 0.12, max(len(priors), 2)), priors, strict=False):
        own = sorted((row for row in rows if row["prior"] == prior), key=lambda row: row["value"])
        x = np.array([values.index(row["value"]) for row in own]) + shift
        ends = np.array([[gain(row, "ci_low"), gain(row, "ci_high")] for row in own])
        colour, marker = shapes[prior]
        axes.vlines(x, ends.min(axis=1), ends.max(axis=1), color=colour, linewidth=1)
        axes.plot(
            x,
            [gain(row, "difference") for row in own],
            marker=marker,
            markersize=4,
            linewidth=1,
            color=colour,
            label=prior,
        )
    axes.axhline(0, color=SOFT, linewidth=0.9, zorder=0)
    axes.set_xticks(range(len(values)), [f"{value:g}" for value in values])
    axes.grid(axis="y", color=LINE, linewidth=0.5)
