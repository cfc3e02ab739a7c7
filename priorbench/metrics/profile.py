"""How well profiles and counts are predicted."""

from __future__ import annotations

from functools import partial

import numpy as np

from priorbench.components.metric import Metric, TrialArrays
from priorbench.statistics.rounding import constant

from .tools.definition import define

METRICS: list[Metric] = []
_metric = partial(
    define, METRICS, axis="prediction", higher_is_better=True, scope="trial", perfect=1.0
)


def _mean(name: str, arrays: TrialArrays) -> float:
    """Return a score's mean over the test examples that have reads; NaN without any of them."""
    values = arrays.prediction.get(name)
    if values is None or not np.isfinite(values).any():
        return float("nan")
    return float(np.nanmean(values.astype(np.float64)))


# the least that reads allow depends on them: it is a reference row of the task
@_metric(
    "profile-nll",
    "minus log multinomial probability of a strand's reads, mean over sequences",
    unit="nats",
    higher_is_better=False,
    perfect=None,
    main=True,
)
def negative_log_likelihood(arrays: TrialArrays) -> float:
    """-log (n! prod_i p_i^{k_i} / k_i!) in nats of n reads, k_i at position i, predicted p_i.

    Mean over strands and over the test examples that have reads (Avsec et al. 2021).
    """
    return _mean("nll", arrays)


@_metric(
    "profile-jsd",
    "Jensen-Shannon distance of reads and prediction, mean over sequences",
    higher_is_better=False,
    perfect=0.0,
    main=True,
)
def jensen_shannon(arrays: TrialArrays) -> float:
    """sqrt((KL(p, m) + KL(q, m)) / 2) in nats, m = (p + q) / 2.

    It is the Jensen-Shannon distance of the reads' shares p and the predicted q; mean over strands
    and over the test examples that have reads.
    """
    return _mean("jsd", arrays)


@_metric(
    "profile-pearson", "correlation of reads and prediction over positions, mean over sequences"
)
def pearson(arrays: TrialArrays) -> float:
    """Pearson's correlation of reads and prediction over positions.

    Mean over strands and over the test examples that have reads; 0 for a constant prediction; reads
    that are constant are left out. Constant means up to 1e-6 of the size, as float32 rounds.
    """
    return _mean("pearson", arrays)


@_metric(
    "profile-spearman",
    "rank correlation of reads and prediction over positions, mean over sequences",
)
def spearman(arrays: TrialArrays) -> float:
    """Spearman's correlation of reads and prediction over positions.

    Mean over strands and over the test examples that have reads; 0 for a constant prediction; reads
    that are constant are left out. Constant means up to 1e-6 of the size, as float32 rounds.
    """
    return _mean("spearman", arrays)


@_metric(
    "count-pearson", "correlation of predicted and observed log counts over sequences", main=True
)
def count_pearson(arrays: TrialArrays) -> float:
    """Pearson's correlation of predicted and observed log counts over examples.

    Mean over strands; 0 for a constant prediction; strands of constant counts are left out, and the
    score is NaN if none is left. Constant means up to 1e-6 of the size, as float32 rounds.
    """
    predicted = arrays.prediction.get("log_counts")
    if predicted is None:
        return float("nan")
    expected = predicted - predicted.mean(axis=0, dtype=np.float64)
    observed = arrays.label - arrays.label.mean(axis=0, dtype=np.float64)
    sizes = np.sqrt((expected**2).sum(axis=0) * (observed**2).sum(axis=0))
    varying = ~constant(arrays.label, axis=0)[0]
    if not varying.any():
        return float("nan")
    known = ~constant(predicted, axis=0)[0]
    product = (expected * observed).sum(axis=0)
    correlation = np.where(known, product / np.where(sizes > 0, sizes, 1), 0)
    return float(correlation[varying].mean())
