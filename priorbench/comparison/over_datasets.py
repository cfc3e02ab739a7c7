"""Paired comparisons of priors over several datasets and tasks: across.csv, and ranks.

`paired_runs.py` makes the pairs before; `standing.py` reads the verdicts afterwards.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from priorbench.components.specs import TRAINING_OPTIONS, split_spec, without
from priorbench.metrics import METRICS
from priorbench.statistics.confidence import NO_INTERVAL
from priorbench.statistics.paired import wilcoxon_p
from priorbench.statistics.ranks import Ranking, rank_priors
from priorbench.statistics.several_datasets import (
    blocked,
    blocked_interval,
    interquartile_difference,
    mean_improvement,
    mixed_model,
)
from priorbench.statistics.signflip import EXACT_UP_TO, sign_flip_greater_p, sign_flip_p
from priorbench.study.declared import CORRECTION, PRIMARY, DeclaredClaims
from priorbench.study.trial import SETTING_COLUMNS, SettingKey

from .paired_runs import PairedRuns
from .within_dataset import MARGIN_COLUMNS, judged_rows

_MODEL_COLUMNS = (
    *("mixed_effect", "mixed_low", "mixed_high", "p_mixed", "iqm_difference", "iqm_low"),
    *("iqm_high", "improvement", "improvement_low", "improvement_high"),
)
ACROSS_COLUMNS = [
    *("metric", "axis", "attribution", "prior", "baseline"),
    *("settings", "datasets", "runs", "better_in", "difference", "ci_low", "ci_high", "interval"),
    *("p", "p_adjusted", "test", "family", "correction", "tests"),
    *(*MARGIN_COLUMNS, "margin_tests", "verdict", "p_wilcoxon", *_MODEL_COLUMNS),
]
_NAN = float("nan")


def compare_across(all_pairs: Sequence[PairedRuns], claims: DeclaredClaims) -> pd.DataFrame:
    """Compare priors on each primary metric that several settings share; one family of tests.

    What is tested is the mean over the settings of the difference in each. Whether other datasets
    would show the same is the question of the column ``p_wilcoxon``, for which all settings of one
    dataset are one: other options and architectures are no further data. Settings that differ only
    in how much or how long a network is trained share what a seed draws, and so are no independent
    runs: seed by seed they are averaged first.

    Args:
        all_pairs: the pairs of all settings.
        claims: what was declared.

    Returns:
        a table with ACROSS_COLUMNS, one row per metric and prior.
    """
    groups: dict[tuple[str, str], list[PairedRuns]] = {}
    for pairs in all_pairs:
        if claims.family(pairs.setting[0], pairs.attribution, pairs.metric) == PRIMARY:
            groups.setdefault((pairs.metric.name, pairs.prior), []).append(pairs)
    shared = [group for group in groups.values() if len(group) > 1]
    rows = [_row(group, claims) for group in shared]
    judged = judged_rows(rows, [group[0].sign for group in shared], CORRECTION[PRIMARY])
    return pd.DataFrame(judged, columns=ACROSS_COLUMNS)


def _row(settings: Sequence[PairedRuns], claims: DeclaredClaims) -> dict[str, Any]:
    group = _independent(settings)
    first = group[0]
    differences = [pairs.differences for pairs in group]
    means, together = _dataset_means(group), blocked(differences)
    # an interval of an agreement over datasets was not calibrated
    offered = not first.metric.of_pairs and not all(pairs.nothing_ran for pairs in group)
    interval = blocked_interval(differences) if offered else NO_INTERVAL
    exact = "exact" if len(together) <= EXACT_UP_TO else "Monte Carlo"
    return {
        **first.columns,
        "baseline": claims.baseline,
        "settings": len(settings),
        "datasets": len(means),
        "runs": len(together),
        "better_in": int((first.sign * means > 0).sum()),
        "difference": float(np.mean([pairs.difference for pairs in group])),
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


def _independent(group: Sequence[PairedRuns]) -> list[PairedRuns]:
    """Average the pairs of settings that draw the same with a seed, seed by seed."""
    together: dict[SettingKey, list[PairedRuns]] = {}
    for pairs in group:
        task, dataset, architecture = pairs.setting
        key = (without(task, TRAINING_OPTIONS), dataset, architecture)
        together.setdefault(key, []).append(pairs)
    return [_mean_of(some) for some in together.values()]


def _mean_of(group: Sequence[PairedRuns]) -> PairedRuns:
    """Return the mean of several pairs, over the seeds that all of them have."""
    if len(group) == 1:
        return group[0]
    seeds = sorted(set.intersection(*(set(pairs.seeds) for pairs in group)))
    places = [[pairs.seeds.index(seed) for seed in seeds] for pairs in group]

    def shared(name: str) -> list[NDArray[np.float64]]:
        return [getattr(pairs, name)[place] for pairs, place in zip(group, places, strict=True)]

    return replace(
        group[0],
        seeds=tuple(seeds),
        missing=tuple(sorted({seed for pairs in group for seed in pairs.missing})),
        both_failed=np.all(shared("both_failed"), axis=0),
        **{name: np.mean(shared(name), axis=0) for name in ("baseline", "values", "differences")},
    )


def _dataset_means(group: Sequence[PairedRuns]) -> NDArray[np.float64]:
    """Return (datasets,) the difference in each, averaged over its settings."""
    differences: dict[tuple[str, str], list[float]] = {}
    for pairs in group:
        differences.setdefault(_dataset(pairs.setting), []).append(pairs.difference)
    return np.array([np.mean(settings) for settings in differences.values()])


def _dataset(setting: Sequence[str]) -> tuple[str, str]:
    """Return the name of the task, without its options, and of the dataset."""
    return split_spec(setting[0])[0], setting[1]


def _margin_tests(group: Sequence[PairedRuns], claims: DeclaredClaims) -> dict[str, float]:
    margin = claims.margin(group[0].metric)
    if margin is None or group[0].metric.of_pairs:
        return {"p_noninferior": _NAN, "p_equivalent": _NAN}
    allowances = [pairs.allowance(margin) for pairs in group]
    sides = [
        sign_flip_greater_p(
            blocked([sign * pairs.gain + a for pairs, a in zip(group, allowances, strict=True)])
        )
        for sign in (1, -1)
    ]
    return {"p_noninferior": sides[0], "p_equivalent": max(sides)}


def _models(group: Sequence[PairedRuns]) -> dict[str, float]:
    """Return what is computed from each run's own score; NaN for metrics of pairs of runs."""
    if group[0].metric.of_pairs:
        return dict.fromkeys(_MODEL_COLUMNS, _NAN)
    scores = [np.stack([pairs.baseline, pairs.values]) for pairs in group]
    mixed, middle = mixed_model(scores), interquartile_difference(scores)
    improvement = mean_improvement([group[0].sign * pairs for pairs in scores])
    values = [mixed.effect, mixed.low, mixed.high, mixed.p]
    for statistic in (middle, improvement):
        values += [statistic.value, statistic.interval.low, statistic.interval.high]
    return dict(zip(_MODEL_COLUMNS, values, strict=True))


