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

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any
from weakref import WeakKeyDictionary

import torch
import torch.nn.functional as F
from torch.nn.modules.batchnorm import _BatchNorm
from torch.overrides import TorchFunctionMode

from .layer_chain import Gate, Parts, run
from .nested import map_tensors, tensors_in
from .split_batch import NotDivisible, Streams, _part, _WholeBatchNorm
from .torch_layers import chain_of, changed

Arguments = Sequence[torch.Tensor]
"""of a model, for one group of examples: tensors with one row per example"""


def forward_parts(
    model: torch.nn.Module, parts: Sequence[Arguments], gate: Gate, counted: int
) -> list[Any]:
    """A model's output for groups of examples that share batch statistics.

    The first time that a model is given several groups, it is tried whether they give the same
    outputs, gradients and buffers side by side as in one tensor; if not, they go one by one where
    no batch norm couples them, and in one tensor else.

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
    return choose_way(model, parts, counted)(model, parts, gate, counted)


def _as_streams(
    model: torch.nn.Module, parts: Sequence[Arguments], gate: Gate, counted: int
) -> list[Any]:
    output = model(*(Streams(column, gate, counted) for column in zip(*parts, strict=True)))
    return [_part(output, index) for index in range(len(parts))]


def _as_chain(
    model: torch.nn.Module, parts: Sequence[Arguments], gate: Gate, counted: int
) -> list[Any]:
    """The quickest way, for networks that are a row of layers."""
    held = Parts([arguments[0] for arguments in parts])
    examples = sum(part.shape[0] for part in held.pieces[:counted])
    steps = chain_of(model, held.pieces[0], examples)
    if steps is None or any(len(arguments) > 1 for arguments in parts):
        raise NotDivisible("this is no row of layers")
    return list(run(steps, gate, held).parts.pieces)


def _one_by_one(
    model: torch.nn.Module, parts: Sequence[Arguments], gate: Gate, counted: int
) -> list[Any]:
    return [model(*arguments) for arguments in parts]


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
    _restore(model, before, within_vmap=gate.members > 0)
    return outputs + _cut(output, sizes[counted:])


def _cut(output: Any, sizes: Sequence[int]) -> list[Any]:
    """The rows of each group of an output that holds them one behind the other."""
    ends = list(accumulate(sizes))
    return [_rows(output, end - size, end) for end, size in zip(ends, sizes, strict=True)]


def _rows(output: Any, start: int, end: int) -> Any:
    return map_tensors(lambda value: value[start:end], output)


Way = Callable[[torch.nn.Module, Sequence[Arguments], Gate, int], list[Any]]
"""how groups of examples go through a model; arguments and result of :func:`forward_parts`"""
# whether autocast is on, and which modules are in training mode or have hooks
_Mode = tuple[bool, tuple[tuple[bool, bool], ...]]
_tried: WeakKeyDictionary[torch.nn.Module, dict[_Mode, Way]] = WeakKeyDictionary()


def modules_of(model: torch.nn.Module) -> list[torch.nn.Module]:
    """All modules; faster than ``model.modules()``, shared ones may come twice."""
    found = [model]
    for module in found:
        found += [child for child in module._modules.values() if child is not None]
    return found


def choose_way(model: torch.nn.Module, parts: Sequence[Arguments], counted: int) -> Way:
    """The fastest way that gives what one tensor gives; tried once and remembered.

    Arguments are those of :func:`forward_parts`.
    """
    # a module may squeeze a batch of one
    if len(parts) == 1 or any(len(arguments[0]) == 1 for arguments in parts):
        return _whole
    modules = modules_of(model)
    known = _tried.setdefault(model, {})
    casts = torch.is_autocast_enabled(parts[0][0].device.type)
    mode = casts, tuple([(module.training, changed(module)) for module in modules])
    if mode in known:
        return known[mode]
    if any(map(torch.nn.parameter.is_lazy, [*model.parameters(), *model.buffers()])):
        return _whole  # its first pass makes it what it is
    norms = [module for module in modules if isinstance(module, _BatchNorm)]
    coupled = any(norm.training or norm.running_mean is None for norm in norms)
    ways: list[Way] = [_as_chain, _as_streams] if coupled else [_as_chain, _as_streams, _one_by_one]
    if any(isinstance(module, torch.jit.ScriptModule) for module in modules):
        ways = []
    known[mode] = _first_that_agrees(ways, model, parts, counted)
    return known[mode]


def _first_that_agrees(
    ways: Sequence[Way], model: torch.nn.Module, parts: Sequence[Arguments], counted: int
) -> Way:
    """The first way that gives what one tensor gives; leaves no trace."""
    if not ways:
        return _whole
    expected = _trial(_whole, model, parts, counted)
    for way in ways:
        try:
            found = _trial(way, model, parts, counted)
        except Exception:
            # a module may stumble over a batch in parts anywhere and in any way; if it is at
            # fault itself, it stumbled over one tensor too, and that error was shown
            continue
        if found.agrees(expected):
            return way
    return _whole


@dataclass(frozen=True)
class _Trial:
    """What a way gave: outputs and buffers, and a gradient by the input, if there is one."""

    values: Sequence[torch.Tensor]
    slopes: Sequence[torch.Tensor]

    def agrees(self, other: _Trial) -> bool:
        """Whether both gave the same."""
        if len(self.values) != len(other.values) or len(self.slopes) != len(other.slopes):
            return False
        same = all(map(_close, other.values, self.values))
        return same and all(map(_similar, other.slopes, self.slopes))


def _trial(way: Way, model: torch.nn.Module, parts: Sequence[Arguments], counted: int) -> _Trial:
    """Go a way once, without dropout, as masks would differ; leaves no trace."""
    device = parts[0][0].device
    before = [buffer.clone() for buffer in model.buffers()]
    generators = _generators(device)
    gate = Gate()
    # copies, so that a module that changes its input in place has changed no one's
    copies = [[value.detach().clone() for value in arguments] for arguments in parts]
    leaf = copies[0 if counted == len(parts) else counted][0].requires_grad_()
    try:
        with _NoDropout():
            outputs = way(model, copies, gate, counted)
        with gate.closed():
            slope = torch.autograd.grad(_total(outputs), leaf, allow_unused=True)[0]
        buffers = [buffer.clone() for buffer in model.buffers()]
        return _Trial([*tensors_in(outputs), *buffers], [] if slope is None else [slope])
    finally:
        _restore(model, before)
        _set_generators(generators, device)


def _total(outputs: Any) -> torch.Tensor:
    """A sum in which no two numbers of an output have the same weight."""
    total = torch.zeros(())
    for value in tensors_in(outputs):
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


def _restore(
    model: torch.nn.Module, before: Sequence[torch.Tensor], *, within_vmap: bool = False
) -> None:
    for buffer, value in zip(model.buffers(), before, strict=True):
        # unseen by autograd, as above; vmap knows of no data
        (buffer.detach() if within_vmap else buffer.data).copy_(value)
