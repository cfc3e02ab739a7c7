"""How well the model predicts; logits against 0/1 labels of the test examples."""

from __future__ import annotations

import numpy as np

from ..contracts import Metric, TrialArrays


def _both_classes(arrays: TrialArrays) -> bool:
    return bool(0 < arrays.label.sum() < len(arrays.label))


def auroc(arrays: TrialArrays) -> float:
    """Area under the receiver operating characteristic; NaN if a class is missing."""
    from sklearn.metrics import roc_auc_score

    if not _both_classes(arrays):
        return float("nan")
    return float(roc_auc_score(arrays.label, arrays.prediction["logit"]))


def auprc(arrays: TrialArrays) -> float:
    """Average precision, sum of (R_n - R_{n-1}) P_n; NaN if a class is missing."""
    from sklearn.metrics import average_precision_score

    if not _both_classes(arrays):
        return float("nan")
    return float(average_precision_score(arrays.label, arrays.prediction["logit"]))


def cross_entropy(arrays: TrialArrays) -> float:
    """Mean of log(1 + exp(z)) - y z over the test examples, in nats."""
    logit = arrays.prediction["logit"].astype(np.float64)
    return float(np.mean(np.logaddexp(0, logit) - arrays.label * logit))


METRICS = (
    Metric("auroc", "prediction", "", True, "area under the ROC curve", "trial", auroc),
    Metric("auprc", "prediction", "", True, "average precision", "trial", auprc),
    Metric("cross-entropy", "prediction", "nats", False, "mean test loss", "trial", cross_entropy),
)
