"""Attributions of some of a batch, taken in the pass that predicts all of it.

The model is called once, for the whole batch, as it is: hooks, and what modules keep, are those of
a plain training loop. A method that takes gradients at other points than the inputs calls it a
second time, for the points, and leaves no trace of that. The fast way, which is asked for,
differentiates only what is attributed (``autograd.split``).
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Generic, Literal, TypeVar

import torch

from priorbench.autograd.functions.batch_norm_nodes import BatchNormNodes
from priorbench.autograd.functions.twice_differentiable import GatedBatchNorm, TwiceDifferentiable
from priorbench.autograd.model_call import (
    ModelCall,
    modules_of,
    uncompiled,
    warn_of_scripts,
    without_communication,
)
from priorbench.autograd.module_state import ModuleState
from priorbench.autograd.output_trees import join_trees, map_tensors
from priorbench.autograd.split.routes import forward_apart, require_apart
from priorbench.autograd.split.ways import CannotTakeApart
from priorbench.autograd.statistics_gate import StatisticsGate
from priorbench.components.prior import Attribution

from .methods import AttributionMethod, Path

Output = TypeVar("Output")
Layout = Literal["B4L", "BL4"]
"""order of a sequence's dimensions: the four bases before the L positions, or after them"""


class Chosen:
    """The examples of a batch that are attributed.

    Attributes:
        size: B, number of examples in the batch.
        everything: whether all are attributed, in their order.
        rows: (k,) int64, their rows.
    """

    def __init__(self, size: int, rows: torch.Tensor, *, everything: bool = False) -> None:
        """Choose by rows."""
        self.size, self.rows, self.everything = size, rows, everything

    @classmethod
    def where(cls, applies: torch.Tensor, count: int) -> Chosen:
        """Choose by a mask (B,) bool, of which ``count`` are true."""
        size = len(applies)
        # a mask used as an index would make the host wait for the device once more
        order = torch.argsort(~applies, stable=True)
        return cls(size, order[:count], everything=count == size)

    def to(self, device: torch.device) -> Chosen:
        """Return the same choice on a device."""
        return Chosen(self.size, self.rows.to(device), everything=self.everything)

    @cached_property
    def mask(self) -> torch.Tensor:
        """(B,) bool, whether an example is attributed."""
        mask = torch.zeros(self.size, dtype=torch.bool, device=self.rows.device)
        return mask.index_fill(0, self.rows, True)

    @cached_property
    def others(self) -> torch.Tensor:
        """(B - k,) int64, the rows that are not attributed."""
        return torch.argsort(self.mask, stable=True)[: self.size - len(self.rows)]


@dataclass(frozen=True)
class Reading(Generic[Output]):
    """The way from a model's output to attributions.

    Attributes:
        target: function from the model's output to the scalars that are attributed.
        method: attribution method.
        generator: generator of methods that draw.
        create_graph: whether attributions can be differentiated.
        layout: order of the sequence's dimensions.
    """

    target: Callable[[Output], torch.Tensor]
    method: AttributionMethod
    generator: torch.Generator | None = None
    create_graph: bool = True
    layout: Layout = "B4L"

    def scalars(self, output: Output, count: int) -> torch.Tensor:
        """Return the (count,) scalars; ValueError for another shape, or for constants."""
        scalars = self.target(output)
        kind, shape = getattr(scalars, "dtype", type(scalars)), getattr(scalars, "shape", ())
        if not isinstance(scalars, torch.Tensor) or shape != (count,) or not kind.is_floating_point:
            raise ValueError(
                f"target gives {kind} of shape {tuple(shape)}, wanted floating ({count},): one "
                "scalar per example"
            )
        return scalars

    def gradient(
        self,
        scalars: torch.Tensor,
        points: torch.Tensor,
        gate: StatisticsGate,
        *,
        mask: torch.Tensor | None = None,
        model: Callable[..., Any] | None = None,
    ) -> torch.Tensor:
        """Return the gradient of the scalars, or those of a mask, by the points; bases first.

        A warning names a model whose scripts do not hold the statistics of batch norm fixed, where
        they are to be.
        """
        weights = torch.ones_like(scalars) if mask is None else mask.to(scalars)
        through, gradient = self.method.through_statistics, None
        if scalars.requires_grad:
            nodes = _nodes(scalars, self.create_graph, None if through else model)
            with ExitStack() as held:
                if not through:
                    held.enter_context(gate.closed())
                    held.enter_context(nodes.statistics_held())
                # the caller may want to differentiate the output too
                (gradient,) = torch.autograd.grad(
                    scalars,
                    points,
                    weights,
                    retain_graph=True,
                    create_graph=self.create_graph,
                    allow_unused=True,
                )
        if gradient is None:
            raise ValueError("target gives scalars that do not depend on the sequence")
        return self.bases_first(gradient)

    def read(self, gradient: torch.Tensor, difference: torch.Tensor) -> Attribution:
        """Return the attribution from a gradient (k, 4, L) and input - reference."""
        kept = difference if self.create_graph else difference.detach()
        return self.method.read(gradient, kept)

    def bases_first(self, values: torch.Tensor) -> torch.Tensor:
        """Return (..., 4, L) from the sequence's layout, or the other way round."""
        return values if self.layout == "B4L" else values.transpose(-2, -1)

    def nothing(self, scalars: torch.Tensor, sequence: torch.Tensor) -> Attribution:
        """Return the attributions of no example, whose gradients are zero."""
        shape = self.bases_first(sequence).shape[1:]
        gradient = scalars[:0].to(sequence)[:, None, None].expand(0, *shape)
        gradient = gradient if self.create_graph else gradient.detach()
        return self.method.read(gradient, gradient.detach())


