"""The options that every attribution penalty shares."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F

from .contracts import Attribution, Batch, Prior, Task
from .errors import UserError


@dataclass(frozen=True)
class AttributionPrior(Prior):
    """Base class of priors that penalise attributions; override ``penalty``.

    Attributes:
        examples: which examples are penalised: ``positives`` (as the task defines them), or
            ``all`` of a batch.
        smooth_sigma: standard deviation in bp of a Gaussian that smooths the absolute
            attribution first; 0 for none.
    """

    examples: Literal["positives", "all"] = "positives"
    smooth_sigma: float = 0.0

    def __post_init__(self) -> None:
        """Refuse options outside their range."""
        if self.smooth_sigma < 0:
            raise UserError(f"smooth_sigma {self.smooth_sigma:g} is negative; use 0 for none")

    def magnitude(self, attribution: Attribution) -> torch.Tensor:
        """(B, L) absolute attribution of the observed base, smoothed."""
        return smooth(attribution.observed.abs(), self.smooth_sigma)

    def applies(self, batch: Batch, task: Task) -> torch.Tensor:
        """(B,) bool, by the option ``examples``."""
        positives = task.applies(batch)
        return torch.ones_like(positives) if self.examples == "all" else positives


def smooth(track: torch.Tensor, sigma: float) -> torch.Tensor:
    """Gaussian smoothing truncated at one sigma, with zeros beyond the ends.

    As in the published Fourier loss (Tseng, Shrikumar & Kundaje 2020).

    Args:
        track: (B, L).
        sigma: standard deviation in bp; the window has 1 + 2 * floor(sigma) positions, so that
            a sigma below 1 does not smooth.

    Returns:
        (B, L).
    """
    radius = int(sigma)
    if radius == 0:
        return track
    offsets = torch.arange(-radius, radius + 1, dtype=track.dtype, device=track.device)
    kernel = torch.exp(-0.5 * (offsets / sigma) ** 2)
    kernel = kernel / kernel.sum()
    return F.conv1d(track[:, None], kernel[None, None], padding=radius)[:, 0]
