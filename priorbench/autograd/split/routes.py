"""Which way groups of examples go through a model: tried once, remembered, tried again on change.

A model qualifies if it treats examples one by one, batch norm aside, and if a pass leaves nothing
behind but buffers. Of the ways that give the outputs, gradients and buffers of one tensor the
fastest is taken.
"""

from __future__ import annotations

import warnings
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch.nn.modules.batchnorm import _BatchNorm

from priorbench.autograd.functions.twice_differentiable import TwiceDifferentiable
from priorbench.autograd.layer_chain import LayerChain
from priorbench.autograd.model_call import ModelCall
from priorbench.autograd.module_state import ModuleState
from priorbench.autograd.statistics_gate import StatisticsGate
from priorbench.errors import in_one_line

from .signature import examine
from .split_batch import CannotSplit
from .trial import Outcome, Watched, mean_numbers, try_way
from .ways import (
    Arguments,
    CannotTakeApart,
    Way,
    as_chain,
    in_one_tensor,
    one_by_one,
    side_by_side,
)

_MOST_ROUTES = 16
"""largest number of routes that are remembered for a model"""
_MOST_LENGTHS = 1000
"""largest number of lengths of sequences that are remembered for a model"""
FEWEST_NUMBERS = 40_000
"""fewest numbers that an operator of a model must be spared, on average, for parts to be no slower
than one tensor on a CPU, as each operator is called twice; measured in docs/performance.md"""


@dataclass(frozen=True)
class Route:
    """A way that was tried.

    Attributes:
        way: the way.
        buffers: buffers of the model that a pass changes.
        numbers: by the shape of an example, how many numbers an operator of the model makes of it
            on average.
    """

    way: Way
    buffers: Sequence[torch.Tensor] = ()
    numbers: dict[torch.Size, float] = field(default_factory=dict)

    def differentiable(self, twice: bool) -> AbstractContextManager[Any]:
        """Return the block in which the way is gone, for second derivatives or not."""
        # derivatives that are written out call no function that is replaced
        needed = twice and self.way is not as_chain
        return TwiceDifferentiable() if needed else nullcontext()

    @contextmanager
    def undone_on_failure(self) -> Iterator[None]:
        """Restore the buffers if the block raises an error."""
        before = [(buffer, buffer.clone()) for buffer in self.buffers]
        try:
            yield
        except Exception:
            for buffer, value in before:
                buffer.data.copy_(value)
            raise


@dataclass
class _Memory:
    """What is remembered of a model.

    Attributes:
        routes: route, or why there is none, by what was seen of the model and its arguments.
        passing: attributes, by the module's id and name, that every pass changes.
        has_warned: whether there was a warning of too many trials.
    """

    routes: OrderedDict[Hashable, Route | str] = field(default_factory=OrderedDict)
    passing: set[tuple[int, str]] = field(default_factory=set)
    has_warned: bool = False


_memories: WeakKeyDictionary[torch.nn.Module, _Memory] = WeakKeyDictionary()


def forward_apart(
    call: ModelCall,
    parts: Sequence[Arguments],
    gate: StatisticsGate,
    examples: int,
    *,
    twice: bool = True,
) -> list[Any] | None:
    """Return a model's output for groups of examples that share batch statistics.

    A route that was remembered and now fails is forgotten, its traces undone, and another is
    chosen.

    Args:
        call: call of a module whose examples are coupled by batch norm only.
        parts: the sequence and the call's rows, for each group.
        gate: the gate to the batch statistics.
        examples: number of groups, the first ones, that hold examples and make the batch
            statistics; the others hold path points.
        twice: whether second derivatives are needed.

    Returns:
        the output of each group: tensors with one row per example, also within lists, tuples
        and dictionaries; None if this batch must be taken in one tensor, or loses nothing by it.

    Raises:
        CannotTakeApart: if all batches must be taken in one tensor.
    """
    route = choose_route(call, parts, examples)
    if route is None or not _pays(route, call, parts, examples):
        return None
    try:
        with route.undone_on_failure(), route.differentiable(twice):
            return route.way(call.taking_rows, parts, gate, examples)
    except Exception:
        # something has changed that is not seen from outside; if the model itself is at fault,
        # its pass in one tensor will say so
        _memories.pop(call.model, None)  # type: ignore[call-overload]
    try:
        route = choose_route(call, parts, examples)
    except CannotTakeApart:
        return None
    if route is None or not _pays(route, call, parts, examples):
        return None
    with route.differentiable(twice):
        return route.way(call.taking_rows, parts, gate, examples)


def _pays(route: Route, call: ModelCall, parts: Sequence[Arguments], examples: int) -> bool:
    """Return whether parts are expected to be no slower than one tensor.

    It follows from the model and from shapes, so that the same call goes the same way every time.
    Points of a path are attributed in either case, and their parts gain nothing. Other devices than
    a CPU have not been measured: there, examples are taken apart whenever that is asked for.
    """
    if route.way is as_chain:
        return True
    rest = parts[-1]
    if examples < len(parts):
        return False
    if rest[0].device.type != "cpu":
        return True
    shape = rest[0].shape[1:]
    if shape not in route.numbers:
        if len(route.numbers) >= _MOST_LENGTHS:
            route.numbers.clear()
        route.numbers[shape] = mean_numbers(call, rest)
    return route.numbers[shape] * len(rest[0]) >= FEWEST_NUMBERS


