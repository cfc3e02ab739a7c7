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

Modules that a batch in parts cannot go through (they ask for sizes, say), or for which it gives
anything else than one tensor, get one tensor, and pay for the second differentiation of all of it;
batch norm and gate are the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch.overrides import TorchFunctionMode

from .batch_norm import BatchNorm, Running, normalise
from .layer_chain import Gate, Parts, Step, run
from .nested import map_tree
from .torch_layers import recognise


class NotDivisible(AttributeError):
    """A network asks for what a batch in parts does not have."""


class Streams:
    """A batch in parts; torch functions and modules act on every part.

    Works with modules made of torch functions, tensor methods, arithmetic and indexing that
    treat examples one by one, plus batch norm, whose statistics are those of all examples
    together. Sizes are not defined, as parts differ in their first dimension.
    """

    def __init__(
        self,
        parts: Sequence[torch.Tensor] | Parts,
        gate: Gate,
        counted: int | None = None,
    ) -> None:
        """A batch.

        Args:
            parts: tensors that differ at most in their first dimension.
            gate: on the batch statistics.
            counted: the first so many parts are examples and make the batch statistics, the
                others are guests; None for all.
        """
        self.held = parts if isinstance(parts, Parts) else Parts(tuple(parts))
        self.parts = self.held.pieces
        self.gate = gate
        self.counted = len(self.parts) if counted is None else counted

    def like(self, parts: Sequence[torch.Tensor] | Parts) -> Streams:
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

    def _refuse(self, *others: Any) -> Any:
        raise NotDivisible("this is not defined for a batch in parts")

    # what Python would otherwise answer by itself: sizes, identity, loops over examples; and
    # changes in place, of which another name for the same tensor would hear nothing
    __len__ = __iter__ = __eq__ = __ne__ = __bool__ = __contains__ = __setitem__ = _refuse
    __iadd__ = __isub__ = __imul__ = __itruediv__ = __ipow__ = __imatmul__ = _refuse
    __hash__ = object.__hash__

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
        if function is torch.batch_norm:
            raise NotDivisible("torch.batch_norm is called directly")
        kwargs = kwargs or {}
        if function is F.batch_norm:
            return _batch_norm(*args, **kwargs)
        first = args[0] if args else None
        if isinstance(first, Streams) and torch.is_grad_enabled():
            step = recognise(function, first.parts[0], args[1:], kwargs)
            if step is not None:
                return first.like(run([step], first.gate, first.held).parts)
        return _on_each_part(function, args, kwargs)


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


def _streams_in(value: Any) -> Iterator[Streams]:
    if isinstance(value, Streams):
        yield value
    elif isinstance(value, Mapping):
        yield from _streams_in(list(value.values()))
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _streams_in(item)


def _part(value: Any, index: int) -> Any:
    if isinstance(value, Streams):
        return value.parts[index]
    if isinstance(value, (tuple, list, Mapping)):
        return map_tree(lambda item: _part(item, index), value)
    return value


def _on_each_part(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> Any:
    if not torch.is_grad_enabled():
        # within a custom autograd function, which sees no tensor here and would drop its gradient
        raise NotDivisible("gradients are off")
    streams = next(_streams_in([*args, kwargs]))
    results = []
    for index in range(len(streams.parts)):
        named = {key: _part(value, index) for key, value in kwargs.items()}
        results.append(function(*[_part(value, index) for value in args], **named))
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
    examples = sum(part.shape[0] for part in streams.parts[: streams.counted])
    layer = BatchNorm(eps, examples, Running(running_mean, running_var, momentum))
    return streams.like(run([Step(layer, (weight, bias))], streams.gate, streams.held).parts)


class _WholeBatchNorm(TorchFunctionMode):
    """Batch norm in training mode on one tensor, its statistics gated.

    The examples' pass notes the statistics, call by call; a pass of guests is given them.
    """

    def __init__(self, gate: Gate, given: Sequence[Sequence[torch.Tensor]] | None = None) -> None:
        super().__init__()
        self.gate, self.noted = gate, [] if given is None else list(given)
        self._takes = given is not None

    def __torch_function__(
        self,
        function: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        options = dict(kwargs or {})
        if function is torch.batch_norm:  # the same by position, in another order
            value, weight, bias, mean, variance, training, momentum, eps, *_ = args
            function = F.batch_norm
            args = (value, mean, variance, weight, bias, training, momentum, eps)
            options = {}
        if function is not F.batch_norm:
            return function(*args, **options)
        return self._batch_norm(*args, **options)

    def _batch_norm(  # noqa: PLR0917 (the signature of torch)
        self,
        input: torch.Tensor,
        running_mean: torch.Tensor | None,
        running_var: torch.Tensor | None,
        weight: torch.Tensor | None = None,
        bias: torch.Tensor | None = None,
        training: bool = False,
        momentum: float = 0.1,
        eps: float = 1e-5,
    ) -> torch.Tensor:
        if not training:
            return F.batch_norm(
                input, running_mean, running_var, weight, bias, False, momentum, eps
            )
        if self._takes:
            return normalise(input, self.noted.pop(0), (weight, bias), eps)
        layer = BatchNorm(eps, len(input), Running(running_mean, running_var, momentum))
        passed = run([Step(layer, (weight, bias))], self.gate, Parts([input]))
        self.noted.append(passed.statistics)
        return passed.parts.pieces[0]
