"""Ways in which groups of examples that share batch statistics go through a model.

An attribution prior differentiates some examples of a batch twice and the others once. One tensor
for the whole batch pays for the second differentiation everywhere; here the examples that the
prior applies to and the others are two tensors, and only batch norm, which couples examples, sees
both. With an attribution over half the batch a step of the paper's network then costs half to two
thirds of what it costs on the undivided batch, and gives the same numbers to rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Any

import torch

from priorbench.autograd.functions.twice_differentiable import GatedBatchNorm
from priorbench.autograd.layer_chain import LayerChain
from priorbench.autograd.output_trees import map_tensors, tensors_in
from priorbench.autograd.run_layers import run
from priorbench.autograd.statistics_gate import StatisticsGate

from .split_batch import SplitBatch, part_of


class CannotTakeApart(Exception):
    """A model that must be given its batch in one tensor; the message is why."""


Arguments = Sequence[torch.Tensor]
"""arguments of a model for one group of examples: tensors with one row per example"""
Way = Callable[[Callable[..., Any], Sequence[Arguments], StatisticsGate, int], list[Any]]
"""function of a model, its arguments for each group, the gate to the batch statistics, and the
number of groups, the first ones, that hold examples and make these statistics (the others hold path
points); it gives the output of each group"""


def as_chain(
    model: Callable[..., Any], parts: Sequence[Arguments], gate: StatisticsGate, examples: int
) -> list[Any]:
    """Take derivatives that are written out; the quickest way."""
    assert isinstance(model, LayerChain)
    (values,) = zip(*parts, strict=True)
    rows = sum(len(value) for value in values[:examples])
    layers = model.written_out(rows, values[0].dim())
    return list(run(layers, gate, values).parts)


def side_by_side(
    model: Callable[..., Any], parts: Sequence[Arguments], gate: StatisticsGate, examples: int
) -> list[Any]:
    """Call the model once, for all groups side by side."""
    output = model(*(SplitBatch(column, gate, examples) for column in zip(*parts, strict=True)))
    return [part_of(output, index) for index in range(len(parts))]


def one_by_one(
    model: Callable[..., Any], parts: Sequence[Arguments], gate: StatisticsGate, examples: int
) -> list[Any]:
    """Call the model for each group, where no batch norm couples them."""
    return [model(*arguments) for arguments in parts]


def in_one_tensor(
    model: Callable[..., Any], parts: Sequence[Arguments], gate: StatisticsGate, examples: int
) -> list[Any]:
    """Take all examples in one tensor; then the path points, which leave no trace in buffers."""
    sizes = [len(arguments[0]) for arguments in parts]
    with GatedBatchNorm(gate, sum(sizes[:examples])) as norms:
        output = model(*map(torch.cat, zip(*parts[:examples], strict=True)))
    outputs = _cut(output, sizes[:examples], sum(sizes[:examples]))
    if examples == len(parts):
        return outputs
    points = list(map(torch.cat, zip(*parts[examples:], strict=True)))
    if len(points[0]) == 1:
        points = [torch.cat([value, value]) for value in points]  # else a module may squeeze it
    # else behind a ModelCall; a module may have an attribute of that name
    module: Any = model if isinstance(model, torch.nn.Module) else model.model  # type: ignore[attr-defined]
    buffers = list(module.buffers())
    before = [buffer.clone() for buffer in buffers]
    with norms.at_points():
        output = model(*points)
    for buffer, value in zip(buffers, before, strict=True):
        # autograd does not notice, as in torch's batch norm; vmap has no .data
        (buffer.detach() if gate.members else buffer.data).copy_(value)
    return outputs + _cut(output, sizes[examples:], len(points[0]))


def _cut(output: Any, sizes: Sequence[int], rows: int) -> list[Any]:
    """Return the rows of each group from an output that holds them one behind the other."""
    if any(value.dim() == 0 or len(value) != rows for value in tensors_in(output)):
        raise CannotTakeApart("it returns a tensor without a row for each example")
    ends = accumulate(sizes)
    return [_rows(output, end - size, end) for end, size in zip(ends, sizes, strict=True)]


def _rows(output: Any, start: int, end: int) -> Any:
    return map_tensors(lambda value: value[start:end], output)
