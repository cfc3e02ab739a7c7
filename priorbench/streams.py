"""Groups of examples that go through a network side by side, joined only by batch norm.

An attribution prior differentiates some examples of a batch twice and the others once. One
tensor for the whole batch would pay for the second differentiation everywhere; here the
examples that the prior applies to and the rest are two tensors, and only batch norm, which
couples examples, sees both. With an attribution over half the batch a step then costs about
half of what it costs on the undivided batch, and gives the same numbers to rounding.

A gate on the batch statistics lets no gradient through while attributions are taken: an
attribution is the gradient of one example's output by that example's own input, with the
statistics of the batch held fixed. The training loss, penalty included, is differentiated
through the statistics as usual.

Parts may also be guests: inputs that are no examples, such as the points on the path of
integrated gradients. They are normalised by the statistics of the examples and have no share
in them.

Modules that a batch in parts cannot go through (they ask for sizes, say) get one tensor, and
pay for the second differentiation of all of it; batch norm and gate are the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import accumulate
from typing import Any
from weakref import WeakKeyDictionary

import torch
import torch.nn.functional as F
from torch.nn.modules.batchnorm import _BatchNorm
from torch.overrides import TorchFunctionMode

# whether a module has taken a batch in parts; it is tried once
_takes_parts: WeakKeyDictionary[torch.nn.Module, bool] = WeakKeyDictionary()


class Gate:
    """Whether gradients may pass into batch statistics."""

    def __init__(self) -> None:
        """Start open."""
        self.is_open = True

    @contextmanager
    def closed(self) -> Iterator[None]:
        """Hold the batch statistics fixed within the block."""
        self.is_open = False
        try:
            yield
        finally:
            self.is_open = True


class _Gated(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, value: torch.Tensor, gate: Gate) -> torch.Tensor:
        ctx.gate = gate
        return value.view_as(value)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, None]:
        return (grads[0] if ctx.gate.is_open else None), None


class NotDivisible(AttributeError):
    """A network asks for what a batch in parts does not have."""


class Streams:
    """A batch in parts; torch functions and modules act on every part.

    Works with modules made of torch functions, tensor methods, arithmetic and indexing that
    treat examples one by one, plus batch norm, whose statistics are those of all examples
    together. Sizes are not defined, as parts differ in their first dimension.
    """

    def __init__(
        self, parts: Sequence[torch.Tensor], gate: Gate, counted: int | None = None
    ) -> None:
        """A batch.

        Args:
            parts: tensors that differ at most in their first dimension.
            gate: on the batch statistics.
            counted: the first so many parts are examples and make the batch statistics, the
                others are guests; None for all.
        """
        self.parts = tuple(parts)
        self.gate = gate
        self.counted = len(self.parts) if counted is None else counted

    def like(self, parts: Sequence[torch.Tensor]) -> Streams:
        """The same batch with other contents."""
        return Streams(parts, self.gate, self.counted)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        """A tensor method that acts on every part; attributes such as ``shape`` are refused."""
        method = getattr(torch.Tensor, name, None)
        if not callable(method):
            raise NotDivisible(f"{name!r} is not defined for a batch in parts")

        def call(*args: Any, **kwargs: Any) -> Any:
            return _on_each_part(method, (self, *args), kwargs)

        return call

    def __len__(self) -> int:
        """Refused: parts differ in their first dimension."""
        raise NotDivisible("a batch in parts has no length")

    def dim(self) -> int:
        """Number of dimensions."""
        return self.parts[0].dim()

    @classmethod
    def __torch_function__(
        cls,
        function: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Apply a torch function to every part; batch norm to all of them together."""
        if function is F.batch_norm:
            return _batch_norm(*args, **(kwargs or {}))
        return _on_each_part(function, args, kwargs or {})


def _operator(name: str) -> Callable[..., Any]:
    method = getattr(torch.Tensor, name)

    def apply(self: Streams, *others: Any) -> Any:
        return _on_each_part(method, (self, *others), {})

    return apply


for _name in ("add", "sub", "mul", "truediv", "matmul", "pow"):
    for _side in ("", "r"):
        setattr(Streams, f"__{_side}{_name}__", _operator(f"__{_side}{_name}__"))
for _name in ("neg", "abs", "getitem"):
    setattr(Streams, f"__{_name}__", _operator(f"__{_name}__"))


