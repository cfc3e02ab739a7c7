"""How well the model predicts: logits against 0/1 labels of the test examples."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from priorbench.components.metric import Metric, TrialArrays

from .tools.definition import define

_BINS = 15


METRICS: list[Metric] = []
_metric = partial(
    define, METRICS, axis="prediction", higher_is_better=True, scope="trial", perfect=1.0
)


def _mean_over_outputs(arrays: TrialArrays, score: Callable[[Any, Any], float]) -> float:
    return _mean_score(arrays.label, arrays.prediction["logit"], score)


def _mean_score(label: Any, logit: Any, score: Callable[[Any, Any], float]) -> float:
    """Return the mean of a score of labels and logits over the outputs; NaN if there is none.

    Outputs that lack a class in the test examples are left out.
    """
    count = len(label)
    labels, logits = label.reshape(count, -1).T, logit.reshape(count, -1).T
    scores = [
        score(label, logit)
        for label, logit in zip(labels, logits, strict=True)
        if 0 < label.sum() < count
    ]
    return float(np.mean(scores)) if scores else float("nan")


@_metric("auroc", "area under the ROC curve", main=True)
def auroc(arrays: TrialArrays) -> float:
    """Area under the receiver operating characteristic, mean over outputs.

    NaN if every output lacks a class.
    """
    return mean_auroc(arrays.label, arrays.prediction["logit"])


def mean_auroc(label: NDArray[Any], logit: NDArray[Any]) -> float:
    """Return the area under the ROC curve of (N, ...) labels and logits, mean over outputs."""
    from sklearn.metrics import roc_auc_score

    return _mean_score(label, logit, roc_auc_score)


@_metric("auprc", "average precision", main=True)
def auprc(arrays: TrialArrays) -> float:
    """Average precision, sum of (R_n - R_{n-1}) P_n, mean over outputs.

    NaN if every output lacks a class.
    """
    from sklearn.metrics import average_precision_score

    return _mean_over_outputs(arrays, average_precision_score)


@_metric("auprc-corrected", "average precision at the genome's share of positives")
def corrected_auprc(arrays: TrialArrays) -> float:
    """Average precision with every negative counted as often as the possible ones it stands for.

    Drawn negatives are fewer than those of the genome, which makes the precision too high. So a
    negative weighs as much as there were candidates for it, and a positive 1. Drawn negatives are
    matched to the positives' GC content, and taken for typical of the others. Mean over outputs;
    NaN where no negatives were drawn, or every output lacks a class.
    """
    from sklearn.metrics import average_precision_score

    if arrays.negative_weight == 1:
        return float("nan")

    def score(label: Any, logit: Any) -> float:
        weight = np.where(label > 0, 1.0, arrays.negative_weight)
        return float(average_precision_score(label, logit, sample_weight=weight))

    return _mean_over_outputs(arrays, score)


@_metric(
    "cross-entropy",
    "mean test loss",
    unit="nats",
    higher_is_better=False,
    perfect=0.0,
    main=True,
)
def cross_entropy(arrays: TrialArrays) -> float:
    """Mean of log(1 + exp(z)) - y z over the test examples and outputs, in nats."""
    logit = arrays.prediction["logit"].astype(np.float64)
    return float(np.mean(np.logaddexp(0, logit) - arrays.label * logit))


@_metric(
    "calibration-error",
    "expected calibration error in 15 bins",
    higher_is_better=False,
    perfect=0.0,
)
def calibration_error(arrays: TrialArrays) -> float:
    """sum_b n_b / n |share of positives - mean probability| in bin b, mean over outputs.

    Expected calibration error with 15 bins of equal width (Guo et al. 2017).
    """
    count = len(arrays.label)
    labels = arrays.label.reshape(count, -1).astype(np.float64)
    probability = expit(arrays.prediction["logit"].reshape(count, -1).astype(np.float64))
    place = np.minimum((probability * _BINS).astype(int), _BINS - 1)
    errors = [
        np.abs(np.bincount(b, minlength=_BINS, weights=p - y)).sum() / count
        for b, p, y in zip(place.T, probability.T, labels.T, strict=True)
    ]
    return float(np.mean(errors))
