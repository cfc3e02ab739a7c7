"""How well profiles and counts are predicted."""

from __future__ import annotations

import numpy as np

from priorbench.components.contracts import Metric, TrialArrays


def _mean(name: str, arrays: TrialArrays) -> float:
    """Mean over the test examples that have reads; NaN if none has, or it was not predicted."""
    values = arrays.prediction.get(name)
    if values is None or not np.isfinite(values).any():
        return float("nan")
    return float(np.nanmean(values.astype(np.float64)))


def count_pearson(arrays: TrialArrays) -> float:
    """Pearson's correlation of predicted and observed log counts over examples.

    Mean over strands; 0 for a constant prediction, NaN for constant counts.
    """
    predicted = arrays.prediction.get("log_counts")
    if predicted is None:
        return float("nan")
    one = predicted - predicted.mean(axis=0, dtype=np.float64)
    other = arrays.label - arrays.label.mean(axis=0, dtype=np.float64)
    sizes = np.sqrt((one**2).sum(axis=0) * (other**2).sum(axis=0))
    varying = (other**2).sum(axis=0) > 0
    if not varying.any():
        return float("nan")
    found = (one * other).sum(axis=0) / np.where(sizes > 0, sizes, 1)
    return float(found[varying].mean())


def negative_log_likelihood(arrays: TrialArrays) -> float:
    """-log (n! prod_i p_i^{k_i} / k_i!) in nats of n reads, k_i at position i, predicted p_i.

    Mean over strands and over the test examples that have reads (Avsec et al. 2021).
    """
    return _mean("nll", arrays)


def jensen_shannon(arrays: TrialArrays) -> float:
    """sqrt((KL(p, m) + KL(q, m)) / 2) in nats, m = (p + q) / 2.

    Jensen-Shannon distance of the reads' shares p and the predicted q; mean over strands and
    over the test examples that have reads.
    """
    return _mean("jsd", arrays)


def pearson(arrays: TrialArrays) -> float:
    """Pearson's correlation of reads and prediction over positions.

    Mean over strands and over the test examples that have reads.
    """
    return _mean("pearson", arrays)


def spearman(arrays: TrialArrays) -> float:
    """Spearman's correlation of reads and prediction over positions.

    Mean over strands and over the test examples that have reads.
    """
    return _mean("spearman", arrays)


METRICS = (
    Metric(
        "profile-nll",
        "prediction",
        "nats",
        False,
        "minus log multinomial probability of a strand's reads, mean over sequences",
        "trial",
        negative_log_likelihood,
        main=True,
        loss=True,
    ),
    Metric(
        "profile-jsd",
        "prediction",
        "",
        False,
        "Jensen-Shannon distance of reads and prediction, mean over sequences",
        "trial",
        jensen_shannon,
        main=True,
    ),
    Metric(
        "profile-pearson",
        "prediction",
        "",
        True,
        "correlation of reads and prediction over positions, mean over sequences",
        "trial",
        pearson,
    ),
    Metric(
        "profile-spearman",
        "prediction",
        "",
        True,
        "rank correlation of reads and prediction over positions, mean over sequences",
        "trial",
        spearman,
    ),
    Metric(
        "count-pearson",
        "prediction",
        "",
        True,
        "correlation of predicted and observed log counts over sequences",
        "trial",
        count_pearson,
        main=True,
    ),
)
