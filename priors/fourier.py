"""The Fourier prior: attributions should have little high-frequency content."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch

from priorbench import Attribution, AttributionPrior, Batch, UserError


@dataclass(frozen=True)
class Fourier(AttributionPrior):
    """Share of the attribution's spectrum that is not at low frequency.

    With m_k the magnitudes of the real FFT of the smoothed absolute attribution, divided by
    their sum over k = 0 ... L // 2, the penalty is

        1 - sum_{k >= 1} w_k m_k,

    w_k = 1 up to the limit of K = round(frequency_limit * L) bins, then
    1 / (1 + (k - K) ** softness). The zero frequency counts in the sum but has no weight, so
    its share counts as penalty. A zero attribution has penalty 1 and gradient 0.

    Attributes:
        frequency_limit: the cut, in cycles per base; 0.15 is the paper's bin 150 of 1,000 bp.
        softness: exponent of the weights' decline past the cut, counted in bins; 0 is a hard
            cut (the published code writes None).
        smooth_sigma: as for every attribution prior, but 3 bp by default, as published.
    """

    summary: ClassVar[str] = "penalises the share of high frequencies in the attribution"
    citation: ClassVar[str] = "Tseng, Shrikumar & Kundaje, NeurIPS 2020"
    scale_free: ClassVar[bool] = True
    default_weights: ClassVar[Mapping[str, float]] = {"*": 0.3, "profile": 50.0}

    frequency_limit: float = 0.15
    softness: float = 0.2
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

    def penalty(self, attribution: Attribution, batch: Batch) -> torch.Tensor:
        """(B,) penalty between 0 and 1."""
        track = self.magnitude(attribution)
        spectrum = torch.fft.rfft(track, dim=1).abs()
        total = spectrum.sum(dim=1, keepdim=True)
        share = spectrum / total.masked_fill(total == 0, 1)
        weights = self.frequency_weights(track.shape[1]).to(share)
        low: torch.Tensor = share[:, 1:] @ weights
        return 1 - low

    def frequency_weights(self, length: int) -> torch.Tensor:
        """(length // 2,) float64 weights of bins 1 ... length // 2."""
        bins = torch.arange(1, length // 2 + 1, dtype=torch.float64)
        beyond = (bins - round(self.frequency_limit * length)).clamp(min=0)
        decline = 1 / (1 + beyond**self.softness) if self.softness else torch.zeros_like(bins)
        return torch.where(beyond == 0, torch.ones_like(bins), decline)
