"""Paired comparisons of priors: from scores to comparisons.csv."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from . import scoring
from .contracts import Metric
from .discovery import NOTHING_FOUND, MotifSet
from .metrics import METRICS
from .plan import BASELINE
from .statistics import (
    agreement_differences,
    impute_failures,
    leave_one_out,
    paired_difference,
    summarise_differences,
)
from .store import DONE

BLOCK_COLUMNS = ["task", "dataset", "architecture"]
_GROUP = [*BLOCK_COLUMNS, "attribution", "metric"]
COMPARISON_COLUMNS = [
    *BLOCK_COLUMNS,
    "prior",
    "baseline",
    "attribution",
    "metric",
    "axis",
    "n",
    "mean_baseline",
    "mean_prior",
    "difference",
    "ci_low",
    "ci_high",
    "effect_size",
    "p",
    "p_adjusted",
    "test",
    "verdict",
]
ALPHA = 0.05
EVALUATE, REFERENCE = "evaluate", "reference"
"""stages: trials that count, and scores of a random attribution and of the oracle"""

Agreement = Callable[[pd.DataFrame, Metric, str], NDArray[np.float64]]
"""(k, k) agreement of the k trials in a table with columns prior and seed, in its order, by a
metric on one attribution"""


def compare(results: pd.DataFrame, agreement: Agreement, baseline: str = BASELINE) -> pd.DataFrame:
    """One row per dataset, prior, attribution and metric: paired differences to a baseline.

    Failed and collapsed trials count as the worst outcome (:func:`counted_scores`). p is
    adjusted by Holm's method over the priors of a dataset, metric by metric. Metrics without a
    direction are described and never judged.

    Args:
        results: with the columns of results.csv.
        agreement: for metrics of pairs of trials, whose values alone cannot be tested; failed
            and collapsed trials agree with nothing.
        baseline: normalised spec of the prior to compare with.
    """
    rows: list[dict[str, Any]] = []
    evaluated = results[results["stage"] == EVALUATE]
    floors = results[(results["stage"] == REFERENCE) & (results["prior"] == scoring.RANDOM)]
    for key, group in evaluated.groupby(_GROUP, sort=False):
        *block, spec, name = map(str, key)
        metric = METRICS[name]
        of_block = (floors[BLOCK_COLUMNS].astype(str) == block).all(axis=1)
        floor = floors.loc[of_block & (floors["metric"] == name), "value"]
        counted = counted_scores(group, metric, float(floor.iloc[0]) if len(floor) else None)
        table = group.assign(value=counted)
        found = [
            {
                **dict(zip(BLOCK_COLUMNS, block, strict=True)),
                "prior": prior,
                "baseline": baseline,
                "attribution": spec,
                "metric": name,
                "axis": metric.axis,
                **difference,
            }
            for prior in dict.fromkeys(group["prior"])
            if prior != baseline
            for difference in _difference(table, metric, (baseline, prior), agreement)
        ]
        rows += _judge(found, metric)
    return pd.DataFrame(rows, columns=COMPARISON_COLUMNS)


def counted_scores(rows: pd.DataFrame, metric: Metric, floor: float | None) -> pd.Series[float]:
    """Values of one metric as they count: failed and collapsed trials have the worst outcome.

    A price that was measured counts as measured. A trial that is left without another seed to
    agree with, because those failed, counts as failed.

    Args:
        rows: rows of results.csv of one block and one metric, of all priors.
        metric: gives the direction; without one, values are as measured.
        floor: score of a random attribution or of a predictor that knows nothing, if there is one.
    """
    values = rows["value"].to_numpy(dtype=float)
    if metric.higher_is_better is None:
        return pd.Series(values, index=rows.index)
    failed = (rows["status"] != DONE).to_numpy()
    if metric.of_arm:
        arms_with_failures = set(rows.loc[failed, "prior"])
        failed = failed | np.isnan(values) & rows["prior"].isin(arms_with_failures).to_numpy()
    if metric.axis == "cost":
        failed = failed & np.isnan(values)
    values = impute_failures(values, failed, higher_is_better=metric.higher_is_better, floor=floor)
    return pd.Series(values, index=rows.index)


def _difference(
    table: pd.DataFrame, metric: Metric, arms: tuple[str, str], agreement: Agreement
) -> list[dict[str, Any]]:
    """The comparison of two arms over the seeds that both have; none if there is no such seed."""
    both = table[table["prior"].isin(arms)]
    wide = both.pivot_table(index="seed", columns="prior", values="value", dropna=False)
    if not set(arms) <= set(wide.columns):
        return []
    wide = wide[list(arms)].dropna()
    if not len(wide):
        return []
    if not metric.of_pairs:
        baseline, prior = (wide[arm].to_numpy(dtype=float) for arm in arms)
        return [vars(paired_difference(baseline, prior))]
    by_seed = both[both["seed"].isin(wide.index)].sort_values("seed")
    trials = pd.concat([by_seed[by_seed["prior"] == arm] for arm in arms])
    matrix, n = agreement(trials, metric, str(table["attribution"].iloc[0])), len(wide)
    means = [float(leave_one_out(matrix[part, part]).mean()) for part in (slice(n), slice(n, None))]
    return [vars(summarise_differences(agreement_differences(matrix), *means))]


def _judge(rows: list[dict[str, Any]], metric: Metric) -> list[dict[str, Any]]:
    """Adjust p over the priors and give verdicts; rows without a p have neither."""
    from statsmodels.stats.multitest import multipletests

    tested = [r for r in rows if metric.higher_is_better is not None and np.isfinite(r["p"])]
    adjusted = multipletests([r["p"] for r in tested], method="holm")[1] if tested else []
    for row in rows:
        row |= {"p_adjusted": float("nan"), "verdict": ""}
    for row, value in zip(tested, adjusted, strict=True):
        row["p_adjusted"] = float(value)
        row["verdict"] = _verdict(row, metric)
    return rows


def _verdict(row: Mapping[str, Any], metric: Metric) -> str:
    if row["p_adjusted"] > ALPHA:
        return "inconclusive"
    return "better" if (row["difference"] > 0) == metric.higher_is_better else "worse"


def agreement_of(
    results: pd.DataFrame,
    attributed: Callable[[str, str], NDArray[np.float32] | None],
    discovered: Callable[[str, str], MotifSet | None],
) -> Agreement:
    """Agreement computed from stored attributions, and from the motifs found in them.

    Args:
        results: with the columns of results.csv.
        attributed: (M, L) attributions of a trial by id and spec, or None if it left none.
        discovered: the same of what was discovered.
    """
    done = set(results.loc[results["status"] == DONE, "trial"])

    def agreement(trials: pd.DataFrame, metric: Metric, attribution: str) -> NDArray[np.float64]:
        if metric.scope == "motif-sets":
            sets = [
                discovered(trial, attribution) if trial in done else None
                for trial in trials["trial"]
            ]
            matched: NDArray[np.float64] = metric.function([one or NOTHING_FOUND for one in sets])
            return matched
        found = [
            attributed(trial, attribution) if trial in done else None for trial in trials["trial"]
        ]
        shape = next((a.shape for a in found if a is not None), (1, 1))
        nothing = np.zeros(shape, dtype=np.float32)
        arrays: Sequence[NDArray[np.float32]] = [nothing if a is None else a for a in found]
        matrix: NDArray[np.float64] = metric.function(arrays)
        return matrix

    return agreement
