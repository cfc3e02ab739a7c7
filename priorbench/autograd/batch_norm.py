"""Batch norm in training mode, with the statistics of the batch as a result of their own."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import torch

from .layers import Gradients, Layer, Made, Parameters, Second, Seen


@dataclass(frozen=True, eq=False)
class Running:
    """Statistics that those of batches are averaged into.

    Attributes:
        mean: (C,), or None.
        variance: (C,), or None.
        momentum: share of the new ones; None for the mean of all batches.
        batches: () how many there were, or None if nobody counts.
    """

    mean: torch.Tensor | None
    variance: torch.Tensor | None
    momentum: float | None
    batches: torch.Tensor | None = None

    def update(self, mean: torch.Tensor, variance: torch.Tensor, count: int) -> None:
        """Move towards the statistics of a batch, the variance as that of ``count`` values.

        As in torch's own kernel autograd does not see it, so that another forward pass of the
        same step, which keeps the running statistics for its backward pass, stays valid.
        """
        if self.batches is not None:
            self.batches.add_(1)
        share = self.momentum
        if share is None:
            # several networks have seen equally many
            share = 0.0 if self.batches is None else 1 / float(self.batches.flatten()[0])
        unbiased = variance * (count / (count - 1))
        for running, now in ((self.mean, mean), (self.variance, unbiased)):
            if running is not None:
                running.data.lerp_(now.to(running), share)


@dataclass(frozen=True, eq=False)
class BatchNorm(Layer):
    """``torch.nn.functional.batch_norm`` of (B, C, ...); parameters are weight and bias.

    Statistics are mean and (biased) variance, (C,) each.

    Attributes:
        eps: added to the variance.
        examples: the first so many rows make the statistics; those behind are normalised by them.
        running: is updated.
    """

    parameters: ClassVar[int] = 2
    statistics: ClassVar[int] = 2

    eps: float
    examples: int
    running: Running

    @property
    def state(self) -> Parameters:
        """See Layer.state."""
        return (self.running.mean, self.running.variance, self.running.batches)

    def for_members(self, members: int, state: Parameters) -> BatchNorm:
        """See Layer.for_members."""
        mean, variance, batches = state
        # views, so that what is changed is that of the networks
        joined = [None if one is None else one.view(-1) for one in (mean, variance)]
        running = Running(joined[0], joined[1], self.running.momentum, batches)
        return replace(self, running=running)

    def forward(self, value: torch.Tensor, parameters: Parameters) -> Made:
        """See Layer.forward; ValueError for a single value per channel."""
        exact = _at_least_float32(value)
        dims = [0, *range(2, value.dim())]
        count = self.examples * math.prod(value.shape[2:])
        if count < 2:
            raise ValueError(f"batch norm needs more than one value per channel, got {count}")
        mean = exact.narrow(0, 0, self.examples).mean(dims)
        # in passes that torch vectorises; its own kernel takes twice as long on CPU
        centred = exact - _along(mean, value)
        examples = centred.narrow(0, 0, self.examples)
        variance = (examples * examples).mean(dims)
        first = not torch.is_grad_enabled()  # else it is gone through again, to be differentiated
        if first:
            self.running.update(mean, variance, count)
        here = centred if first else None
        result = torch.mul(centred, _along(self._scale(variance, parameters), value), out=here)
        if parameters[1] is not None:
            result += _along(parameters[1], value)
        return Made(result.to(value.dtype), None, (mean, variance))

    def by_input(self, gradient: torch.Tensor, seen: Seen) -> torch.Tensor:
        """See Layer.by_input."""
        scale = self._scale(seen.statistics[1], seen.parameters)
        return (gradient * _along(scale, gradient)).to(gradient.dtype)

    def second(self, slope: torch.Tensor, gradient: torch.Tensor, seen: Seen) -> Second:
        """See Layer.second."""
        by_scale = _sums(slope * gradient)
        by_weight, by_variance = self._through_scale(by_scale, seen)
        return Second(self.by_input(slope, seen), (by_weight, None), (None, by_variance))

    def by_all(
        self, gradient: torch.Tensor, seen: Seen, of_statistics: Gradients, wanted: bool
    ) -> tuple[torch.Tensor | None, Gradients]:
        """See Layer.by_all."""
        guests = len(gradient) - self.examples
        if not guests:
            return self._of_examples(gradient, seen, of_statistics)
        others = gradient.narrow(0, self.examples, guests)
        of_guests = self._of_guests(others, seen.rows(self.examples, guests))
        totals = [
            _total(*pair) for pair in zip(of_statistics, of_guests.by_statistics, strict=True)
        ]
        own = gradient.narrow(0, 0, self.examples), seen.rows(0, self.examples)
        by_input, by_parameters = self._of_examples(*own, totals)
        pairs = zip(by_parameters, of_guests.by_parameters, strict=True)
        return torch.cat([by_input, of_guests.by_gradient]), [_total(*pair) for pair in pairs]

    def _of_examples(
        self, gradient: torch.Tensor, seen: Seen, of_statistics: Gradients
    ) -> tuple[torch.Tensor, Gradients]:
        """By the input, and by weight and bias.

        d mean / d x = 1 / n, d variance / d x = 2 (x - mean) / n.
        """
        value, (weight, bias), (mean, variance) = seen.value, seen.parameters, seen.statistics
        asked = [True, weight is not None, bias is not None]
        by_input, *found = torch.ops.aten.native_batch_norm_backward(
            gradient,
            value,
            weight,
            None,
            None,
            mean,
            self._inverse(variance),
            True,
            self.eps,
            asked,
        )
        of_mean, of_variance = of_statistics
        count = value.numel() // value.shape[1]
        if of_variance is not None:
            slope = of_variance * (2 / count)
            by_input += value * _along(slope, value)
            of_mean = _total(of_mean, -slope * mean * count)
        if of_mean is not None:
            by_input += _along(of_mean / count, value)
        by_parameters = [
            one if wanted else None for one, wanted in zip(found, asked[1:], strict=True)
        ]
        return by_input, by_parameters

    def _of_guests(self, gradient: torch.Tensor, seen: Seen) -> Second:
        """By their input, by weight and bias, and by the statistics."""
        mean, variance = seen.statistics
        by_bias = _sums(gradient)
        by_weight, by_variance = self._through_scale(
            _sums(gradient * (seen.value - _along(mean, gradient))), seen
        )
        by_mean = -by_bias * self._scale(variance, seen.parameters)
        if seen.parameters[1] is None:
            return Second(self.by_input(gradient, seen), (by_weight, None), (by_mean, by_variance))
        return Second(self.by_input(gradient, seen), (by_weight, by_bias), (by_mean, by_variance))

    def _inverse(self, variance: torch.Tensor) -> torch.Tensor:
        return torch.rsqrt(variance + self.eps)

    def _scale(self, variance: torch.Tensor, parameters: Parameters) -> torch.Tensor:
        weight = parameters[0]
        return self._inverse(variance) if weight is None else self._inverse(variance) * weight

    def _through_scale(
        self, by_scale: torch.Tensor, seen: Seen
    ) -> tuple[torch.Tensor | None, torch.Tensor]:
        """By weight and variance, from that by s = weight / sqrt(variance + eps).

        d s / d variance = -s / (2 (variance + eps)).
        """
        variance = seen.statistics[1]
        by_variance = (
            by_scale * self._scale(variance, seen.parameters) / (-2 * (variance + self.eps))
        )
        return (
            None if seen.parameters[0] is None else by_scale * self._inverse(variance)
        ), by_variance


def normalise(
    value: torch.Tensor, statistics: Sequence[torch.Tensor], parameters: Parameters, eps: float
) -> torch.Tensor:
    """Batch norm of (B, C, ...) by the mean and variance of a batch that it is no part of."""
    (mean, variance), (weight, bias) = statistics, parameters
    scale = torch.rsqrt(variance + eps)
    scale = scale if weight is None else scale * weight
    shift = -mean * scale if bias is None else bias - mean * scale
    return torch.addcmul(_along(shift, value), value, _along(scale, value)).to(value.dtype)


def _along(channels: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    """(C,) as it goes with (B, C, ...)."""
    return channels.view(-1, *[1] * (value.dim() - 2))


def _sums(value: torch.Tensor) -> torch.Tensor:
    """(C,) of (B, C, ...)."""
    return _at_least_float32(value).sum([0, *range(2, value.dim())])


def _at_least_float32(value: torch.Tensor) -> torch.Tensor:
    return value.float() if value.dtype in (torch.float16, torch.bfloat16) else value


def _total(one: torch.Tensor | None, other: torch.Tensor | None) -> torch.Tensor | None:
    if one is None or other is None:
        return other if one is None else one
    return one + other
