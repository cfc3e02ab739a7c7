"""Answers about one metric of a finished run, for `compare` and `power`."""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import pandas as pd

from priorbench.answer.sentences import claims_sentences
from priorbench.comparison.correction_families import Family, families, sentences
from priorbench.comparison.paired_runs import paired_runs
from priorbench.comparison.seeds_needed import DIFFERENCE, plan_seeds
from priorbench.comparison.within_dataset import UNCERTAIN_COUNTS, compare
from priorbench.components.metric import Metric
from priorbench.errors import UserError, unknown
from priorbench.metrics import get_metric
from priorbench.number_text import decimals_for, fixed
from priorbench.results.finished_run import Run
from priorbench.statistics.confidence import SIGN_FLIP_FROM
from priorbench.statistics.families.looks import LOOKS_RULE
from priorbench.statistics.families.verdicts import DEFINITIONS, INCONCLUSIVE
from priorbench.study.declared import DeclaredClaims
from priorbench.study.trial import EVALUATE, SETTING_COLUMNS

from .metric_tables import TextTable, comparison_tables, power_tables

_ENOUGH_FOR_LARGE = 8
"""seeds of the default study, which find large effects"""
_COUNTS = ("seeds_80", "seeds_95", "cautious_80", "cautious_95")
_MOST_STEPS = 2
"""next steps that are told; of more, those of the effect asked for, then of the fewest seeds"""
_NEW_SEEDS_FROM = 100
"""new seeds begin at a multiple of it, beyond all that the run has"""


@dataclass(frozen=True)
class MetricAnswer:
    """What a run says of one metric.

    Attributes:
        metric: the metric.
        claims: what was declared, with the baseline that was compared with.
        rows: the numbers, with the columns of comparisons.csv or ``POWER_COLUMNS``.
        tables: the same in words.
        notes: sentences that explain the tables.
        next_steps: sentences that say what to do next, where that follows from the numbers.
    """

    metric: Metric
    claims: DeclaredClaims
    rows: pd.DataFrame
    tables: Sequence[TextTable]
    notes: Sequence[str]
    next_steps: Sequence[str]


def compare_metric(
    run: Run, metric: str, baseline: str | None, attribution: str | None
) -> MetricAnswer:
    """Return the paired differences of one metric to a baseline, with explanations.

    The explanations say what was corrected, why a p is missing and what the verdicts mean.

    Args:
        run: a finished run.
        metric: name of the metric.
        baseline: spec of a prior of the run; the study's baseline if None.
        attribution: spec of an attribution that was scored; the first if None.

    Raises:
        UserError: if the run does not have a name that is asked for.
    """
    chosen = get_metric(metric)
    claims = _claims(run, baseline)
    spec = attribution or run.attributions[0]
    if spec not in run.attributions:
        raise unknown("attribution of this run", spec, run.attributions)
    comparisons = _comparisons(run, claims)
    of_attribution = comparisons["attribution"].isin(["", spec])
    shown = comparisons[(comparisons["metric"] == chosen.name) & of_attribution]
    if shown.empty:
        raise UserError(f"{run.root}: nothing to compare in metric {chosen.name!r}")
    counts = shown.columns.intersection(UNCERTAIN_COUNTS)  # folders of earlier versions lack some
    shown = shown.astype(dict.fromkeys(counts, "Int64"))
    verdicts = set(shown["verdict"])
    notes = [*run.outdated_scores, *claims_sentences(claims)]
    notes += [*sentences(shown, comparisons), *_limits(shown)]
    notes += [f"{word}: {text}." for word, text in DEFINITIONS.items() if word in verdicts]
    tables = comparison_tables(shown, chosen)
    steps = _after_comparison(run, chosen, shown, claims)
    return MetricAnswer(chosen, claims, shown, tables, notes, steps)


