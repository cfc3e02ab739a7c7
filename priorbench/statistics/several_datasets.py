"""Two arms over several datasets: runs are paired by seed within a dataset.

Numbers of runs may differ from dataset to dataset. What is tested is the mean over these datasets
of the mean difference in each. Whether other datasets would show the same is another question,
which Wilcoxon's test over datasets asks.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .confidence import NO_INTERVAL, Interval, mean_interval
from .effects import improvements, probability_of_improvement

RESAMPLES = 2_000
INTERQUARTILE_FROM = 5
"""seeds of every dataset from which the interval of the interquartile mean holds its level"""
Scores = Sequence[NDArray[np.float64]]
"""(2, n) of every dataset: the baseline's runs, then the prior's, seeds in the same order"""
Differences = Sequence[NDArray[np.float64]]
"""(n,) of every dataset"""


@dataclass(frozen=True)
class MixedModel:
    """Fixed effect of the prior in a linear mixed model.

    Attributes:
        effect: mean difference to the baseline.
        low: lower end of the 95% interval; NaN where the model could not be fitted.
        high: upper end.
        p: two-sided, by Student's t with pairs - 1 degrees of freedom; NaN likewise.
    """

    effect: float
    low: float
    high: float
    p: float


@dataclass(frozen=True)
class BootstrapStatistic:
    """A statistic of both arms with a bootstrap interval.

    Attributes:
        value: of the scores as they are.
        interval: 95%, percentile.
    """

    value: float
    interval: Interval


def blocked(differences: Differences) -> NDArray[np.float64]:
    """(sum of n,) paired differences, weighted so that every dataset counts alike.

    Their mean is the mean over datasets of the mean in each; with as many seeds everywhere they
    are the differences themselves. A sign-flip test of them flips seeds within datasets, which is
    exact however datasets differ.
    """
    total = sum(map(len, differences))
    return np.concatenate([one * (total / (len(differences) * len(one))) for one in differences])


def blocked_interval(differences: Differences) -> Interval:
    """Interval of the mean over datasets; none where numbers of seeds differ.

    Inverting the sign-flip test moves all differences alike, which weighted ones do not.
    """
    if len(set(map(len, differences))) > 1:
        return NO_INTERVAL
    return mean_interval(blocked(differences))


def mixed_model(scores: Scores) -> MixedModel:
    """score ~ prior, with random effects of the dataset and of the seed within it (REML).

    Pairs that differ by the same everywhere, up to rounding, leave nothing to fit: the effect is
    given without an interval.
    """
    from scipy.stats import t
    from statsmodels.regression.mixed_linear_model import MixedLM
    from statsmodels.tools.sm_exceptions import ConvergenceWarning

    differences = np.concatenate([pairs[1] - pairs[0] for pairs in scores])
    nothing = MixedModel(float(differences.mean()), *[float("nan")] * 3)
    largest = max(float(np.abs(pairs).max()) for pairs in scores)
    if len(differences) < 3 or differences.std() <= 1e-9 * largest:
        return nothing
    # in units of the differences, so that tiny scores are no numerical problem
    unit = float(differences.std())
    model = MixedLM.from_formula(
        "score ~ arm",
        groups="dataset",
        re_formula="1",
        vc_formula={"seed": "0 + C(seed)"},
        data=_long(scores, unit),
    )
    with warnings.catch_warnings():
        # a variance of zero is a fine estimate, and statsmodels warns of it
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.simplefilter("ignore", RuntimeWarning)
        warnings.simplefilter("ignore", UserWarning)
        try:
            # statsmodels' own choice (BFGS) stops short of the maximum as often as not
            fitted = model.fit(reml=True, method="nm")
        except np.linalg.LinAlgError:
            return nothing
    effect, error = (float(values["arm"]) * unit for values in (fitted.params, fitted.bse))
    if not (np.isfinite(error) and error > 0):
        return nothing
    freedom = len(differences) - 1
    reach = float(t.ppf(0.975, freedom)) * error
    p = float(2 * t.sf(abs(effect) / error, freedom))
    return MixedModel(effect, effect - reach, effect + reach, p)


def _long(scores: Scores, unit: float) -> pd.DataFrame:
    """Columns score (in units of ``unit``, from the overall mean), arm, seed, dataset."""
    columns: dict[str, list[NDArray[np.float64]]] = {
        name: [] for name in ("score", "arm", "seed", "dataset")
    }
    overall = np.mean([pairs.mean() for pairs in scores])
    for i, pairs in enumerate(scores):
        arm, seed = np.indices(pairs.shape)
        columns["score"].append((pairs.ravel() - overall) / unit)
        columns["arm"].append(arm.ravel().astype(float))
        columns["seed"].append(seed.ravel().astype(float))
        columns["dataset"].append(np.full(pairs.size, float(i)))
    return pd.DataFrame({name: np.concatenate(parts) for name, parts in columns.items()})


def interquartile_mean(values: NDArray[np.float64]) -> float:
    """Mean of the middle half of (k,) values, a quarter cut from either end (Agarwal et al. 2021).

    k / 4 is rounded down.
    """
    from scipy.stats import trim_mean

    return float(trim_mean(values, 0.25))


def interquartile_difference(scores: Scores) -> BootstrapStatistic:
    """Interquartile mean of all runs of the prior less that of the baseline.

    One seed fewer than there are is drawn, so that the variance is not underestimated by
    (n - 1) / n (Rao & Wu 1988). The interval is offered from five seeds a dataset on: with two it
    would cover three times in four at best (docs/calibration.md).
    """
    pooled = np.concatenate(scores, axis=1)
    value = interquartile_mean(pooled[1]) - interquartile_mean(pooled[0])
    if min(pairs.shape[1] for pairs in scores) < INTERQUARTILE_FROM:
        return BootstrapStatistic(value, NO_INTERVAL)
    draws = _joint_draws(scores)
    chosen = np.concatenate(
        [pairs[:, draw] for pairs, draw in zip(scores, draws, strict=True)], axis=2
    )
    cut = chosen.shape[2] // 4
    chosen.sort(axis=2)
    middles = chosen[:, :, cut : chosen.shape[2] - cut].mean(axis=2)
    return BootstrapStatistic(value, _percentiles(middles[1] - middles[0]))


def mean_improvement(scores: Scores) -> BootstrapStatistic:
    """Probability of improvement, averaged over datasets; larger scores must be better.

    The bootstrap draws what each seed says of it: the mean of its two runs' comparisons with the
    runs of the other arm (Hajek's projection, whose halves have half the deviation), after one seed
    is added that says one half, as in
    :func:`~priorbench.statistics.improvement_interval`. Drawing seeds and comparing them anew would
    not do: a seed drawn twice is compared with itself, and where runs of a seed are correlated that
    moves the interval away from the truth.
    """
    value = float(np.mean([probability_of_improvement(*pairs) for pairs in scores]))
    if min(pairs.shape[1] for pairs in scores) < 2:
        return BootstrapStatistic(value, NO_INTERVAL)
    generator = np.random.default_rng(0)
    found = []
    for pairs in scores:
        above = improvements(*pairs)
        by_seed = np.append((above.mean(axis=1) + above.mean(axis=0)) / 2, 0.5)
        # one fewer than there are, as in interquartile_difference
        draw = generator.integers(0, len(by_seed), size=(RESAMPLES, len(by_seed) - 1))
        centre = by_seed.mean()
        found.append(centre + 2 * (by_seed[draw].mean(axis=1) - centre))
    interval = _percentiles(np.mean(found, axis=0).clip(0, 1))
    return BootstrapStatistic(value, interval)


def _joint_draws(scores: Scores) -> list[NDArray[np.int64]]:
    """(RESAMPLES, n - 1) seeds of every dataset, the same for both arms.

    With a fixed generator the same seeds are drawn for every prior that is compared.
    """
    generator = np.random.default_rng(0)
    sizes = [pairs.shape[1] for pairs in scores]
    return [generator.integers(0, n, size=(RESAMPLES, n - 1)) for n in sizes]


def _percentiles(values: NDArray[np.float64]) -> Interval:
    low, high = np.quantile(values, [0.025, 0.975])
    return Interval(float(low), float(high), "joint bootstrap")
