"""Comparisons over several datasets and tasks: from paired runs to across.csv."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from priorbench.components.specs import TRAINING_OPTIONS, split_spec, without
from priorbench.metrics import METRICS
from priorbench.statistics import (
    EXACT_UP_TO,
    NO_INTERVAL,
    Evidence,
    Ranking,
    blocked,
    blocked_interval,
    interquartile_difference,
    judge,
    mean_improvement,
    mixed_model,
    rank_priors,
    sign_flip_greater_p,
    sign_flip_p,
    wilcoxon_p,
)
from priorbench.study.declared import CORRECTION, PRIMARY, DeclaredClaims

from .paired_runs import SETTING_COLUMNS, PairedRuns

ACROSS_COLUMNS = [
    "metric",
    "axis",
    "attribution",
    "prior",
    "baseline",
    "settings",
    "datasets",
    "runs",
    "better_in",
    "difference",
    "ci_low",
    "ci_high",
    "interval",
    "p",
    "p_adjusted",
    "test",
    "family",
    "correction",
    "tests",
    "p_noninferior",
    "p_noninferior_adjusted",
    "p_equivalent",
    "p_equivalent_adjusted",
    "margin_tests",
    "verdict",
    "p_wilcoxon",
    "mixed_effect",
    "mixed_low",
    "mixed_high",
    "p_mixed",
    "iqm_difference",
    "iqm_low",
    "iqm_high",
    "improvement",
    "improvement_low",
    "improvement_high",
]
_NAN = float("nan")


def compare_across(pairs: Sequence[PairedRuns], claims: DeclaredClaims) -> pd.DataFrame:
    """One row per primary metric and prior that several settings share; one family of tests.

    A setting is a task with its options, a dataset and an architecture. What is tested
    is the mean over these of the difference in each. Whether other datasets would show the same is
    asked by the column ``p_wilcoxon``, for which settings of one dataset are one: other options and
    architectures are no further data. Settings that differ only in how much or how long a network
    is trained share the luck of a seed, and so are no independent runs: seed by seed they are
    averaged first.

    Args:
        pairs: of all settings, as ``pairs.paired_runs`` gives them.
        claims: what was declared.
    """
    groups: dict[tuple[str, str], list[PairedRuns]] = {}
    for one in pairs:
        if claims.family(one.setting[0], one.attribution, one.metric) == PRIMARY:
            groups.setdefault((one.metric.name, one.prior), []).append(one)
    shared = [group for group in groups.values() if len(group) > 1]
    rows = [_row(group, claims) for group in shared]
    evidence = [
        Evidence(
            group[0].sign * row["difference"], row["p"], row["p_noninferior"], row["p_equivalent"]
        )
        for group, row in zip(shared, rows, strict=True)
    ]
    judged = judge(evidence, CORRECTION[PRIMARY])
    complete = [row | vars(found) for row, found in zip(rows, judged, strict=True)]
    return pd.DataFrame(complete, columns=ACROSS_COLUMNS)


def _independent(group: Sequence[PairedRuns]) -> list[PairedRuns]:
    """The pairs with those that share the luck of their seeds averaged, seed by seed."""
    together: dict[tuple[str, str, str], list[PairedRuns]] = {}
    for one in group:
        task, dataset, architecture = one.setting
        key = (without(task, TRAINING_OPTIONS), dataset, architecture)
        together.setdefault(key, []).append(one)
    return [_mean_of(some) for some in together.values()]


def _mean_of(group: Sequence[PairedRuns]) -> PairedRuns:
    """One setting for several with the same seeds' luck; of the seeds that all of them have."""
    first = group[0]
    if len(group) == 1:
        return first
    seeds = sorted(set.intersection(*(set(one.seeds) for one in group)))
    places = [[one.seeds.index(seed) for seed in seeds] for one in group]

    def mean(name: str) -> NDArray[np.float64]:
        rows = [getattr(one, name)[place] for one, place in zip(group, places, strict=True)]
        averaged: NDArray[np.float64] = np.mean(rows, axis=0)
        return averaged

    failed = [one.both_failed[place] for one, place in zip(group, places, strict=True)]
    return replace(
        first,
        seeds=tuple(seeds),
        missing=tuple(sorted({seed for one in group for seed in one.missing})),
        baseline=mean("baseline"),
        values=mean("values"),
        differences=mean("differences"),
        both_failed=np.all(failed, axis=0),
    )


def _row(settings: Sequence[PairedRuns], claims: DeclaredClaims) -> dict[str, Any]:
    group = _independent(settings)
    first = group[0]
    differences = [one.differences for one in group]
    means, together = _dataset_means(group), blocked(differences)
    # that of an agreement over datasets was not calibrated
    tested = not first.metric.of_pairs and not all(one.nothing_ran for one in group)
    interval = blocked_interval(differences) if tested else NO_INTERVAL
    exact = "exact" if len(together) <= EXACT_UP_TO else "Monte Carlo"
    return {
        "metric": first.metric.name,
        "axis": first.metric.axis,
        "attribution": first.attribution,
        "prior": first.prior,
        "baseline": claims.baseline,
        "settings": len(settings),
        "datasets": len(means),
        "runs": len(together),
        "better_in": int((first.sign * means > 0).sum()),
        "difference": float(np.mean([one.difference for one in group])),
        "ci_low": interval.low,
        "ci_high": interval.high,
        "interval": interval.method,
        "p": sign_flip_p(together),
        "test": f"sign-flip within datasets, {exact}",
        "family": PRIMARY,
        "correction": CORRECTION[PRIMARY],
        "p_wilcoxon": wilcoxon_p(means),
        **_margin_tests(group, claims),
        **_models(group),
    }


