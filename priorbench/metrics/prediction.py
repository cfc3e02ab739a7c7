"""How well the model predicts; logits against 0/1 labels of the test examples."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..contracts import Metric, TrialArrays


def _mean_over_outputs(arrays: TrialArrays, score: Callable[[Any, Any], float]) -> float:
    """Outputs that lack a class in the test examples are left out; NaN if all do."""
    count = len(arrays.label)
    labels = arrays.label.reshape(count, -1).T
    logits = arrays.prediction["logit"].reshape(count, -1).T
    found = [
        score(label, logit)
        for label, logit in zip(labels, logits, strict=True)
        if 0 < label.sum() < count
    ]
    return float(np.mean(found)) if found else float("nan")


def auroc(arrays: TrialArrays) -> float:
    """Area under the receiver operating characteristic, mean over outputs.

    NaN if every output lacks a class.
    """
    from sklearn.metrics import roc_auc_score

    return _mean_over_outputs(arrays, roc_auc_score)


def auprc(arrays: TrialArrays) -> float:
    """Average precision, sum of (R_n - R_{n-1}) P_n, mean over outputs.

    NaN if every output lacks a class.
    """
    from sklearn.metrics import average_precision_score

    return _mean_over_outputs(arrays, average_precision_score)


def cross_entropy(arrays: TrialArrays) -> float:
    """Mean of log(1 + exp(z)) - y z over the test examples and outputs, in nats."""
    logit = arrays.prediction["logit"].astype(np.float64)
    return float(np.mean(np.logaddexp(0, logit) - arrays.label * logit))


METRICS = (
    Metric("auroc", "prediction", "", True, "area under the ROC curve", "trial", auroc),
    Metric("auprc", "prediction", "", True, "average precision", "trial", auprc),
    Metric("cross-entropy", "prediction", "nats", False, "mean test loss", "trial", cross_entropy),
)
