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
from contextlib import contextmanager
from functools import partial
from itertools import accumulate
from typing import Any
from weakref import WeakKeyDictionary

import torch
import torch.nn.functional as F
from torch.nn.modules.batchnorm import _BatchNorm
from torch.overrides import TorchFunctionMode


class Gate:
    """Whether gradients may pass into batch statistics; the changes that a forward pass makes.

    Attributes:
        is_open: whether gradients pass.
        updates: changes of running statistics, made when the forward pass has succeeded.
    """

    def __init__(self) -> None:
        """Start open."""
        self.is_open = True
        self.updates: list[Callable[[], object]] = []

    def update(self) -> None:
        """Make the changes of running statistics."""
        for change in self.updates:
            change()
        self.updates.clear()

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
        if function is F.batch_norm:
            return _batch_norm(*args, **(kwargs or {}))
        if function is torch.batch_norm:
            raise NotDivisible("torch.batch_norm is called directly")
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
    if not torch.is_grad_enabled():
        # within a custom autograd function, which sees no tensor here and would drop its gradient
        raise NotDivisible("gradients are off")
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
    mean, variance = _statistics(streams, running_mean, running_var, momentum)
    return _normalise(streams, mean, variance, (weight, bias, eps))


def _statistics(
    streams: Streams,
    running_mean: torch.Tensor | None,
    running_var: torch.Tensor | None,
    momentum: float,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Gated mean and variance (C,) of the examples; running statistics are noted for update."""
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
    unbiased = variance.detach() * (count / (count - 1))
    for running, now in ((running_mean, mean.detach()), (running_var, unbiased)):
        if running is not None:
            change = partial(running.data.lerp_, now.to(running), momentum)
            streams.gate.updates.append(change)
    mean, variance = (_Gated.apply(value, streams.gate) for value in (mean, variance))  # type: ignore[no-untyped-call]
    return mean, variance


def _normalise(
    streams: Streams,
    mean: torch.Tensor,
    variance: torch.Tensor,
    affine: tuple[torch.Tensor | None, torch.Tensor | None, float],
) -> Streams:
    """(x - mean) / sqrt(variance + eps) * weight + bias of every part."""
    weight, bias, eps = affine
    shape = [1, -1] + [1] * (streams.dim() - 2)
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


_Statistics = list[tuple[torch.Tensor, torch.Tensor]]


class _WholeBatchNorm(TorchFunctionMode):
    """Batch norm in training mode on one tensor, its statistics gated.

    The examples' pass notes the statistics, call by call; a pass of guests is given them.
    """

    def __init__(self, gate: Gate, given: _Statistics | None = None) -> None:
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
        whole = Streams([input], self.gate)
        if self._takes:
            mean, variance = self.noted.pop(0)
        else:
            mean, variance = _statistics(whole, running_mean, running_var, momentum)
            self.noted.append((mean, variance))
        return _normalise(whole, mean, variance, (weight, bias, eps)).parts[0]


Arguments = Sequence[torch.Tensor]
"""of a model, for one group of examples: tensors with one row per example"""


def forward_parts(
    model: torch.nn.Module, parts: Sequence[Arguments], gate: Gate, counted: int
) -> list[Any]:
    """A model's output for groups of examples that share batch statistics.

    The first time that a model is given several groups, it is tried whether they give the same
    outputs, gradients and buffers side by side as in one tensor; if not, they go in one tensor.

    Args:
        model: examples may be coupled by batch norm only. In a TorchScript module with batch norm
            in training mode the gate has no effect, and guests have statistics of their own.
        parts: for each group, the model's arguments.
        gate: on the batch statistics.
        counted: the first so many groups make the batch statistics, the others are guests.

    Returns:
        the output of each group: tensors with one row per example, also within lists, tuples
        and dictionaries.
    """
    # a module may squeeze a batch of one
    small = any(len(arguments[0]) == 1 for arguments in parts)
    if len(parts) == 1 or small or not _takes_parts(model, parts, counted):
        outputs = _whole(model, parts, gate, counted)
    else:
        outputs = _divided(model, parts, gate, counted)
    gate.update()
    return outputs


def _divided(
    model: torch.nn.Module, parts: Sequence[Arguments], gate: Gate, counted: int
) -> list[Any]:
    """Group by group where nothing couples them, else as Streams."""
    norms = [m for m in model.modules() if isinstance(m, _BatchNorm)]
    if not any(m.training or m.running_mean is None for m in norms):
        return [model(*arguments) for arguments in parts]
    output = model(*(Streams(column, gate, counted) for column in zip(*parts, strict=True)))
    return [_part(output, index) for index in range(len(parts))]


def _whole(
    model: torch.nn.Module, parts: Sequence[Arguments], gate: Gate, counted: int
) -> list[Any]:
    """All examples in one tensor; then the guests in another, which leave no trace in buffers."""
    sizes = [len(arguments[0]) for arguments in parts]
    with _WholeBatchNorm(gate) as examples:
        output = model(*map(torch.cat, zip(*parts[:counted], strict=True)))
    outputs = _cut(output, sizes[:counted])
    if counted == len(parts):
        return outputs
    guests = list(map(torch.cat, zip(*parts[counted:], strict=True)))
    if len(guests[0]) == 1:
        guests = [torch.cat([value, value]) for value in guests]  # else a module may squeeze it
    before = [buffer.clone() for buffer in model.buffers()]
    with _WholeBatchNorm(gate, examples.noted):
        output = model(*guests)
    _restore(model, before)
    return outputs + _cut(output, sizes[counted:])


def _cut(output: Any, sizes: Sequence[int]) -> list[Any]:
    """The rows of each group of an output that holds them one behind the other."""
    ends = list(accumulate(sizes))
    return [_rows(output, end - size, end) for end, size in zip(ends, sizes, strict=True)]


def _rows(output: Any, start: int, end: int) -> Any:
    return _map(lambda v: v[start:end] if isinstance(v, torch.Tensor) else v, output)


# by model, and by which of its modules are in training mode
_tried: WeakKeyDictionary[torch.nn.Module, dict[tuple[bool, ...], bool]] = WeakKeyDictionary()


def _takes_parts(model: torch.nn.Module, parts: Sequence[Arguments], counted: int) -> bool:
    """Whether groups side by side give what one tensor gives; tried once and remembered."""
    modules = list(model.modules())
    if any(isinstance(module, torch.jit.ScriptModule) for module in modules):
        return False
    if any(map(torch.nn.parameter.is_lazy, [*model.parameters(), *model.buffers()])):
        return False  # its first pass makes it what it is
    known = _tried.setdefault(model, {})
    modes = tuple(module.training for module in modules)
    if modes not in known:
        known[modes] = _agree(model, parts, counted)
    return known[modes]


def _agree(model: torch.nn.Module, parts: Sequence[Arguments], counted: int) -> bool:
    """Compare both ways in outputs, gradients by the input, and buffers; leaves no trace.

    Dropout is off meanwhile, as its masks would differ.
    """
    before = [buffer.clone() for buffer in model.buffers()]
    generators = _generators(parts[0][0].device)
    values: list[list[torch.Tensor]] = []
    slopes: list[list[torch.Tensor]] = []
    for way in (_whole, _divided):
        gate = Gate()
        # copies, so that a module that changes its input in place has changed no one's
        copies = [[value.detach().clone() for value in arguments] for arguments in parts]
        leaf = copies[0 if counted == len(parts) else counted][0].requires_grad_()
        try:
            with _NoDropout():
                outputs = way(model, copies, gate, counted)
            gate.update()
            with gate.closed():
                slope = torch.autograd.grad(_total(outputs), leaf, allow_unused=True)[0]
            values.append([*_tensors(outputs), *(buffer.clone() for buffer in model.buffers())])
            slopes.append([] if slope is None else [slope])
        except Exception:
            # a module may stumble over a batch in parts anywhere and in any way; if it is at
            # fault itself, it stumbles over one tensor too, and that error is the one to show
            if way is _whole:
                raise
            return False
        finally:
            _restore(model, before)
            _set_generators(generators, parts[0][0].device)
    same_number = len(values[0]) == len(values[1]) and len(slopes[0]) == len(slopes[1])
    return same_number and all(map(_close, *values)) and all(map(_similar, *slopes))


def _total(outputs: Any) -> torch.Tensor:
    """A sum in which no two numbers of an output have the same weight."""
    total = torch.zeros(())
    for value in _tensors(outputs):
        if value.requires_grad and value.is_floating_point():
            weight = torch.linspace(1, 2, value[0].numel()).to(value).view_as(value[0])
            total = total.to(value.device) + (value * weight).sum()
    return total


def _close(one: torch.Tensor, other: torch.Tensor) -> bool:
    if one.shape != other.shape:
        return False
    if not one.is_floating_point():
        return bool(torch.equal(one, other))
    size = float(one.detach().abs().max()) if one.numel() else 0.0
    tolerance = torch.finfo(one.dtype).eps ** 0.5 * size
    return bool(torch.allclose(one, other, rtol=0, atol=tolerance, equal_nan=True))


def _similar(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Within a hundredth: rounding may turn a rectifier or the choice of a maximum around."""
    return float((one - other).norm()) <= 0.01 * float(one.norm())


def _tensors(value: Any) -> Iterator[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, Mapping):
        yield from _tensors(list(value.values()))
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _tensors(item)


_DROPOUTS = {
    F.dropout,
    F.dropout1d,
    F.dropout2d,
    F.dropout3d,
    F.alpha_dropout,
    F.feature_alpha_dropout,
    torch.dropout,
}


class _NoDropout(TorchFunctionMode):
    def __torch_function__(
        self,
        function: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        if function in _DROPOUTS:
            return args[0] if args else (kwargs or {})["input"]
        return function(*args, **(kwargs or {}))


def _generators(device: torch.device) -> list[torch.Tensor]:
    cuda = [torch.cuda.get_rng_state(device)] if device.type == "cuda" else []
    return [torch.get_rng_state(), *cuda]


def _set_generators(states: list[torch.Tensor], device: torch.device) -> None:
    torch.set_rng_state(states[0])
    for state in states[1:]:
        torch.cuda.set_rng_state(state, device)


def _restore(model: torch.nn.Module, before: Sequence[torch.Tensor]) -> None:
    for buffer, value in zip(model.buffers(), before, strict=True):
        buffer.data.copy_(value)  # unseen by autograd, as above