def _nodes(scalars: torch.Tensor, twice: bool, model: Callable[..., Any] | None) -> BatchNormNodes:
    """Return batch norm that was not seen when it was called; ValueError for what cannot be."""
    nodes = BatchNormNodes(scalars)
    if nodes.synchronised:
        raise ValueError(
            "the model has SyncBatchNorm over several processes, which has no second derivative "
            "and whose statistics cannot be held fixed: use BatchNorm"
        )
    if nodes.compiled and twice:
        raise ValueError(
            "the model calls a function that torch.compile made, which has no second derivative: "
            "pass a model that calls the original"
        )
    if nodes.scripted and model is not None:
        warn_of_scripts(model)
    return nodes


_Where = tuple[Chosen, Path | None]
"""the examples that are attributed, and the points at which gradients are taken, if not at these"""


def attribute(
    call: ModelCall, sequence: torch.Tensor, chosen: Chosen, reading: Reading[Output]
) -> tuple[Output, Attribution]:
    """Return the model's output for a batch, and the attributions of the examples chosen."""
    return _whole(call, sequence, (chosen, _path(sequence, chosen, reading)), reading)


def attribute_apart(
    call: ModelCall,
    sequence: torch.Tensor,
    chosen: Chosen,
    reading: Reading[Output],
    *,
    strict: bool = False,
) -> tuple[Output, Attribution]:
    """Do as :func:`attribute`, and differentiate only what is attributed, where that can be.

    Batches that leave nothing to be gained are taken whole, as are gradients through the statistics
    of batch norm, to which all examples contribute.

    Raises:
        CannotTakeApart: if the model must be given its batch in one tensor, and ``strict`` forbids
            to do so.
    """
    path = _path(sequence, chosen, reading)
    result = None
    whole = chosen.everything or reading.method.through_statistics
    if len(chosen.rows) and (path is not None or not whole):
        take = _apart_at_inputs if path is None else _apart_on_path
        with torch.enable_grad():
            try:
                result = take(call, sequence, (chosen, path), reading)
            except CannotTakeApart:
                if strict:
                    raise
    elif strict:
        require_apart(call)
    return _whole(call, sequence, (chosen, path), reading) if result is None else result


def _path(sequence: torch.Tensor, chosen: Chosen, reading: Reading[Any]) -> Path | None:
    with torch.enable_grad():  # a sequence may be differentiated by, too
        plain = reading.bases_first(sequence)
        return reading.method.path(plain, chosen.rows, reading.generator)


def _whole(
    call: ModelCall, sequence: torch.Tensor, where: _Where, reading: Reading[Output]
) -> tuple[Output, Attribution]:
    chosen, path = where
    with torch.enable_grad(), uncompiled(call.model):
        if path is None:
            return _at_inputs(call, sequence, chosen, reading)
        return _on_path(call, sequence, (chosen, path), reading)


def _at_inputs(
    call: ModelCall, sequence: torch.Tensor, chosen: Chosen, reading: Reading[Output]
) -> tuple[Output, Attribution]:
    points = _differentiable(sequence)
    gate, twice = StatisticsGate(), reading.create_graph
    mode = GatedBatchNorm(gate, chosen.size, needed=twice)
    through = reading.method.through_statistics  # which torch's own batch norm provides for
    with TwiceDifferentiable(needed=twice) if through else mode:
        output: Output = call(points.clone(), *call.rows)  # it may be changed in place
    scalars = reading.scalars(output, chosen.size)
    if not len(chosen.rows):
        return output, reading.nothing(scalars, sequence)
    difference = reading.bases_first(sequence)
    if chosen.everything:
        gradient = reading.gradient(scalars, points, gate, model=call.model)
    else:
        mask = chosen.mask
        whole = reading.gradient(scalars, points, gate, mask=mask, model=call.model)
        gradient = whole.index_select(0, chosen.rows)
        difference = difference.index_select(0, chosen.rows)
    return output, reading.read(gradient, difference)


