"""Several real sets together: advice, verdicts, average ranks and performance profiles."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from findings_changes import confirmed
from findings_rows import Facts, Row, setting_key
from numpy.typing import NDArray
from priorbench.reports._shared.across.profiles import draw_profile, thresholds_of
from priorbench.reports._shared.across.ranks import draw_ranks
from priorbench.reports._shared.figures.colours import INK, looks
from priorbench.reports._shared.figures.style import style
from priorbench.reports._shared.settings import SIGNS

from priorbench.comparison.axis_ranks import AxisRanking
from priorbench.number_text import MISSING, counted, listed
from priorbench.statistics.families.verdicts import ALPHA
from priorbench.statistics.ranks import performance_profile, rank_priors

_PANEL, _PROFILE_HEIGHT, _ROW = 3.4, 2.6, 0.24  # inches
FIGURE = "over-sets.svg"
"""file of the figure, in the folder of the page's facts"""
_FEWEST = 2
Section = Mapping[str, Any]
Gains = Mapping[str, list[NDArray[np.float64]]]
"""(n,) gains of every set, by prior"""


def digest_of(sections: Sequence[Section]) -> str:
    """Return eight hexadecimal digits of the results of all sets and of their runs on new seeds."""
    parts = [(section["digest"], (section["again"] or {}).get("compared")) for section in sections]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:8]


def over_sets_text(declared: Mapping[str, Any], sections: Sequence[Section]) -> str:
    """Return the section over sets in Markdown; "" for fewer than two sets.

    Args:
        declared: ``title``, and ``words`` that are shown where ``of`` is the sets' digest.
        sections: sections with ``facts`` and ``digest``, and ``again``, the facts of the run on new
            seeds or None.
    """
    if len(sections) < _FEWEST:
        return ""
    words = f"{declared['words'].strip()}\n\n" if declared.get("of") == digest_of(sections) else ""
    return "".join(
        [
            f"## {declared['title']}\n\n{words}",
            advice_table(sections),
            verdict_table(sections),
            f"![Ranks and profiles over sets](real-data/{FIGURE})\n\n",
            ranks_text(sections),
        ]
    )


def advice_table(sections: Sequence[Section]) -> str:
    """Return what each run advises, and what its run on new seeds says of it."""
    lines = ["| set | network | advice | advice on new seeds | established, and again |\n"]
    lines.append("|---" * 5 + "|\n")
    for section in sections:
        facts, again = section["facts"], section["again"]
        networks = listed(list(dict.fromkeys(row["architecture"] for row in facts["compared"])))
        pairs = confirmed(facts, again) if again else []
        same = sum(first["verdict"] == second["verdict"] for first, second in pairs)
        cells = [
            section["title"],
            networks,
            _advice(facts),
            _advice(again) if again else "not asked",
            f"{same} of {len(pairs)}" if again else MISSING,
        ]
        lines.append(f"| {' | '.join(cells)} |\n")
    return "".join([*lines, "\n"])


def _advice(facts: Facts) -> str:
    specs = dict.fromkeys(row["advice"] for row in facts["advice"])
    return listed([f"`{spec}`" for spec in specs]) or MISSING


def verdict_table(sections: Sequence[Section]) -> str:
    """Return the signs of the verdicts of every prior in every set, axis by axis."""
    axes = _axes(sections)
    lines = [f"Verdicts in the order {listed(axes)}; – where nothing was tested:\n\n"]
    lines.append(f"| prior | {' | '.join(section['title'] for section in sections)} |\n")
    lines.append("|---" * (1 + len(sections)) + "|\n")
    for prior in _priors(sections):
        cells = [_signs(section["facts"], prior, axes) for section in sections]
        lines.append(f"| `{prior}` | {' | '.join(cells)} |\n")
    return "".join([*lines, "\n"])


def _signs(facts: Facts, prior: str, axes: Sequence[str]) -> str:
    """Return a sign for each axis; of several settings, those of each, with a bar between."""
    rows = [row for row in facts["compared"] if row["prior"] == prior and _against_none(row)]
    by_setting: dict[str, dict[str, str]] = {}
    for row in rows:
        by_setting.setdefault(setting_key(row), {})[row["axis"]] = SIGNS.get(row["verdict"], "–")
    texts = [" ".join(signs.get(axis, "–") for axis in axes) for signs in by_setting.values()]
    return " ╱ ".join(texts) or MISSING


def _against_none(row: Row) -> bool:
    return bool(row["baseline"] == "none")


def _axes(sections: Sequence[Section]) -> list[str]:
    rows = [row for section in sections for row in section["facts"]["compared"]]
    return list(dict.fromkeys(row["axis"] for row in rows if _against_none(row)))


