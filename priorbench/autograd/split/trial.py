"""A way through a model tried once: its outputs, buffers and gradients, compared with another's."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch.overrides import TorchFunctionMode

from priorbench.autograd.model_call import ModelCall
from priorbench.autograd.module_state import ModuleState, forked_generators
from priorbench.autograd.output_trees import map_leaves, tensors_in
from priorbench.autograd.statistics_gate import StatisticsGate

from .ways import Arguments, Way


@dataclass(frozen=True)
class Outcome:
    """What a way gave.

    Attributes:
        values: outputs and buffers.
        others: what the outputs hold beside tensors.
        slopes: the gradient by the input, if there is one.
    """

    values: Sequence[torch.Tensor]
    others: Sequence[Any]
    slopes: Sequence[torch.Tensor]

    def difference(self, other: Outcome) -> str:
        """Return what is not the same, in words; "" where both ways gave the same."""
        if len(self.values) != len(other.values) or self.others != other.others:
            return "other outputs"
        if not all(map(_close, other.values, self.values)):
            return "other numbers"
        if len(self.slopes) != len(other.slopes) or not all(
            map(_similar, other.slopes, self.slopes)
        ):
            return "other gradients"
        return ""


def try_way(way: Way, call: ModelCall, parts: Sequence[Arguments], examples: int) -> Outcome:
    """Go a way once, without dropout, as masks would differ; the caller restores the modules."""
    sequence, gate = parts[0][0], StatisticsGate()
    # copies, so that a module that changes its input in place changes only them
    copies = [[value.detach().clone() for value in arguments] for arguments in parts]
    leaf = copies[0 if examples == len(parts) else examples][0].requires_grad_()
    model: Any = call.model
    with _NoDropout(), forked_generators(sequence.device):
        outputs = way(call.taking_rows, copies, gate, examples)
    total, slope = _total(outputs, sequence.device), None
    if total.requires_grad:
        with gate.closed():
            slope = torch.autograd.grad(total, leaf, allow_unused=True)[0]
    buffers = [buffer.clone() for buffer in model.buffers()]
    others: list[Any] = []
    map_leaves(lambda v: None if isinstance(v, torch.Tensor) else others.append(v), outputs)
    return Outcome([*tensors_in(outputs), *buffers], others, [] if slope is None else [slope])


def _total(outputs: Any, device: torch.device) -> torch.Tensor:
    """Return a sum in which no two numbers of an output have the same weight."""
    total = torch.zeros((), device=device)
    for value in tensors_in(outputs):
        if value.requires_grad and value.is_floating_point():
            weight = torch.linspace(1, 2, value[0].numel(), device=device).to(value)
            total = total + (value * weight.view_as(value[0])).sum()
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


class Watched:
    """A model whose pass is watched for what no number of a single batch need show.

    A course that depends on numbers, and one number of several examples, such as a norm to clip by,
    may agree in one batch and not in the next.

    Attributes:
        model: the module.
        finding: what was seen first, as the end of a sentence; "" if nothing was.
        operators: number of operators that made tensors of the examples.
        made: numbers in all of these tensors.
    """

    def __init__(self, model: Callable[..., Any]) -> None:
        """Watch a module, or a call of one."""
        # else behind a ModelCall; a module may have an attribute of that name
        self.model: Any = model if isinstance(model, torch.nn.Module) else model.model  # type: ignore[attr-defined]
        self.finding = ""
        self.operators = self.made = 0
        self._called = model

    def __call__(self, *arguments: Any) -> Any:
        """Call the model."""
        with _Watch(self, arguments):
            return self._called(*arguments)


def mean_numbers(call: ModelCall, arguments: Arguments) -> float:
    """Return how many numbers an operator of a model makes on average of an example.

    A pass of two examples is watched, and leaves nothing on the modules.
    """
    model: Any = call.model
    state, rows = ModuleState(list(model.modules())), [value.detach()[:2] for value in arguments]
    watched = Watched(call.taking_rows)
    try:
        with torch.no_grad(), forked_generators(rows[0].device):
            watched(*(value.clone() for value in rows))
    finally:
        state.restore()
    return watched.made / max(watched.operators, 1) / len(rows[0])


class _Watch(TorchFunctionMode):
    def __init__(self, watched: Watched, examples: Sequence[torch.Tensor]) -> None:
        super().__init__()
        self.watched = watched
        # held, so that no other tensor has the identity of one that is gone
        self._of_examples = {id(value): value for value in examples}

    def __torch_function__(
        self,
        function: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        result = function(*args, **(kwargs or {}))
        given: Any = (args, dict(kwargs or {}))
        if any(id(value) in self._of_examples for value in tensors_in(given)):
            # whole numbers, such as lengths, are mostly of how a batch is arranged
            made = [v for v in tensors_in(result) if v.is_floating_point() or v.dtype == torch.bool]
            self._of_examples |= {id(value): value for value in made}
            self.watched.operators += bool(made)
            self.watched.made += sum(value.numel() for value in made)
            name = getattr(function, "__name__", function)
            if not self.watched.finding and function in _READS:
                self.watched.finding = f"its course depends on numbers of the batch ({name})"
            elif not self.watched.finding and any(value.dim() == 0 for value in made):
                self.watched.finding = f"{name!r} makes one number of its examples"
        return result


_READS = {
    *[getattr(torch.Tensor, f"__{name}__") for name in ("bool", "int", "float", "index", "array")],
    *[getattr(torch.Tensor, name) for name in ("item", "tolist", "numpy", "equal", "allclose")],
    torch.equal,
    torch.allclose,
    torch.is_nonzero,
}
"""functions that give Python numbers of a tensor"""
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