def _dataset_means(group: Sequence[PairedRuns]) -> NDArray[np.float64]:
    """(datasets,) difference in each, averaged over its settings."""
    found: dict[tuple[str, str], list[float]] = {}
    for one in group:
        found.setdefault(_dataset(one.setting), []).append(one.difference)
    return np.array([np.mean(settings) for settings in found.values()])


def _dataset(setting: Sequence[str]) -> tuple[str, str]:
    """Name of the task and of the dataset, without options and architecture."""
    return split_spec(setting[0])[0], setting[1]


def _margin_tests(group: Sequence[PairedRuns], claims: DeclaredClaims) -> dict[str, float]:
    margin = claims.margin(group[0].metric)
    if margin is None or group[0].metric.of_pairs:
        return {"p_noninferior": _NAN, "p_equivalent": _NAN}
    allowances = [one.allowance(margin) for one in group]
    sides = [
        sign_flip_greater_p(
            blocked([sign * one.gain + a for one, a in zip(group, allowances, strict=True)])
        )
        for sign in (1, -1)
    ]
    return {"p_noninferior": sides[0], "p_equivalent": max(sides)}


def _models(group: Sequence[PairedRuns]) -> dict[str, float]:
    """What is read from the runs' own scores; runs that are compared with each other have none."""
    if group[0].metric.of_pairs:
        names = ("mixed_effect", "mixed_low", "mixed_high", "p_mixed", "iqm_difference", "iqm_low")
        rest = ("iqm_high", "improvement", "improvement_low", "improvement_high")
        return dict.fromkeys((*names, *rest), _NAN)
    scores = [np.stack([one.baseline, one.values]) for one in group]
    mixed, middle = mixed_model(scores), interquartile_difference(scores)
    improvement = mean_improvement([group[0].sign * pairs for pairs in scores])
    return {
        "mixed_effect": mixed.effect,
        "mixed_low": mixed.low,
        "mixed_high": mixed.high,
        "p_mixed": mixed.p,
        "iqm_difference": middle.value,
        "iqm_low": middle.interval.low,
        "iqm_high": middle.interval.high,
        "improvement": improvement.value,
        "improvement_low": improvement.interval.low,
        "improvement_high": improvement.interval.high,
    }


@dataclass(frozen=True)
class AxisRanking:
    """Priors ranked over datasets, on the primary metric that each has on an axis.

    Ranks have no unit, so that tasks with different metrics can be put together.

    Attributes:
        axis: name.
        metrics: primary metrics of the datasets.
        priors: specs, the baseline first.
        datasets: how many have a value of every prior.
        ranking: their average ranks.
    """

    axis: str
    metrics: tuple[str, ...]
    priors: tuple[str, ...]
    datasets: int
    ranking: Ranking


def rank_axes(comparisons: pd.DataFrame) -> list[AxisRanking]:
    """One ranking per axis that two datasets or more have a primary metric of.

    Settings of one dataset are averaged before they are ranked.
    A failed run counts as in the comparison of its prior with the baseline, a failed run of the
    baseline as the worst in any of these.

    Args:
        comparisons: with the columns of comparisons.csv.
    """
    primary = comparisons[comparisons["family"] == PRIMARY]
    found = []
    for axis, rows in primary.groupby("axis", sort=False):
        priors = (str(rows["baseline"].iloc[0]), *dict.fromkeys(map(str, rows["prior"])))
        by_dataset: dict[tuple[str, str], list[NDArray[np.float64]]] = {}
        for key, setting in rows.groupby(SETTING_COLUMNS, sort=False):
            if (column := _means(setting, priors)) is not None:
                by_dataset.setdefault(_dataset([str(k) for k in key]), []).append(column)
        columns = [np.mean(settings, axis=0) for settings in by_dataset.values()]
        if len(columns) > 1:
            metrics = tuple(dict.fromkeys(map(str, rows["metric"])))
            ranking = rank_priors(np.stack(columns, axis=1))
            found.append(AxisRanking(str(axis), metrics, priors, len(columns), ranking))
    return found


def _means(setting: pd.DataFrame, priors: Sequence[str]) -> NDArray[np.float64] | None:
    """(priors,) means in one setting, larger is better; None if one lacks."""
    sign = 1 if METRICS[str(setting["metric"].iloc[0])].higher_is_better else -1
    means = dict(zip(map(str, setting["prior"]), sign * setting["mean_prior"], strict=True))
    means[priors[0]] = (sign * setting["mean_baseline"]).min()
    values = np.array([float(means.get(prior, _NAN)) for prior in priors])
    return values if np.isfinite(values).all() else None
