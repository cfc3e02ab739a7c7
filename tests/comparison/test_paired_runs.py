"""Pairs of runs from a table, against pandas doing the same slowly."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import ttest_1samp

from priorbench.comparison.paired_runs import counted_scores, paired_runs
from priorbench.evaluation.scoring import RANDOM
from priorbench.metrics import METRICS
from priorbench.statistics.paired import paired_t_p, without_rounding
from priorbench.study.trial import EVALUATE, REFERENCE, SETTING_COLUMNS

SPEC = "input-x-gradient"
MEASURED = ("auroc", "cross-entropy", "motif-auprc", "high-frequency", "step-time-ratio")


def results(seed=0, datasets=2, priors=("tv", "none", "l1"), seeds=(0, 4, 1, 7)):
    """Return rows in no order, with failures, missing scores, missing trials and floors."""
    generator = np.random.default_rng(seed)
    rows = []
    for dataset in range(datasets):
        for prior in priors:
            for number in seeds:
                if generator.random() < 0.1:
                    continue  # has not been run
                status = "failed" if generator.random() < 0.2 else "done"
                for name in MEASURED:
                    lost = status == "failed" and generator.random() < 0.7
                    value = np.nan if lost or generator.random() < 0.05 else generator.normal()
                    rows.append(row(dataset, prior, number, status, name, value))
        rows += [row(dataset, RANDOM, None, "done", name, -0.3) for name in MEASURED[:3]]
    table = pd.DataFrame(rows).astype({"seed": "Int64"})
    return table.iloc[generator.permutation(len(table))].reset_index(drop=True)


def row(dataset, prior, seed, status, name, value):
    metric = METRICS[name]
    return {
        "trial": f"{dataset}{prior}{seed}",
        "stage": REFERENCE if seed is None else EVALUATE,
        "status": status,
        "task": "binary",
        "dataset": f"d{dataset}",
        "architecture": "a",
        "prior": prior,
        "seed": seed,
        "attribution": SPEC if metric.of_attribution else "",
        "metric": name,
        "axis": metric.axis,
        "value": value,
    }


def by_pandas(table):
    """Pair runs by pivoting a table for every two arms."""
    evaluated = table[table["stage"] == EVALUATE]
    for key, group in evaluated.groupby([*SETTING_COLUMNS, "attribution", "metric"], sort=False):
        metric = METRICS[key[-1]]
        floors = table[
            (table["stage"] == REFERENCE)
            & (table["dataset"] == key[1])
            & (table["metric"] == metric.name)
        ]
        floor = float(floors["value"].iloc[0]) if len(floors) else None
        for prior in dict.fromkeys(group["prior"]):
            if prior == "none":
                continue
            both = group[group["prior"].isin(("none", prior))]
            counted = both.assign(value=counted_scores(both, metric, floor))
            wide = counted.pivot_table(index="seed", columns="prior", values="value", dropna=False)
            if {"none", prior} <= set(wide.columns) and len(wide.dropna()):
                yield key, prior, wide[["none", prior]].dropna(), set(group["seed"])


@pytest.mark.parametrize("seed", range(6))
def test_pairs_are_those_of_a_pivot_to_the_last_bit(seed):
    table = results(seed)
    all_pairs = paired_runs(table, lambda *_: None, "none")
    expected = list(by_pandas(table))
    assert len(all_pairs) == len(expected) > 10
    for pairs, (key, prior, wide, every) in zip(all_pairs, expected, strict=True):
        assert (*pairs.setting, pairs.attribution, pairs.metric.name, pairs.prior) == (*key, prior)
        assert list(pairs.seeds) == list(wide.index)
        assert set(pairs.missing) == every - set(wide.index)
        baseline, values = (wide[arm].to_numpy() for arm in ("none", prior))
        assert (pairs.baseline == baseline).all()
        assert (pairs.values == values).all()
        assert (pairs.differences == without_rounding(baseline, values)).all()


def test_rows_of_an_agreement_are_ordered_by_arm_and_seed():
    table = results(datasets=1)
    calls = []

    def agreement(trials, metric, attribution):
        calls.append((list(zip(trials["prior"], trials["seed"], strict=True)), attribution))
        return np.zeros(len(trials))

    rows = table[(table["metric"] == "motif-auprc") & (table["stage"] == EVALUATE)]
    agreed = rows.assign(metric="seed-cosine", axis="stability")
    all_pairs = paired_runs(agreed, agreement, "none")
    arms = [(arm, pairs.seeds) for pairs in all_pairs for arm in ("none", pairs.prior)]
    assert len(all_pairs) > 1
    assert calls == [([(arm, seed) for seed in seeds], SPEC) for arm, seeds in arms]


def test_gains_of_seeds_in_agreement_are_their_own_and_no_pseudo_values():
    means = {"none": [0.5, 0.5, 0.5, 0.5], "tv": [0.45, 0.49, 0.1, 0.5]}
    table = pd.DataFrame(
        [row(0, prior, seed, "done", "seed-cosine", 0.0) for prior in means for seed in range(4)]
    ).astype({"seed": "Int64"})

    def agreement(trials, metric, attribution):
        return np.array(means[trials["prior"].iloc[0]])

    (pairs,) = paired_runs(table, agreement, "none")
    np.testing.assert_allclose(pairs.seed_gains, [-0.05, -0.01, -0.4, 0])
    assert (pairs.gain > 0).any()  # what is tested of a seed that lost less than the others


def test_seeds_on_which_both_failed():
    def rows(prior, statuses):
        return [
            row(0, prior, seed, status, "auroc", 0.5 + seed if status == "done" else np.nan)
            for seed, status in enumerate(statuses)
        ]

    table = pd.DataFrame(
        [*rows("none", ("failed", "failed", "done")), *rows("tv", ("failed", "done", "done"))]
    ).astype({"seed": "Int64"})
    (pairs,) = paired_runs(table, lambda *_: None, "none")
    assert pairs.both_failed.tolist() == [True, False, False]
    # the worst value of the two arms
    assert pairs.baseline.tolist() == [1.5, 1.5, 2.5]
    assert pairs.values.tolist() == [1.5, 1.5, 2.5]


def test_nothing_was_evaluated():
    assert paired_runs(results().iloc[:0], lambda *_: None, "none") == []


def test_students_p_is_scipys_to_the_last_bit():
    generator = np.random.default_rng(0)
    for _ in range(300):
        count = int(generator.integers(2, 60))
        differences = generator.normal(generator.normal(), 10.0 ** generator.integers(-6, 4), count)
        assert paired_t_p(differences) == ttest_1samp(differences, 0).pvalue
