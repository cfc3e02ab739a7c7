"""Which calls of torch functions there is a layer for that takes a batch in parts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F

from .layers import Convolution, Layer, Linear, MaxPool, Parameters, Rectifier


@dataclass(frozen=True)
class Call:
    """A layer with its parameters."""

    layer: Layer
    parameters: Parameters = ()


def recognise(
    function: Callable[..., Any],
    part: torch.Tensor,
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
) -> Call | None:
    """The layer that does what a call does, or None.

    Args:
        function: of torch.
        part: its first argument.
        args: the others by position.
        kwargs: the others by name.
    """
    read = _READERS.get(function)
    if read is None or torch.is_autocast_enabled(part.device.type):
        return None  # what autocast does to a function here, it would not do to its gradient
    call = read(part, *args, **kwargs)
    if call is None:
        return None
    tensors = [parameter for parameter in call.parameters if parameter is not None]
    same = all(isinstance(t, torch.Tensor) and t.dtype == part.dtype for t in tensors)
    return call if same and part.is_floating_point() else None


def _conv1d(  # noqa: PLR0917 (the signature of torch)
    part: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Call | None:
    if part.dim() != 3 or _single(stride) != 1 or groups != 1:
        return None
    apart = _single(dilation)
    if padding == "same":
        margin, odd = divmod(apart * (weight.shape[2] - 1), 2)
        if odd:
            return None  # one end has more than the other
    else:
        margin = 0 if padding == "valid" else _single(padding)
    return Call(Convolution(margin, apart), (weight, bias))


def _linear(
    part: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None
) -> Call | None:
    return Call(Linear(), (weight, bias)) if part.dim() == 2 and weight.dim() == 2 else None


def _relu(part: torch.Tensor, inplace: bool = False) -> Call | None:
    return None if inplace else Call(Rectifier())


def _max_pool1d(  # noqa: PLR0917 (the signature of torch)
    part: torch.Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Call | None:
    if part.dim() != 3 or return_indices:
        return None
    width = _single(kernel_size)
    step = _single(stride) if stride else width
    return Call(MaxPool(width, step, _single(padding), _single(dilation), ceil_mode))


def _single(value: Any) -> int:
    """An option along one dimension, which may be a sequence of one."""
    return int(value[0] if isinstance(value, (tuple, list)) else value)


_READERS: Mapping[Any, Callable[..., Call | None]] = {
    torch.conv1d: _conv1d,
    F.linear: _linear,
    F.relu: _relu,
    torch.relu: _relu,
    F.max_pool1d: _max_pool1d,
    torch.max_pool1d: _max_pool1d,
}
