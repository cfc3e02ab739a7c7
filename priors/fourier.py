"""The Fourier prior: attributions should have frequencies of motifs, and few others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import torch

from priorbench import Attribution, AttributionPrior, Batch, UserError
from priorbench.components.prior_bases import constant, kept, smooth, unit

_SHORTEST = 2
"""shortest period in bp that neighbouring positions can show"""
_ROUNDING = 16
"""deviation from the mean, in units of the dtype's precision, up to which a track is constant"""


@dataclass(frozen=True)
class Fourier(AttributionPrior):
    """Share of the attribution's spectrum that is not at low frequency, or not in a band.

    With m(f) the magnitudes of the real FFT of the smoothed attribution at the frequencies f of
    its bins, divided by their sum over all bins, and F the limit (rounded to 1 / L), the penalty is

        1 - sum_{f > 0} w(f) m(f),    w(f) = 1 up to F, then 1 / (1 + (L (f - F)) ** softness).

    The zero frequency counts in the sum but has no weight, so its share counts as penalty. A
    zero attribution has penalty 1 and gradient 0.

    The prior's authors train with a band-pass since 2026 (bioRxiv 2026.02.05.703637, windows of
    350 bp):

        fourier:shortest_motif=6:longest_motif=20:zero_frequency=dropped:softness=5:smooth_sigma=0

    Its band is chosen in bp: the periods from the width of the shortest motif that is expected to
    that of the longest. In bins of 1 / L it goes from L // longest + 1 to L // shortest, and w
    declines on both sides of it. The authors read the probability of the true base, which is never
    negative; here the attribution is read, as the option ``sign`` says.

    With ``zero_frequency=dropped`` the magnitudes are divided by the sum over f > 0, so that the
    mean of what is transformed costs nothing. Otherwise a track that is never negative cannot reach
    penalty 0: it would need a mean of 0. In exchange, the penalty says nothing of how much
    attribution there is: in a window without a motif the faint rest is judged by its shape alone,
    and counts as fully as a motif in another window. What is the same everywhere, up to rounding,
    has no such shape: its penalty is 1 and its gradient 0, as for a zero attribution. (The
    published code adds 1e-8 to the sum instead, which would depend on the scale.) This is of the
    track as it is transformed. Smoothing that reads zeros beyond the ends, ``zero`` and ``taper``
    make slopes at the ends of a constant first, which count as shape; with ``reflect``, or
    ``periodic`` and no smoothing, there are none.

    Attributes:
        boundary: the continuation of the window beyond its ends: ``periodic``, the other end, as
            published; ``reflect``, the mirror image, so that nothing wraps around and nothing
            jumps (the magnitudes are those of the DCT-II); ``zero``, as many zeros again;
            ``taper``, the other end, after a Tukey window has faded both ends.
        frequency_limit: the cut, in cycles per base; 0.15 is the paper's bin 150 of 1,000 bp.
        softness: exponent of the weights' decline past the cut, counted in bins of 1 / L; 0 is a
            hard cut (the published code writes None; 5 for the band).
        taper_share: share of the window that fades, half of it at either end, if
            ``boundary=taper``.
        smooth_sigma: standard deviation of the Gaussian smoothing in bp, 3 as published; beyond
            the ends it reads zeros, or the mirror image if ``boundary=reflect``. The band-pass form
            was published without smoothing, 0.
        shortest_motif: width in bp of the shortest motif, whose frequency is the cut instead of
            ``frequency_limit``; 0 to use that.
        longest_motif: width in bp of the longest motif: lower frequencies count less, like those
            past the cut; 0 for no lower cut.
        zero_frequency: ``kept`` in the sum of all magnitudes, as published in 2020, or
            ``dropped``, as published in 2026.
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
    shortest_motif: int = 0
    longest_motif: int = 0
    zero_frequency: Literal["kept", "dropped"] = "kept"

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
        if self.shortest_motif and self.shortest_motif < _SHORTEST:
            raise UserError(
                f"shortest_motif {self.shortest_motif} is below {_SHORTEST} bp, the shortest "
                "period that there is; use 0 for frequency_limit"
            )
        if self.longest_motif and (self.cut is None or self.longest_motif <= self.cut):
            cut = "no period" if self.cut is None else f"periods from {self.cut:.3g} bp"
            raise UserError(
                f"longest_motif {self.longest_motif} leaves no band: the upper cut lets {cut} "
                "through; give more, or a smaller shortest_motif"
            )

    @property
    def cut(self) -> float | None:
        """Return the shortest period in bp that has weight 1; None for a frequency limit of 0."""
        if self.shortest_motif:
            return self.shortest_motif
        return 1 / self.frequency_limit if self.frequency_limit else None

    def penalty(self, attribution: Attribution, batch: Batch) -> torch.Tensor:
        """Return the penalty (B,) of each example, between 0 and 1.

        Raises:
            UserError: if the window has no frequency in the band.
        """
        track = unit(self.raw_track(attribution), 1)
        if not len(track):  # some libraries do not transform nothing
            return track.sum(dim=1)
        extended = self.extended(track)
        first = 0
        if self.zero_frequency == "dropped":
            extended, first = _around_mean(extended), 1
        spectrum = torch.fft.rfft(extended, dim=1).abs()[:, first:]
        total = spectrum.sum(dim=1, keepdim=True)
        share = spectrum / total.masked_fill(total == 0, 1)
        lengths = (track.shape[1], extended.shape[1])
        weights = _weights(self, lengths, share.dtype, share.device)[first:]
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

        Raises:
            UserError: if the window has no frequency in the band.
        """
        lengths = (length, extended)
        return _weights(self, lengths, torch.float64, torch.device("cpu")).clone()

    def band(self, length: int) -> tuple[int, int]:
        """Return the first and last frequency with weight 1, in bins of 1 / length; 0 has none.

        Raises:
            UserError: if the window has no frequency between them.
        """
        first = length // self.longest_motif + 1 if self.longest_motif else 0
        last = (
            length // self.shortest_motif
            if self.shortest_motif
            else round(self.frequency_limit * length)
        )
        if first > last:
            raise UserError(
                f"a window of {length} bp has no frequency above that of longest_motif "
                f"{self.longest_motif} bp and up to the cut of {self.cut:.3g} bp; give motifs that "
                "differ more in width"
            )
        return first, last


def _around_mean(track: torch.Tensor) -> torch.Tensor:
    """Return the track less its mean, and 0 where all of the rest is rounding."""
    rest = track - track.mean(dim=1, keepdim=True)
    size, level = (values.detach().abs().amax(dim=1, keepdim=True) for values in (rest, track))
    return torch.where(size <= _ROUNDING * torch.finfo(track.dtype).eps * level, 0.0, rest)


@kept
def _weights(
    prior: Fourier, lengths: tuple[int, int], dtype: torch.dtype, device: torch.device
) -> torch.Tensor:
    """Compute the weights of ``Fourier.frequency_weights`` once for each prior and length."""
    length, extended = lengths
    # in units of 1 / length: whole numbers, or halves where the track was extended
    frequency = np.arange(extended // 2 + 1) * (length / extended)
    first, last = prior.band(length)
    beyond = np.maximum(np.maximum(frequency - last, first - frequency), 0)
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
