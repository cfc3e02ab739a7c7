"""Base classes of penalties: schedules of the weight, penalised examples, the track of values."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any, Literal, ParamSpec

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from priorbench.errors import UserError

from .prior import Attribution, Prior
from .task import Batch, Task

_MOST_KEPT = 32
"""largest number of constants of a kind that are kept"""
Key = ParamSpec("Key")
# epochs ** -1; for inflate and deflate as published (Tseng, Shrikumar & Kundaje 2020)
_SPEEDS = {"constant": 0.0, "warm-up": 0.5, "inflate": 1.0, "deflate": 0.3}
_MOST_SIGMA = 1000
"""largest standard deviation in bp of the smoothing"""
_SHORT = 400
"""longest track in bp that is smoothed by a matrix"""


@dataclass(frozen=True)
class Penalty(Prior):
    """Base class of priors that add a penalty to the loss.

    The weight may change during training, t epochs after its start, at speed c:

        constant:  1
        warm-up:   min(1, c t), step by step
        inflate:   2 / (1 + exp(-c floor(t))) - 1, as published
        deflate:   exp(-c floor(t)), as published

    Attributes:
        schedule: name of the factor that multiplies the weight.
        schedule_speed: c, in 1 / epoch; 0 for the schedule's own: 0.5 for warm-up, the published
            1 for inflate and 0.3 for deflate.
        every: number K of steps from one application of the penalty to the next; each is K times
            as strong (lazy regularisation, Karras et al. 2020, arXiv:1912.04958).
    """

    schedule: Literal["constant", "warm-up", "inflate", "deflate"] = "constant"
    schedule_speed: float = 0.0
    every: int = 1

    def __post_init__(self) -> None:
        """Refuse options outside their range."""
        if self.schedule_speed < 0:
            raise UserError(
                f"schedule_speed {self.schedule_speed:g} is negative; use 0 for the schedule's own"
            )
        if self.schedule_speed and self.schedule == "constant":
            raise UserError("schedule_speed has no effect without schedule; set schedule=warm-up")
        if self.every < 1:
            raise UserError(f"every {self.every} is not a whole number of steps >= 1")

    def strength(self, elapsed: float, step: int) -> float:
        """Return the schedule's factor; 0 on the steps that ``every`` leaves out."""
        if step % self.every:
            return 0.0
        speed = self.schedule_speed or _SPEEDS[self.schedule]
        epoch = math.floor(elapsed)
        factor = {
            "constant": 1.0,
            "warm-up": min(1.0, speed * elapsed),
            "inflate": 2 / (1 + math.exp(-speed * epoch)) - 1,
            "deflate": math.exp(-speed * epoch),
        }[self.schedule]
        return self.every * factor


@dataclass(frozen=True)
class GradientPrior(Penalty):
    """Base class of priors that read the gradient of all four bases; override ``penalty``.

    Attributes:
        examples: examples that are penalised: ``positives`` (as the task defines them), or
            ``all`` of a batch.
        train_attribution: attribution that is penalised: the study's ``--train-attribution``, or
            one of the prior's own, so that several can be compared.
    """

    examples: Literal["positives", "all"] = "positives"
    train_attribution: Literal[
        "study",
        "input-x-gradient",
        "gradient",
        "simplex-gradient",
        "expected-gradients",
        "integrated-gradients",
    ] = "study"

    @property
    def sees(self) -> str:
        """Spec of the training attribution that the penalty sees; "" for the study's."""
        return "" if self.train_attribution == "study" else self.train_attribution

    def applies(self, batch: Batch, task: Task) -> torch.Tensor:
        """Return (B,) bool, the examples that the option ``examples`` names."""
        positives = task.applies(batch)
        return torch.ones_like(positives) if self.examples == "all" else positives


@dataclass(frozen=True)
class AttributionPrior(GradientPrior):
    """Base class of priors that read one value per position; override ``penalty``.

    Attributes:
        sign: value that is read: the ``absolute`` value of the attribution, the ``signed`` value,
            or its ``positive`` part (negative attributions count as zero).
        smooth_sigma: standard deviation in bp, at least 1, of a Gaussian that smooths this value
            first; 0 for none.
    """

    sign: Literal["absolute", "signed", "positive"] = "absolute"
    smooth_sigma: float = 0.0

    def __post_init__(self) -> None:
        """Refuse options outside their range."""
        super().__post_init__()
        if self.smooth_sigma and not 1 <= self.smooth_sigma <= _MOST_SIGMA:
            raise UserError(
                f"smooth_sigma {self.smooth_sigma:g} is not between 1 and {_MOST_SIGMA} bp; use 0 "
                "for none"
            )

    def raw_track(self, attribution: Attribution) -> torch.Tensor:
        """Return the (B, L) value of each position that the option ``sign`` names, not smoothed.

        It is float32, or the attribution's dtype where that is finer.
        """
        observed = at_least_float32(attribution.observed)
        if self.sign == "signed":
            return observed
        return observed.abs() if self.sign == "absolute" else observed.clamp(min=0)

    def track(self, attribution: Attribution) -> torch.Tensor:
        """Return the (B, L) value of each position, smoothed by the option ``smooth_sigma``."""
        return smooth(self.raw_track(attribution), self.smooth_sigma)


