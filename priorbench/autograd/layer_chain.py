"""A row of layers on a batch in parts, as one step of autograd.

Parts lie one behind the other in memory, so that the forward pass and training are one kernel call
a layer for the whole batch. While attributions are taken (the gate is closed) only the attributed
parts are differentiated, by their input alone; that pass is a step of autograd too, whose own
derivative is written out layer by layer. Autograd would need three times as many kernels, and
small networks spend more time between kernels than in them.

Batch norm couples examples. Its statistics are outputs of the chain, through which a penalty on
attributions is differentiated; while the gate is closed no gradient passes into them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any, NamedTuple

import torch

from .layers import Layer, Parameters, Seen, side_by_side

Results = tuple[torch.Tensor, ...]
Gradients = Sequence[torch.Tensor | None]
_Values = Sequence[tuple[torch.Tensor, torch.Tensor | None]]
"""input (or result) of each layer, and what it kept"""


class Gate:
    """Whether attributions are being taken, and where.

    Attributes:
        is_open: whether gradients pass into the statistics of the batch.
        points: inputs at which attributions are taken, unless the caller too wants the gradient by
            them.
        members: how many networks ``torch.vmap`` runs at once; 0 outside of it.
    """

    def __init__(self, points: torch.Tensor | None = None, members: int = 0) -> None:
        """Start open."""
        self.is_open = True
        self.points = points
        self.members = members

    @contextmanager
    def closed(self) -> Iterator[None]:
        """Take attributions: hold the batch statistics fixed within the block."""
        self.is_open = False
        try:
            yield
        finally:
            self.is_open = True


def joined(parts: Sequence[torch.Tensor]) -> torch.Tensor:
    """All parts as one tensor: a view where they lie one behind the other, else a copy.

    Always a copy where gradients are on, so that they pass.
    """
    first = parts[0]
    if len(parts) == 1:
        return first
    rows, end = 0, first.data_ptr()
    for part in parts:
        if part.data_ptr() != end:
            return torch.cat(list(parts))
        rows, end = rows + part.shape[0], end + part.nbytes
    # neighbours by chance, in memory of their own, are no neighbours
    home = first.untyped_storage().data_ptr()
    together = all(part.untyped_storage().data_ptr() == home for part in parts[1:])
    if torch.is_grad_enabled() or not (together and all(p.is_contiguous() for p in parts)):
        return torch.cat(list(parts))
    return first.as_strided((rows, *first.shape[1:]), first.stride())


def separate(whole: torch.Tensor, sizes: Sequence[int]) -> Results:
    """So many rows for each part, in the memory of the whole."""
    # .data: one of several views could not be changed in place, which networks may do
    return tuple([piece.data for piece in torch.split_with_sizes(whole, sizes)])


@dataclass(frozen=True)
class Parts:
    """A batch in parts.

    Attributes:
        pieces: tensors that differ at most in their first dimension.
        whole: all of them in one tensor, in the same memory, without gradients; None if they lie
            apart.
    """

    pieces: Sequence[torch.Tensor]
    whole: torch.Tensor | None = None

    def joined(self) -> torch.Tensor:
        """All of them, without gradients."""
        if self.whole is not None:
            return self.whole
        with torch.no_grad():
            return joined(self.pieces).detach()


class Step(NamedTuple):
    """A layer with its parameters."""

    layer: Layer
    parameters: Parameters


@dataclass(frozen=True)
class Passed:
    """What came out of a chain.

    Attributes:
        parts: the results.
        statistics: of the layers that take any, in their order.
    """

    parts: Parts
    statistics: Sequence[torch.Tensor]


def run(steps: Sequence[Step], gate: Gate, parts: Parts) -> Passed:
    """The results of layers, one after the other, for the parts of a batch."""
    return (_over_members if gate.members else _plainly)(steps, gate, parts)


def _plainly(steps: Sequence[Step], gate: Gate, parts: Parts) -> Passed:
    layers = [step.layer for step in steps]
    parameters = [parameter for step in steps for parameter in step.parameters]
    outputs = _Chain.apply(layers, gate, parts.joined(), *parameters, *parts.pieces)  # type: ignore[no-untyped-call]
    count = len(parts.pieces)
    return Passed(Parts(outputs[:count], outputs[count]), outputs[count + 1 :])


def _over_members(steps: Sequence[Step], gate: Gate, parts: Parts) -> Passed:
    layers = tuple([step.layer for step in steps])
    tensors = [
        *(parameter for step in steps for parameter in step.parameters),
        *(tensor for layer in layers for tensor in layer.state),
        *parts.pieces,
    ]
    outputs = _Members.apply(layers, gate, parts.whole, *tensors)  # type: ignore[no-untyped-call]
    count = len(parts.pieces)
    return Passed(Parts(outputs[:count], outputs[count]), outputs[count + 1 :])


class _Members(torch.autograd.Function):
    """The chain within ``torch.vmap``: once for all members, their channels side by side."""

    generate_vmap_rule = False

    @staticmethod
    def forward(*_: Any) -> Any:
        raise NotImplementedError("a gate with members is for use within torch.vmap")

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        pass

    @staticmethod
    def vmap(
        info: Any,
        in_dims: tuple[Any, ...],
        layers: Sequence[Layer],
        gate: Gate,
        whole: torch.Tensor | None,
        *tensors: torch.Tensor | None,
    ) -> tuple[Results, tuple[int, ...]]:
        members = info.batch_size
        first = [_first(*pair, members) for pair in zip(tensors, in_dims[3:], strict=True)]
        remaining = iter(first)
        parameters = [list(islice(remaining, layer.parameters)) for layer in layers]
        states = [list(islice(remaining, len(layer.state))) for layer in layers]
        steps = [
            Step(layer.for_members(members, state), layer.joined_parameters(own))
            for layer, own, state in zip(layers, parameters, states, strict=True)
        ]
        pieces = [side_by_side(piece) for piece in remaining if piece is not None]
        count = len(pieces)
        for given, piece in zip(tensors[-count:], pieces, strict=True):
            if given is gate.points:
                gate.points = piece
        together = _first(whole, in_dims[2], members)
        joint = Parts(pieces, None if together is None else side_by_side(together))
        passed = _plainly(steps, gate, joint)
        assert passed.parts.whole is not None
        rows = [_apart(one, members) for one in (*passed.parts.pieces, passed.parts.whole)]
        statistics = [torch.unflatten(one, 0, (members, -1)) for one in passed.statistics]
        return (*rows, *statistics), (*[1] * len(rows), *[0] * len(statistics))


def _first(tensor: torch.Tensor | None, dim: int | None, members: int) -> torch.Tensor | None:
    """(M, ...), from a tensor whose dimension of members is another, or that has none."""
    if tensor is None:
        return None
    return tensor.expand(members, *tensor.shape) if dim is None else tensor.movedim(dim, 0)


def _apart(value: torch.Tensor, members: int) -> torch.Tensor:
    """(B, M, C, ...) of (B, M * C, ...)."""
    return torch.unflatten(value, 1, (members, -1))


class _Chain(torch.autograd.Function):
    """Results for each part, all of them in one tensor without gradient, statistics."""

    @staticmethod
    def forward(
        ctx: Any, layers: Sequence[Layer], gate: Gate, whole: torch.Tensor, *tensors: Any
    ) -> Results:
        count = sum(layer.parameters for layer in layers)
        parameters, parts = tensors[:count], tensors[count:]
        result, seen = _forward(layers, whole, parameters)
        ctx.layers, ctx.gate = layers, gate
        ctx.sizes, ctx.shape = [part.shape[0] for part in parts], result.shape[1:]
        ctx.asked = [part.requires_grad and part is not gate.points for part in parts]
        statistics = [value for one in seen for value in one.statistics]
        values = [tensor for one in seen for tensor in (one.value, one.kept)]
        ctx.save_for_backward(*parameters, *parts, *statistics, *values)
        ctx.set_materialize_grads(False)
        ctx.mark_non_differentiable(result)
        return (*separate(result, ctx.sizes), result, *statistics)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor | None) -> tuple[Any, ...]:
        saved, count = _Saved.of(ctx), len(ctx.sizes)
        of_parts, of_statistics = gradients[:count], gradients[count + 1 :]
        nothing = [None] * (3 + len(saved.parameters))
        if not ctx.gate.is_open:
            return (*nothing, *_by_attributed(of_parts, saved, ctx.sizes))
        if all(gradient is None for gradient in gradients):
            return (*nothing, *of_parts)
        like = saved.seen[-1].value
        given = [
            like.new_zeros((size, *ctx.shape)) if gradient is None else gradient
            for gradient, size in zip(of_parts, ctx.sizes, strict=True)
        ]
        if torch.is_grad_enabled():
            return (None, None, None, *_again(given, of_statistics, saved))
        by_parameters, by_input = _backward(saved.seen, joined(given), of_statistics, ctx.asked)
        pieces: Gradients = [None] * count
        if by_input is not None:
            split = torch.split_with_sizes(by_input, ctx.sizes)
            pieces = [p if asked else None for p, asked in zip(split, ctx.asked, strict=True)]
        return (None, None, None, *by_parameters, *pieces)


class _Saved(NamedTuple):
    """What backward passes read; all but the values that were seen have their history."""

    parameters: Parameters
    parts: Sequence[torch.Tensor]
    statistics: Sequence[torch.Tensor]
    seen: Sequence[Seen]

    @classmethod
    def of(cls, ctx: Any) -> _Saved:
        layers: Sequence[Layer] = ctx.layers
        tensors = iter(ctx.saved_tensors)
        parameters = [list(islice(tensors, layer.parameters)) for layer in layers]
        parts = list(islice(tensors, len(ctx.sizes)))
        statistics = [list(islice(tensors, layer.statistics)) for layer in layers]
        seen = [
            Seen(layer, own, next(tensors), next(tensors), taken)
            for layer, own, taken in zip(layers, parameters, statistics, strict=True)
        ]
        return cls([*chain(*parameters)], parts, [*chain(*statistics)], seen)


def _forward(
    layers: Sequence[Layer], value: torch.Tensor, parameters: Parameters
) -> tuple[torch.Tensor, list[Seen]]:
    """The result, and what each layer saw."""
    seen, remaining = [], iter(parameters)
    for layer in layers:
        own = list(islice(remaining, layer.parameters))
        made = layer.forward(value, own)
        # .data, as the last result gets a history that must not hold this one
        read = made.result.data if layer.reads_result else value
        seen.append(Seen(layer, own, read, made.kept, made.statistics))
        value = made.result
    return value, seen


def _backward(
    seen: Sequence[Seen], gradient: torch.Tensor, of_statistics: Gradients, asked: Sequence[bool]
) -> tuple[Gradients, torch.Tensor | None]:
    """Gradients by the parameters, and by the input if any part of it asks for one."""
    before = [any(asked)]  # whether anything before a layer needs a gradient
    for one in seen:
        before.append(before[-1] or one.layer.parameters > 0)
    found: list[Gradients] = []
    remaining, current = list(of_statistics), gradient
    by_input: torch.Tensor | None = gradient
    for one, wanted in zip(reversed(seen), before[-2::-1], strict=True):
        if by_input is None:
            break  # nothing before has parameters
        start = len(remaining) - one.layer.statistics
        current, of_own, remaining = by_input, remaining[start:], remaining[:start]
        by_input, by_parameters = one.layer.by_all(current, one, of_own, wanted)
        found.append(by_parameters)
    return [*chain(*reversed(found))], by_input if any(asked) else None


def _by_attributed(
    gradients: Gradients, saved: _Saved, sizes: Sequence[int]
) -> list[torch.Tensor | None]:
    """The gradient by each part that is attributed; can be differentiated."""
    found: list[torch.Tensor | None] = []
    start = 0
    for gradient, size in zip(gradients, sizes, strict=True):
        if gradient is None:
            found.append(None)
        else:
            rows = [one.rows(start, size) for one in saved.seen]
            layers = [one.layer for one in rows]
            values: _Values = [(one.value, one.kept) for one in rows]
            tensors = (*saved.parameters, *saved.statistics)
            found.append(_ByInput.apply(layers, values, gradient, *tensors))  # type: ignore[no-untyped-call]
        start += size
    return found


class _ByInput(torch.autograd.Function):
    """The gradient of a chain by its input, from that by its result."""

    @staticmethod
    def forward(
        ctx: Any, layers: Sequence[Layer], values: _Values, gradient: torch.Tensor, *tensors: Any
    ) -> torch.Tensor:
        seen = _seen(layers, values, tensors)
        gradients = []
        for one in reversed(seen):
            gradients.append(gradient)
            gradient = one.layer.by_input(gradient, one)
        ctx.layers, ctx.values = layers, values
        ctx.save_for_backward(*gradients, *tensors)
        return gradient

    @staticmethod
    def backward(ctx: Any, slope: torch.Tensor) -> tuple[Any, ...]:
        count = len(ctx.layers)
        gradients, tensors = ctx.saved_tensors[:count], ctx.saved_tensors[count:]
        if torch.is_grad_enabled():
            return (None, None, *_again_by_input(ctx, gradients[0], tensors, slope))
        by_parameters: list[torch.Tensor | None] = []
        by_statistics: list[torch.Tensor | None] = []
        for one, gradient in zip(
            _seen(ctx.layers, ctx.values, tensors), gradients[::-1], strict=True
        ):
            second = one.layer.second(slope, gradient, one)
            slope = second.by_gradient
            by_parameters += second.by_parameters
            by_statistics += second.by_statistics
        return (None, None, slope, *by_parameters, *by_statistics)


def _seen(layers: Sequence[Layer], values: _Values, tensors: Sequence[Any]) -> list[Seen]:
    """What layers saw; tensors are all parameters, then all statistics."""
    remaining = iter(tensors)
    parameters = [list(islice(remaining, layer.parameters)) for layer in layers]
    return [
        Seen(layer, own, value, kept, list(islice(remaining, layer.statistics)))
        for layer, own, (value, kept) in zip(layers, parameters, values, strict=True)
    ]


def _again(
    gradients: Sequence[torch.Tensor], of_statistics: Gradients, saved: _Saved
) -> list[torch.Tensor | None]:
    """Gradients by parameters and parts that can be differentiated: torch does it."""
    layers = [one.layer for one in saved.seen]
    result, seen = _forward(layers, torch.cat(list(saved.parts)), saved.parameters)
    outputs = [result, *(value for one in seen for value in one.statistics)]
    pairs = zip(outputs, [torch.cat(list(gradients)), *of_statistics], strict=True)
    return _derivatives(pairs, [*saved.parameters, *saved.parts])


def _again_by_input(
    ctx: Any, gradient: torch.Tensor, tensors: Sequence[Any], slope: torch.Tensor
) -> list[torch.Tensor | None]:
    """The derivatives of the gradient by the input, to be differentiated: torch does it."""
    current = gradient
    for one in reversed(_seen(ctx.layers, ctx.values, tensors)):
        current = one.layer.by_input(current, one)
    return _derivatives([(current, slope)], [gradient, *tensors])


def _derivatives(
    pairs: Iterable[tuple[torch.Tensor, torch.Tensor | None]], inputs: Sequence[torch.Tensor | None]
) -> list[torch.Tensor | None]:
    """Of outputs with their gradients, by those inputs that have a history."""
    given = [(o, g) for o, g in pairs if g is not None and o.requires_grad]
    outputs, gradients = zip(*given, strict=True)
    wanted = [value for value in inputs if value is not None and value.requires_grad]
    found = iter(
        torch.autograd.grad(outputs, wanted, gradients, create_graph=True, allow_unused=True)
    )
    return [next(found) if value is not None and value.requires_grad else None for value in inputs]
