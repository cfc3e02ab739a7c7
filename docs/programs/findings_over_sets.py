"""Several real sets of one study: advice, verdicts, average ranks and performance profiles."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from findings_changes import confirmed
from findings_rows import Facts, Row, setting_key
from numpy.typing import NDArray

from priorbench.comparison.axis_ranks import AxisRanking
from priorbench.number_text import MISSING, counted, listed
from priorbench.reports._shared.across.profiles import draw_profile, thresholds_of
from priorbench.reports._shared.across.ranks import draw_ranks
from priorbench.reports._shared.figures.colours import INK, looks
from priorbench.reports._shared.figures.style import style
from priorbench.reports._shared.settings import SIGNS
from priorbench.statistics.families.verdicts import ALPHA
from priorbench.statistics.ranks import performance_profile, rank_priors

FIGURE = "over-sets.svg"
"""file of the figure, in the folder of the page's facts"""
_FEWEST = 2
_PANEL, _PROFILE_HEIGHT, _ROW = 3.4, 2.6, 0.24  # inches
Section = Mapping[str, Any]
"""a section with ``facts``, ``digest`` and ``again``, the facts of the run on new seeds or None"""


@dataclass(frozen=True)
class AxisOverSets:
    """What all priors gained on an axis in the sets that have a value of each.

    Attributes:
        axis: name of the axis.
        sets: titles of the sets.
        ranking: ranks of the priors, by their mean gain over none in every set.
        profiled: titles of those whose score has a known range.
        skill: (n,) gains of each of these by prior, as shares of the range; of a set with several
            settings their mean in each seed.
    """

    axis: str
    sets: Sequence[str]
    ranking: AxisRanking
    profiled: Sequence[str]
    skill: Mapping[str, Sequence[NDArray[np.float64]]]


def digest_of(sections: Sequence[Section]) -> str:
    """Return eight hexadecimal digits of all that the section over sets shows."""
    keys = ("compared", "gains", "advice")
    known = [facts for s in sections for facts in (s["facts"], s["again"]) if facts]
    parts = [[s["title"] for s in sections], *([facts.get(key) for key in keys] for facts in known)]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:8]


def over_sets_text(declared: Mapping[str, Any], sections: Sequence[Section], folder: str) -> str:
    """Return the section over sets in Markdown; "" for fewer than two sets.

    Args:
        declared: ``title``, and ``words`` that are shown where ``of`` is the sets' digest.
        sections: the sets.
        folder: folder of the figure, beside the page.
    """
    if len(sections) < _FEWEST:
        return ""
    words = f"{declared['words'].strip()}\n\n" if declared.get("of") == digest_of(sections) else ""
    over_axes = axes_over_sets(sections)
    figure = f"![Ranks and profiles over sets]({folder}/{FIGURE})\n\n" if over_axes else ""
    title, tables = declared["title"], advice_table(sections) + verdict_table(sections)
    return f"## {title}\n\n{words}{tables}{figure}{ranks_text(over_axes)}"


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


def axes_over_sets(sections: Sequence[Section]) -> list[AxisOverSets]:
    """Return what is known of each axis on which two sets or more have a value of every prior.

    Raises:
        ValueError: if facts hold no gains, as those of an earlier version.
    """
    for section in sections:
        if "gains" not in section["facts"]:
            raise ValueError(f"{section['title']}: its facts hold no gains; read its run again")
    axes = (_axis_over_sets(axis, sections) for axis in _axes(sections))
    return [over_axis for over_axis in axes if over_axis is not None]


def _axis_over_sets(axis: str, sections: Sequence[Section]) -> AxisOverSets | None:
    priors = _priors(sections)
    in_sets = [(section["title"], _of_set(section["facts"], axis, priors)) for section in sections]
    complete = [(title, *known) for title, known in in_sets if known is not None]
    if len(complete) < _FEWEST:
        return None
    titles, gains, skills, metrics = zip(*complete, strict=True)
    means = np.array([[0.0, *(own.mean() for own in by_prior)] for by_prior in gains])
    names = tuple(dict.fromkeys(name for of_set in metrics for name in of_set))
    ranking = AxisRanking(axis, names, ("none", *priors), len(complete), rank_priors(means.T))
    known = {title: s for title, s in zip(titles, skills, strict=True) if s is not None}
    by_prior = zip(*known.values(), strict=True) if known else [()] * len(priors)
    return AxisOverSets(
        axis, titles, ranking, list(known), dict(zip(priors, by_prior, strict=True))
    )