@dataclass(frozen=True)
class AxisRanking:
    """Priors ranked over datasets, on the primary metric that each dataset has on an axis.

    Ranks have no unit, so that tasks with different metrics can be put together.

    Attributes:
        axis: name of the axis.
        metrics: primary metrics of the datasets.
        priors: specs, the baseline first.
        datasets: how many datasets have a value of every prior.
        ranking: average ranks of the priors.
    """

    axis: str
    metrics: tuple[str, ...]
    priors: tuple[str, ...]
    datasets: int
    ranking: Ranking


def rank_axes(comparisons: pd.DataFrame) -> list[AxisRanking]:
    """Rank the priors on each axis that two datasets or more have a primary metric of.

    Settings of one dataset are averaged before they are ranked. A failed run counts as in the
    comparison of its prior with the baseline, a failed run of the baseline as the worst in any of
    these.
    """
    primary = comparisons[comparisons["family"] == PRIMARY]
    rankings = []
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
            rankings.append(AxisRanking(str(axis), metrics, priors, len(columns), ranking))
    return rankings


def _means(setting: pd.DataFrame, priors: Sequence[str]) -> NDArray[np.float64] | None:
    """Return (priors,) means in one setting, higher is better; None if one is missing."""
    sign = 1 if METRICS[str(setting["metric"].iloc[0])].higher_is_better else -1
    means = dict(zip(map(str, setting["prior"]), sign * setting["mean_prior"], strict=True))
    means[priors[0]] = (sign * setting["mean_baseline"]).min()
    values = np.array([float(means.get(prior, _NAN)) for prior in priors])
    return values if np.isfinite(values).all() else None
