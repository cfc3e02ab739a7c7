"""Layers applied to the parts of a batch, one after the other; for networks at once, too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, NamedTuple

import torch

from .chain_step import ChainStep, Results, grouped
from .layers import Layer, Parameters, Tensors, side_by_side
from .statistics_gate import StatisticsGate


class LayerWithParameters(NamedTuple):
    """A layer with the parameters that it is applied with."""

    layer: Layer
    parameters: Parameters


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
    step: type[torch.autograd.Function] = ChainStep
    if gate.members:
        step = _StackedChain
        tensors += chain(*[layer.state for layer in plain])
    outputs = step.apply(plain, gate, *tensors, *parts)  # type: ignore[no-untyped-call]
    return ChainOutput(outputs[: len(parts)], outputs[len(parts) :])


class WithinVmap(torch.autograd.Function):
    """A step of autograd that ``torch.vmap`` takes for all members at once; for use within it only.

    Subclasses define ``vmap``.
    """

    generate_vmap_rule = False

    @staticmethod
    def forward(*_: Any) -> Any:
        """Raise NotImplementedError, as this is outside of ``torch.vmap``."""
        raise NotImplementedError("for use within torch.vmap")

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        """Save nothing."""


class _StackedChain(WithinVmap):
    """The layers of all members as one step, their channels side by side."""

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
        parameters = grouped(remaining, [layer.parameter_count for layer in layers])
        states = grouped(remaining, [len(layer.state) for layer in layers])
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
        outputs = ChainStep.apply(joint, gate, *chain(*joint_parameters), *parts)  # type: ignore[no-untyped-call]
        rows = [torch.unflatten(part, 1, (members, -1)) for part in outputs[: len(parts)]]
        statistics = [torch.unflatten(value, 0, (members, -1)) for value in outputs[len(parts) :]]
        return (*rows, *statistics), (*[1] * len(rows), *[0] * len(statistics))


def _stacked(tensor: torch.Tensor | None, dim: int | None, members: int) -> torch.Tensor | None:
    """Return (M, ...) from a tensor whose dimension of members is another, or that has none."""
    if tensor is None:
        return None
    return tensor.expand(members, *tensor.shape) if dim is None else tensor.movedim(dim, 0)