def _map(function: Callable[[Any], Any], value: Any) -> Any:
    """Apply a function within lists, tuples (named ones too) and dictionaries."""
    if isinstance(value, Mapping):
        return {key: _map(function, item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        items = [_map(function, item) for item in value]
        return type(value)(*items) if hasattr(value, "_fields") else type(value)(items)
    return function(value)


def _streams_in(value: Any) -> Iterator[Streams]:
    if isinstance(value, Streams):
        yield value
    elif isinstance(value, Mapping):
        yield from _streams_in(list(value.values()))
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _streams_in(item)


def _part(value: Any, index: int) -> Any:
    return _map(lambda item: item.parts[index] if isinstance(item, Streams) else item, value)


def _on_each_part(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> Any:
    streams = next(_streams_in([*args, kwargs]))
    results = [function(*_part(args, i), **_part(kwargs, i)) for i in range(len(streams.parts))]
    if isinstance(results[0], torch.Tensor):
        return streams.like(results)
    if isinstance(results[0], tuple) and all(isinstance(v, torch.Tensor) for v in results[0]):
        return tuple(streams.like(parts) for parts in zip(*results, strict=True))
    raise NotDivisible(f"{getattr(function, '__name__', function)!r} gives no tensor of examples")


def _batch_norm(  # noqa: PLR0917 (the signature of torch)
    streams: Streams,
    running_mean: torch.Tensor | None,
    running_var: torch.Tensor | None,
    weight: torch.Tensor | None = None,
    bias: torch.Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Streams:
    """``torch.nn.functional.batch_norm`` with the statistics of all examples together."""
    if not training:
        return streams.like(
            [
                F.batch_norm(p, running_mean, running_var, weight, bias, False, momentum, eps)
                for p in streams.parts
            ]
        )
    examples = streams.parts[: streams.counted]
    dims = [d for d in range(streams.dim()) if d != 1]
    shape = [1, -1] + [1] * (streams.dim() - 2)
    count = sum(p.numel() // p.shape[1] for p in examples)
    if count < 2:
        raise ValueError(f"batch norm needs more than one value per channel, got {count}")
    mean = torch.stack([p.sum(dims) for p in examples]).sum(0) / count
    squares = [(p - mean.view(shape)).square().sum(dims) for p in examples]
    variance = torch.stack(squares).sum(0) / count
    # as in torch's own kernel the change is not seen by autograd, so that another forward pass of
    # the same step, which keeps the running statistics for its backward pass, stays valid
    with torch.no_grad():
        if running_mean is not None:
            running_mean.data.lerp_(mean.to(running_mean), momentum)
        if running_var is not None:
            unbiased = variance * (count / (count - 1))
            running_var.data.lerp_(unbiased.to(running_var), momentum)
    mean, variance = (_Gated.apply(value, streams.gate) for value in (mean, variance))  # type: ignore[no-untyped-call]
    scale = torch.rsqrt(variance + eps)
    if weight is not None:
        scale = scale * weight
    shift = -mean * scale
    if bias is not None:
        shift = shift + bias
    # one pass over the activations instead of the four of (x - mean) * scale + bias
    return streams.like(
        [torch.addcmul(shift.view(shape), p, scale.view(shape)) for p in streams.parts]
    )


class _JoinedBatchNorm(TorchFunctionMode):
    """Batch norm in training mode, on one tensor that holds all parts, as if they were parts."""

    def __init__(self, sizes: Sequence[int], gate: Gate, counted: int) -> None:
        super().__init__()
        self.sizes, self.gate, self.counted = sizes, gate, counted

    def __torch_function__(
        self,
        function: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        if function is not F.batch_norm:
            return function(*args, **(kwargs or {}))
        options = dict(kwargs or {})
        value, *rest = args or (options.pop("input"),)
        # a network may have folded positions into the first dimension, example by example
        rows, left = divmod(len(value), sum(self.sizes))
        if left or not rows:
            raise ValueError(
                f"batch norm on {len(value)} rows of {sum(self.sizes)} examples: which rows are "
                "whose cannot be told"
            )
        parts = value.split([rows * size for size in self.sizes])
        streams = _batch_norm(Streams(parts, self.gate, self.counted), *rest, **options)
        return torch.cat(streams.parts)


def forward_parts(
    model: torch.nn.Module,
    parts: Sequence[Sequence[torch.Tensor]],
    gate: Gate,
    counted: int,
) -> list[Any]:
    """A model's output for groups of examples that share batch statistics.

    Args:
        model: examples may be coupled by batch norm only. In a TorchScript module with batch norm
            in training mode the gate has no effect, and guests count in the statistics.
        parts: for each group, the model's arguments: tensors with one row per example.
        gate: on the batch statistics.
        counted: the first so many groups make the batch statistics, the others are guests.

    Returns:
        the output of each group: tensors with one row per example, also within lists, tuples
        and dictionaries.
    """
    modules = list(model.modules())
    norms = [m for m in modules if isinstance(m, _BatchNorm)]
    scripted = any(isinstance(m, torch.jit.ScriptModule) for m in modules)
    if not scripted and not any(m.training or m.running_mean is None for m in norms):
        return [model(*arguments) for arguments in parts]
    if len(parts) > 1 and not scripted and _takes_parts.get(model, True):
        before = None if model in _takes_parts else _state(model, parts[0][0].device)
        try:
            output = model(*(Streams(c, gate, counted) for c in zip(*parts, strict=True)))
            _takes_parts[model] = True
            return [_part(output, index) for index in range(len(parts))]
        except Exception:
            # a module may stumble over a batch in parts anywhere and in any way; if it is at
            # fault itself, it stumbles over one tensor too, and that error is the one to show
            if before is None:
                raise
            _restore(model, before)
            _takes_parts[model] = False
    sizes = [len(arguments[0]) for arguments in parts]
    with _JoinedBatchNorm(sizes, gate, counted):
        output = model(*(torch.cat(column) for column in zip(*parts, strict=True)))
    ends = list(accumulate(sizes))
    return [_rows(output, end - size, end) for end, size in zip(ends, sizes, strict=True)]


def _rows(output: Any, start: int, end: int) -> Any:
    return _map(lambda v: v[start:end] if isinstance(v, torch.Tensor) else v, output)


_State = tuple[list[torch.Tensor], torch.Tensor, torch.Tensor | None]


def _state(model: torch.nn.Module, device: torch.device) -> _State:
    """What a forward pass changes: buffers and the random generators."""
    cuda = torch.cuda.get_rng_state(device) if device.type == "cuda" else None
    return [buffer.clone() for buffer in model.buffers()], torch.get_rng_state(), cuda


def _restore(model: torch.nn.Module, state: _State) -> None:
    buffers, cpu, cuda = state
    with torch.no_grad():
        for buffer, before in zip(model.buffers(), buffers, strict=True):
            buffer.copy_(before)
    torch.set_rng_state(cpu)
    if cuda is not None:
        torch.cuda.set_rng_state(cuda)
