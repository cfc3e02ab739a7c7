"""What attribution priors optimise: shown, never ranked."""

from __future__ import annotations

from functools import partial

import numpy as np
from numpy.typing import NDArray

from priorbench.components.metric import Metric, TrialArrays

from .tools.definition import define

FREQUENCY_LIMIT = 0.15
"""largest frequency that counts as low, in cycles per base: bin 150 of 1,000 bp (Tseng, Shrikumar &
Kundaje 2020)"""
_PUBLISHED_OFFSET = 0.001


METRICS: list[Metric] = []
_metric = partial(define, METRICS, axis="smoothness", higher_is_better=None, scope="trial")


@_metric(
    "high-frequency", "share of the attribution's spectrum above 0.15 cycles per base", main=True
)
def high_frequency(arrays: TrialArrays) -> float:
    """Share of the spectrum of |a| above 0.15 cycles per base, mean over sequences.

    Magnitudes of the real FFT, the zero frequency left out; 0 for a constant attribution.
    Sequences whose attribution is all zero are left out; NaN if there is no other.
    """
    track = np.abs(arrays.attribution.astype(np.float64))
    spectrum = np.abs(np.fft.rfft(track, axis=1))[:, 1:]
    frequency = np.fft.rfftfreq(track.shape[1])[1:]
    total, mass = spectrum.sum(axis=1), track.sum(axis=1)
    varying = total > 1e-9 * mass
    high = spectrum[:, frequency > FREQUENCY_LIMIT + 1e-9].sum(axis=1)
    return _mean(np.where(varying, high / np.where(varying, total, 1), 0)[mass > 0])


def _shares(arrays: TrialArrays) -> NDArray[np.float64]:
    """Return (k, L) |a| over its sum, for the sequences whose attribution is not all zero."""
    size = np.abs(arrays.attribution.astype(np.float64))
    total = size.sum(axis=1, keepdims=True)
    shares: NDArray[np.float64] = (size / np.where(total > 0, total, 1))[total[:, 0] > 0]
    return shares


def _mean(values: NDArray[np.float64]) -> float:
    """Return the mean; NaN if there are no values."""
    return float(values.mean()) if len(values) else float("nan")


def _entropy(share: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the (k,) entropies of (k, L) shares in nats."""
    nats: NDArray[np.float64] = -(share * np.log(np.where(share > 0, share, 1))).sum(axis=1)
    return nats


@_metric("entropy", "entropy of |attribution|, as a share of the largest possible")
def entropy(arrays: TrialArrays) -> float:
    """-sum_i p_i log p_i over log L, with p_i = |a_i| / sum_j |a_j|, mean over sequences.

    1 for a constant attribution, 0 for a single position. Sequences whose attribution is all zero
    are left out; NaN if there is no other, or L is 1.
    """
    length = arrays.attribution.shape[1]
    if length < 2:
        return float("nan")
    return _mean(_entropy(_shares(arrays)) / np.log(length))


@_metric(
    "entropy-published",
    "entropy as published",
    unit="nats",
    published="Tseng, Shrikumar & Kundaje, NeurIPS 2020",
)
def published_entropy(arrays: TrialArrays) -> float:
    """Entropy in nats of p_i, proportional to |a_i| + 0.001, mean over sequences, as published.

    The 0.001 makes it depend on the scale of the attribution (Tseng, Shrikumar & Kundaje 2020,
    their code).
    """
    size = np.abs(arrays.attribution.astype(np.float64)) + _PUBLISHED_OFFSET
    return _mean(_entropy(size / size.sum(axis=1, keepdims=True)))


@_metric("gini-coefficient", "Gini coefficient of |attribution|")
def gini(arrays: TrialArrays) -> float:
    """Gini coefficient of |a|: sum_i (2 i - L - 1) |a|_(i) / (L sum_i |a|_(i)), ascending.

    Mean over sequences; 0 for a constant attribution, (L - 1) / L for a single position (Gini
    1912). Sequences whose attribution is all zero are left out; NaN if there is no other.
    """
    share = np.sort(_shares(arrays), axis=1)
    length = share.shape[1]
    rank = 2 * np.arange(1, length + 1) - length - 1
    return _mean(share @ rank / length)


@_metric("variation", "total variation of the attribution over the sum of its size")
def variation(arrays: TrialArrays) -> float:
    """sum_i |a_{i+1} - a_i| / sum_i |a_i|, mean over sequences (Erion et al. 2021, normalised).

    Sequences whose attribution is all zero are left out; NaN if there is no other.
    """
    track = arrays.attribution.astype(np.float64)
    total = np.abs(track).sum(axis=1)
    known = total > 0
    return _mean(np.abs(np.diff(track[known], axis=1)).sum(axis=1) / total[known])
