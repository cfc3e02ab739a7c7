"""One forward pass for groups of examples that share batch statistics.

An attribution prior differentiates some examples of a batch twice and the others once. One tensor
for the whole batch would pay for the second differentiation everywhere; here the examples that the
prior applies to and the others are two tensors, and only batch norm, which couples examples, sees
both. With an attribution over half the batch a step of the paper's network then costs half to two
thirds of what it costs on the undivided batch, and gives the same numbers to rounding.

A network that a batch in parts cannot go through (because it uses sizes, for instance) is given one
tensor, and pays for the second differentiation of all of it; batch norm and the gate to its
statistics are the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any
from weakref import WeakKeyDictionary

import torch
import torch.nn.functional as F
from torch.nn.modules.batchnorm import _BatchNorm
from torch.overrides import TorchFunctionMode

from .generators import forked_generators
from .layer_chain import LayerChain, is_changed
from .output_trees import map_tensors, tensors_in
from .run_layers import run
from .split_batch import GatedBatchNorm, SplitBatch, part_of
from .statistics_gate import StatisticsGate

Arguments = Sequence[torch.Tensor]
"""arguments of a model for one group of examples: tensors with one row per example"""


def forward_parts(
    model: torch.nn.Module, parts: Sequence[Arguments], gate: StatisticsGate, examples: int
) -> list[Any]:
    """Return a model's output for groups of examples that share batch statistics.

    When a model is first given several groups, a :class:`LayerChain` is tried with its written-out
    derivatives, and any model with the groups side by side, then one by one where no batch norm
    couples them. The first of these that gives the outputs, gradients and buffers of one tensor is
    taken; if none does, the groups go in one tensor.

    Args:
        model: network whose examples are coupled by batch norm only. In a TorchScript module with
            batch norm in training mode the gate has no effect, and path points have statistics of
            their own.
        parts: the model's arguments for each group.
        gate: the gate to the batch statistics.
        examples: number of groups, the first ones, that hold examples and make the batch
            statistics; the others hold path points.

    Returns:
        the output of each group: tensors with one row per example, also within lists, tuples
        and dictionaries.
    """
    return choose_way(model, parts, examples)(model, parts, gate, examples)


def _as_chain(
    model: torch.nn.Module, parts: Sequence[Arguments], gate: StatisticsGate, examples: int
) -> list[Any]:
    """Take derivatives that are written out; the quickest way."""
    assert isinstance(model, LayerChain)
    (values,) = zip(*parts, strict=True)
    rows = sum(len(value) for value in values[:examples])
    layers = model.written_out(rows, values[0].dim())
    return list(run(layers, gate, values).parts)


def _split(
    model: torch.nn.Module, parts: Sequence[Arguments], gate: StatisticsGate, examples: int
) -> list[Any]:
    output = model(*(SplitBatch(column, gate, examples) for column in zip(*parts, strict=True)))
    return [part_of(output, index) for index in range(len(parts))]


def _one_by_one(
    model: torch.nn.Module, parts: Sequence[Arguments], gate: StatisticsGate, examples: int
) -> list[Any]:
    return [model(*arguments) for arguments in parts]


def _whole(
    model: torch.nn.Module, parts: Sequence[Arguments], gate: StatisticsGate, examples: int
) -> list[Any]:
    """Take all examples in one tensor; then the path points, which leave no trace in buffers."""
    sizes = [len(arguments[0]) for arguments in parts]
    with GatedBatchNorm(gate) as norms:
        output = model(*map(torch.cat, zip(*parts[:examples], strict=True)))
    outputs = _cut(output, sizes[:examples])
    if examples == len(parts):
        return outputs
    points = list(map(torch.cat, zip(*parts[examples:], strict=True)))
    if len(points[0]) == 1:
        points = [torch.cat([value, value]) for value in points]  # else a module may squeeze it
    before = [buffer.clone() for buffer in model.buffers()]
    with GatedBatchNorm(gate, norms.statistics):
        output = model(*points)
    _restore(model, before, within_vmap=gate.members > 0)
    return outputs + _cut(output, sizes[examples:])


def _cut(output: Any, sizes: Sequence[int]) -> list[Any]:
    """Return the rows of each group from an output that holds them one behind the other."""
    ends = list(accumulate(sizes))
    return [_rows(output, end - size, end) for end, size in zip(ends, sizes, strict=True)]


def _rows(output: Any, start: int, end: int) -> Any:
    return map_tensors(lambda value: value[start:end], output)


Way = Callable[[torch.nn.Module, Sequence[Arguments], StatisticsGate, int], list[Any]]
"""how groups of examples go through a model; arguments and result of :func:`forward_parts`"""
# whether autocast is on, and which modules are in training mode or were changed
_Mode = tuple[bool, tuple[tuple[bool, bool], ...]]
_known_ways: WeakKeyDictionary[torch.nn.Module, dict[_Mode, Way]] = WeakKeyDictionary()


def choose_way(model: torch.nn.Module, parts: Sequence[Arguments], examples: int) -> Way:
    """Return the fastest way that gives what one tensor gives; tried once and remembered.

    The ways, from the fastest to the slowest, are the written-out derivatives of a
    :class:`LayerChain`, groups side by side, groups one by one, and one tensor. A model is tried
    again if its modules change their mode, or are changed by hooks. The arguments are those of
    :func:`forward_parts`.
    """
    # a module may squeeze a batch of one
    if len(parts) == 1 or any(len(arguments[0]) == 1 for arguments in parts):
        return _whole
    modules = list(model.modules())
    known = _known_ways.setdefault(model, {})
    casts = torch.is_autocast_enabled(parts[0][0].device.type)
    mode = casts, tuple([(module.training, is_changed(module)) for module in modules])
    if mode in known:
        return known[mode]
    if any(map(torch.nn.parameter.is_lazy, [*model.parameters(), *model.buffers()])):
        return _whole  # its first pass makes it what it is
    known[mode] = _first_that_agrees(_candidates(model, casts=casts), model, parts, examples)
    return known[mode]


def _candidates(model: torch.nn.Module, *, casts: bool) -> list[Way]:
    modules = list(model.modules())
    if any(isinstance(module, torch.jit.ScriptModule) for module in modules):
        return []
    norms = [module for module in modules if isinstance(module, _BatchNorm)]
    coupled = any(norm.training or norm.running_mean is None for norm in norms)
    # what autocast does to a function, it would not do to a derivative that is written out
    chains = isinstance(model, LayerChain) and not casts
    return [*([_as_chain] if chains else []), _split, *([] if coupled else [_one_by_one])]


def _first_that_agrees(
    ways: Sequence[Way], model: torch.nn.Module, parts: Sequence[Arguments], examples: int
) -> Way:
    """Return the first way that gives what one tensor gives; leaves no trace."""
    if not ways:
        return _whole
    expected = _trial(_whole, model, parts, examples)
    for way in ways:
        try:
            outcome = _trial(way, model, parts, examples)
        except Exception:
            # a module may fail on a batch in parts anywhere and in any way; if it is at fault
            # itself, it failed on one tensor too, and that error was shown
            continue
        if outcome.agrees(expected):
            return way
    return _whole


@dataclass(frozen=True)
class _WayOutcome:
    """What a way gave.

    Attributes:
        values: outputs and buffers.
        slopes: the gradient by the input, if there is one.
    """

    values: Sequence[torch.Tensor]
    slopes: Sequence[torch.Tensor]

    def agrees(self, other: _WayOutcome) -> bool:
        """Return whether both ways gave the same."""
        if len(self.values) != len(other.values) or len(self.slopes) != len(other.slopes):
            return False
        same = all(map(_close, other.values, self.values))
        return same and all(map(_similar, other.slopes, self.slopes))


def _trial(
    way: Way, model: torch.nn.Module, parts: Sequence[Arguments], examples: int
) -> _WayOutcome:
    """Go a way once, without dropout, as masks would differ; leaves no trace."""
    device = parts[0][0].device
    before = [buffer.clone() for buffer in model.buffers()]
    gate = StatisticsGate()
    # copies, so that a module that changes its input in place changes only them
    copies = [[value.detach().clone() for value in arguments] for arguments in parts]
    leaf = copies[0 if examples == len(parts) else examples][0].requires_grad_()
    try:
        with _NoDropout(), forked_generators(device):
            outputs = way(model, copies, gate, examples)
        with gate.closed():
            slope = torch.autograd.grad(_total(outputs), leaf, allow_unused=True)[0]
        buffers = [buffer.clone() for buffer in model.buffers()]
        return _WayOutcome([*tensors_in(outputs), *buffers], [] if slope is None else [slope])
    finally:
        _restore(model, before)


def _total(outputs: Any) -> torch.Tensor:
    """Return a sum in which no two numbers of an output have the same weight."""
    total = torch.zeros(())
    for value in tensors_in(outputs):
        if value.requires_grad and value.is_floating_point():
            weight = torch.linspace(1, 2, value[0].numel()).to(value).view_as(value[0])
            total = total.to(value.device) + (value * weight).sum()
    return total


def _close(expected: torch.Tensor, value: torch.Tensor) -> bool:
    if expected.shape != value.shape:
        return False
    if not expected.is_floating_point():
        return bool(torch.equal(expected, value))
    size = float(expected.detach().abs().max()) if expected.numel() else 0.0
    tolerance = torch.finfo(expected.dtype).eps ** 0.5 * size
    return bool(torch.allclose(expected, value, rtol=0, atol=tolerance, equal_nan=True))


def _similar(expected: torch.Tensor, slope: torch.Tensor) -> bool:
    """Compare within a hundredth: rounding may flip a rectifier or the choice of a maximum."""
    return float((expected - slope).norm()) <= 0.01 * float(expected.norm())


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


def _restore(
    model: torch.nn.Module, before: Sequence[torch.Tensor], *, within_vmap: bool = False
) -> None:
    for buffer, value in zip(model.buffers(), before, strict=True):
        # autograd does not notice, as in torch's batch norm; vmap has no .data
        (buffer.detach() if within_vmap else buffer.data).copy_(value)
