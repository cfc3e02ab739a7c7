"""Arrays of paired runs, made of results.csv: what all comparisons start from.

`results/collect.py` makes the table before; `within_dataset.py`, `over_datasets.py` and
`option_trends.py` test the pairs afterwards.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from priorbench.components.metric import Metric
from priorbench.metrics import METRICS
from priorbench.statistics.agreement import agreement_pseudo_values
from priorbench.statistics.equivalence import Margin
from priorbench.statistics.paired import impute_failures, without_rounding
from priorbench.storage.run_directory import DONE
from priorbench.study.declared import DeclaredClaims
from priorbench.study.trial import EVALUATE, SETTING_COLUMNS, SettingKey

from .skill import UNKNOWN_RANGE, ScoreRange, score_ranges
from .trial_agreement import Agreement

_SCORE_COLUMNS = [*SETTING_COLUMNS, "attribution", "metric"]


@dataclass(frozen=True)
class PairedRuns:
    """Runs of a prior and of the baseline with the same seeds, on one metric.

    Attributes:
        setting: task, dataset, architecture.
        attribution: spec of the attribution that the metric was read from; "" for none.
        metric: what was measured.
        prior: spec of the prior.
        seeds: (n,) seeds for which both have a value.
        missing: seeds of the setting that lack a value in one of the two, and are not compared.
        baseline: (n,) values of the baseline, as they count.
        values: (n,) values of the prior, as they count.
        differences: (n,) differences to be tested: values - baseline; for metrics of pairs of runs
            jackknife pseudo-values with the same mean, NaN for fewer than three seeds.
        both_failed: (n,) bool, whether neither has a run that ended well, so that the difference,
            0, says nothing.
        score_range: scores of chance and of the best possible in this setting.
    """

    setting: SettingKey
    attribution: str
    metric: Metric
    prior: str
    seeds: tuple[int, ...]
    missing: tuple[int, ...]
    baseline: NDArray[np.float64]
    values: NDArray[np.float64]
    differences: NDArray[np.float64]
    both_failed: NDArray[np.bool_]
    score_range: ScoreRange = UNKNOWN_RANGE

    @property
    def sign(self) -> float:
        """-1 where a lower value is better, 1 where a higher one is or none is."""
        return -1.0 if self.metric.higher_is_better is False else 1.0

    @property
    def difference(self) -> float:
        """The prior's mean minus the baseline's."""
        return float(self.values.mean() - self.baseline.mean())

    @property
    def nothing_ran(self) -> bool:
        """Whether both arms failed on every seed."""
        return bool(self.both_failed.all())

    @property
    def columns(self) -> dict[str, str]:
        """What is compared, by its column in tables."""
        names = {"metric": self.metric.name, "axis": self.metric.axis}
        return names | {"attribution": self.attribution, "prior": self.prior}

    @property
    def gain(self) -> NDArray[np.float64]:
        """(n,) differences, positive where the prior is better."""
        return self.sign * self.differences

    @property
    def seed_gains(self) -> NDArray[np.float64]:
        """(n,) values less the baseline's, seed by seed, positive where the prior is better.

        They are ``gain`` but for metrics of pairs of runs, whose pseudo-values are no seed's own.
        """
        return self.sign * without_rounding(self.baseline, self.values)

    def margin(self, claims: DeclaredClaims) -> Margin | None:
        """Return the smallest loss that matters here; None where none can be said."""
        return claims.margin(self.metric, self.score_range.floor, self.score_range.ceiling)

    def allowance(self, claims: DeclaredClaims) -> NDArray[np.float64] | None:
        """Return (n,) what the prior may lose, run by run, in units of the metric; None without.

        It is 0 where both arms failed: their tie is no evidence that nothing is lost, and without
        a difference or an allowance the tests against a margin pass over such a seed.
        """
        margin = self.margin(claims)
        if margin is None or np.isnan(self.differences).any():
            return None
        return np.where(self.both_failed, 0.0, margin.allowance(self.baseline))


def paired_runs(results: pd.DataFrame, agreement: Agreement, baseline: str) -> list[PairedRuns]:
    """Pair every prior with the baseline, on every metric of every setting and attribution.

    Failed and collapsed trials count as the worst outcome of the two arms that are compared
    (:func:`counted_scores`), so that no verdict depends on which other priors there are. Only
    trials of stage ``evaluate`` are compared.

    Args:
        results: a table with the columns of results.csv; one row a trial, attribution and metric.
        agreement: agreement of an arm's trials, for metrics of pairs of trials.
        baseline: normalised spec of the prior to compare with.
    """
    all_pairs = []
    evaluated = results[results["stage"] == EVALUATE].reset_index(drop=True)
    ranges = score_ranges(results)
    for score, runs in _by_score(evaluated):
        of_score = ranges.get((*score[:3], score[4]), UNKNOWN_RANGE)
        for prior in dict.fromkeys(runs.prior.tolist()):
            if prior != baseline:
                arms = (baseline, prior)
                pairs = _pairs(score, of_score, runs, arms, table=evaluated, agreement=agreement)
                all_pairs += [pairs] if pairs is not None else []
    return all_pairs


class _Runs(NamedTuple):
    """Rows of results.csv about one score, as (k,) arrays: tables of tables are slow."""

    row: NDArray[np.int64]
    prior: NDArray[np.object_]
    seed: NDArray[np.int64]
    value: NDArray[np.float64]
    done: NDArray[np.bool_]

    def select(self, chosen: NDArray[np.bool_] | NDArray[np.int64]) -> _Runs:
        """Return some of the rows, by mask or by index."""
        columns: Sequence[NDArray[Any]] = self
        return _Runs(*(column[chosen] for column in columns))


def _by_score(evaluated: pd.DataFrame) -> Iterator[tuple[tuple[str, ...], _Runs]]:
    """Yield _SCORE_COLUMNS and rows of every score, in the order of their first rows."""
    number = evaluated.groupby(_SCORE_COLUMNS, sort=False).ngroup().to_numpy()
    every = _Runs(
        np.arange(len(evaluated)),
        evaluated["prior"].astype(str).to_numpy(dtype=object),
        evaluated["seed"].to_numpy(dtype=np.int64),
        evaluated["value"].to_numpy(dtype=float),
        (evaluated["status"] == DONE).to_numpy(dtype=bool),
    )
    order = np.argsort(number, kind="stable")
    # groups are numbered in the order of their first row; a row without a group comes before
    borders = np.searchsorted(number[order], np.arange(number.max(initial=-1) + 2))
    keys = evaluated[_SCORE_COLUMNS].astype(str).to_numpy(dtype=object)
    for start, stop in pairwise(borders):
        rows = order[start:stop]
        yield tuple(keys[rows[0]]), every.select(rows)


def _pairs(
    score: Sequence[str],
    score_range: ScoreRange,
    runs: _Runs,
    arms: tuple[str, str],
    *,
    table: pd.DataFrame,
    agreement: Agreement,
) -> PairedRuns | None:
    """Pair two arms over the seeds that both have; None if there is none."""
    task, dataset, architecture, attribution, name = score
    metric = METRICS[name]
    both = runs.select(np.isin(runs.prior, arms))
    failed = _failed(both.value, both.done, metric)
    counted = _counted(both.value, failed, metric, score_range.floor)
    by_arm = []
    for arm in arms:
        there = (both.prior == arm) & ~np.isnan(counted)
        by_arm.append(dict(zip(both.seed[there].tolist(), counted[there].tolist(), strict=True)))
    seeds = sorted(set(by_arm[0]) & set(by_arm[1]))
    if not seeds:
        return None
    baseline, values = (np.array([of_seed[seed] for seed in seeds]) for of_seed in by_arm)
    differences = without_rounding(baseline, values)
    if metric.of_pairs:
        compared = both.select(np.isin(both.seed, seeds))
        of_arms = (compared.select(compared.prior == arm) for arm in arms)
        by_seed = (table.iloc[arm.row[np.argsort(arm.seed)]] for arm in of_arms)
        baseline, values = (agreement(trials, metric, attribution) for trials in by_seed)
        differences = agreement_pseudo_values(baseline, values)
    ran = set(both.seed[~failed].tolist())
    return PairedRuns(
        setting=(task, dataset, architecture),
        attribution=attribution,
        metric=metric,
        prior=arms[1],
        seeds=tuple(seeds),
        missing=tuple(sorted(set(runs.seed.tolist()) - set(seeds))),
        baseline=baseline,
        values=values,
        differences=differences,
        both_failed=np.array([seed not in ran for seed in seeds]),
        score_range=score_range,
    )


def counted_scores(rows: pd.DataFrame, metric: Metric, floor: float | None) -> pd.Series[float]:
    """Return the values of one metric as they count: failed trials have the worst outcome.

    Collapsed trials count as failed. A price that was measured counts as measured. A trial without
    a value that others have counts as failed, also where no other seed is left to agree with.

    Args:
        rows: rows of results.csv of one setting and one metric: of two arms that are compared, or,
            where all are shown together, of all priors.
        metric: the metric; without a direction, values count as measured.
        floor: score of a random attribution or of a predictor that knows nothing, if there is one.
    """
    values = rows["value"].to_numpy(dtype=float)
    failed = _failed(values, (rows["status"] == DONE).to_numpy(dtype=bool), metric)
    return pd.Series(_counted(values, failed, metric, floor), index=rows.index)


def _counted(
    values: NDArray[np.float64], failed: NDArray[np.bool_], metric: Metric, floor: float | None
) -> NDArray[np.float64]:
    if metric.higher_is_better is None:
        return values
    return impute_failures(values, failed, higher_is_better=metric.higher_is_better, floor=floor)


def _failed(
    values: NDArray[np.float64], done: NDArray[np.bool_], metric: Metric
) -> NDArray[np.bool_]:
    """Return (k,) whether a trial has no value of its own; never so for what has no direction."""
    if metric.higher_is_better is None:
        return np.zeros(len(values), dtype=bool)
    failed = ~done
    if metric.axis == "cost":
        failed &= np.isnan(values)
    if np.isfinite(values).any():
        failed |= np.isnan(values)
    return failed
