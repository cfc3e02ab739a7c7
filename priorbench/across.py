"""Comparisons over several datasets and tasks: from paired runs to across.csv."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .claims import CORRECTION, PRIMARY, Claims
from .metrics import METRICS
from .pairs import BLOCK_COLUMNS, Pairs
from .statistics import (
    EXACT_UP_TO,
    NO_INTERVAL,
    Evidence,
    Ranking,
    blocked,
    blocked_interval,
    dataset_means,
    interquartile_difference,
    judge,
    mean_improvement,
    mixed_model,
    rank_priors,
    sign_flip_greater_p,
    sign_flip_p,
    wilcoxon_over_datasets,
)

ACROSS_COLUMNS = [
    "metric",
    "axis",
    "attribution",
    "prior",
    "baseline",
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


def compare_across(pairs: Sequence[Pairs], claims: Claims) -> pd.DataFrame:
    """One row per primary metric and prior that several blocks share; one family of tests.

    A block is a dataset with a task and an architecture. What is tested is the mean over these
    blocks of the difference in each; whether others would show the same is asked by the column
    ``p_wilcoxon``.

    Args:
        pairs: of all blocks, as ``pairs.paired_runs`` gives them.
        claims: what was declared.
    """
    groups: dict[tuple[str, str], list[Pairs]] = {}
    for one in pairs:
        if claims.family(one.block[0], one.attribution, one.metric) == PRIMARY:
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


def _row(group: Sequence[Pairs], claims: Claims) -> dict[str, Any]:
    first = group[0]
    differences = [one.differences for one in group]
    together = blocked(differences)
    # inverting the test of an agreement has no meaning: only an exchange of the arms is exact
    tested = first.pseudo is None and not all(one.nothing_ran for one in group)
    interval = blocked_interval(differences) if tested else NO_INTERVAL
    exact = "exact" if len(together) <= EXACT_UP_TO else "Monte Carlo"
    return {
        "metric": first.metric.name,
        "axis": first.metric.axis,
        "attribution": first.attribution,
        "prior": first.prior,
        "baseline": claims.baseline,
        "datasets": len(group),
        "runs": len(together),
        "better_in": int((first.sign * dataset_means(differences) > 0).sum()),
        "difference": float(together.mean()),
        "ci_low": interval.low,
        "ci_high": interval.high,
        "interval": interval.method,
        "p": sign_flip_p(together),
        "test": f"sign-flip within datasets, {exact}",
        "family": PRIMARY,
        "correction": CORRECTION[PRIMARY],
        "p_wilcoxon": wilcoxon_over_datasets(differences),
        **_margin_tests(group, claims),
        **_models(group),
    }


def _margin_tests(group: Sequence[Pairs], claims: Claims) -> dict[str, float]:
    margin = claims.margin(group[0].metric)
    if margin is None or group[0].pseudo is not None:
        return {"p_noninferior": _NAN, "p_equivalent": _NAN}
    allowances = [one.allowance(margin) for one in group]
    sides = [
        sign_flip_greater_p(
            blocked([sign * one.gain + a for one, a in zip(group, allowances, strict=True)])
        )
        for sign in (1, -1)
    ]
    return {"p_noninferior": sides[0], "p_equivalent": max(sides)}


def _models(group: Sequence[Pairs]) -> dict[str, float]:
    """What is read from the runs' own scores; runs that are compared with each other have none."""
    if group[0].pseudo is not None:
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
    """Priors ranked over blocks, on the primary metric that each has on an axis.

    Ranks have no unit, so that tasks with different metrics can be put together.

    Attributes:
        axis: name.
        metrics: primary metrics of the blocks.
        priors: specs, the baseline first.
        blocks: how many have a value of every prior.
        ranking: their average ranks.
    """

    axis: str
    metrics: tuple[str, ...]
    priors: tuple[str, ...]
    blocks: int
    ranking: Ranking


def rank_axes(comparisons: pd.DataFrame) -> list[AxisRanking]:
    """One ranking per axis that two blocks or more have a primary metric of.

    A failed run counts as in the comparison of its prior with the baseline, a failed run of the
    baseline as the worst in any of these.

    Args:
        comparisons: with the columns of comparisons.csv.
    """
    primary = comparisons[comparisons["family"] == PRIMARY]
    found = []
    for axis, rows in primary.groupby("axis", sort=False):
        priors = (str(rows["baseline"].iloc[0]), *dict.fromkeys(map(str, rows["prior"])))
        columns = [
            column
            for _, block in rows.groupby(BLOCK_COLUMNS, sort=False)
            if (column := _means(block, priors)) is not None
        ]
        if len(columns) > 1:
            metrics = tuple(dict.fromkeys(map(str, rows["metric"])))
            ranking = rank_priors(np.stack(columns, axis=1))
            found.append(AxisRanking(str(axis), metrics, priors, len(columns), ranking))
    return found


def _means(block: pd.DataFrame, priors: Sequence[str]) -> NDArray[np.float64] | None:
    """(priors,) means in one block, larger is better; None if one lacks."""
    sign = 1 if METRICS[str(block["metric"].iloc[0])].higher_is_better else -1
    means = dict(zip(map(str, block["prior"]), sign * block["mean_prior"], strict=True))
    means[priors[0]] = (sign * block["mean_baseline"]).min()
    values = np.array([float(means.get(prior, _NAN)) for prior in priors])
    return values if np.isfinite(values).all() else None
