"""Which functions and modules of torch there is a layer for that takes a batch in parts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F

from .batch_norm import BatchNorm, Running
from .layer_chain import Step
from .layers import Convolution, Flatten, Linear, MaxPool, Rectifier


def recognise(
    function: Callable[..., Any],
    part: torch.Tensor,
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
) -> Step | None:
    """The layer that does what a call does, or None.

    Args:
        function: of torch.
        part: its first argument.
        args: the others by position.
        kwargs: the others by name.
    """
    read = _READERS.get(function)
    step = None if read is None else read(part, *args, **kwargs)
    return step if step is not None and _fits([step], part) else None


def chain_of(model: torch.nn.Module, part: torch.Tensor, examples: int) -> list[Step] | None:
    """The layers that do what a network in training mode does to a part, or None.

    Args:
        model: modules of torch one after the other, without hooks.
        part: its input, whose dimensions and dtype count.
        examples: rows that make the statistics of batch norm.
    """
    steps: list[Step] = []
    dim = part.dim()
    for module in _one_after_the_other(model):
        read = _MODULES.get(type(module))
        found = None if read is None or changed(module) else read(module, dim, examples)
        if found is None:
            return None
        steps.append(found)
        dim = 2 if isinstance(found.layer, Flatten) else dim
    return steps if steps and _fits(steps, part) else None


def changed(module: torch.nn.Module) -> bool:
    """Whether a module does something else than its class says: by a hook, or a new forward."""
    hooks = module._forward_hooks or module._forward_pre_hooks
    return bool(hooks or module._backward_hooks or module._backward_pre_hooks) or (
        "forward" in module.__dict__
    )


def _one_after_the_other(model: torch.nn.Module) -> Iterator[torch.nn.Module]:
    if type(model) is torch.nn.Sequential and not changed(model):
        for module in model:
            yield from _one_after_the_other(module)
    else:
        yield model


def _fits(steps: Sequence[Step], part: torch.Tensor) -> bool:
    """Whether layers can take a tensor as it is."""
    # what autocast does to a function, it would not do to its gradient
    if torch.is_autocast_enabled(part.device.type) or not part.is_floating_point():
        return False
    tensors = [p for step in steps for p in step.parameters if p is not None]
    return all(isinstance(p, torch.Tensor) and p.dtype == part.dtype for p in tensors)


def _conv1d(  # noqa: PLR0917 (the signature of torch)
    part: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Step | None:
    if part.dim() != 3 or _single(stride) != 1 or groups != 1:
        return None
    margin = _margin(padding, weight, _single(dilation))
    return None if margin is None else Step(Convolution(margin, _single(dilation)), (weight, bias))


def _margin(padding: Any, weight: torch.Tensor, dilation: int) -> int | None:
    """Zeros at either end; None where one end has more than the other."""
    if padding == "same":
        margin, odd = divmod(dilation * (weight.shape[2] - 1), 2)
        return None if odd else margin
    return 0 if padding == "valid" else _single(padding)


def _linear(
    part: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None
) -> Step | None:
    return Step(Linear(), (weight, bias)) if part.dim() == 2 and weight.dim() == 2 else None


def _relu(part: torch.Tensor, inplace: bool = False) -> Step | None:
    return None if inplace or part.dim() < 2 else Step(Rectifier(), ())


def _max_pool1d(  # noqa: PLR0917 (the signature of torch)
    part: torch.Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Step | None:
    if part.dim() != 3 or return_indices:
        return None
    width = _single(kernel_size)
    step = _single(stride) if stride else width
    return Step(MaxPool(width, step, _single(padding), _single(dilation), ceil_mode), ())


def _single(value: Any) -> int:
    """An option along one dimension, which may be a sequence of one."""
    return int(value[0] if isinstance(value, (tuple, list)) else value)


_READERS: Mapping[Any, Callable[..., Step | None]] = {
    torch.conv1d: _conv1d,
    F.linear: _linear,
    F.relu: _relu,
    torch.relu: _relu,
    F.max_pool1d: _max_pool1d,
    torch.max_pool1d: _max_pool1d,
}


def _convolution(module: torch.nn.Module, dim: int, examples: int) -> Step | None:
    assert isinstance(module, torch.nn.Conv1d)
    if dim != 3 or module.padding_mode != "zeros" or module.stride != (1,) or module.groups != 1:
        return None
    margin = _margin(module.padding, module.weight, module.dilation[0])
    if margin is None:
        return None
    return Step(Convolution(margin, module.dilation[0]), (module.weight, module.bias))


def _batch_norm(module: torch.nn.Module, dim: int, examples: int) -> Step | None:
    assert isinstance(module, torch.nn.BatchNorm1d)
    if not module.training:
        return None
    tracks = module.track_running_stats
    mean, variance = (module.running_mean, module.running_var) if tracks else (None, None)
    running = Running(mean, variance, module.momentum, module.num_batches_tracked)
    return Step(BatchNorm(module.eps, examples, running), (module.weight, module.bias))


def _pool(module: torch.nn.Module, dim: int, examples: int) -> Step | None:
    assert isinstance(module, torch.nn.MaxPool1d)
    if dim != 3 or module.return_indices:
        return None
    width, stride = _single(module.kernel_size), _single(module.stride)
    margin, apart = _single(module.padding), _single(module.dilation)
    return Step(MaxPool(width, stride, margin, apart, module.ceil_mode), ())


def _dense(module: torch.nn.Module, dim: int, examples: int) -> Step | None:
    assert isinstance(module, torch.nn.Linear)
    return Step(Linear(), (module.weight, module.bias)) if dim == 2 else None


def _rectifier(module: torch.nn.Module, dim: int, examples: int) -> Step:
    return Step(Rectifier(), ())


def _flatten(module: torch.nn.Module, dim: int, examples: int) -> Step | None:
    assert isinstance(module, torch.nn.Flatten)
    return Step(Flatten(), ()) if (module.start_dim, module.end_dim) == (1, -1) else None


_MODULES: Mapping[type, Callable[[torch.nn.Module, int, int], Step | None]] = {
    torch.nn.Conv1d: _convolution,
    torch.nn.BatchNorm1d: _batch_norm,
    torch.nn.MaxPool1d: _pool,
    torch.nn.Linear: _dense,
    torch.nn.ReLU: _rectifier,
    torch.nn.Flatten: _flatten,
}