def _of_set(
    facts: Facts, axis: str, priors: Sequence[str]
) -> tuple[list[NDArray[np.float64]], list[NDArray[np.float64]] | None, list[str]] | None:
    """Return gains and gains in skill of each prior, and the metrics; None if one is missing.

    Settings of the set are averaged seed by seed; gains in skill are None where a range is unknown.
    """
    rows = [row for row in facts["gains"] if row["axis"] == axis]
    by_arm = {(setting_key(row), row["prior"]): row for row in rows}
    settings = list(dict.fromkeys(setting_key(row) for row in rows))
    gains, skills = [], []
    for prior in priors:
        own = [by_arm.get((key, prior)) for key in settings]
        values = [row["gains"] for row in own if row and row["gains"] and None not in row["gains"]]
        if not own or len(values) < len(own) or len({len(value) for value in values}) > 1:
            return None
        gains.append(np.mean(values, axis=0))
        widths = [row["range"] for row in own if row and row["range"]]
        if len(widths) == len(own):
            skills.append(np.mean(np.array(values) / np.array(widths)[:, None], axis=0))
    metrics = list(dict.fromkeys(str(row["metric"]) for row in rows))
    return gains, skills if len(skills) == len(priors) else None, metrics


def ranks_text(over_axes: Sequence[AxisOverSets]) -> str:
    """Return in a paragraph what the figure of ranks can say, and what the profiles are of."""
    if not over_axes:
        return ""
    of_sets = "; ".join(f"{axis.axis}: {_sets_of(axis)}" for axis in over_axes)
    limit = (
        "A bar joins priors of which no two are told apart (Wilcoxon's test of every two over "
        "sets, adjusted by Holm's method at .05)."
        if min(axis.ranking.smallest_p for axis in over_axes) <= ALPHA
        else f"{counted(max(len(axis.sets) for axis in over_axes), 'set')} cannot tell any two "
        "priors apart, which is why one bar joins all: ranks describe these sets."
    )
    return (
        f"Above, average ranks over sets, 1 is best. {limit} Below, the share of paired trainings "
        "whose gain in skill (the share of the way from chance to a perfect score) over none is at "
        "least so large, a mean over sets, with pointwise 95% bands. Both are of the sets that "
        f"have a value of every prior: {of_sets}.\n\n"
    )


def _sets_of(over_axis: AxisOverSets) -> str:
    """Return the sets of an axis, and those of its profile where these are fewer."""
    text = listed(list(over_axis.sets))
    if list(over_axis.profiled) == list(over_axis.sets):
        return text
    profiled = listed(list(over_axis.profiled)) or "none"
    return f"{text} (with a range, and in the profile: {profiled})"


def draw_over_sets(sections: Sequence[Section], path: Path) -> None:
    """Write ranks and profiles, a column for each axis, as SVG: the same bytes every time.

    Where there is nothing to draw, no file is left.

    Args:
        sections: the sets.
        path: file to write, which ends in .svg.
    """
    import matplotlib
    from matplotlib.figure import Figure

    over_axes = axes_over_sets(sections) if len(sections) >= _FEWEST else []
    if not over_axes:
        path.unlink(missing_ok=True)
        return
    shapes = looks(_priors(sections))
    height = _ROW * (len(shapes) + 1) + 1.1
    with style(), matplotlib.rc_context({"svg.hashsalt": "priorbench"}):
        size = (_PANEL * len(over_axes), height + _PROFILE_HEIGHT + 0.6)
        figure = Figure(figsize=size, layout="constrained")
        grid = figure.subplots(
            2, len(over_axes), squeeze=False, height_ratios=(height, _PROFILE_HEIGHT)
        )
        handles: dict[str, Any] = {}
        for over_axis, (above, below) in zip(over_axes, grid.T, strict=True):
            metrics = ", ".join(over_axis.ranking.metrics)
            above.set_title(f"{over_axis.axis}\n{metrics}", fontsize=8.5, color=INK)
            draw_ranks(above, over_axis.ranking)
            if not over_axis.profiled:
                below.set_axis_off()
                continue
            thresholds = thresholds_of(over_axis.skill)
            profile = partial(performance_profile, thresholds=thresholds)
            curves = {prior: profile(gains) for prior, gains in over_axis.skill.items()}
            draw_profile(below, thresholds, curves, shapes)
            below.locator_params(axis="x", nbins=5)
            handles |= dict(zip(*reversed(below.get_legend_handles_labels()), strict=True))
        if handles:
            legend = figure.legend(
                handles.values(), handles, loc="outside lower center", ncols=5, fontsize=7.5
            )
            for text in legend.get_texts():
                text.set_parse_math(False)  # a dollar in a name is no formula
        figure.savefig(path, facecolor="white", metadata={"Date": None})
