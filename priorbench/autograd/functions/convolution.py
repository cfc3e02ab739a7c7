"""Convolutions whose gradient by the input is differentiated once more by the usual kernels.

Torch differentiates it by a convolution whose kernel is as long as the sequence, which is slow
where the convolution's own kernel is short or dilated; it is a gradient by the weight.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import index
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch.autograd import forward_ad

_aten: Any = torch.ops.aten
_Gradients = tuple[torch.Tensor | None, torch.Tensor | None, torch.Tensor | None]
_Size = int | list[int] | tuple[int, ...]
CONVOLUTIONS = {F.conv1d: 1, F.conv2d: 2}
"""functions of torch that are replaced, and along how many dimensions they go"""
FEWEST_PRODUCTS, _LONGEST_KERNEL = 30_000_000, 5
"""fewest products of a convolution that is replaced, and its longest kernel if it is not dilated:
others gain nothing, or less than it takes to call this; measured in docs/performance.md"""
_runs: Callable[[Any], bool] | None = getattr(torch._C, "_will_engine_execute_node", None)


def replace_convolution(function: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
    """Return what is called in place of a convolution of torch.

    Small convolutions go by torch's own, and so do those of long kernels without dilation, those
    whose weight is no parameter, as where norms of weights make it, and those within
    ``torch.func``, forward differentiation, autocast and function modes of the caller.

    Args:
        function: one of ``CONVOLUTIONS``.
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
        padded = None
        if _suits(input, weight, bias, dimensions) and _gains(input, weight, dilation):
            padded = _padding(padding, stride, dilation, weight)
        if padded is None:
            return function(input, weight, bias, stride, padding, dilation, groups)
        steps, zeros, gaps = (_per_dimension(n, dimensions) for n in (stride, padded, dilation))
        form = _Form(steps, zeros, gaps, index(groups))
        result: torch.Tensor = _Convolution.apply(input, weight, bias, form)  # type: ignore[no-untyped-call]
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
    def forward(
        ctx: Any,
        value: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        form: _Form,
    ) -> torch.Tensor:
        ctx.save_for_backward(value, weight)
        ctx.form = form
        return form.convolve(value, weight, bias)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> Any:
        (gradient,), (value, weight) = gradients, ctx.saved_tensors
        by_value, *by_parameters = needed = _asked_for(ctx)
        if not torch.is_grad_enabled():
            return *ctx.form.gradients(gradient, value, weight, needed), None
        result = [None, None, None]
        if any(by_parameters):
            result = list(ctx.form.gradients(gradient, value, weight, (False, *by_parameters)))
        if by_value:
            result[0] = _ValueGradient.apply(gradient, weight, value, ctx.form)  # type: ignore[no-untyped-call]
        return *result, None


def _asked_for(ctx: Any) -> list[bool]:
    """Return whether gradients by value, weight and bias are asked for in this pass.

    An attribution asks for none of weights, which torch's own nodes find out in the same way.
    """
    nodes = [node for node, _ in ctx.next_functions]
    nodes += [None] * (3 - len(nodes))  # a bias that is None has no entry
    pairs = zip(ctx.needs_input_grad[:3], nodes, strict=True)
    return [needed and node is not None and _will_run(node) for needed, node in pairs]


def _will_run(node: Any) -> bool:
    if _runs is None:
        return True
    try:
        return _runs(node)
    except RuntimeError:  # a leaf that torch.autograd.grad itself was asked for
        return True


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
    parameters = [weight] if bias is None else [weight, bias]
    return (
        type(value) is torch.Tensor
        and all(type(p) in (torch.Tensor, torch.nn.Parameter) and p.is_leaf for p in parameters)
        and value.dim() == dimensions + 2
        and value.dtype == weight.dtype
        and value.is_floating_point()
        and torch.is_grad_enabled()
        and not _is_cast(value.device.type)
        and torch._C._functorch.peek_interpreter_stack() is None
        and forward_ad._current_level < 0
        and not torch._C._len_torch_function_stack()
    )


def _gains(value: torch.Tensor, weight: torch.Tensor, dilation: _Size) -> bool:
    """Return whether a convolution is large enough, and of a kind that torch is slow with."""
    kernel = weight.shape[2:]
    slow = max(kernel) <= _LONGEST_KERNEL or max(_per_dimension(dilation, len(kernel))) > 1
    return slow and weight.numel() * value[:, 0].numel() >= FEWEST_PRODUCTS


def _is_cast(device: str) -> bool:
    return torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device)


def _per_dimension(size: _Size, dimensions: int) -> list[int]:
    sizes = [index(n) for n in size] if isinstance(size, list | tuple) else [index(size)]
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