def _after_comparison(
    run: Run, metric: Metric, shown: pd.DataFrame, claims: DeclaredClaims
) -> list[str]:
    """Return what to do next where seeds are too few, or something was not shown."""
    if metric.higher_is_better is None:
        return []
    steps = []
    if (shown["n"] < SIGN_FLIP_FROM).any():
        steps.append(
            f"Fewer than {SIGN_FLIP_FROM} seeds show no difference in one setting, and "
            f"{_ENOUGH_FOR_LARGE} find large ones: {_new_run(run, _ENOUGH_FOR_LARGE)}."
        )
    if (shown["n"] > 1).any() and set(shown["verdict"]) & {INCONCLUSIVE}:
        words = ["priorbench", "power", str(run.root), "--metric", metric.name]
        if claims.baseline != run.study["baseline"]:
            words += ["--baseline", claims.baseline]
        steps.append(f"How many seeds it takes: {shlex.join(words)}")
    return steps


def _new_run(run: Run, count: int) -> str:
    """Return the options of a new run with so many seeds, a first look at what they show."""
    first = (max(run.study["seeds"]) // _NEW_SEEDS_FROM + 1) * _NEW_SEEDS_FROM
    return f"--seeds {first}-{first + count - 1} --out NEW"


def _claims(run: Run, baseline: str | None) -> DeclaredClaims:
    """Return what the run's study declared, or claims about another baseline if one is named."""
    claims = run.claims_against(baseline or "")
    results = run.results
    known = results.loc[results["stage"] == EVALUATE, "prior"].unique()
    if claims.baseline not in known:
        raise unknown("prior of this run", claims.baseline, known)
    return claims


def _comparisons(run: Run, claims: DeclaredClaims) -> pd.DataFrame:
    """Return the comparisons of all metrics, as a metric's p is corrected for its family's."""
    if claims.baseline == run.study["baseline"]:
        return run.comparisons
    return compare(run.results, run.agreement(), claims)


def _limits(shown: pd.DataFrame) -> list[str]:
    """Return sentences on why there is no p, which pairs are missing, and which say nothing."""
    lines = []
    if (shown["n"] == 1).any():
        lines.append(
            "One seed: a difference without any p. A single pair cannot tell a prior's effect from "
            "the chance in one training."
        )
    if ((shown["n"] > 1) & (shown["n"] < SIGN_FLIP_FROM)).any():
        lines.append(
            "Two to five seeds have no interval that is corrected as the verdicts are: they cannot "
            "show a difference, wherever it lies. The interval alone is Student's, for normal "
            "differences only."
        )
    rows = shown.to_dict("records")
    lines += [
        "{dataset}, {prior}: no pair of seeds {missing}, which are not compared.".format_map(row)
        for row in rows
        if str(row["missing"])
    ]
    lines += [
        "{dataset}, {prior}: both arms failed on {both_failed} of {n} seeds. That is a tie as far "
        "as a difference goes, and no evidence that nothing is lost.".format_map(row)
        for row in rows
        if row["both_failed"]
    ]
    return lines


def power_of_metric(
    run: Run, metric: str, baseline: str | None, effect: float | None
) -> MetricAnswer:
    """Return how many seeds it takes to show a difference or non-inferiority.

    Args:
        run: a finished run, the pilot.
        metric: name of the metric.
        baseline: spec of a prior of the run; the study's baseline if None.
        effect: difference to be shown, in units of the metric; the observed one if None.

    Raises:
        UserError: if the run does not have a name that is asked for, or has one seed only.
    """
    chosen = get_metric(metric)
    if chosen.higher_is_better is None:
        raise UserError(f"--metric {metric}: it is only shown, never tested; choose another")
    if effect is not None and not 0 < effect < math.inf:
        raise UserError(
            f"--effect {effect:g}: give the least difference that matters, a number above 0, such "
            "as 0.01"
        )
    claims = _claims(run, baseline)
    results = run.results
    of_metric = results[
        (results["metric"] == chosen.name) & results["attribution"].isin(["", run.attributions[0]])
    ]
    pairs = paired_runs(of_metric, run.agreement(), claims.baseline)
    families_of_metric = _families(_comparisons(run, claims), chosen.name)
    claims = replace(claims, look=1)  # that of a new run, which takes the seeds
    table = plan_seeds(pairs, claims, families_of_metric, effect)
    if table.empty:
        raise UserError(
            f"{run.root}: no prior has {chosen.name!r} for two seeds; a pilot needs two or more"
        )
    table = table.astype(dict.fromkeys(_COUNTS, "Int64"))
    tables = power_tables(table, chosen)
    steps = _after_power(run, table, observed=effect is None)
    return MetricAnswer(chosen, claims, table, tables, _NOTES, steps)


def _after_power(run: Run, table: pd.DataFrame, *, observed: bool) -> list[str]:
    """Return how many seeds to take for a few claims, each in its family.

    Claims for which the pilot had enough seeds are left out.
    """
    last = table.groupby([*SETTING_COLUMNS, "prior", "claim"], sort=False).tail(1)
    within_reach = last[last["seeds_80"].notna()].sort_values("seeds_80", kind="stable")
    within_reach = within_reach[within_reach["seeds_80"] > within_reach["pilot_seeds"]]
    if not observed:  # the effect that was asked for comes first
        first = within_reach["claim"] == DIFFERENCE
        within_reach = pd.concat([within_reach[first], within_reach[~first]])
    places = decimals_for(table["effect"].dropna())
    steps = list(_seeds_to_use(run, within_reach.head(_MOST_STEPS), places))
    differences = last[last["claim"] == DIFFERENCE]
    if differences["seeds_80"].isna().any():
        del steps[_MOST_STEPS - 1 :]
        steps.append(
            "A difference that takes more than 1000 seeds is out of reach: give "
            + ("--effect, the least difference that matters." if observed else "a larger --effect.")
        )
    return steps


def _seeds_to_use(run: Run, rows: pd.DataFrame, places: int) -> Iterator[str]:
    several = rows[SETTING_COLUMNS].drop_duplicates()
    for row in rows.to_dict("records"):
        where = f"{' · '.join(str(row[c]) for c in SETTING_COLUMNS)}, " if len(several) > 1 else ""
        size = fixed(row["effect"], places)
        what = f"a difference of {size}" if row["claim"] == DIFFERENCE else f"no loss of {size}"
        cautious = row["cautious_80"]
        more = "more than 1000" if pd.isna(cautious) else f"{cautious:.0f}"
        yield (
            f"{where}{row['prior']}: {row['seeds_80']:.0f} seeds of a new run "
            f"({_new_run(run, int(row['seeds_80']))}) show {what} four times in five ({more} to be "
            "cautious)."
        )


_NOTES = (
    "80% and 95% power: seeds that find the effect so often, if the standard deviation of the "
    "pilot's differences is the truth; cautious: if it is as large as its upper 80% confidence "
    "limit. Half of all pilots are too optimistic.",
    "alone: a test by itself; one of several: a test of the family it is part of in this run, with "
    "the level that the first step of its correction leaves to a test.",
    "no loss: that the prior loses less than the margin (the effect) if in truth it loses nothing "
    "(non-inferiority).",
    "A difference that is only observed is mostly too large: give --effect, the least that "
    "matters to you.",
    "The numbers are those of a new run, which is a first look. Seeds that are added to a run are "
    f"a further look, and a look has less of the level than the one before. {LOOKS_RULE} So "
    "take new seeds in a folder of their own.",
)


def _families(comparisons: pd.DataFrame, metric: str) -> dict[tuple[str, str, str], Family]:
    """Return the family of the metric's tests by task, dataset and architecture."""
    by_setting: dict[tuple[str, str, str], Family] = {}
    for key, rows in comparisons.groupby(SETTING_COLUMNS, sort=False):
        name = rows.loc[rows["metric"] == metric, "family"]
        task, dataset, architecture = map(str, key)
        for family in families(rows):
            if len(name) and family.name == name.iloc[0]:
                by_setting[task, dataset, architecture] = family
    return by_setting
