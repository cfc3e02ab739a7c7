"""Scores of predicted base-resolution profiles, and what profiles of the same reads can score."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from priorbench.statistics.rounding import constant

from .scoring import PERFECT


def log_likelihood(logits: torch.Tensor, reads: torch.Tensor) -> torch.Tensor:
    """Return the log multinomial probability of the reads of every strand.

    Args:
        logits: (B, strands, L) logits of the softmax over positions.
        reads: (B, strands, L) counts.

    Returns:
        (B, strands), in nats: log n! - sum_i log k_i! + sum_i k_i log p_i.
    """
    total = reads.sum(dim=2)
    constant = torch.lgamma(total + 1) - torch.lgamma(reads + 1).sum(dim=2)
    return constant + (reads * logits.log_softmax(dim=2)).sum(dim=2)


def profile_scores(logits: torch.Tensor, reads: torch.Tensor) -> dict[str, torch.Tensor]:
    """Return how well every example's profile is predicted, by name of the score.

    Args:
        logits: (B, strands, L) logits of the softmax over positions.
        reads: (B, strands, L) counts.

    Returns:
        (B,) each, mean over the strands that have reads, NaN where none has: ``nll``, minus the
        log-likelihood, in nats; ``jsd``, the Jensen-Shannon distance (square root of the divergence
        in nats) of reads and prediction; ``pearson`` and ``spearman``, the correlation of reads and
        predicted probabilities over positions, 0 for a constant prediction and NaN for constant
        reads, both up to rounding.
    """
    from scipy.stats import rankdata

    with torch.no_grad():
        nll = -log_likelihood(logits, reads).double().cpu().numpy()
        predicted = logits.softmax(dim=2).double().cpu().numpy()
    counts = reads.double().cpu().numpy()
    total = counts.sum(axis=2, keepdims=True)
    observed = counts / np.where(total > 0, total, 1)
    ranked = (rankdata(counts, axis=2), rankdata(predicted, axis=2))
    correlations = [_correlation(counts, predicted), _correlation(*ranked)]
    for values in correlations:
        values[constant(predicted, axis=2)[:, :, 0]] = 0
        values[constant(counts, axis=2)[:, :, 0]] = np.nan
    scores = {
        "nll": nll,
        "jsd": _jensen_shannon(observed, predicted),
        "pearson": correlations[0],
        "spearman": correlations[1],
    }
    means = {}
    for name, values in scores.items():
        values[total[:, :, 0] == 0] = np.nan
        some = ~np.isnan(values).all(axis=1)
        mean = np.full(len(values), np.nan)
        mean[some] = np.nanmean(values[some], axis=1)
        means[name] = torch.from_numpy(mean.astype(np.float32))
    return means


SHUFFLED, REPLICATE = "shuffled", "replicate"
"""names of the reference rows, beside ``PERFECT``"""
_NEVER = -1e4
"""logit of a position whose probability is 0: finite, so that no reads there cost nothing"""


def reference_profiles(
    reads: NDArray[np.float32], generator: np.random.Generator
) -> dict[str, dict[str, NDArray[np.float32]]]:
    """Return what profiles of these reads can score at worst and at best.

    ``shuffled``: each strand's reads with their positions shuffled, as a prediction of the
    reads. ``replicate``, for whole numbers of reads only: every read goes to one of two halves
    at random, and one half predicts the other, as a replicate would at half the depth; a model
    that averages over sequences can do better. ``perfect``: the reads' own shares as their
    prediction, under which they are most probable; what is random in them is out of reach.

    Args:
        reads: (B, strands, L) counts.
        generator: generator of the shuffles and halves.

    Returns:
        Scores of :func:`profile_scores`, by name of the reference; ``nll`` of ``perfect`` alone,
        since it is infinite where a read meets a probability of zero.
    """
    pairs = {SHUFFLED: (generator.permuted(reads, axis=2), reads)}
    if (reads == np.round(reads)).all():
        half = generator.binomial(reads.astype(np.int64), 0.5).astype(np.float32)
        pairs[REPLICATE] = (half, reads - half)
    pairs[PERFECT] = (reads, reads)
    references = {}
    for name, (predicted, observed) in pairs.items():
        known = predicted.sum(axis=2, keepdims=True) > 0
        logits = torch.log(torch.from_numpy(np.where(known, predicted, 1))).clamp(min=_NEVER)
        scores = profile_scores(logits, torch.from_numpy(np.where(known, observed, 0)))
        references[name] = {
            key: value.numpy() for key, value in scores.items() if key != "nll" or name == PERFECT
        }
    return references


def _jensen_shannon(
    observed: NDArray[np.float64], predicted: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the (B, strands) Jensen-Shannon distance of probabilities over the last axis."""
    middle = (observed + predicted) / 2
    divergence = np.zeros(observed.shape[:2])
    for part in (observed, predicted):
        with np.errstate(divide="ignore", invalid="ignore"):
            terms = np.where(part > 0, part * np.log(part / middle), 0)
        divergence += terms.sum(axis=2) / 2
    distance: NDArray[np.float64] = np.sqrt(np.maximum(divergence, 0))
    return distance


def _correlation(
    observed: NDArray[np.float64], predicted: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return Pearson's correlation over the last axis; 0 where one side is constant."""
    observed = observed - observed.mean(axis=2, keepdims=True)
    predicted = predicted - predicted.mean(axis=2, keepdims=True)
    size = np.sqrt((observed**2).sum(axis=2) * (predicted**2).sum(axis=2))
    product = (observed * predicted).sum(axis=2)
    correlation: NDArray[np.float64] = product / np.where(size > 0, size, 1)
    return correlation
