"""All datasets together: differences over them, ranks, and profiles of single runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from markupsafe import Markup

from priorbench import Section
from priorbench.comparison.axis_ranks import AxisRanking, rank_axes
from priorbench.comparison.correction_families import families
from priorbench.comparison.over_datasets import SKILL
from priorbench.number_text import exact_p, fixed, interval, p_value
from priorbench.results.finished_run import Run
from priorbench.statistics.families.verdicts import ALPHA

from ._shared.across.profiles import profiles
from ._shared.across.ranks import draw_ranks
from ._shared.figures.style import style
from ._shared.figures.svg import to_svg
from ._shared.page import render
from ._shared.settings import settings_of
from ._shared.tests_table import tested_rows

_WIDTH = 5.4  # inches
_ROW = 0.24


class Across(Section):
    """A table over all datasets, and one rank plot and one profile an axis."""

    title: ClassVar[str] = "All datasets together"
    position: ClassVar[int] = 26

    def render(self, run: Run) -> str:
        """Return the table, rank plots and profiles; empty for a single setting."""
        if run.across.empty:
            return ""
        rankings = rank_axes(run.comparisons)
        settings = [setting for setting in settings_of(run) if setting.primary]
        return render(
            "across",
            baseline=run.across["baseline"].iloc[0],
            family=families(run.across)[0],
            tables=len(settings),
            level=exact_p(run.claims.level),
            together=f"{100 * min(1.0, len(settings) * run.claims.level):.3g}%",
            rows=tested_rows(run.across, _more),
            plots=[{"ranking": ranking, **_limits(ranking)} for ranking in rankings],
            svgs=[_rank_plot(ranking) for ranking in rankings],
            **profiles(settings),
        )


def _more(row: Mapping[str, Any], places: int) -> dict[str, Any]:
    return {
        "metrics": f"of {row['metrics'].replace(' ', ', ')}" if row["metric"] == SKILL else "",
        "settings": row["settings"],
        "datasets": row["datasets"],
        "runs": row["runs"],
        "better_in": row["better_in"],
        "wilcoxon": p_value(row["p_wilcoxon"]),
        "mixed": fixed(row["mixed_effect"], places, signed=True),
        "mixed_interval": interval(row["mixed_low"], row["mixed_high"], places),
        "middle": fixed(row["iqm_difference"], places, signed=True),
        "middle_interval": interval(row["iqm_low"], row["iqm_high"], places),
        "improvement": fixed(row["improvement"], 2),
        "improvement_interval": interval(row["improvement_low"], row["improvement_high"], 2),
    }


def _limits(ranking: AxisRanking) -> dict[str, Any]:
    """Return whether a number of datasets can distinguish any two priors."""
    smallest = ranking.smallest_p
    friedman = p_value(ranking.ranking.friedman_p)
    return {"smallest": smallest, "enough": smallest <= ALPHA, "friedman": friedman}


def _rank_plot(ranking: AxisRanking) -> Markup:
    """Return average ranks on a line, best on the left; bars join what is not distinguished."""
    from matplotlib.figure import Figure

    height = 0.5 + _ROW * len(ranking.priors) + 0.13 * len(ranking.ranking.groups)
    with style():
        figure = Figure(figsize=(_WIDTH, height), layout="constrained")
        draw_ranks(figure.subplots(), ranking)
        return to_svg(figure, _description(ranking))


def _description(ranking: AxisRanking) -> str:
    ranks = ranking.ranking.ranks
    in_order = np.argsort(ranks, kind="stable")
    averages = ", ".join(f"{ranking.priors[arm]} {ranks[arm]:.2f}" for arm in in_order)
    joined = "; ".join(
        " and ".join(ranking.priors[arm] for arm in group) for group in ranking.ranking.groups
    )
    return f"Average ranks on {ranking.axis}: {averages}. Not distinguished: {joined or 'none'}"
