"""A batch in parts that goes through a network side by side, and batch norm that joins them.

Parts hold examples, or path points: inputs that are no examples, such as the points at which
integrated gradients are taken. Path points are normalised by the statistics of the examples and
have no share in them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import optree
import torch
import torch.nn.functional as F

from priorbench.autograd.batch_norm import BatchNormCall
from priorbench.autograd.layers import Tensors
from priorbench.autograd.output_trees import map_leaves
from priorbench.autograd.run_layers import LayerWithParameters, run
from priorbench.autograd.statistics_gate import StatisticsGate


class CannotSplit(AttributeError):
    """A network uses something that a batch in parts does not have."""


class SplitBatch:
    """A batch in parts; torch functions and modules act on every part.

    Works with modules made of torch functions, tensor methods, arithmetic and indexing that
    treat examples one by one, plus batch norm, whose statistics are those of all examples
    together. Sizes are not defined, as parts differ in their first dimension.
    """

    def __init__(self, parts: Tensors, gate: StatisticsGate, examples: int | None = None) -> None:
        """Hold a batch.

        Args:
            parts: tensors that differ at most in their first dimension.
            gate: the gate to the batch statistics.
            examples: number of parts, the first ones, that hold examples and make the batch
                statistics; the others hold path points. None if all hold examples.
        """
        self.parts = tuple(parts)
        self.gate = gate
        self.examples = len(self.parts) if examples is None else examples

    def like(self, parts: Tensors) -> SplitBatch:
        """Return the same batch with other contents."""
        return SplitBatch(parts, self.gate, self.examples)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        """Return a tensor method for every part; attributes such as ``shape`` are refused."""
        method = getattr(torch.Tensor, name, None)
        if not callable(method):
            raise CannotSplit(f"{name!r} is not defined for a batch in parts")

        def call(*args: Any, **kwargs: Any) -> Any:
            return _on_each_part(method, (self, *args), kwargs)

        return call

    def _refuse(self, *others: Any) -> Any:
        raise CannotSplit("this is not defined for a batch in parts")

    # what Python would otherwise answer by itself: sizes, identity, loops over examples; and
    # changes in place, which another name for the same tensor would not show
    __len__ = __iter__ = __eq__ = __ne__ = __bool__ = __contains__ = __setitem__ = _refuse
    __iadd__ = __isub__ = __imul__ = __itruediv__ = __ipow__ = __imatmul__ = _refuse
    __hash__ = object.__hash__

    def dim(self) -> int:
        """Return the number of dimensions."""
        return self.parts[0].dim()

    @classmethod
    def __torch_function__(
        cls,
        function: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Apply a torch function to every part; batch norm to all of them together."""
        if function is torch.batch_norm:
            raise CannotSplit("torch.batch_norm is called directly")
        if function is F.batch_norm:
            return _batch_norm(BatchNormCall(*args, **(kwargs or {})))
        return _on_each_part(function, args, kwargs or {})


def _operator(name: str) -> Callable[..., Any]:
    method = getattr(torch.Tensor, name)

    def apply(self: SplitBatch, *others: Any) -> Any:
        return _on_each_part(method, (self, *others), {})

    return apply


for _name in ("add", "sub", "mul", "truediv", "matmul", "pow"):
    for _side in ("", "r"):
        setattr(SplitBatch, f"__{_side}{_name}__", _operator(f"__{_side}{_name}__"))
for _name in ("neg", "abs", "getitem"):
    setattr(SplitBatch, f"__{_name}__", _operator(f"__{_name}__"))


def part_of(output: Any, index: int) -> Any:
    """Return one part of a network's output for a batch in parts."""
    return map_leaves(lambda leaf: _part(leaf, index), output)


def _part(value: Any, index: int) -> Any:
    return value.parts[index] if isinstance(value, SplitBatch) else value


def _on_each_part(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> Any:
    if not torch.is_grad_enabled():
        # within a custom autograd function, which sees no tensor here and would drop its gradient
        raise CannotSplit("gradients are off")
    call: Any = (args, dict(kwargs))
    leaves, form = optree.tree_flatten(call)
    batch = next(leaf for leaf in leaves if isinstance(leaf, SplitBatch))
    results = []
    for index in range(len(batch.parts)):
        part_args, part_kwargs = form.unflatten([_part(leaf, index) for leaf in leaves])
        results.append(function(*part_args, **part_kwargs))
    if isinstance(results[0], torch.Tensor):
        return batch.like(results)
    if isinstance(results[0], tuple) and all(isinstance(v, torch.Tensor) for v in results[0]):
        return tuple(batch.like(parts) for parts in zip(*results, strict=True))
    raise CannotSplit(f"{getattr(function, '__name__', function)!r} gives no tensor of examples")


def _batch_norm(call: BatchNormCall) -> SplitBatch:
    """``torch.nn.functional.batch_norm`` with the statistics of all examples together."""
    batch = cast("SplitBatch", call.input)
    if not call.training:
        return batch.like([F.batch_norm(*call._replace(input=part)) for part in batch.parts])
    rows = sum(part.shape[0] for part in batch.parts[: batch.examples])
    layer = LayerWithParameters(call.layer(rows), call.parameters)
    return batch.like(run([layer], batch.gate, batch.parts).parts)
