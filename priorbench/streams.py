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
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F


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


class Streams:
    """A batch in parts; torch functions and modules act on every part.

    Works with modules made of torch functions, tensor methods, arithmetic and indexing that
    treat examples one by one, plus batch norm, whose statistics are those of all parts
    together. Sizes are not defined, as parts differ in their first dimension: write
    ``flatten(1)``, not ``view(x.shape[0], -1)``. Recurrent layers ask for sizes and do not work.
    """

    def __init__(self, parts: Sequence[torch.Tensor], gate: Gate) -> None:
        """Parts: tensors that differ at most in their first dimension."""
        self.parts = tuple(parts)
        self.gate = gate

    def __getattr__(self, name: str) -> Callable[..., Any]:
        """A tensor method that acts on every part; attributes such as ``shape`` are refused."""
        method = getattr(torch.Tensor, name)
        if not callable(method):
            raise AttributeError(
                f"{name!r} is not defined for a batch in parts; write flatten(1), not "
                "view(x.shape[0], -1), in networks with batch norm"
            )

        def call(*args: Any, **kwargs: Any) -> Any:
            return _on_each_part(method, (self, *args), kwargs)

        return call

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


def _parts_in(value: Any) -> Iterator[Streams]:
    if isinstance(value, Streams):
        yield value
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _parts_in(item)


def part(value: Any, index: int) -> Any:
    """One part of Streams, also within lists and tuples; anything else as it is."""
    if isinstance(value, Streams):
        return value.parts[index]
    if isinstance(value, (list, tuple)):
        return type(value)(part(item, index) for item in value)
    return value


def _on_each_part(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> Any:
    streams = next(_parts_in([*args, *kwargs.values()]))
    results = [
        function(*part(args, i), **{key: part(value, i) for key, value in kwargs.items()})
        for i in range(len(streams.parts))
    ]
    if isinstance(results[0], tuple):
        return tuple(Streams(parts, streams.gate) for parts in zip(*results, strict=True))
    return Streams(results, streams.gate)


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
    """``torch.nn.functional.batch_norm`` with the statistics of all parts together."""
    parts, gate = streams.parts, streams.gate
    if not training:
        return Streams(
            [
                F.batch_norm(p, running_mean, running_var, weight, bias, False, momentum, eps)
                for p in parts
            ],
            gate,
        )
    dims = [d for d in range(streams.dim()) if d != 1]
    shape = [1, -1] + [1] * (streams.dim() - 2)
    count = sum(p.numel() // p.shape[1] for p in parts)
    if count < 2:
        raise ValueError(f"batch norm needs more than one value per channel, got {count}")
    mean = torch.stack([p.sum(dims) for p in parts]).sum(0) / count
    squares = [(p - mean.view(shape)).square().sum(dims) for p in parts]
    variance = torch.stack(squares).sum(0) / count
    with torch.no_grad():
        if running_mean is not None:
            running_mean.lerp_(mean, momentum)
        if running_var is not None:
            running_var.lerp_(variance * (count / (count - 1)), momentum)
    mean, variance = (_Gated.apply(value, gate) for value in (mean, variance))  # type: ignore[no-untyped-call]
    scale = torch.rsqrt(variance + eps)
    if weight is not None:
        scale = scale * weight
    shift = -mean * scale
    if bias is not None:
        shift = shift + bias
    # one pass over the activations instead of the four of (x - mean) * scale + bias
    return Streams([torch.addcmul(shift.view(shape), p, scale.view(shape)) for p in parts], gate)