def _apart_at_inputs(
    call: ModelCall, sequence: torch.Tensor, where: _Where, reading: Reading[Output]
) -> tuple[Output, Attribution] | None:
    """Take the chosen examples and the others as two parts of one batch; None if that cannot be."""
    chosen, _ = where
    inputs, rows = [sequence, *call.rows], (chosen.rows, chosen.others)
    attributed, rest = ([value.index_select(0, at) for value in inputs] for at in rows)
    difference = attributed[0]
    points = attributed[0] = _differentiable(difference)
    gate = StatisticsGate(None if sequence.requires_grad else points)
    outputs = forward_apart(call, [attributed, rest], gate, 2, twice=reading.create_graph)
    if outputs is None:
        return None
    gradient = reading.gradient(reading.scalars(outputs[0], len(points)), points, gate)
    attribution = reading.read(gradient, reading.bases_first(difference))
    back = torch.argsort(torch.cat(rows))
    joined: Output = map_tensors(lambda value: value[back], join_trees(outputs[0], outputs[1], 0))
    return joined, attribution


def _apart_on_path(
    call: ModelCall, sequence: torch.Tensor, where: _Where, reading: Reading[Output]
) -> tuple[Output, Attribution] | None:
    """Take the batch as one part, the points as the other; None if that cannot be."""
    chosen, path = where
    assert path is not None
    points, rows = path_points(call, chosen, path, reading)
    gate = StatisticsGate(None if sequence.requires_grad else points)
    parts = [[sequence, *call.rows], [points, *rows]]
    outputs = forward_apart(call, parts, gate, 1, twice=reading.create_graph)
    if outputs is None:
        return None
    gradient = reading.gradient(reading.scalars(outputs[1], len(points)), points, gate)
    return outputs[0], read_on_path(gradient, path, reading)


def _on_path(
    call: ModelCall, sequence: torch.Tensor, where: tuple[Chosen, Path], reading: Reading[Output]
) -> tuple[Output, Attribution]:
    chosen, path = where
    gate = StatisticsGate()
    with GatedBatchNorm(gate, chosen.size, needed=reading.create_graph) as norms:
        output: Output = call(sequence.clone(), *call.rows)  # it may be changed in place
    if not len(chosen.rows):
        return output, reading.nothing(reading.scalars(output, chosen.size), sequence)
    points, rows = path_points(call, chosen, path, reading)
    modules = modules_of(call.model)
    state = ModuleState(modules)
    with norms.at_points(), without_communication(modules):
        at_points = call(points.clone(), *rows)
    state.restore()
    scalars = reading.scalars(at_points, len(points))
    if scalars.requires_grad and BatchNormNodes(scalars).kernels:
        raise ValueError(
            "the model calls batch norm below torch.nn.functional.batch_norm, which normalises "
            "points of a path by their own statistics: call that function"
        )
    gradient = reading.gradient(scalars, points, gate, model=call.model)
    return output, read_on_path(gradient, path, reading)


def _differentiable(values: torch.Tensor) -> torch.Tensor:
    """Return a leaf, unless the caller differentiates by the values too."""
    return values if values.requires_grad else values.detach().requires_grad_()


def path_points(
    call: ModelCall, chosen: Chosen, path: Path, reading: Reading[Any]
) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """Return the points of all paths in one tensor, and the rows that go with them."""
    count = len(path.points)
    points = _differentiable(reading.bases_first(path.points).flatten(0, 1))
    rows = [
        value.index_select(0, chosen.rows).repeat(count, *[1] * (value.dim() - 1))
        for value in call.rows
    ]
    if len(points) == 1:  # a module may squeeze a batch of one
        points, rows = torch.cat([points, points]), [torch.cat([v, v]) for v in rows]
    return points, rows


def read_on_path(gradient: torch.Tensor, path: Path, reading: Reading[Any]) -> Attribution:
    """Return the attributions from the gradients (P, 4, L) at all points."""
    count, examples = path.points.shape[:2]
    mean = gradient[: count * examples].view_as(path.points).mean(dim=0)
    return reading.read(mean, path.difference)
