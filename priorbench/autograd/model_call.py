"""A call of a model: any callable, with arguments of which some have a row for each example."""

from __future__ import annotations

import copy
import functools
import inspect
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any
from weakref import WeakSet

import optree
import torch

_DEPTH = 3
"""how far modules are looked for in what a callable refers to"""
_warned: WeakSet[Any] = WeakSet()


class ModelCall:
    """A model and its arguments beside the sequence.

    Tensors whose first dimension has the size of the batch, also within lists, tuples and
    dictionaries, are rows and go with their examples; all else is passed on as it is.

    Attributes:
        model: module or any other callable.
        rows: the tensors that go with their examples.
    """

    def __init__(
        self,
        model: Callable[..., Any],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        *,
        count: int,
    ) -> None:
        """Hold the call of a model for ``count`` examples."""
        self.model = model
        call: Any = (tuple(args), dict(kwargs or {}))
        self._leaves, self._form = optree.tree_flatten(call, none_is_leaf=True)
        self._places = [i for i, leaf in enumerate(self._leaves) if _has_rows(leaf, count)]
        self.rows: list[torch.Tensor] = [self._leaves[place] for place in self._places]

    @property
    def taking_rows(self) -> Callable[..., Any]:
        """Function of a sequence and of rows: the model itself, if it is given nothing else."""
        args, kwargs = self._form.unflatten(list(range(len(self._leaves))))
        plain = not kwargs and args == tuple(self._places)
        return self.model if plain else self

    @property
    def form(self) -> tuple[Any, ...]:
        """What two calls have in common that differ in numbers only; it can be hashed."""
        return self._form, tuple(self._places), tuple([value.dtype for value in self.rows])

    def __call__(self, sequence: Any, *rows: Any) -> Any:
        """Call the model, with other tensors in place of ``rows``."""
        leaves = list(self._leaves)
        for place, value in zip(self._places, rows, strict=True):
            leaves[place] = value
        args, kwargs = self._form.unflatten(leaves)
        return self.model(sequence, *args, **kwargs)

    def mapped(self, function: Callable[[torch.Tensor], torch.Tensor]) -> ModelCall:
        """Return the call with a function applied to all tensors among the arguments."""
        other = copy.copy(self)
        other._leaves = [function(v) if isinstance(v, torch.Tensor) else v for v in self._leaves]
        other.rows = [other._leaves[place] for place in self._places]
        return other

    def beside(self) -> ModelCall:
        """Return the call for inputs of a pass beside that of the batch.

        A module that ``DistributedDataParallel`` wraps is called itself: the wrapper allows one
        pass a step.
        """
        if not isinstance(self.model, torch.nn.parallel.DistributedDataParallel):
            return self
        other = copy.copy(self)
        other.model = self.model.module
        return other


def _has_rows(leaf: Any, count: int) -> bool:
    return isinstance(leaf, torch.Tensor) and leaf.dim() > 0 and leaf.shape[0] == count


def modules_of(model: Callable[..., Any]) -> list[torch.nn.Module]:
    """Return the modules that a callable is, holds or refers to, and all modules within them."""
    roots = [thing for thing in _reached(model, _DEPTH) if isinstance(thing, torch.nn.Module)]
    return list(dict.fromkeys(module for root in roots for module in root.modules()))


def _reached(thing: Any, depth: int) -> Iterator[Any]:
    """Yield modules and functions: the callable itself, and what it refers to."""
    if isinstance(thing, torch.nn.Module):
        yield thing
        return
    if depth == 0 or not callable(thing) or isinstance(thing, type):
        return
    yield thing
    if isinstance(thing, functools.partial):
        others = [thing.func, *thing.args, *thing.keywords.values()]
    elif inspect.ismethod(thing):
        owner = thing.__self__
        others = [owner, thing.__func__, *getattr(owner, "__dict__", {}).values()]
    elif inspect.isfunction(thing):
        others = _referred(thing)
    else:
        others = [*getattr(thing, "__dict__", {}).values()]
    for other in others:
        yield from _reached(other, depth - 1)


def _referred(function: Any) -> list[Any]:
    """Return what a function's code may name: closed-over and global values."""
    cells = [cell.cell_contents for cell in function.__closure__ or () if _is_filled(cell)]
    known = function.__globals__
    return [*cells, *(known[name] for name in function.__code__.co_names if name in known)]


def _is_filled(cell: Any) -> bool:
    try:
        return cell.cell_contents is not None
    except ValueError:  # a name that has no value yet
        return False


def is_compiled(thing: Any) -> bool:
    """Return whether ``torch.compile`` made a module or function what it is."""
    if "torch._dynamo" not in sys.modules:
        return False
    attributes = getattr(thing, "__dict__", {})
    return (
        "_torchdynamo_orig_callable" in attributes
        or attributes.get("_compiled_call_impl") is not None
        or "_orig_mod" in attributes.get("_modules", ())
    )


@contextmanager
def uncompiled(model: Callable[..., Any]) -> Iterator[None]:
    """Run the originals of compiled modules and functions within the block, in this thread only.

    Compiled models have no second derivatives. There is one warning for each.
    """
    compiled: list[Any] = []
    if "torch._dynamo" in sys.modules:
        things = [*_reached(model, _DEPTH), *modules_of(model)]
        compiled = [thing for thing in things if is_compiled(thing)]
    if not compiled:
        yield
        return
    if compiled[0] not in _warned:
        _warned.add(compiled[0])
        warnings.warn(
            "the model is compiled, and torch.compile gives no second derivatives: attributions "
            "are taken of the original, at its speed",
            stacklevel=2,
        )
    from torch._guards import TracingContext, tracing

    # to torch.compile this thread is at work within a compiler, where it steps aside
    context = TracingContext(None)
    context.fake_mode = SimpleNamespace(in_kernel_invocation=True, shape_env=None)  # type: ignore[assignment]
    with tracing(context):
        yield
