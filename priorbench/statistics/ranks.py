"""Ranks and performance profiles of several priors over several datasets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from .families.multiplicity import HOLM, adjust
from .families.verdicts import ALPHA
from .paired import wilcoxon_p

PROFILE_FROM = 5
"""fewest runs of each dataset with which a performance profile has a band"""
_PROFILE_DRAWS = 2_000


@dataclass(frozen=True)
class Ranking:
    """Average ranks, and which priors they tell apart.

    Attributes:
        ranks: (arms,) average rank over datasets; 1 is best, ties share their mean.
        friedman_p: p of Friedman's test that no arm ranks differently; NaN for fewer than three
            arms or two datasets.
        pairwise_p: (arms, arms) Wilcoxon's p of every two over datasets, adjusted by Holm's method
            over all of them; 1 on the diagonal, NaN where there is one dataset.
        groups: maximal groups of arms next to each other in rank of which no two are told apart;
            at least two arms each.
    """

    ranks: NDArray[np.float64]
    friedman_p: float
    pairwise_p: NDArray[np.float64]
    groups: tuple[tuple[int, ...], ...]


def rank_priors(means: NDArray[np.float64]) -> Ranking:
    """Return the ranks of arms over datasets, with Friedman's test and Wilcoxon's of every two.

    Pairs are not tested by Nemenyi's mean ranks, whose verdict on two arms depends on which other
    arms there are (Benavoli et al. 2016).

    Args:
        means: (arms, datasets) finite means, larger is better.
    """
    from scipy.stats import friedmanchisquare, rankdata

    ranks = rankdata(-means, axis=0).mean(axis=1)
    friedman = float("nan")
    # without any difference in ranks the statistic is 0 / 0
    if min(means.shape[0] - 1, means.shape[1]) >= 2:
        friedman = float(friedmanchisquare(*means).pvalue) if np.ptp(means, axis=0).any() else 1.0
    pairs = list(combinations(range(len(means)), 2))
    adjusted = adjust([wilcoxon_p(means[i] - means[j]) for i, j in pairs], HOLM)
    table = np.eye(len(means))
    for (i, j), p in zip(pairs, adjusted, strict=True):
        table[i, j] = table[j, i] = p
    return Ranking(ranks, friedman, table, _groups(ranks, table))


def _groups(ranks: NDArray[np.float64], p: NDArray[np.float64]) -> tuple[tuple[int, ...], ...]:
    """Return groups of neighbours in rank without an adjusted p up to alpha, none in another."""
    order = np.argsort(ranks, kind="stable")
    groups: list[tuple[int, int]] = []
    for start in range(len(order)):
        stop = start + 1
        while (
            stop < len(order)
            and not (p[np.ix_(order[start : stop + 1], order[stop : stop + 1])] <= ALPHA).any()
        ):
            stop += 1
        if stop - start > 1 and (not groups or stop > groups[-1][1]):
            groups.append((start, stop))
    return tuple(tuple(int(i) for i in order[start:stop]) for start, stop in groups)


@dataclass(frozen=True)
class PerformanceProfile:
    """The share of runs that gain a threshold or more, threshold by threshold.

    Attributes:
        share: (k,) mean over datasets of the share of their runs.
        low: (k,) lower end of the pointwise 95% bootstrap band; NaN where a dataset has too few
            runs.
        high: (k,) upper end.
    """

    share: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]


def performance_profile(
    gains: Sequence[NDArray[np.float64]], thresholds: NDArray[np.float64]
) -> PerformanceProfile:
    """Return the performance profile of runs on several datasets (Agarwal et al. 2021).

    The band is that of a Bayesian bootstrap within each dataset (Rubin 1981), to which two runs of
    little weight are added, one on either side of every threshold: without them it would have no
    width where all runs are on one side. It covers 93 to 99%, describes, and tests nothing.

    Args:
        gains: an (n,) array for each dataset, n >= 1; larger is better.
        thresholds: (k,) gains.
    """
    reached = [(values[:, None] >= thresholds).astype(float) for values in gains]
    share = np.mean([runs.mean(axis=0) for runs in reached], axis=0)
    if min(map(len, gains)) < PROFILE_FROM:
        nothing = np.full(len(thresholds), np.nan)
        return PerformanceProfile(share, nothing, nothing)
    generator = np.random.default_rng(0)
    draws = np.zeros((_PROFILE_DRAWS, len(thresholds)))
    for runs in reached:
        # half a run on either side, of which the datasets have equal parts
        added = np.full(2, 0.5 / len(reached))
        # less than 1 each, so that the variance is that over n - 1 and not smaller
        own = np.full(len(runs), 1 - 2 / len(runs))
        weights = generator.dirichlet([*own, *added], size=_PROFILE_DRAWS)
        draws += (weights[:, :-2] @ runs + weights[:, -1:]) / len(reached)
    low, high = np.quantile(draws, [0.025, 0.975], axis=0)
    return PerformanceProfile(share, np.minimum(low, share), np.maximum(high, share))
