"""What a penalty on attributions does near the ends of the window: exact, without training.

The code of a prior answers four questions. What does the same motif cost at the end of the
window and in its middle? Do two motifs gain from meeting across the ends, as a periodic transform
would have it? Does a difference in level between the two ends count as a jump? And which positions
does the gradient push up or down? `summary.py` puts the answers of several priors together.

Attributions here are of one value per position, on a sequence of the base A throughout. A motif is
a half-sine of 12 bp.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from priorbench.components.prior import Attribution, Prior
from priorbench.components.task import Batch
from priorbench.errors import UserError
from priorbench.machine.memory import memory_at_hand

BOUNDARIES = (
    "fourier",
    "fourier:boundary=reflect",
    "fourier:boundary=zero",
    "fourier:boundary=taper",
    "tv",
)
"""specs of the priors to be looked at unless others are named: every boundary, and a control"""
WIDTH = 12
"""length of the motif in bp"""
SHORTEST = 4 * WIDTH
"""length of the shortest window in which ends and middle differ, in bp"""
NEAR = WIDTH // 2
"""gaps up to which two motifs count as meeting, and the outermost positions, in bp"""
SMALLEST_SCALE = 0.1
"""share of the penalty's value that must separate noise from one motif for effects to have a scale

All priors here but band-passes have half or more, in windows of 48 to 1,000 bp. A band-pass may
have none: whether it prefers noise or the motif changes with its smoothing and the window. Below a
tenth, what changes the penalty by half a percent would already be called notable.
"""
_FAINT = 0.01
_EVERY = 200
_ROWS = 256
_BYTES = 80_000
"""memory that a position of the window takes, measured with 40,000 of them"""


@dataclass(frozen=True)
class PenaltyEffects:
    """Values of a penalty on attributions that differ in what they are near the ends.

    Attributes:
        length: length of the window in bp.
        start: (P,) int64 first position of the motif.
        lone: (P,) penalty of the motif alone.
        gap: (G,) int64 gap between two motifs in bp, from 0.
        inside: (G,) penalty of two motifs in the middle of the window.
        across: (G,) penalty of two motifs at the two ends with the same gap around them.
        gain_inside: (G,) what two motifs gain by meeting in the middle: the penalty of one minus
            that of the two, over what it is where they are far apart.
        gain_across: (G,) what two motifs gain by meeting across the ends; 0 for a penalty that
            does not take the window as periodic.
        level: (S,) difference in level between the ends, as a share of the mean level's double.
        ramp: (S,) penalty of a ramp, whose ends differ.
        tent: (S,) penalty of the same values rising and falling again, so that the ends are alike.
        noise: mean penalty of Gaussian noise.
    """

    length: int
    start: NDArray[np.int64]
    lone: NDArray[np.float64]
    gap: NDArray[np.int64]
    inside: NDArray[np.float64]
    across: NDArray[np.float64]
    gain_inside: NDArray[np.float64]
    gain_across: NDArray[np.float64]
    level: NDArray[np.float64]
    ramp: NDArray[np.float64]
    tent: NDArray[np.float64]
    noise: float

    @property
    def centre(self) -> float:
        """Mean penalty of the motif in the middle half; in the very middle alone, mirrors agree."""
        last = self.start[-1]
        inside = (self.start >= last / 4) & (self.start <= 3 * last / 4)
        return float(self.lone[inside].mean())

    @property
    def scale(self) -> float:
        """What separates noise from one motif, above 0; the effects are in shares of it.

        NaN, as are the effects, where it is no more than SMALLEST_SCALE of the penalty: noise and
        motif cost the same, and shares of next to nothing say nothing.

        Most priors let one motif cost less than noise. A band-pass may not: the half-sine is
        mostly below its band, and noise within it.
        """
        apart = abs(self.noise - self.centre)
        size = max(abs(self.noise), abs(self.centre))
        return apart if apart > SMALLEST_SCALE * size else math.nan

    @property
    def end_cost(self) -> float:
        """How much more the motif costs at the end than in the middle, in shares of ``scale``."""
        return float((self.lone[[0, -1]].mean() - self.centre) / self.scale)

    @property
    def wrap_gain(self) -> float:
        """Mean gain of two motifs that meet across the ends, in shares of ``scale``."""
        return float(self.gain_across[self.gap <= NEAR].mean() / self.scale)

    @property
    def jump_cost(self) -> float:
        """How much more the steepest ramp costs than the tent, in shares of ``scale``."""
        return float((self.ramp[-1] - self.tent[-1]) / self.scale)

    @property
    def largest(self) -> float:
        """The largest of the three effects, whatever its sign; NaN where they have no scale."""
        return max(abs(self.end_cost), abs(self.wrap_gain), abs(self.jump_cost))


@dataclass(frozen=True)
class GradientEffects:
    """Which positions a penalty pushes up (above 0) and down (below 0).

    The push at position i is -dP/d|a_i| times sum |a|: by how much the penalty falls if a small
    share of the whole attribution is added there. The pushes of a penalty that is scale-free,
    weighted by |a|, add up to 0 (Euler).

    Attributes:
        distance: (D,) int64 distance to the nearest end in bp.
        noise_push: (D,) mean push on Gaussian noise.
        noise_size: (D,) mean absolute push on Gaussian noise.
        ramp_push: (L,) push on the steepest ramp, which is 0 at the start.
        start_push: (L,) push on a motif at the start, over a faint background.
        middle_push: (L,) mean push on a motif at places of the middle half, over the same.
    """

    distance: NDArray[np.int64]
    noise_push: NDArray[np.float64]
    noise_size: NDArray[np.float64]
    ramp_push: NDArray[np.float64]
    start_push: NDArray[np.float64]
    middle_push: NDArray[np.float64]

    @property
    def end_size(self) -> float:
        """Absolute push on noise at the outermost positions over that in the middle half."""
        middle = self.noise_size[len(self.noise_size) // 2 :].mean()
        return float(self.noise_size[:NEAR].mean() / middle)

    @property
    def end_push(self) -> float:
        """Push on noise at the outermost positions minus that in the middle half."""
        middle = self.noise_push[len(self.noise_push) // 2 :].mean()
        return float(self.noise_push[:NEAR].mean() - middle)

    @property
    def far_push(self) -> float:
        """Push at the end across from a motif at the start, minus that where the motif is far."""
        return float(self.start_push[-NEAR:].mean() - self.middle_push[-NEAR:].mean())


def motif_shape() -> NDArray[np.float64]:
    """Return (WIDTH,) a half-sine: sin(pi (i + 1/2) / WIDTH)."""
    return np.sin(np.pi * (np.arange(WIDTH) + 0.5) / WIDTH)


def penalties(prior: Prior, tracks: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the (k,) penalty of (k, L) attributions."""
    parts = [
        _penalty(prior, rows).detach() for rows in torch.split(torch.from_numpy(tracks), _ROWS)
    ]
    values: NDArray[np.float64] = torch.cat(parts).double().numpy()
    return values


