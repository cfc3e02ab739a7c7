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

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any, NamedTuple

import torch

from .batch_norm import BatchNorm, RunningStatistics
from .layers import (
    Convolution,
    Flatten,
    Gradients,
    Layer,
    Linear,
    MaxPool,
    Parameters,
    Rectifier,
    SavedLayer,
    Tensors,
    side_by_side,
)
from .statistics_gate import StatisticsGate

Results = tuple[torch.Tensor, ...]
_Values = Sequence[tuple[torch.Tensor, torch.Tensor | None]]
"""input (or result) of each layer, and its auxiliary tensor"""


class LayerWithParameters(NamedTuple):
    """A layer with the parameters that it is applied with."""

    layer: Layer
    parameters: Parameters


class LayerChain(torch.nn.Sequential):
    """A row of modules whose derivatives of first and second order are written out.

    In all else it is a ``torch.nn.Sequential``. Convolutions (stride 1, padding 'same' or in
    numbers), batch norm, rectifiers, max-pooling (pools side by side, ceil mode), flattening and
    dense layers have written-out derivatives. ``choose_way`` tries once whether they are those of
    autograd and leaves the network to autograd if not.
    """

    def written_out(self, example_rows: int) -> list[LayerWithParameters]:
        """Return the layers that do what the modules do in training mode.

        Args:
            example_rows: number of rows that make the statistics of batch norm.

        Raises:
            TypeError: if a module has no derivatives here, or was changed, for instance by a prior.
        """
        layers = []
        for module in self:
            to_layer = _TO_LAYER.get(type(module))
            if to_layer is None or is_changed(module):
                raise TypeError(f"no derivatives are written out for {module}")
            names = [name for name in ("weight", "bias") if hasattr(module, name)]
            parameters = [getattr(module, name) for name in names]
            layers.append(LayerWithParameters(to_layer(module, example_rows), parameters))
        return layers


def is_changed(module: torch.nn.Module) -> bool:
    """Return whether a hook or a replaced ``forward`` changes what a module's class does."""
    hooks = module._forward_hooks or module._forward_pre_hooks
    return bool(hooks or module._backward_hooks or module._backward_pre_hooks) or (
        "forward" in module.__dict__
    )


def _convolution(module: Any, example_rows: int) -> Layer:
    dilation = module.dilation[0]
    same = dilation * (module.kernel_size[0] - 1) // 2
    return Convolution(same if module.padding == "same" else int(module.padding[0]), dilation)


def _batch_norm(module: Any, example_rows: int) -> Layer:
    running = RunningStatistics(
        module.running_mean, module.running_var, module.momentum, module.num_batches_tracked
    )
    return BatchNorm(module.eps, example_rows, running)


_TO_LAYER: Mapping[type, Callable[[Any, int], Layer]] = {
    torch.nn.Conv1d: _convolution,
    torch.nn.BatchNorm1d: _batch_norm,
    torch.nn.MaxPool1d: lambda module, example_rows: MaxPool(module.kernel_size),
    torch.nn.Linear: lambda module, example_rows: Linear(),
    torch.nn.ReLU: lambda module, example_rows: Rectifier(),
    torch.nn.Flatten: lambda module, example_rows: Flatten(),
}


@dataclass(frozen=True)
class ChainOutput:
    """What a row of layers computes.

    Attributes:
        parts: the result of each part of the batch.
        statistics: the statistics of all layers that take any, in their order.
    """

    parts: Tensors
    statistics: Tensors


def run(layers: Sequence[LayerWithParameters], gate: StatisticsGate, parts: Tensors) -> ChainOutput:
    """Apply layers, one after the other, to the parts of a batch."""
    plain = [layer.layer for layer in layers]
    tensors = [*chain(*[layer.parameters for layer in layers])]
    step: type[torch.autograd.Function] = _ChainStep
    if gate.members:
        step = _StackedChain
        tensors += chain(*[layer.state for layer in plain])
    outputs = step.apply(plain, gate, *tensors, *parts)  # type: ignore[no-untyped-call]
    return ChainOutput(outputs[: len(parts)], outputs[len(parts) :])


class _StackedChain(torch.autograd.Function):
    """The chain within ``torch.vmap``: one step for all members, their channels side by side."""

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
        gate: StatisticsGate,
        *tensors: torch.Tensor | None,
    ) -> tuple[Results, tuple[int, ...]]:
        members = info.batch_size
        stacked = [_stacked(*pair, members) for pair in zip(tensors, in_dims[2:], strict=True)]
        remaining = iter(stacked)
        parameters = _grouped(remaining, [layer.parameter_count for layer in layers])
        states = _grouped(remaining, [len(layer.state) for layer in layers])
        joint = [
            layer.for_members(members, state) for layer, state in zip(layers, states, strict=True)
        ]
        joint_parameters = [
            layer.joined_parameters(own) for layer, own in zip(layers, parameters, strict=True)
        ]
        parts = [side_by_side(part) for part in remaining if part is not None]
        for original, part in zip(tensors[-len(parts) :], parts, strict=True):
            if original is gate.points:
                gate.points = part
        outputs = _ChainStep.apply(joint, gate, *chain(*joint_parameters), *parts)  # type: ignore[no-untyped-call]
        rows = [torch.unflatten(part, 1, (members, -1)) for part in outputs[: len(parts)]]
        statistics = [torch.unflatten(value, 0, (members, -1)) for value in outputs[len(parts) :]]
        return (*rows, *statistics), (*[1] * len(rows), *[0] * len(statistics))


def _stacked(tensor: torch.Tensor | None, dim: int | None, members: int) -> torch.Tensor | None:
    """Return (M, ...) from a tensor whose dimension of members is another, or that has none."""
    if tensor is None:
        return None
    return tensor.expand(members, *tensor.shape) if dim is None else tensor.movedim(dim, 0)


class _ChainStep(torch.autograd.Function):
    """The layers as one step; its outputs are the result of each part and the statistics."""

    @staticmethod
    def forward(ctx: Any, layers: Sequence[Layer], gate: StatisticsGate, *tensors: Any) -> Results:
        remaining = iter(tensors)
        parameters = list(islice(remaining, sum(layer.parameter_count for layer in layers)))
        parts = list(remaining)
        result, saved = _forward(layers, _joined(parts), parameters)
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
    own_parameters = _grouped(iter(parameters), [layer.parameter_count for layer in layers])
    own_statistics = _grouped(iter(statistics), [layer.statistic_count for layer in layers])
    return [
        SavedLayer(layer, own, *value, taken)
        for layer, own, value, taken in zip(
            layers, own_parameters, values, own_statistics, strict=True
        )
    ]


def _grouped(tensors: Iterator[Any], counts: Iterable[int]) -> list[list[Any]]:
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
