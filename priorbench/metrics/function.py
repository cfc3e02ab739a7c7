"""Whether models know what variants do: their effects against those that an experiment measured.

Each metric comes in four forms. The effect of a variant is the change of the prediction (of the
logit, the sum of the logits of several outputs, or the log counts of a profile) from the element's
own base to the other; in names with `attribution` it is the difference of the two bases'
hypothetical contributions instead, in the sequence without the variant. Scores are means over
elements of three variants or more; in names with `pooled` all variants are one list, so that
differences between elements count. Only data with `variants` have them. e is a measured effect, p a
predicted one, w the weight of the variant, which is 1 unless the table gives one. The floor is what
measured effects score that are shuffled within their elements.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from priorbench.components.metric import Metric, VariantEffects
from priorbench.data.variants import strong_effects
from priorbench.statistics.rounding import constant

from .tools.definition import define
from .tools.rankings import mean_of_defined

_FEWEST = 3
"""variants without which a correlation is not defined: two always agree or disagree"""
_ATTRIBUTED = "of attributed effects"
POOLED = "-pooled"
"""end of the names of scores of all variants as one list"""

METRICS: list[Metric] = []
NAMES = (
    "variant-pearson",
    "variant-pearson-pooled",
    "variant-attribution-pearson",
    "variant-attribution-pearson-pooled",
    "variant-spearman",
    "variant-spearman-pooled",
    "variant-attribution-spearman",
    "variant-attribution-spearman-pooled",
    "variant-sign",
    "variant-sign-pooled",
    "variant-attribution-sign",
    "variant-attribution-sign-pooled",
    "variant-auprc",
    "variant-auprc-pooled",
    "variant-attribution-auprc",
    "variant-attribution-auprc-pooled",
)
"""names of the metrics, as programs read them that must not wait for imports"""
Score = Callable[[VariantEffects], float]


def _metric(name: str, summary: str, *, main: bool = False) -> Callable[[Score], Score]:
    """Return a decorator that makes the four metrics of a score, and leaves the score as it is."""

    def add(score: Score) -> Score:
        for first, scope, shown, words in (
            ("variant", "variants", main, summary),
            ("variant-attribution", "attributed-variants", False, f"{summary}, {_ATTRIBUTED}"),
        ):
            for last, function, more in (
                ("", _over_elements(score), ""),
                (POOLED, _pooled(score), ", all elements together"),
            ):
                define(
                    METRICS,
                    f"{first}-{name}{last}",
                    f"{words}{more}",
                    axis="function",
                    higher_is_better=True,
                    scope=scope,
                    perfect=1.0,
                    main=shown and not last,
                )(function)
        return score

    return add


def _over_elements(score: Score) -> Score:
    """Return the mean of a score over the elements of three variants or more that have it."""

    def over_elements(effects: VariantEffects) -> float:
        every = effects.elements()
        return mean_of_defined(
            np.array([score(each) for each in every if len(each.measured) >= _FEWEST])
        )

    over_elements.__doc__ = f"Mean over elements. {score.__doc__}"
    return over_elements


def _pooled(score: Score) -> Score:
    """Return a score of the variants of all elements as one list."""

    def pooled(effects: VariantEffects) -> float:
        return score(effects)

    pooled.__doc__ = f"All variants as one list. {score.__doc__}"
    return pooled


@_metric("pearson", "correlation of predicted and measured effects", main=True)
def pearson(effects: VariantEffects) -> float:
    """Pearson's correlation of p and e, weighted by w.

    0 where all p are equal up to 1e-6 of their size, as float32 rounds; NaN with fewer than three
    variants, or where all e are.
    """
    return _correlation(effects.predicted, effects.measured, effects.weight)


@_metric("spearman", "rank correlation of predicted and measured effects", main=True)
def spearman(effects: VariantEffects) -> float:
    """Pearson's correlation of the ranks of p and e, weighted by w; tied values share a rank.

    0 where all p are equal up to 1e-6 of their size, as float32 rounds; NaN with fewer than three
    variants, or where all e are.
    """
    counted = effects.at(effects.weight > 0)
    if len(counted.weight) < _FEWEST or not np.isfinite(counted.predicted).all():
        return float("nan")
    return _correlation(_ranks(counted.predicted), _ranks(counted.measured), counted.weight)


def _ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the (V,) ranks of values, all 0 where these differ by rounding only."""
    return np.zeros(len(values)) if constant(values, 0).all() else rankdata(values)


def _correlation(
    predicted: NDArray[np.float64], measured: NDArray[np.float64], weight: NDArray[np.float64]
) -> float:
    """Return the weighted correlation of two (V,) arrays."""
    counted = weight > 0
    predicted, measured, weight = predicted[counted], measured[counted], weight[counted]
    if len(weight) < _FEWEST or constant(measured, 0).all() or not np.isfinite(predicted).all():
        return float("nan")
    if constant(predicted, 0).all():
        return 0.0
    share = weight / weight.sum()
    # tiny predictions have tinier squares, which float64 cannot hold
    centred = [(v - share @ v) / np.abs(v).max() for v in (predicted, measured)]
    product, *sizes = (share @ (a * b) for a, b in (centred, centred[:1] * 2, centred[1:] * 2))
    return float(product / np.sqrt(sizes[0] * sizes[1]))


@_metric("sign", "share of strong effects whose direction is predicted")
def sign(effects: VariantEffects) -> float:
    """Share of strong e whose sign p has, weighted by w; a p of 0 is half right.

    Strong are those of the largest size: as many as have a confidence of .1 or more, or a tenth
    where no confidence is known. NaN without a strong effect.
    """
    counted = effects.at(effects.weight > 0)
    strong = counted.at(strong_effects(counted.measured, counted.confidence))
    if not len(strong.weight) or not np.isfinite(strong.predicted).all():
        return float("nan")
    right = (1 + np.sign(strong.predicted) * np.sign(strong.measured)) / 2
    return float(strong.weight @ right / strong.weight.sum())


@_metric("auprc", "average precision of strong effects by the size of the predicted ones")
def auprc(effects: VariantEffects) -> float:
    """Average precision of the strong among all effects, ordered by |p| and weighted by w.

    Effects are strong as for `variant-sign`. The floor is about their share. NaN without a strong
    effect, or where all are strong.
    """
    from sklearn.metrics import average_precision_score

    counted = effects.at(effects.weight > 0)
    strong = strong_effects(counted.measured, counted.confidence)
    if not strong.any() or strong.all() or not np.isfinite(counted.predicted).all():
        return float("nan")
    size = np.abs(counted.predicted)
    return float(average_precision_score(strong, size, sample_weight=counted.weight))
