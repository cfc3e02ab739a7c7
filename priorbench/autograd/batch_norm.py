"""Batch norm in training mode, with the statistics of the batch as results of their own."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar, NamedTuple

import torch

from .layers import Gradients, Layer, LayerOutput, Parameters, SavedLayer, SecondDerivatives


@dataclass(frozen=True, eq=False)
class RunningStatistics:
    """Statistics into which those of batches are averaged.

    Attributes:
        mean: (C,), or None.
        variance: (C,), or None.
        momentum: share of the newest batch; None for the mean of all batches.
        batches: () number of batches so far, or None if it is not counted.
    """

    mean: torch.Tensor | None
    variance: torch.Tensor | None
    momentum: float | None
    batches: torch.Tensor | None = None

    def update(self, mean: torch.Tensor, variance: torch.Tensor, count: int) -> None:
        """Move towards the statistics of a batch, the variance as that of ``count`` values.

        Autograd does not notice, as in torch's own kernel: another forward pass of the same step,
        which saved the running statistics for its backward pass, stays valid.
        """
        if self.batches is not None:
            self.batches.add_(1)
        share = self.momentum
        if share is None:
            # networks that train at once have the same number of batches
            share = 0.0 if self.batches is None else 1 / float(self.batches.flatten()[0])
        unbiased = variance * (count / (count - 1))
        for running, newest in ((self.mean, mean), (self.variance, unbiased)):
            if running is not None:
                running.data.lerp_(newest.to(running), share)


@dataclass(frozen=True, eq=False)
class BatchNorm(Layer):
    """``torch.nn.functional.batch_norm`` of (B, C, ...); its parameters are weight and bias.

    Its statistics are the mean and the (biased) variance, (C,) each. The first rows are examples
    and make the statistics; the others, path points, are normalised by them and have no share.

    Attributes:
        eps: constant added to the variance.
        example_rows: number of rows that are examples.
        running: running statistics, which are updated.
    """

    parameter_count: ClassVar[int] = 2
    statistic_count: ClassVar[int] = 2

    eps: float
    example_rows: int
    running: RunningStatistics
    _known: dict[str, torch.Tensor] = field(default_factory=dict, init=False, repr=False)
    """what the passes of a step read several times of the statistics, without history"""

    @property
    def state(self) -> Parameters:
        """Running mean, running variance and number of batches."""
        return (self.running.mean, self.running.variance, self.running.batches)

    def for_members(self, members: int, state: Parameters) -> BatchNorm:
        """Return batch norm of the channels of all networks."""
        mean, variance, batches = state
        # views, so that the networks' own statistics change
        joined = [None if stacked is None else stacked.view(-1) for stacked in (mean, variance)]
        running = RunningStatistics(joined[0], joined[1], self.running.momentum, batches)
        return replace(self, running=running)

    def forward(self, value: torch.Tensor, parameters: Parameters) -> LayerOutput:
        """Normalise; ValueError for a single value per channel."""
        exact = _at_least_float32(value)
        dims = [0, *range(2, value.dim())]
        count = self.example_rows * math.prod(value.shape[2:])
        if count < 2:
            raise ValueError(f"batch norm needs more than one value per channel, got {count}")
        mean = exact.narrow(0, 0, self.example_rows).mean(dims)
        # in passes that torch vectorises; its own kernel takes twice as long on CPU
        centred = exact - _along(mean, value)
        examples = centred.narrow(0, 0, self.example_rows)
        variance = (examples * examples).mean(dims)
        self._known.clear()
        first_pass = not torch.is_grad_enabled()  # a second one is there to be differentiated
        if first_pass:
            self.running.update(mean, variance, count)
        memory = centred if first_pass else None
        result = torch.mul(centred, _along(self._scale(variance, parameters), value), out=memory)
        if parameters[1] is not None:
            result += _along(parameters[1], value)
        return LayerOutput(result.to(value.dtype), None, (mean, variance))

    def input_gradient(self, gradient: torch.Tensor, saved: SavedLayer) -> torch.Tensor:
        """Return the gradient times weight / sqrt(variance + eps)."""
        scale = self._scale(saved.statistics[1], saved.parameters)
        return (gradient * _along(scale, gradient)).to(gradient.dtype)

    def second_derivatives(
        self, slope: torch.Tensor, gradient: torch.Tensor, saved: SavedLayer
    ) -> SecondDerivatives:
        """Return the derivatives by the gradient, the weight and the variance."""
        by_weight, by_variance = self._through_scale(_sums(slope * gradient), saved)
        by_gradient = self.input_gradient(slope, saved)
        return SecondDerivatives(by_gradient, (by_weight, None), (None, by_variance))

    def all_gradients(
        self, gradient: torch.Tensor, saved: SavedLayer, by_statistics: Gradients, needs_input: bool
    ) -> tuple[torch.Tensor | None, Gradients]:
        """Return all gradients, for examples through the statistics."""
        rows = len(gradient) - self.example_rows
        if not rows:
            return self._by_examples(gradient, saved, by_statistics)
        by_points, of_points, through_points = self._by_path_points(
            gradient.narrow(0, self.example_rows, rows), saved.rows(self.example_rows, rows)
        )
        by_examples, of_examples = self._by_examples(
            gradient.narrow(0, 0, self.example_rows),
            saved.rows(0, self.example_rows),
            _sum_pairs(by_statistics, through_points),
        )
        return torch.cat([by_examples, by_points]), _sum_pairs(of_examples, of_points)

    def _by_examples(
        self, gradient: torch.Tensor, saved: SavedLayer, by_statistics: Gradients
    ) -> tuple[torch.Tensor, Gradients]:
        """Return the gradients by the input, and by weight and bias.

        d mean / d x = 1 / n, d variance / d x = 2 (x - mean) / n.
        """
        value, (weight, bias), (mean, variance) = saved.value, saved.parameters, saved.statistics
        inverse, needed = self._inverse(variance), [True, weight is not None, bias is not None]
        # the kernel wants the weight as fine as the statistics
        exact = None if weight is None else weight.to(inverse.dtype)
        by_input, *by_affine = torch.ops.aten.native_batch_norm_backward(
            gradient, value, exact, None, None, mean, inverse, True, self.eps, needed
        )
        by_mean, by_variance = by_statistics
        count = value.numel() // value.shape[1]
        if by_variance is not None:
            slope = by_variance * (2 / count)
            by_input += value * _along(slope, value)
            by_mean = _sum(by_mean, -slope * mean * count)
        if by_mean is not None:
            by_input += _along(by_mean / count, value)
        pairs = zip(by_affine, needed[1:], strict=True)
        return by_input, [computed if need else None for computed, need in pairs]

    def _by_path_points(
        self, gradient: torch.Tensor, saved: SavedLayer
    ) -> tuple[torch.Tensor, Gradients, Gradients]:
        """Return the gradients by the points, by weight and bias, and by the statistics."""
        mean, variance = saved.statistics
        by_bias = _sums(gradient)
        by_scale = _sums(gradient * (saved.value - _along(mean, gradient)))
        by_weight, by_variance = self._through_scale(by_scale, saved)
        by_mean = -by_bias * self._scale(variance, saved.parameters)
        by_parameters = (by_weight, None if saved.parameters[1] is None else by_bias)
        return self.input_gradient(gradient, saved), by_parameters, (by_mean, by_variance)

    def _inverse(self, variance: torch.Tensor) -> torch.Tensor:
        return self._once("inverse", lambda: torch.rsqrt(variance + self.eps))

    def _scale(self, variance: torch.Tensor, parameters: Parameters) -> torch.Tensor:
        weight = parameters[0]
        if weight is None:
            return self._inverse(variance)
        return self._once("scale", lambda: self._inverse(variance) * weight)

    def _once(self, name: str, compute: Callable[[], torch.Tensor]) -> torch.Tensor:
        """Return a value of the last forward pass, computed once unless autograd follows it."""
        if torch.is_grad_enabled():
            return compute()
        if name not in self._known:
            self._known[name] = compute()
        return self._known[name]

    def _through_scale(
        self, by_scale: torch.Tensor, saved: SavedLayer
    ) -> tuple[torch.Tensor | None, torch.Tensor]:
        """Return the gradients by weight and variance from that by the scale s.

        s = weight / sqrt(variance + eps); d s / d variance = -s / (2 (variance + eps)).
        """
        variance, weight = saved.statistics[1], saved.parameters[0]
        scale = self._scale(variance, saved.parameters)
        by_variance = by_scale * scale / (-2 * (variance + self.eps))
        return None if weight is None else by_scale * self._inverse(variance), by_variance


class BatchNormCall(NamedTuple):
    """The arguments of ``torch.nn.functional.batch_norm``."""

    input: torch.Tensor
    running_mean: torch.Tensor | None
    running_var: torch.Tensor | None
    weight: torch.Tensor | None = None
    bias: torch.Tensor | None = None
    training: bool = False
    momentum: float = 0.1
    eps: float = 1e-5

    @property
    def parameters(self) -> Parameters:
        """Weight and bias."""
        return self.weight, self.bias

    def layer(self, example_rows: int, *, tracked: bool = True) -> BatchNorm:
        """Return what the call does in training mode; ``tracked`` updates running statistics."""
        mean, variance = (self.running_mean, self.running_var) if tracked else (None, None)
        running = RunningStatistics(mean, variance, self.momentum)
        return BatchNorm(self.eps, example_rows, running)


def normalise(
    value: torch.Tensor, statistics: Sequence[torch.Tensor], parameters: Parameters, eps: float
) -> torch.Tensor:
    """Normalise (B, C, ...) by the mean and variance of a batch in which it has no share."""
    (mean, variance), (weight, bias) = statistics, parameters
    scale = torch.rsqrt(variance + eps)
    scale = scale if weight is None else scale * weight
    shift = -mean * scale if bias is None else bias - mean * scale
    return torch.addcmul(_along(shift, value), value, _along(scale, value)).to(value.dtype)


def _along(channels: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    """Return (C,) in a shape that is broadcast to (B, C, ...)."""
    return channels.view(-1, *[1] * (value.dim() - 2))


def _sums(value: torch.Tensor) -> torch.Tensor:
    """Return the sum (C,) over all but the channels of (B, C, ...)."""
    return _at_least_float32(value).sum([0, *range(2, value.dim())])


def _at_least_float32(value: torch.Tensor) -> torch.Tensor:
    return value.float() if value.dtype in (torch.float16, torch.bfloat16) else value


def _sum(first: torch.Tensor | None, second: torch.Tensor | None) -> torch.Tensor | None:
    if first is None or second is None:
        return second if first is None else first
    return first + second


def _sum_pairs(first: Gradients, second: Gradients) -> Gradients:
    return [_sum(*pair) for pair in zip(first, second, strict=True)]
