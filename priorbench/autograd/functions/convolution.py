"""Convolutions whose gradient by the input is differentiated once more by the usual kernels.

Torch differentiates it by a convolution whose kernel is as long as the sequence, which takes up to
three times as long as the gradient by the weight, which it is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F

from priorbench.autograd.statistics_gate import StatisticsGate

_aten: Any = torch.ops.aten
_Gradients = tuple[torch.Tensor | None, torch.Tensor | None, torch.Tensor | None]
_Size = int | Sequence[int]
CONVOLUTIONS = {F.conv1d: 1, F.conv2d: 2}
"""functions of torch that are replaced, and along how many dimensions they go"""


def replace_convolution(
    function: Callable[..., torch.Tensor], gate: StatisticsGate
) -> Callable[..., torch.Tensor]:
    """Return what is called in place of a convolution of torch.

    Those whose weight is no parameter, as where norms of weights make it, go by torch's own, and so
    do those within ``torch.func`` and autocast.

    Args:
        function: one of ``CONVOLUTIONS``.
        gate: gate that is closed while attributions are taken, which need no gradients of weights.
    """
    dimensions = CONVOLUTIONS[function]

    def convolve(  # noqa: PLR0917 (the signature of torch)
        input: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None = None,
        stride: _Size = 1,
        padding: _Size | str = 0,
        dilation: _Size = 1,
        groups: int = 1,
    ) -> torch.Tensor:
        padded = _padding(padding, stride, dilation, weight)
        if padded is None or not _suits(input, weight, bias, dimensions):
            return function(input, weight, bias, stride, padding, dilation, groups)
        steps, zeros, gaps = (_per_dimension(n, dimensions) for n in (stride, padded, dilation))
        form = _Form(steps, zeros, gaps, groups)
        result: torch.Tensor = _Convolution.apply(input, weight, bias, form, gate)  # type: ignore[no-untyped-call]
        return result

    return convolve


class _Form(NamedTuple):
    """How a convolution goes: for every dimension, but for the groups.

    Attributes:
        stride: positions from one to the next.
        padding: zeros on either side.
        dilation: positions between those that a filter sees.
        groups: groups of channels.
    """

    stride: list[int]
    padding: list[int]
    dilation: list[int]
    groups: int

    def convolve(
        self, value: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Return the convolution."""
        result: torch.Tensor = _aten.convolution(
            value, weight, bias, *self[:3], False, [0], self.groups
        )
        return result

    def gradients(
        self,
        gradient: torch.Tensor,
        value: torch.Tensor,
        weight: torch.Tensor,
        needed: Sequence[bool],
    ) -> _Gradients:
        """Return the gradients by value, weight and bias that are needed, None for the others."""
        result: _Gradients = _aten.convolution_backward(
            gradient, value, weight, [len(weight)], *self[:3], False, [0], self.groups, needed
        )
        return result


class _Convolution(torch.autograd.Function):
    """The convolution itself."""

    @staticmethod
    def forward(  # noqa: PLR0917 (a context, and what it is applied to)
        ctx: Any,
        value: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        form: _Form,
        gate: StatisticsGate,
    ) -> torch.Tensor:
        ctx.save_for_backward(value, weight)
        ctx.form, ctx.gate = form, gate
        return form.convolve(value, weight, bias)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> Any:
        (gradient,), (value, weight) = gradients, ctx.saved_tensors
        by_value, by_weight, by_bias = ctx.needs_input_grad[:3]
        if not ctx.gate.is_open:  # an attribution: weights are constants
            by_weight = by_bias = False
        if not torch.is_grad_enabled():
            needed = (by_value, by_weight, by_bias)
            return *ctx.form.gradients(gradient, value, weight, needed), None, None
        result = [None, None, None]
        if by_weight or by_bias:
            result = list(ctx.form.gradients(gradient, value, weight, (False, by_weight, by_bias)))
        if by_value:
            result[0] = _ValueGradient.apply(gradient, weight, value, ctx.form)  # type: ignore[no-untyped-call]
        return *result, None, None


class _ValueGradient(torch.autograd.Function):
    """The gradient by what is convolved, which is linear in the outer gradient and the weight."""

    @staticmethod
    def forward(
        ctx: Any, gradient: torch.Tensor, weight: torch.Tensor, value: torch.Tensor, form: _Form
    ) -> torch.Tensor | None:
        ctx.save_for_backward(gradient, weight)
        ctx.form = form
        return form.gradients(gradient, value, weight, (True, False, False))[0]

    @staticmethod
    def backward(ctx: Any, *slopes: torch.Tensor) -> Any:
        (slope,), (gradient, weight) = slopes, ctx.saved_tensors
        by_gradient = by_weight = None
        if ctx.needs_input_grad[0]:
            by_gradient = ctx.form.convolve(slope, weight)
        if ctx.needs_input_grad[1]:
            by_weight = ctx.form.gradients(gradient, slope, weight, (False, True, False))[1]
        return by_gradient, by_weight, None, None


def _suits(
    value: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, dimensions: int
) -> bool:
    return (
        torch.is_grad_enabled()
        and weight.is_leaf
        and (bias is None or bias.is_leaf)
        and type(value) is torch.Tensor
        and value.dim() == dimensions + 2
        and value.dtype == weight.dtype
        and value.is_floating_point()
        and not torch.is_autocast_enabled(value.device.type)
        and torch._C._functorch.peek_interpreter_stack() is None
    )


def _per_dimension(size: _Size, dimensions: int) -> list[int]:
    sizes = [size] if isinstance(size, int) else list(size)
    return sizes * dimensions if len(sizes) == 1 else sizes


def _padding(
    padding: _Size | str, stride: _Size, dilation: _Size, weight: torch.Tensor
) -> _Size | None:
    """Return the padding in numbers; None where it is not the same on both sides."""
    if not isinstance(padding, str):
        return padding
    if padding == "valid":
        return 0
    kernel = weight.shape[2:]
    reach = [
        step * (size - 1)
        for step, size in zip(_per_dimension(dilation, len(kernel)), kernel, strict=True)
    ]
    strides = _per_dimension(stride, len(kernel))
    even = padding == "same" and all(size % 2 == 0 for size in reach) and set(strides) == {1}
    return [size // 2 for size in reach] if even else None
