"""Answers about one metric of a finished run, as text for `compare` and `power`."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from functools import partial

import pandas as pd

from priorbench.answer.sentences import claims_sentences
from priorbench.comparison.correction_families import Family, families, sentences
from priorbench.comparison.paired_runs import paired_runs
from priorbench.comparison.seeds_needed import plan_seeds
from priorbench.comparison.within_dataset import compare
from priorbench.errors import UserError, unknown
from priorbench.metrics import get_metric
from priorbench.results.finished_run import Run
from priorbench.statistics.confidence import SIGN_FLIP_FROM
from priorbench.statistics.families.looks import LOOKS_RULE
from priorbench.statistics.families.verdicts import DEFINITIONS
from priorbench.study.declared import DeclaredClaims
from priorbench.study.trial import EVALUATE, SETTING_COLUMNS

_wrap = partial(textwrap.fill, width=100)


def compare_metric(run: Run, metric: str, baseline: str | None, attribution: str | None) -> str:
    """Return the paired differences of one metric to a baseline, as a table with explanations.

    The explanations say what was corrected, why a p is missing and what the verdicts mean.

    Args:
        run: a finished run.
        metric: name of the metric.
        baseline: spec of a prior of the run; the study's baseline if None.
        attribution: spec of an attribution that was scored; the first if None.

    Raises:
        UserError: if the run does not have a name that is asked for.
    """
    name = get_metric(metric).name
    claims = _claims(run, baseline)
    spec = attribution or run.attributions[0]
    if spec not in run.attributions:
        raise unknown("attribution of this run", spec, run.attributions)
    comparisons = _comparisons(run, claims)
    of_attribution = comparisons["attribution"].isin(["", spec])
    shown = comparisons[(comparisons["metric"] == name) & of_attribution]
    if shown.empty:
        raise UserError(f"{run.root}: nothing to compare in metric {name!r}")
    columns = ["prior", "n", "mean_baseline", "mean_prior", "difference"]
    columns += ["ci_low", "ci_high", "interval", "ci_low_alone", "ci_high_alone"]
    columns += ["p", "p_adjusted"]
    if shown["margin"].notna().any():
        columns += ["margin", "p_noninferior_adjusted", "p_equivalent_adjusted"]
    verdicts = set(shown["verdict"])
    lines = [*run.outdated_scores, *claims_sentences(claims)]
    lines += [*sentences(shown, comparisons), *_limits(shown)]
    lines += [f"{word}: {text}." for word, text in DEFINITIONS.items() if word in verdicts]
    return "\n".join([_table(shown, [*columns, "verdict"]), "", *map(_wrap, lines)])


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


def _table(rows: pd.DataFrame, columns: Sequence[str]) -> str:
    varying = [c for c in ("task", "architecture") if rows[c].nunique() > 1]
    shown = rows[[*varying, "dataset", *columns]]
    return str(shown.to_string(index=False, float_format="{:.4g}".format, na_rep="–"))


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
            "show a difference, wherever it lies. ci_low_alone and ci_high_alone are Student's, "
            "for normal differences only."
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


def power_of_metric(run: Run, metric: str, baseline: str | None, effect: float | None) -> str:
    """Return how many seeds it takes to show a difference or non-inferiority, as a table.

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
    if effect is not None and not (math.isfinite(effect) and effect):
        raise UserError(f"--effect {effect:g}: give the least difference that matters, as a number")
    claims = _claims(run, baseline)
    results = run.results
    of_metric = results[
        (results["metric"] == chosen.name) & results["attribution"].isin(["", run.attributions[0]])
    ]
    pairs = paired_runs(of_metric, run.agreement(), claims.baseline)
    families_of_metric = _families(_comparisons(run, claims), chosen.name)
    table = plan_seeds(pairs, claims, families_of_metric, effect)
    if table.empty:
        raise UserError(
            f"{run.root}: no prior has {chosen.name!r} for two seeds; a pilot needs two or more"
        )
    seeds = ["seeds_80", "seeds_95", "cautious_80", "cautious_95"]
    counts = table[seeds].map(lambda n: "> 1000" if pd.isna(n) else f"{n:.0f}")
    columns = ["prior", "claim", "tests", "pilot_seeds", "correlation", "spread", "effect", *seeds]
    return "\n".join(
        [_table(table.assign(**counts), [*columns, "visible"]), "", *map(_wrap, _NOTES)]
    )


_NOTES = (
    "seeds_80, seeds_95: seeds that find the effect with 80% and 95% power, if the pilot's "
    "standard deviation of the differences (spread) is the truth; cautious: if it is as large as "
    "its upper 80% confidence limit. Half of all pilots are too optimistic.",
    "tests: 1 is a test by itself; the other number is that of the family it is part of in this "
    "run, with the level that the first step of its correction leaves to a test.",
    "non-inferiority: that the prior loses less than the margin (effect) if in truth it loses "
    "nothing. visible: the smallest effect that as many seeds as the pilot's find with 80% power.",
    "A difference that is only observed is mostly too large: give --effect, the least that "
    "matters to you.",
    "Plan the seeds before the run. Seeds that are added to a run are a further look at it, and a "
    f"look has less of the level than the one before. {LOOKS_RULE} Or confirm on new seeds in a "
    "folder of their own (--seeds 100-107), where the level is that of a first look.",
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
