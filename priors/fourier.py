"""The Fourier prior: attributions should have little high-frequency content."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import torch

from priorbench import Attribution, AttributionPrior, Batch, UserError
from priorbench.components.prior_bases import constant, kept, smooth, unit


@dataclass(frozen=True)
class Fourier(AttributionPrior):
    """Share of the attribution's spectrum that is not at low frequency.

    With m(f) the magnitudes of the real FFT of the smoothed attribution at the frequencies f of
    its bins, divided by their sum over all bins, and F the limit (rounded to 1 / L), the penalty is

        1 - sum_{f > 0} w(f) m(f),    w(f) = 1 up to F, then 1 / (1 + (L (f - F)) ** softness).

    The zero frequency counts in the sum but has no weight, so its share counts as penalty. A
    zero attribution has penalty 1 and gradient 0.

    Attributes:
        boundary: the continuation of the window beyond its ends: ``periodic``, the other end, as
            published; ``reflect``, the mirror image, so that nothing wraps around and nothing
            jumps (the magnitudes are those of the DCT-II); ``zero``, as many zeros again;
            ``taper``, the other end, after a Tukey window has faded both ends.
        frequency_limit: the cut, in cycles per base; 0.15 is the paper's bin 150 of 1,000 bp.
        softness: exponent of the weights' decline past the cut, counted in bins of 1 / L; 0 is a
            hard cut (the published code writes None).
        taper_share: share of the window that fades, half of it at either end, if
            ``boundary=taper``.
        smooth_sigma: standard deviation of the Gaussian smoothing in bp, 3 as published; beyond
            the ends it reads zeros, or the mirror image if ``boundary=reflect``.
    """

    summary: ClassVar[str] = "penalises the share of high frequencies in the attribution"
    citation: ClassVar[str] = "Tseng, Shrikumar & Kundaje, NeurIPS 2020"
    scale_free: ClassVar[bool] = True
    reverse_complement_invariant: ClassVar[bool] = True
    default_weights: ClassVar[Mapping[str, float]] = {"*": 0.3, "profile": 50.0}

    boundary: Literal["periodic", "reflect", "zero", "taper"] = "periodic"
    frequency_limit: float = 0.15
    softness: float = 0.2
    taper_share: float = 0.25
    smooth_sigma: float = 3.0

    def __post_init__(self) -> None:
        """Refuse options outside their range."""
        super().__post_init__()
        if not 0 <= self.frequency_limit <= 0.5:
            raise UserError(
                f"frequency_limit {self.frequency_limit:g} is not between 0 and 0.5 cycles per base"
            )
        if self.softness < 0:
            raise UserError(f"softness {self.softness:g} is negative; use 0 for a hard cut")
        if not 0 < self.taper_share <= 1:
            raise UserError(f"taper_share {self.taper_share:g} is not above 0 and at most 1")

    @property
    def cut(self) -> float | None:
        """Return 1 / frequency_limit, in bp; None for a limit of 0."""
        return 1 / self.frequency_limit if self.frequency_limit else None

    def penalty(self, attribution: Attribution, batch: Batch) -> torch.Tensor:
        """Return the penalty (B,) of each example, between 0 and 1."""
        track = unit(self.raw_track(attribution), 1)
        if not len(track):  # some libraries do not transform nothing
            return track.sum(dim=1)
        extended = self.extended(track)
        spectrum = torch.fft.rfft(extended, dim=1).abs()
        total = spectrum.sum(dim=1, keepdim=True)
        share = spectrum / total.masked_fill(total == 0, 1)
        weights = _weights(self, (track.shape[1], extended.shape[1]), share.dtype, share.device)
        low: torch.Tensor = (share * weights).sum(dim=1)
        return 1 - low

    def extended(self, track: torch.Tensor) -> torch.Tensor:
        """Return the smoothed track that is transformed, (B, L) or (B, 2 L)."""
        if self.boundary == "reflect":
            return smooth(
                torch.cat([track, track.flip(1)], 1), self.smooth_sigma, beyond="circular"
            )
        if self.boundary == "zero":
            padded = torch.cat([track, torch.zeros_like(track)], dim=1)
            return smooth(padded, self.smooth_sigma, beyond="circular")
        smoothed = smooth(track, self.smooth_sigma)
        if self.boundary == "periodic":
            return smoothed
        return smoothed * _taper(track.shape[1], self.taper_share, track.dtype, track.device)

    def frequency_weights(self, length: int, extended: int) -> torch.Tensor:
        """Return the weights (extended // 2 + 1,), float64, of the real FFT's bins.

        Args:
            length: length of the window in bp.
            extended: length of the transformed track in bp.
        """
        lengths = (length, extended)
        return _weights(self, lengths, torch.float64, torch.device("cpu")).clone()


@kept
def _weights(
    prior: Fourier, lengths: tuple[int, int], dtype: torch.dtype, device: torch.device
) -> torch.Tensor:
    """Compute the weights of ``Fourier.frequency_weights`` once for each prior and length."""
    length, extended = lengths
    # in units of 1 / length: whole numbers, or halves where the track was extended
    frequency = np.arange(extended // 2 + 1) * (length / extended)
    beyond = np.maximum(frequency - round(prior.frequency_limit * length), 0)
    decline = 1 / (1 + beyond**prior.softness) if prior.softness else np.zeros_like(beyond)
    weights = np.where(beyond == 0, 1.0, decline)
    weights[0] = 0
    return constant(weights, dtype, device)


@kept
def _taper(length: int, share: float, dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    return tukey(length, share).to(device=device, dtype=dtype)


def tukey(length: int, share: float) -> torch.Tensor:
    """Return the symmetric Tukey window (length,), float64, of ``scipy.signal.windows.tukey``."""
    position = torch.arange(length, dtype=torch.float64)
    from_end = torch.minimum(position, length - 1 - position) / max(length - 1, 1)
    return 0.5 * (1 - torch.cos(torch.pi * (2 * from_end / share).clamp(max=1)))