def choose_route(call: ModelCall, parts: Sequence[Arguments], examples: int) -> Route | None:
    """Return the fastest way that gives what one tensor gives; tried once and remembered.

    The ways, from the fastest to the slowest, are the written-out derivatives of a
    :class:`LayerChain`, groups side by side, and groups one by one. Arguments and errors are those
    of :func:`forward_apart`; None if nothing can be said from this batch.
    """
    memory = _memory(call)
    key = _key(call, parts, examples, memory)
    if any(len(arguments[0]) < 2 for arguments in parts):  # a module may squeeze a batch of one
        return None
    known = memory.routes.get(key)
    if known is None:
        if _is_lazy(call.model):  # its first pass makes it what it is
            return None
        with TwiceDifferentiable():
            known = _tried(call, parts, examples, memory)
        key = _key(call, parts, examples, memory)
        memory.routes[key] = known
        if len(memory.routes) > _MOST_ROUTES:
            memory.routes.popitem(last=False)
            if not memory.has_warned:
                memory.has_warned = True
                warnings.warn(
                    f"split=True has tried this model {_MOST_ROUTES + 1} times, as something had "
                    "changed on it or in its arguments each time; a trial takes several passes, so "
                    "leave it off if that goes on",
                    stacklevel=2,
                )
    if isinstance(known, str):
        raise CannotTakeApart(known)
    return known


def _key(call: ModelCall, parts: Sequence[Arguments], examples: int, memory: _Memory) -> Hashable:
    """Return what decides the route; CannotTakeApart if there can be none."""
    seen = _seen(call, memory)
    sequence = parts[0][0]
    kind = sequence.device.type
    casts = torch.is_autocast_enabled(kind) and torch.get_autocast_dtype(kind)
    given = (sequence.dtype, sequence.device, sequence.dim(), casts, examples, len(parts))
    return seen, call.form, given


def require_apart(call: ModelCall) -> None:
    """Raise CannotTakeApart where a look at the model says that no batch can be taken in parts."""
    _seen(call, _memory(call))


def _seen(call: ModelCall, memory: _Memory) -> Hashable:
    seen = examine(call.model, memory.passing)
    if seen.refusal:
        raise CannotTakeApart(seen.refusal)
    return seen.key


def _memory(call: ModelCall) -> _Memory:
    if isinstance(call.model, torch.nn.Module):
        return _memories.setdefault(call.model, _Memory())
    return _Memory()


def _is_lazy(model: Any) -> bool:
    return any(map(torch.nn.parameter.is_lazy, [*model.parameters(), *model.buffers()]))


def _tried(
    call: ModelCall, parts: Sequence[Arguments], examples: int, memory: _Memory
) -> Route | str:
    """Return the first way that gives what one tensor gives, or why there is none."""
    modules = list(call.model.modules())  # type: ignore[attr-defined]
    state = ModuleState(modules)
    watched = Watched(call.taking_rows)
    try:
        expected = try_way(partial(_watching, watched), call, parts, examples)
        changed = state.changed_attribute()
        if changed is not None:
            memory.passing.add((id(changed.module), changed.name))
            return f"a pass changes {changed}, which is no buffer"
        if watched.finding:
            return watched.finding
        buffers, reasons = state.changed_buffers(), []
        casts = torch.is_autocast_enabled(parts[0][0].device.type)
        for way in _candidates(call, casts=casts):
            state.restore()
            reason = _difference(way, expected, call, parts, examples)
            if not reason:
                return Route(way, buffers)
            reasons.append(f"{way.__name__.replace('_', ' ')}, {reason}")
    except CannotTakeApart as reason:
        return str(reason)
    finally:
        state.restore()
    return (
        "its examples, in parts, do not have the outputs, gradients and buffers of one tensor: "
        + "; ".join(reasons)
    )


def _watching(
    watched: Watched,
    model: Callable[..., Any],
    parts: Sequence[Arguments],
    gate: StatisticsGate,
    examples: int,
) -> list[Any]:
    """Take all in one tensor, and watch what is done with it."""
    return in_one_tensor(watched, parts, gate, examples)


def _candidates(call: ModelCall, *, casts: bool) -> list[Way]:
    model: Any = call.taking_rows
    norms = [m for m in call.model.modules() if isinstance(m, _BatchNorm)]  # type: ignore[attr-defined]
    coupled = any(norm.training or norm.running_mean is None for norm in norms)
    # what autocast does to a function, it would not do to a derivative that is written out
    chains = isinstance(model, LayerChain) and not casts
    return [
        *([as_chain] if chains else []),
        side_by_side,
        *([] if coupled else [one_by_one]),
    ]


def _difference(
    way: Way, expected: Outcome, call: ModelCall, parts: Sequence[Arguments], examples: int
) -> str:
    """Return what a way does not give as it should, or why it fails; "" if all is as expected."""
    try:
        return try_way(way, call, parts, examples).difference(expected)
    except CannotSplit as error:
        return str(error)
    except Exception as error:
        # a module may fail on a batch in parts anywhere and in any way; if it is at fault itself,
        # it failed on one tensor too, and that error was shown
        return in_one_line(f"{type(error).__name__}: {error}")
