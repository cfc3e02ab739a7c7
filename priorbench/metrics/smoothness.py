"""What attribution priors optimise: shown, never ranked."""

from __future__ import annotations

import numpy as np

from ..contracts import Metric, TrialArrays

FREQUENCY_LIMIT = 0.15
"""in cycles per base: bin 150 of 1,000 bp (Tseng, Shrikumar & Kundaje 2020)"""


def high_frequency(arrays: TrialArrays) -> float:
    """Share of the spectrum of |attribution| above 0.15 cycles per base, mean over sequences.

    Magnitudes of the real FFT, the zero frequency left out. Sequences whose attribution is
    constant have no spectrum and are left out; NaN if there is no other.
    """
    track = np.abs(arrays.attribution.astype(np.float64))
    spectrum = np.abs(np.fft.rfft(track, axis=1))[:, 1:]
    frequency = np.fft.rfftfreq(track.shape[1])[1:]
    total = spectrum.sum(axis=1)
    varying = total > 1e-9 * track.sum(axis=1)
    if not varying.any():
        return float("nan")
    high = spectrum[varying][:, frequency > FREQUENCY_LIMIT + 1e-9].sum(axis=1)
    return float(np.mean(high / total[varying]))


METRICS = (
    Metric(
        "high-frequency",
        "smoothness",
        "",
        None,
        "share of the attribution's spectrum above 0.15 cycles per base",
        "trial",
        high_frequency,
    ),
)