def pushes(prior: Prior, tracks: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return (k, L) -dP/d|a_i| sum |a| of (k, L) attributions without a zero."""
    values = torch.from_numpy(tracks).requires_grad_()
    (gradient,) = torch.autograd.grad(_penalty(prior, values).sum(), values)
    size = np.abs(tracks).sum(axis=1, keepdims=True)
    push: NDArray[np.float64] = -gradient.numpy() * np.sign(tracks) * size
    return push


def _penalty(prior: Prior, tracks: torch.Tensor) -> torch.Tensor:
    """Return the (k,) penalty; the other three bases have no gradient."""
    others = torch.zeros(len(tracks), 3, tracks.shape[1], dtype=tracks.dtype)
    gradient = torch.cat([tracks[:, None], others], dim=1)
    sequence = torch.zeros_like(gradient)
    sequence[:, 0] = 1
    return prior.penalty(Attribution(gradient, tracks), Batch(sequence, torch.ones(len(tracks))))


def check_length(length: int) -> None:
    """Raise UserError for a window without a middle, or one that is too long for the memory."""
    if length < SHORTEST:
        raise UserError(
            f"length {length}: the ends of so short a window are its middle; give {SHORTEST} bp "
            "or more"
        )
    most = int(0.5 * memory_at_hand() / _BYTES)
    if length > most:
        raise UserError(
            f"length {length}: takes {length * _BYTES / 2**30:,.0f} GiB of memory, of which "
            f"{memory_at_hand() / 2**30:,.0f} GiB are at hand; give {most} bp or less"
        )


def penalty_effects(prior: Prior, length: int) -> PenaltyEffects:
    """Return values of a prior's penalty in windows of ``length`` bp.

    Raises:
        UserError: if the window is shorter than SHORTEST.
    """
    check_length(length)
    start = _spread(length - WIDTH)
    gap = _spread(length // 2 - WIDTH)
    # the pair's gap is split between the two ends, and neither motif is cut
    first, second = gap - gap // 2, length - WIDTH - gap // 2
    left = (length - 2 * WIDTH - gap) // 2
    inside = penalties(prior, _with_motifs(length, left, left + WIDTH + gap))
    across = penalties(prior, _with_motifs(length, first, second))
    alone = penalties(prior, _with_motifs(length, first)) / 2
    alone += penalties(prior, _with_motifs(length, second)) / 2
    middle = penalties(prior, _with_motifs(length, np.array([(length - WIDTH) // 2])))
    far = gap + WIDTH >= length // 4
    level = np.linspace(0, 1, 21)
    rise = np.linspace(-1, 1, length)
    there_and_back = np.concatenate([rise[::2], rise[1::2][::-1]])
    return PenaltyEffects(
        length=length,
        start=start,
        lone=penalties(prior, _with_motifs(length, start)),
        gap=gap,
        inside=inside,
        across=across,
        gain_inside=(middle - inside) - (middle - inside)[far].mean(),
        gain_across=(alone - across) - (alone - across)[far].mean(),
        level=level,
        ramp=penalties(prior, 1 + level[:, None] * rise),
        tent=penalties(prior, 1 + level[:, None] * there_and_back),
        noise=float(penalties(prior, _noise(length)).mean()),
    )


def gradient_effects(prior: Prior, length: int) -> GradientEffects:
    """Return pushes of a prior's penalty; raise UserError like :func:`penalty_effects`."""
    check_length(length)
    noise = pushes(prior, _noise(length))
    last = length - WIDTH
    middle = np.linspace(last / 4, 3 * last / 4, 16).round().astype(np.int64)
    motifs = pushes(prior, _FAINT + _with_motifs(length, np.array([0, *middle])))
    # the lowest value is above 0, where |a| has a derivative
    ramp = pushes(prior, np.linspace(_FAINT, 2, length)[None])[0]
    return GradientEffects(
        distance=np.arange(length // 2),
        noise_push=_folded(noise.mean(axis=0)),
        noise_size=_folded(np.abs(noise).mean(axis=0)),
        ramp_push=ramp,
        start_push=motifs[0],
        middle_push=motifs[1:].mean(axis=0),
    )


def _spread(last: int) -> NDArray[np.int64]:
    """Return whole numbers from 0 to ``last``: all near either end, and not too many between."""
    every = np.arange(last + 1)
    if last < _EVERY:
        return every
    between = np.linspace(0, last, _EVERY).round().astype(np.int64)
    near = every[:SHORTEST], every[-SHORTEST:]
    return np.unique(np.concatenate([*near, between, [last // 2]]))


def _with_motifs(length: int, *starts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return (k, length) zeros with motifs added at each of the (k,) starts."""
    tracks = np.zeros((len(starts[0]), length))
    rows = np.arange(len(tracks))[:, None]
    for start in starts:
        tracks[rows, start[:, None] + np.arange(WIDTH)] += motif_shape()
    return tracks


def _noise(length: int) -> NDArray[np.float64]:
    return np.random.default_rng(0).standard_normal((128, length))


def _folded(track: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return (L // 2,) means of the positions that are as far from the nearest end."""
    half = len(track) // 2
    folded: NDArray[np.float64] = (track[:half] + track[::-1][:half]) / 2
    return folded


def effects_of(
    priors: Sequence[tuple[str, Prior]], length: int
) -> dict[str, tuple[PenaltyEffects, GradientEffects]]:
    """Return both kinds of effects, by name of the prior, in windows of ``length`` bp.

    Raises:
        UserError: if the window is too short, or a prior has no penalty on attributions.
    """
    for name, prior in priors:
        if not prior.overrides("penalty"):
            raise UserError(
                f"prior {name!r}: has no penalty on attributions, so nothing happens at the ends; "
                "leave it out"
            )
    return {
        name: (penalty_effects(prior, length), gradient_effects(prior, length))
        for name, prior in priors
    }
