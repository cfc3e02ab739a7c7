"""A row of layers on a batch in parts, as one step of autograd.

The forward pass and training are one kernel call a layer for the whole batch. While attributions
are taken (the gate is closed) only the attributed parts are differentiated, by their input alone;
that pass is a step of autograd too, whose own derivative is written out layer by layer. Autograd
would need three times as many kernels, and small networks spend more time between kernels than in
them.

Batch norm couples examples. Its statistics are outputs of the step, through which a penalty on
attributions is differentiated; while the gate is closed no gradient passes into them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice
from typing import Any, NamedTuple

import torch

from .layers import Gradients, Layer, Parameters, SavedLayer, Tensors
from .statistics_gate import StatisticsGate

Results = tuple[torch.Tensor, ...]
"""what a step of autograd returns: the result of each part, then the statistics"""
_Values = Sequence[tuple[torch.Tensor, torch.Tensor | None]]
"""input (or result) of each layer, and its auxiliary tensor"""


class ChainStep(torch.autograd.Function):
    """The layers as one step; its outputs are the result of each part and the statistics."""

    @staticmethod
    def forward(ctx: Any, layers: Sequence[Layer], gate: StatisticsGate, *tensors: Any) -> Results:
        """Apply the layers; the tensors are the parameters of all, then the parts of the batch."""
        remaining = iter(tensors)
        parameters = list(islice(remaining, sum(layer.parameter_count for layer in layers)))
        parts = list(remaining)
        # a part that is alone is not copied, and its history must not be saved with the values
        result, saved = _forward(layers, _joined(parts).detach(), parameters)
        ctx.layers, ctx.gate = layers, gate
        ctx.sizes, ctx.shape = [part.shape[0] for part in parts], result.shape[1:]
        ctx.needed = [part.requires_grad and part is not gate.points for part in parts]
        statistics = [*chain(*[layer.statistics for layer in saved])]
        values = [tensor for layer in saved for tensor in (layer.value, layer.auxiliary)]
        ctx.save_for_backward(*parameters, *parts, *statistics, *values)
        ctx.set_materialize_grads(False)
        # .data: one of several views could not be changed in place, which networks may do
        pieces = [piece.data for piece in torch.split_with_sizes(result, ctx.sizes)]
        return (*pieces, *statistics)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor | None) -> tuple[Any, ...]:
        """Return gradients; those by attributed parts only, if the gate is closed."""
        saved, count = _SavedChain.of(ctx), len(ctx.sizes)
        by_parts, by_statistics = gradients[:count], gradients[count:]
        nothing = [None] * (2 + len(saved.parameters))
        if not ctx.gate.is_open:
            return (*nothing, *_by_attributed(by_parts, saved, ctx.sizes))
        if all(gradient is None for gradient in gradients):
            return (*nothing, *by_parts)
        like = saved.layers[-1].value
        complete = [
            like.new_zeros((size, *ctx.shape)) if gradient is None else gradient
            for gradient, size in zip(by_parts, ctx.sizes, strict=True)
        ]
        if torch.is_grad_enabled():
            return (None, None, *_by_autograd(complete, by_statistics, saved))
        by_parameters, by_input = _backward(
            saved.layers, _joined(complete), by_statistics, needs_input=any(ctx.needed)
        )
        pieces: Gradients = [None] * count
        if by_input is not None:
            split = torch.split_with_sizes(by_input, ctx.sizes)
            pieces = [p if needed else None for p, needed in zip(split, ctx.needed, strict=True)]
        return (None, None, *by_parameters, *pieces)


class _SavedChain(NamedTuple):
    """What backward passes read; all but the values of layers have their history."""

    parameters: Parameters
    parts: Tensors
    statistics: Tensors
    layers: Sequence[SavedLayer]

    @classmethod
    def of(cls, ctx: Any) -> _SavedChain:
        tensors, layers = iter(ctx.saved_tensors), ctx.layers
        parameters = list(islice(tensors, sum(layer.parameter_count for layer in layers)))
        parts = list(islice(tensors, len(ctx.sizes)))
        statistics = list(islice(tensors, sum(layer.statistic_count for layer in layers)))
        values = [(next(tensors), next(tensors)) for _ in layers]
        return cls(parameters, parts, statistics, _saved(layers, values, parameters, statistics))


def _saved(
    layers: Sequence[Layer], values: _Values, parameters: Parameters, statistics: Tensors
) -> list[SavedLayer]:
    own_parameters = grouped(iter(parameters), [layer.parameter_count for layer in layers])
    own_statistics = grouped(iter(statistics), [layer.statistic_count for layer in layers])
    return [
        SavedLayer(layer, own, *value, taken)
        for layer, own, value, taken in zip(
            layers, own_parameters, values, own_statistics, strict=True
        )
    ]


def grouped(tensors: Iterator[Any], counts: Iterable[int]) -> list[list[Any]]:
    """Return lists of so many tensors each."""
    return [list(islice(tensors, count)) for count in counts]


def _joined(parts: Tensors) -> torch.Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(list(parts))


def _forward(
    layers: Sequence[Layer], value: torch.Tensor, parameters: Parameters
) -> tuple[torch.Tensor, list[SavedLayer]]:
    """Return the result, and what the derivatives of each layer read."""
    saved, remaining = [], iter(parameters)
    for layer in layers:
        own = list(islice(remaining, layer.parameter_count))
        output = layer.forward(value, own)
        # .data, as the last result gets a history that must not hold this one
        read = output.result.data if layer.reads_result else value
        saved.append(SavedLayer(layer, own, read, output.auxiliary, output.statistics))
        value = output.result
    return value, saved


def _backward(
    layers: Sequence[SavedLayer],
    gradient: torch.Tensor,
    by_statistics: Gradients,
    *,
    needs_input: bool,
) -> tuple[Gradients, torch.Tensor | None]:
    """Return the gradients by the parameters, and by the input if it is needed."""
    needed = [needs_input]  # whether anything before a layer needs a gradient
    for saved in layers:
        needed.append(needed[-1] or saved.layer.parameter_count > 0)
    by_parameters: list[Gradients] = []
    remaining = list(by_statistics)
    by_input: torch.Tensor | None = gradient
    for saved, before in zip(reversed(layers), needed[-2::-1], strict=True):
        if by_input is None:
            break  # nothing before has parameters
        start = len(remaining) - saved.layer.statistic_count
        own, remaining = remaining[start:], remaining[:start]
        by_input, by_own = saved.layer.all_gradients(by_input, saved, own, before)
        by_parameters.append(by_own)
    return [*chain(*reversed(by_parameters))], by_input if needs_input else None


def _by_attributed(
    gradients: Gradients, saved: _SavedChain, sizes: Sequence[int]
) -> list[torch.Tensor | None]:
    """Return the gradient by each part that is attributed; it can be differentiated."""
    by_parts: list[torch.Tensor | None] = []
    start = 0
    for gradient, size in zip(gradients, sizes, strict=True):
        if gradient is None:
            by_parts.append(None)
        else:
            rows = [layer.rows(start, size) for layer in saved.layers]
            layers = [row.layer for row in rows]
            values: _Values = [(row.value, row.auxiliary) for row in rows]
            tensors = (*saved.parameters, *saved.statistics)
            by_parts.append(_InputGradient.apply(layers, values, gradient, *tensors))  # type: ignore[no-untyped-call]
        start += size
    return by_parts


class _InputGradient(torch.autograd.Function):
    """The gradient by the input of a chain, from that by its result."""

    @staticmethod
    def forward(
        ctx: Any, layers: Sequence[Layer], values: _Values, gradient: torch.Tensor, *tensors: Any
    ) -> torch.Tensor:
        ctx.layers, ctx.values = layers, values
        gradients = []
        for saved in reversed(_saved_layers(ctx, tensors)):
            gradients.append(gradient)
            gradient = saved.layer.input_gradient(gradient, saved)
        ctx.save_for_backward(*gradients, *tensors)
        return gradient

    @staticmethod
    def backward(ctx: Any, slope: torch.Tensor) -> tuple[Any, ...]:
        count = len(ctx.layers)
        gradients, tensors = ctx.saved_tensors[:count], ctx.saved_tensors[count:]
        layers = _saved_layers(ctx, tensors)
        if torch.is_grad_enabled():
            current = gradients[0]
            for saved in reversed(layers):
                current = saved.layer.input_gradient(current, saved)
            return (None, None, *_derivatives([(current, slope)], [gradients[0], *tensors]))
        by_parameters: list[torch.Tensor | None] = []
        by_statistics: list[torch.Tensor | None] = []
        for saved, gradient in zip(layers, gradients[::-1], strict=True):
            second = saved.layer.second_derivatives(slope, gradient, saved)
            slope = second.by_gradient
            by_parameters += second.by_parameters
            by_statistics += second.by_statistics
        return (None, None, slope, *by_parameters, *by_statistics)


def _saved_layers(ctx: Any, tensors: Sequence[Any]) -> list[SavedLayer]:
    """Return what an input gradient reads; the tensors are all parameters, then all statistics."""
    count = sum(layer.parameter_count for layer in ctx.layers)
    return _saved(ctx.layers, ctx.values, tensors[:count], tensors[count:])


def _by_autograd(
    gradients: Tensors, by_statistics: Gradients, saved: _SavedChain
) -> list[torch.Tensor | None]:
    """Return gradients by parameters and parts that can be differentiated: torch computes them."""
    layers = [layer.layer for layer in saved.layers]
    result, again = _forward(layers, _joined(saved.parts), saved.parameters)
    outputs = [result, *chain(*[layer.statistics for layer in again])]
    pairs = zip(outputs, [_joined(gradients), *by_statistics], strict=True)
    return _derivatives(pairs, [*saved.parameters, *saved.parts])


def _derivatives(
    pairs: Iterable[tuple[torch.Tensor, torch.Tensor | None]], inputs: Sequence[torch.Tensor | None]
) -> list[torch.Tensor | None]:
    """Return the gradients by those inputs that have a history, from outputs and their gradients.

    The gradients can be differentiated.
    """
    present = [(o, g) for o, g in pairs if g is not None and o.requires_grad]
    outputs, gradients = zip(*present, strict=True)
    needed = [value for value in inputs if value is not None and value.requires_grad]
    computed = iter(
        torch.autograd.grad(outputs, needed, gradients, create_graph=True, allow_unused=True)
    )
    return [
        next(computed) if value is not None and value.requires_grad else None for value in inputs
    ]
