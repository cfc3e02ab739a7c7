"""All tests of the primary family, which was declared before the run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from markupsafe import Markup

from priorbench import Section
from priorbench.metrics import METRICS
from priorbench.number_text import fixed, interval, percent
from priorbench.results.finished_run import Run
from priorbench.statistics.families.verdicts import DEFINITIONS
from priorbench.study.declared import PRIMARY

from ._shared.page import render
from ._shared.settings import SIGNS, ComparedSetting, settings_of
from ._shared.tests_table import detectable_text, seeds_text, tested_rows


class Primary(Section):
    """Effect sizes, tests against zero and against margins, and detectable differences."""

    title: ClassVar[str] = "Primary comparisons"
    position: ClassVar[int] = 22

    def render(self, run: Run) -> str:
        """Return a table for every setting, and what the verdicts mean."""
        tables = [_table(setting) for setting in settings_of(run) if setting.primary]
        if not tables:
            return ""
        meanings = render("verdicts", definitions=DEFINITIONS, signs=SIGNS)
        return Markup("").join([*tables, meanings])


def _table(setting: ComparedSetting) -> Markup:
    rows = setting.comparisons[setting.comparisons["family"] == PRIMARY]
    order = rows["metric"].map(list(METRICS).index).sort_values(kind="stable").index
    return render(
        "primary",
        setting=setting,
        family=setting.families[0],
        rows=tested_rows(rows.loc[order], _more),
    )


def _more(row: Mapping[str, Any], places: int) -> dict[str, Any]:
    return {
        "n": row["n"],
        "seeds": seeds_text(row),
        "effect": fixed(row["effect_size"], 2),
        "cliff": fixed(row["cliffs_delta"], 2),
        "improvement": fixed(row["improvement"], 2),
        "improvement_interval": interval(row["improvement_low"], row["improvement_high"], 2),
        "correlation": fixed(row["correlation"], 2),
        "share": f"{100 * row['skill_margin']:.2g}% of skill" if row["skill_margin"] > 0 else "",
        "skill": percent(row["skill_gain"]),
        "detectable": detectable_text(row["detectable"], places),
        "missing": row["missing"],
    }
