"""Two arms over several datasets: runs are paired by seed within a dataset.

Numbers of runs may differ from dataset to dataset. Tests are of the mean over these datasets of the
mean difference in each. Whether other datasets would show the same is another question, which
Wilcoxon's test over datasets answers.
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
from .families.joint import simultaneous_intervals

BOOTSTRAP_DRAWS = 2_000
INTERQUARTILE_FROM = 5
"""fewest seeds of each dataset with which the interval of the interquartile mean holds its level"""
Scores = Sequence[NDArray[np.float64]]
"""a (2, n) array for each dataset: the baseline's runs, then the prior's, in one order of seeds"""
Differences = Sequence[NDArray[np.float64]]
"""an (n,) array for each dataset"""


@dataclass(frozen=True)
class MixedModel:
    """Fixed effect of the prior in a linear mixed model.

    Attributes:
        effect: mean difference to the baseline.
        low: lower end of the 95% interval; NaN where the model could not be fitted.
        high: upper end.
        p: two-sided p, by Student's t with pairs - 1 degrees of freedom; NaN where the model could
            not be fitted.
    """

    effect: float
    low: float
    high: float
    p: float


@dataclass(frozen=True)
class BootstrapStatistic:
    """A statistic of both arms with a bootstrap interval.

    Attributes:
        value: statistic of the scores themselves.
        interval: 95% percentile interval.
    """

    value: float
    interval: Interval


def blocked(differences: Differences) -> NDArray[np.float64]:
    """Return the (sum of n,) paired differences, weighted so that every dataset counts alike.

    Their mean is the mean over datasets of the mean in each; with as many seeds everywhere they
    are the differences themselves. A sign-flip test of them flips seeds within datasets, which is
    exact however datasets differ.
    """
    total = sum(map(len, differences))
    return np.concatenate(
        [values * (total / (len(differences) * len(values))) for values in differences]
    )


def blocked_interval(differences: Differences) -> Interval:
    """Return the interval of the mean over datasets, at 95%; none for fewer than six pairs.

    With as many seeds everywhere it inverts the sign-flip test of all differences; where numbers
    differ, and with them the weights, it is that of the critical value of
    :func:`~.families.joint.simultaneous_intervals`.
    """
    if len(set(map(len, differences))) == 1:
        return mean_interval(blocked(differences))
    weights = blocked([np.ones(len(values)) for values in differences])
    return simultaneous_intervals(blocked(differences)[None], weights=weights[None])[0]


def mixed_model(scores: Scores) -> MixedModel:
    """Fit score ~ prior, with random effects of the dataset and of the seed within it (REML).

    Where all pairs differ by the same, up to rounding, there is nothing to fit: the effect has no
    interval.
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
    """Return columns score (in units of ``unit``, from the overall mean), arm, seed, dataset."""
    overall = np.mean([pairs.mean() for pairs in scores])
    blocks = [
        [(pairs - overall) / unit, *np.indices(pairs.shape), np.full(pairs.shape, i)]
        for i, pairs in enumerate(scores)
    ]
    rows = np.concatenate([np.reshape(block, (4, -1)).T for block in blocks])
    return pd.DataFrame(rows, columns=["score", "arm", "seed", "dataset"])


def interquartile_mean(values: NDArray[np.float64]) -> float:
    """Return the mean of the middle half of (k,) values (Agarwal et al. 2021).

    A quarter, k / 4 rounded down, is cut from either end.
    """
    from scipy.stats import trim_mean

    return float(trim_mean(values, 0.25))


def interquartile_difference(scores: Scores) -> BootstrapStatistic:
    """Return the interquartile mean of all runs of the prior less that of the baseline.

    One seed fewer than there are is drawn, so that the variance is not underestimated by
    (n - 1) / n (Rao & Wu 1988). The interval is offered from five seeds of each dataset on: with
    two it would cover three times in four at best (docs/calibration.md).
    """
    pooled = np.concatenate(scores, axis=1)
    value = interquartile_mean(pooled[1]) - interquartile_mean(pooled[0])
    if min(pairs.shape[1] for pairs in scores) < INTERQUARTILE_FROM:
        return BootstrapStatistic(value, NO_INTERVAL)
    generator = np.random.default_rng(0)  # fixed: every prior is compared on the same seeds
    draws = [
        pairs[:, generator.integers(0, pairs.shape[1], size=(BOOTSTRAP_DRAWS, pairs.shape[1] - 1))]
        for pairs in scores
    ]
    chosen = np.concatenate(draws, axis=2)
    cut = chosen.shape[2] // 4
    chosen.sort(axis=2)
    middles = chosen[:, :, cut : chosen.shape[2] - cut].mean(axis=2)
    return BootstrapStatistic(value, _percentiles(middles[1] - middles[0]))


def mean_improvement(scores: Scores) -> BootstrapStatistic:
    """Return the mean over datasets of the probability of improvement; larger scores are better.

    The bootstrap draws one value for each seed, the mean of its two runs' comparisons with the runs
    of the other arm (Hajek's projection, whose halves have half the deviation), after one seed with
    the value one half is added, as in :func:`~.effects.improvement_interval`. Seeds are not drawn
    and compared anew: a seed drawn twice would be compared with itself, and where runs of a seed
    are correlated that moves the interval away from the truth.
    """
    value = float(np.mean([probability_of_improvement(*pairs) for pairs in scores]))
    if min(pairs.shape[1] for pairs in scores) < 2:
        return BootstrapStatistic(value, NO_INTERVAL)
    generator = np.random.default_rng(0)
    draws = []
    for pairs in scores:
        above = improvements(*pairs)
        by_seed = np.append((above.mean(axis=1) + above.mean(axis=0)) / 2, 0.5)
        # one fewer than there are, as in interquartile_difference
        draw = generator.integers(0, len(by_seed), size=(BOOTSTRAP_DRAWS, len(by_seed) - 1))
        centre = by_seed.mean()
        draws.append(centre + 2 * (by_seed[draw].mean(axis=1) - centre))
    interval = _percentiles(np.mean(draws, axis=0).clip(0, 1))
    return BootstrapStatistic(value, interval)


def _percentiles(values: NDArray[np.float64]) -> Interval:
    low, high = np.quantile(values, [0.025, 0.975])
    return Interval(float(low), float(high), "joint bootstrap")
