"""Batch norm of a batch in parts, with the statistics of all of them together.

The statistics are among its outputs: a penalty on attributions is differentiated through them.
While attributions are taken (the gate is closed) they are held fixed, and no gradient passes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from .layers import Gate, Parts, Results, joined, separate

Affine = tuple[torch.Tensor | None, torch.Tensor | None]
"""(C,) weight and bias, or None"""


@dataclass(frozen=True)
class Running:
    """Statistics that those of batches are averaged into.

    Attributes:
        mean: (C,), or None.
        variance: (C,), or None.
        momentum: share of the new ones.
    """

    mean: torch.Tensor | None
    variance: torch.Tensor | None
    momentum: float

    def update(self, mean: torch.Tensor, variance: torch.Tensor) -> None:
        """Move towards the statistics of a batch.

        As in torch's own kernel autograd does not see it, so that another forward pass of the
        same step, which keeps the running statistics for its backward pass, stays valid.
        """
        for running, now in ((self.mean, mean), (self.variance, variance)):
            if running is not None:
                running.data.lerp_(now.to(running), self.momentum)


@dataclass(frozen=True)
class Normed:
    """A batch after batch norm.

    Attributes:
        parts: normalised.
        mean: (C,) of the batch.
        inverse: (C,) 1 / sqrt(variance + eps).
    """

    parts: Parts
    mean: torch.Tensor
    inverse: torch.Tensor


def batch_norm(parts: Parts, affine: Affine, running: Running, *, eps: float, gate: Gate) -> Normed:
    """``torch.nn.functional.batch_norm`` in training mode.

    Args:
        parts: (B, C, ...) each.
        affine: of the channels.
        running: is updated.
        eps: added to the variance.
        gate: whether gradients pass into the statistics.

    Raises:
        ValueError: for a single value per channel.
    """
    whole = parts.joined()
    count = whole.numel() // max(whole.shape[1], 1)
    if count < 2:
        raise ValueError(f"batch norm needs more than one value per channel, got {count}")
    *results, result, mean, inverse = _BatchNorm.apply(  # type: ignore[no-untyped-call]
        gate, eps, running, whole, *affine, *parts.pieces
    )
    return Normed(Parts(results, result), mean, inverse)


def normalise(value: torch.Tensor, by: Normed, affine: Affine) -> torch.Tensor:
    """Batch norm of (B, C, ...) by the statistics of a batch that it is no part of."""
    weight, bias = affine
    scale = by.inverse if weight is None else by.inverse * weight
    shift = -by.mean * scale if bias is None else bias - by.mean * scale
    return torch.addcmul(_along(shift, value), value, _along(scale, value))


def _along(channels: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    """(C,) as it goes with (B, C, ...)."""
    return channels.view(-1, *[1] * (value.dim() - 2))


class _BatchNorm(torch.autograd.Function):
    """Results for each part, all of them in one tensor without gradient, mean and inverse."""

    @staticmethod
    def forward(
        ctx: Any, gate: Gate, eps: float, running: Running, whole: torch.Tensor, *tensors: Any
    ) -> Results:
        weight, bias, *parts = tensors
        dims = [0, *range(2, whole.dim())]
        count = whole.numel() // whole.shape[1]
        # sums over half-precision values are float32
        value = whole.float() if whole.dtype in (torch.float16, torch.bfloat16) else whole
        mean = value.mean(dims)
        # in passes that torch vectorises; its own kernel and addcmul take twice as long on CPU
        centred = value - _along(mean, value)
        variance = (centred * centred).mean(dims)
        running.update(mean, variance * (count / (count - 1)))
        inverse = torch.rsqrt(variance + eps)
        result = centred.mul_(_along(inverse if weight is None else inverse * weight, value))
        if bias is not None:
            result.add_(_along(bias, value))
        result = result.to(whole.dtype)
        ctx.gate, ctx.eps, ctx.biased = gate, eps, bias is not None
        ctx.sizes = [part.shape[0] for part in parts]
        ctx.save_for_backward(weight, mean, inverse, whole, *parts)
        ctx.set_materialize_grads(False)
        ctx.mark_non_differentiable(result)
        return (*separate(result, ctx.sizes), result, mean, inverse)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor | None) -> tuple[Any, ...]:
        weight, mean, inverse, whole, *parts = ctx.saved_tensors
        *of_parts, _, of_mean, of_inverse = gradients
        if not ctx.gate.is_open:
            scale = inverse if weight is None else inverse * weight
            fixed = [None if g is None else (g * _along(scale, g)).to(g.dtype) for g in of_parts]
            return (None, None, None, None, None, None, *fixed)
        if torch.is_grad_enabled():
            whole = torch.cat(parts)  # someone differentiates once more
        by_input, by_weight, by_bias = _by_results(ctx, of_parts, whole)
        through = _through_statistics(whole, (mean, inverse), (of_mean, of_inverse))
        if by_input is None or through is None:
            by_input = through if by_input is None else by_input
        elif torch.is_grad_enabled():
            by_input = by_input + through
        else:
            by_input.add_(through)
        pieces: Sequence[Any] = [None] * len(parts)
        if by_input is not None:
            pieces = torch.split_with_sizes(by_input, ctx.sizes)
        return (None, None, None, None, by_weight, by_bias, *pieces)


def _by_results(
    ctx: Any, gradients: Sequence[torch.Tensor | None], whole: torch.Tensor
) -> Sequence[torch.Tensor | None]:
    """Gradients by input, weight and bias that come through the normalised values."""
    if all(gradient is None for gradient in gradients):
        return None, None, None
    weight, mean, inverse, _, *parts = ctx.saved_tensors
    given = [
        torch.zeros_like(part) if gradient is None else gradient
        for gradient, part in zip(gradients, parts, strict=True)
    ]
    asked = [True, weight is not None, ctx.biased]
    # of the statistics, as functions of the input, torch's own derivative knows
    statistics = mean.detach(), inverse.detach()
    found: Sequence[torch.Tensor | None] = torch.ops.aten.native_batch_norm_backward(
        joined(given), whole, weight, None, None, *statistics, True, ctx.eps, asked
    )
    return [one if wanted else None for one, wanted in zip(found, asked, strict=True)]


def _through_statistics(
    whole: torch.Tensor,
    statistics: tuple[torch.Tensor, torch.Tensor],
    gradients: tuple[torch.Tensor | None, torch.Tensor | None],
) -> torch.Tensor | None:
    """The gradient by the input that comes through mean and 1 / sqrt(variance + eps).

    d mean / d x = 1 / n, d inverse / d x = -inverse^3 (x - mean) / n.
    """
    (mean, inverse), (of_mean, of_inverse) = statistics, gradients
    count = whole.numel() // whole.shape[1]
    if of_inverse is None:
        return None if of_mean is None else _along(of_mean / count, whole).expand_as(whole)
    slope = -of_inverse * inverse**3 / count
    level = -slope * mean if of_mean is None else of_mean / count - slope * mean
    scaled, level = whole * _along(slope, whole), _along(level, whole)
    found = scaled + level if torch.is_grad_enabled() else scaled.add_(level)
    return found.to(whole.dtype)
