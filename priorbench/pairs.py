"""From results.csv to arrays of paired runs: what all comparisons start from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from . import scoring
from .contracts import Metric
from .metrics import METRICS
from .statistics import (
    Margin,
    agreement_pseudo_values,
    impute_failures,
    leave_one_out,
    without_rounding,
)
from .store import DONE

BLOCK_COLUMNS = ["task", "dataset", "architecture"]
_GROUP = [*BLOCK_COLUMNS, "attribution", "metric"]
EVALUATE, REFERENCE = "evaluate", "reference"
"""stages: trials that count, and scores of a random attribution and of the oracle"""

Agreement = Callable[[pd.DataFrame, Metric, str], NDArray[np.float64]]
"""(k, k) agreement of the k trials in a table with columns prior and seed, in its order, by a
metric on one attribution"""


@dataclass(frozen=True)
class Pairs:
    """Runs of a prior and of the baseline with the same seeds, on one metric.

    Attributes:
        block: task, dataset, architecture.
        attribution: spec of the attribution that the metric was read from; "" for none.
        metric: what was measured.
        prior: spec.
        seeds: (n,) those that both have a value for.
        missing: seeds of the block that lack a value in one of the two, and are not compared.
        baseline: (n,) values as they count.
        values: (n,) the prior's.
        differences: (n,) to be tested: values - baseline; for metrics of pairs of runs jackknife
            pseudo-values with the same mean, NaN for fewer than three seeds.
        both_failed: (n,) bool: neither arm has a run that ended well, so that their difference, 0,
            says nothing.
    """

    block: tuple[str, str, str]
    attribution: str
    metric: Metric
    prior: str
    seeds: tuple[int, ...]
    missing: tuple[int, ...]
    baseline: NDArray[np.float64]
    values: NDArray[np.float64]
    differences: NDArray[np.float64]
    both_failed: NDArray[np.bool_]

    @property
    def sign(self) -> float:
        """1 where higher is better, or nothing is; -1 where lower is."""
        return -1.0 if self.metric.higher_is_better is False else 1.0

    @property
    def difference(self) -> float:
        """The prior's mean less the baseline's."""
        return float(self.values.mean() - self.baseline.mean())

    @property
    def nothing_ran(self) -> bool:
        """Whether both arms failed on every seed."""
        return bool(self.both_failed.all())

    @property
    def gain(self) -> NDArray[np.float64]:
        """(n,) differences, positive where the prior is better."""
        return self.sign * self.differences

    def allowance(self, margin: Margin) -> NDArray[np.float64]:
        """(n,) what the prior may lose, run by run, in units of the metric.

        Nothing where both arms failed: their tie is no evidence that nothing is lost, and without
        a difference or an allowance the tests against a margin pass over such a seed.
        """
        return np.where(self.both_failed, 0.0, margin.allowance(self.baseline))


def paired_runs(results: pd.DataFrame, agreement: Agreement, baseline: str) -> list[Pairs]:
    """Every prior with the baseline, on every metric of every block and attribution.

    Failed and collapsed trials count as the worst outcome of the two arms that are compared
    (:func:`counted_scores`), so that no verdict depends on which other priors there are. Only
    trials of stage ``evaluate`` are compared.

    Args:
        results: with the columns of results.csv.
        agreement: for metrics of pairs of trials, whose values alone cannot be tested; failed
            and collapsed trials agree with nothing.
        baseline: normalised spec of the prior to compare with.
    """
    found = []
    evaluated = results[results["stage"] == EVALUATE]
    floors = _floors(results)
    for key, group in evaluated.groupby(_GROUP, sort=False):
        *block, _, name = map(str, key)
        metric = METRICS[name]
        worst = floors.get((*block, name))
        for prior in dict.fromkeys(map(str, group["prior"])):
            if prior != baseline:
                both = group[group["prior"].isin((baseline, prior))]
                table = both.assign(
                    value=counted_scores(both, metric, worst), failed=_failed(both, metric)
                )
                every = sorted({int(seed) for seed in group["seed"]})
                pairs = _pairs(table, every, metric, (baseline, prior), agreement)
                found += [pairs] if pairs is not None else []
    return found


def _floors(results: pd.DataFrame) -> dict[tuple[str, ...], float]:
    """Scores of chance by task, dataset, architecture and metric."""
    rows = results[(results["stage"] == REFERENCE) & (results["prior"] == scoring.RANDOM)]
    rows = rows.drop_duplicates([*BLOCK_COLUMNS, "metric"])
    columns = (rows[name].astype(str) for name in (*BLOCK_COLUMNS, "metric"))
    return dict(zip(zip(*columns, strict=True), map(float, rows["value"]), strict=True))


def counted_scores(rows: pd.DataFrame, metric: Metric, floor: float | None) -> pd.Series[float]:
    """Values of one metric as they count: failed and collapsed trials have the worst outcome.

    A price that was measured counts as measured. A trial without a value that others have counts as
    failed, also where it is left without another seed to agree with.

    Args:
        rows: rows of results.csv of one block and one metric: of two arms that are compared, or,
            where all are shown together, of all priors.
        metric: gives the direction; without one, values are as measured.
        floor: score of a random attribution or of a predictor that knows nothing, if there is one.
    """
    values = rows["value"].to_numpy(dtype=float)
    if metric.higher_is_better is None:
        return pd.Series(values, index=rows.index)
    failed = _failed(rows, metric)
    values = impute_failures(values, failed, higher_is_better=metric.higher_is_better, floor=floor)
    return pd.Series(values, index=rows.index)


def _failed(rows: pd.DataFrame, metric: Metric) -> NDArray[np.bool_]:
    """(rows,) whether a trial has no value of its own that counts; none where nothing is judged."""
    if metric.higher_is_better is None:
        return np.zeros(len(rows), dtype=bool)
    values = rows["value"].to_numpy(dtype=float)
    failed: NDArray[np.bool_] = (rows["status"] != DONE).to_numpy()
    if metric.axis == "cost":
        failed = failed & np.isnan(values)
    if np.isfinite(values).any():
        failed = failed | np.isnan(values)
    return failed


def _pairs(
    both: pd.DataFrame,
    every: Sequence[int],
    metric: Metric,
    arms: tuple[str, str],
    agreement: Agreement,
) -> Pairs | None:
    """Two arms over those seeds of the block that both have; None if there is none.

    ``both`` has a column ``failed`` beside those of results.csv.
    """
    wide = both.pivot_table(index="seed", columns="prior", values="value", dropna=False)
    if not set(arms) <= set(wide.columns):
        return None
    complete = wide[list(arms)].dropna()
    if not len(complete):
        return None
    first = both.iloc[0]
    failed = both.groupby("seed")["failed"].all()
    baseline, values = (complete[arm].to_numpy(dtype=float) for arm in arms)
    differences = without_rounding(baseline, values)
    if metric.of_pairs:
        by_seed = both[both["seed"].isin(complete.index)].sort_values("seed")
        trials = pd.concat([by_seed[by_seed["prior"] == arm] for arm in arms])
        matrix = agreement(trials, metric, str(first["attribution"]))
        baseline, values = _within(matrix)
        differences = agreement_pseudo_values(matrix)
    return Pairs(
        block=(str(first["task"]), str(first["dataset"]), str(first["architecture"])),
        attribution=str(first["attribution"]),
        metric=metric,
        prior=arms[1],
        seeds=tuple(int(seed) for seed in complete.index),
        missing=tuple(seed for seed in every if seed not in complete.index),
        baseline=baseline,
        values=values,
        differences=differences,
        both_failed=failed.reindex(complete.index).to_numpy(dtype=bool),
    )


def _within(matrix: NDArray[np.float64]) -> Sequence[NDArray[np.float64]]:
    """(n,) mean agreement of each run with the others of its arm, for both arms."""
    n = len(matrix) // 2
    return [leave_one_out(matrix[part, part]) for part in (slice(n), slice(n, None))]