def unit(values: torch.Tensor, dim: int) -> torch.Tensor:
    """Return values over the largest magnitude along a dimension, which is held fixed.

    Penalties that do not depend on the scale keep their value and gradient, and are finite for
    magnitudes that float32 cannot square. Where all values vanish, or are below the smallest
    normal number, the result is 0, and so is its gradient.
    """
    size = values.detach().abs().amax(dim=dim, keepdim=True)
    vanishes = size < torch.finfo(values.dtype).tiny
    return torch.where(vanishes, torch.zeros_like(values), values / size.masked_fill(vanishes, 1))


def at_least_float32(values: torch.Tensor) -> torch.Tensor:
    """Return half-precision values as float32; others as they are."""
    return values.float() if values.dtype in (torch.float16, torch.bfloat16) else values


def smooth(
    track: torch.Tensor, sigma: float, *, beyond: Literal["zeros", "circular"] = "zeros"
) -> torch.Tensor:
    """Return the (B, L) floating track, smoothed by a Gaussian that is truncated at one sigma.

    The published Fourier loss smooths in this way (Tseng, Shrikumar & Kundaje 2020).

    Args:
        track: (B, L) floating.
        sigma: standard deviation in bp; the window has 1 + 2 * floor(sigma) positions, so that
            a sigma below 1 does not smooth.
        beyond: continuation of the track past its ends: zeros, as published, or its other end.
    """
    radius = int(sigma)
    if radius == 0:
        return track
    length, kind = track.shape[1], (track.dtype, track.device)
    with torch.autocast(track.device.type, enabled=False):
        if length <= _SHORT:
            return track @ _smoothing(length, sigma, beyond, *kind)
        if beyond == "zeros":
            padded = F.pad(track, (radius, radius))
        else:
            around = torch.arange(-radius, length + radius, device=track.device) % length
            padded = track[:, around]
        return F.conv1d(padded[:, None], _kernel(sigma, *kind)[None, None])[:, 0]


def kept(compute: Callable[Key, torch.Tensor]) -> Callable[Key, torch.Tensor]:
    """Return a function that computes a constant tensor once for equal arguments, and keeps some.

    What stands for another tensor while torch traces or transforms (``FakeTensorMode``,
    ``make_fx``, ``functionalize``) is not kept, and what is kept is not given to a tracer.
    """
    store: dict[Any, torch.Tensor] = {}

    @wraps(compute)
    def look_up(*args: Key.args, **kwargs: Key.kwargs) -> torch.Tensor:
        key = (*args, *kwargs.values())
        modes = torch._C._TorchDispatchModeKey
        tracers = (modes.FAKE, modes.PROXY, modes.FUNCTIONAL)
        if any(torch._C._get_dispatch_mode(mode) is not None for mode in tracers):
            return compute(*args, **kwargs)
        value = store.get(key)
        if value is None:
            with torch.inference_mode(False):
                value = compute(*args, **kwargs)
            stands_for_another = torch._C._functorch.is_functorch_wrapped_tensor(value)
            if stands_for_another or torch._is_functional_tensor(value):
                return value
            while len(store) >= _MOST_KEPT:
                store.pop(next(iter(store)), None)
            store[key] = value
        return value

    return look_up


def constant(values: NDArray[np.float64], dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    """Return numbers as a tensor on a device."""
    return torch.from_numpy(values).to(device=device, dtype=dtype)


def _gaussian(sigma: float) -> NDArray[np.float64]:
    """Return the (1 + 2 * floor(sigma),) weights, which add up to 1."""
    offsets = np.arange(-int(sigma), int(sigma) + 1)
    kernel = np.exp(-0.5 * (offsets / sigma) ** 2)
    weights: NDArray[np.float64] = kernel / kernel.sum()
    return weights


@kept
def _kernel(sigma: float, dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    return constant(_gaussian(sigma), dtype, device)


@kept
def _smoothing(
    length: int, sigma: float, beyond: str, dtype: torch.dtype, device: torch.device
) -> torch.Tensor:
    """Return a (length, length) matrix whose row i says where the value at i goes.

    For short tracks a product with it takes less time than a convolution with one channel.
    """
    kernel = _gaussian(sigma)
    rows = np.repeat(np.arange(length), len(kernel))
    columns = rows + np.tile(np.arange(len(kernel)) - int(sigma), length)
    weights = np.tile(kernel, length)
    inside = (columns >= 0) & (columns < length)
    if beyond == "zeros":
        rows, columns, weights = rows[inside], columns[inside], weights[inside]
    matrix = np.zeros((length, length))
    np.add.at(matrix, (rows, columns % length), weights)
    return constant(matrix, dtype, device)