def _priors(sections: Sequence[Section]) -> list[str]:
    rows = [row for section in sections for row in section["facts"]["compared"]]
    return list(dict.fromkeys(row["prior"] for row in rows if _against_none(row)))


def rankings(sections: Sequence[Section]) -> list[AxisRanking]:
    """Return the ranks of the priors on each axis, of their mean gains over none in every set.

    Sets in which a prior is missing are left out; settings of one set are averaged.
    """
    priors = _priors(sections)
    found = []
    for axis in _axes(sections):
        columns, metrics = [], []
        for section in sections:
            rows = [row for row in section["facts"]["gains"] if row["axis"] == axis]
            settings = list(dict.fromkeys(setting_key(row) for row in rows))
            means = {(setting_key(row), row["prior"]): np.mean(row["gains"]) for row in rows}
            if settings and all((key, prior) in means for key in settings for prior in priors):
                table = [[means[key, prior] for key in settings] for prior in priors]
                columns.append([0.0, *np.mean(table, axis=1)])
                metrics += [str(row["metric"]) for row in rows]
        if len(columns) > 1:
            ranking = rank_priors(np.array(columns).T)
            names = tuple(dict.fromkeys(metrics))
            found.append(AxisRanking(axis, names, ("none", *priors), len(columns), ranking))
    return found


def ranks_text(sections: Sequence[Section]) -> str:
    """Return in a paragraph what the figure of ranks can say, and what the profiles are of."""
    ranked = rankings(sections)
    if not ranked:
        return ""
    known = max(ranking.datasets for ranking in ranked)
    smallest = min(ranking.smallest_p for ranking in ranked)
    limit = (
        "A bar joins priors of which no two are told apart (Wilcoxon's test of every two over "
        "sets, adjusted by Holm's method at .05)."
        if smallest <= ALPHA
        else f"With {counted(known, 'set')} no two priors can be told apart over sets, which "
        "is why one bar joins all: ranks describe these sets."
    )
    return (
        f"Above, average ranks over sets, 1 is best. {limit} Below, the share of single trainings "
        "whose gain in skill (the share of the way from chance to a perfect score) over none is at "
        "least so large, with pointwise 95% bands.\n\n"
    )


def draw_over_sets(sections: Sequence[Section], path: Path) -> None:
    """Write ranks and profiles, a column for each axis, as SVG: the same bytes every time.

    Args:
        sections: sections with ``facts``, in which rows of ``gains`` are known.
        path: file to write, which ends in .svg.
    """
    import matplotlib
    from matplotlib.figure import Figure

    ranked = rankings(sections)
    if not ranked:
        return
    shapes = looks(_priors(sections))
    height = _ROW * (len(shapes) + 1) + 1.1
    with style(), matplotlib.rc_context({"svg.hashsalt": "priorbench"}):
        figure = Figure(
            figsize=(_PANEL * len(ranked), height + _PROFILE_HEIGHT + 0.6), layout="constrained"
        )
        grid = figure.subplots(
            2, len(ranked), squeeze=False, height_ratios=(height, _PROFILE_HEIGHT)
        )
        for ranking, (above, below) in zip(ranked, grid.T, strict=True):
            title = f"{ranking.axis}\n{', '.join(ranking.metrics)}"
            above.set_title(title, fontsize=8.5, color=INK)
            draw_ranks(above, ranking)
            gains = skill_gains(sections, ranking.axis)
            if gains:
                thresholds = thresholds_of(gains)
                curves = {
                    prior: performance_profile(values, thresholds)
                    for prior, values in gains.items()
                }
                draw_profile(below, thresholds, curves, shapes)
                below.locator_params(axis="x", nbins=5)
            else:
                below.set_axis_off()
        handles, labels = grid[1, 0].get_legend_handles_labels()
        legend = figure.legend(handles, labels, loc="outside lower center", ncols=5, fontsize=7.5)
        for text in legend.get_texts():
            text.set_parse_math(False)  # a dollar in a name is no formula
        figure.savefig(path, facecolor="white", metadata={"Date": None})


def skill_gains(sections: Sequence[Section], axis: str) -> Gains:
    """Return gains in skill of the settings whose range of scores is known; empty without one."""
    gains: dict[str, list[NDArray[np.float64]]] = {}
    for section in sections:
        for row in section["facts"]["gains"]:
            width = row["range"]
            if row["axis"] == axis and width is not None and math.isfinite(width):
                gains.setdefault(row["prior"], []).append(np.array(row["gains"]) / width)
    return gains
