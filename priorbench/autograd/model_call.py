"""A call of a model: any callable, with arguments of which some have a row for each example."""

from __future__ import annotations

import copy
import functools
import inspect
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from types import ModuleType, NoneType, SimpleNamespace
from typing import Any
from weakref import WeakSet

import optree
import torch
from torch.nn.parallel import DistributedDataParallel

from .module_state import own_attributes

_DEPTH = 5
"""how far modules are looked for in what a callable refers to"""
_MOST = 1000
"""largest number of things that are looked at in one of them, or at one distance"""
_NO_HOLDERS = (type, ModuleType, torch.Tensor, str, bytes, int, float, complex, NoneType)
"""classes of what is not looked into"""
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
        """Hold the call of a model for ``count`` examples; ValueError for what is no call."""
        require_callable("model", model, "a module or another callable")
        if isinstance(args, str) or not isinstance(args, Sequence):
            kind = "tensor" if isinstance(args, torch.Tensor) else type(args).__name__
            raise ValueError(
                f"args is a {kind}, wanted a sequence of arguments, such as (controls,)"
            )
        if kwargs is not None and not isinstance(kwargs, Mapping):
            raise ValueError(f"kwargs is a {type(kwargs).__name__}, wanted arguments by name")
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
        """What two calls have in common that differ in tensors and fractions; it can be hashed."""
        chosen = [v if isinstance(v, int | str) else type(v) for v in self._leaves]
        return self._form, tuple(chosen), tuple(self._places), tuple([v.dtype for v in self.rows])

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


def require_callable(name: str, thing: Any, wanted: str) -> None:
    """Raise ValueError, with the name of an argument, unless it can be called."""
    if not callable(thing):
        raise ValueError(f"{name} is a {type(thing).__name__}, wanted {wanted}")


def _has_rows(leaf: Any, count: int) -> bool:
    return isinstance(leaf, torch.Tensor) and leaf.dim() > 0 and leaf.shape[0] == count


def modules_of(model: Callable[..., Any]) -> list[torch.nn.Module]:
    """Return the modules that a callable is, holds or refers to, and all modules within them."""
    roots = [thing for thing in _reached([model]) if isinstance(thing, torch.nn.Module)]
    return list(dict.fromkeys(module for root in roots for module in root.modules()))


def _reached(things: Sequence[Any]) -> list[Any]:
    """Return the things and what they refer to, the nearest first; modules are not looked into."""
    by_id: dict[int, Any] = {}
    for _ in range(_DEPTH):
        new = {id(t): t for t in things if not isinstance(t, _NO_HOLDERS) and id(t) not in by_id}
        by_id |= new
        things = [other for thing in new.values() for other in _referred(thing)][:_MOST]
    return list(by_id.values())


def _referred(thing: Any) -> list[Any]:
    """Return what a thing holds, or what a function's code may name."""
    if isinstance(thing, torch.nn.Module):
        return []
    if inspect.isfunction(thing):
        return _named(thing)
    if inspect.ismethod(thing):
        return [thing.__self__, thing.__func__]
    if isinstance(thing, functools.partial):
        return [thing.func, *thing.args, *thing.keywords.values()]
    held = thing if isinstance(thing, Mapping | list | tuple) else getattr(thing, "__dict__", {})
    return [*islice(held.values() if isinstance(held, Mapping) else held, _MOST)]


def _is_of_torch(thing: Any) -> bool:
    return str(getattr(thing, "__module__", "")).partition(".")[0] == "torch"


def _named(function: Any) -> list[Any]:
    """Return what a function's code may name: closed-over, global and default values."""
    cells = [cell.cell_contents for cell in function.__closure__ or () if _is_filled(cell)]
    codes, names = [] if _is_of_torch(function) else [function.__code__], []
    for code in codes:  # that of functions within it, too
        names += code.co_names
        codes += [other for other in code.co_consts if inspect.iscode(other)]
    known = function.__globals__
    given = [*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()]
    attributes = function.__dict__.values()
    return [*cells, *given, *(known[name] for name in names if name in known), *attributes]


def _is_filled(cell: Any) -> bool:
    try:
        return cell.cell_contents is not None
    except ValueError:  # a name that has no value yet
        return False


def _functions_of(modules: Sequence[torch.nn.Module]) -> list[Any]:
    """Return functions that modules hold, and methods of their classes."""
    own = [value for module in modules for value in own_attributes(vars(module)).values()]
    classes = dict.fromkeys(cls for kind in set(map(type, modules)) for cls in kind.__mro__)
    methods = [v for cls in classes if not _is_of_torch(cls) for v in vars(cls).values()]
    return [thing for thing in [*own, *methods] if inspect.isroutine(thing) or is_compiled(thing)]


def is_compiled(thing: Any) -> bool:
    """Return whether ``torch.compile`` made a module or function what it is."""
    if "torch._dynamo" not in sys.modules:
        return False
    attributes = getattr(thing, "__dict__", {})
    if "_torchdynamo_disable" in attributes:  # torch.compiler.disable, which torch itself uses
        return False
    return (
        "_torchdynamo_orig_callable" in attributes
        or attributes.get("_compiled_call_impl") is not None
        or "_orig_mod" in attributes.get("_modules", ())
    )


@contextmanager
def without_communication(modules: Sequence[torch.nn.Module]) -> Iterator[None]:
    """Let ``DistributedDataParallel`` wrappers do nothing of their own within the block.

    They allow one pass a step, and other processes might not take part in another.
    """
    wrappers: list[Any] = [m for m in modules if isinstance(m, DistributedDataParallel)]
    names = ("require_forward_param_sync", "require_backward_grad_sync")
    before = [(wrapper, name, getattr(wrapper, name)) for wrapper in wrappers for name in names]
    for wrapper, name, _ in before:
        setattr(wrapper, name, False)
    try:
        yield
    finally:
        for wrapper, name, value in before:
            setattr(wrapper, name, value)


def compiled_things(model: Callable[..., Any]) -> list[Any]:
    """Return the compiled modules and functions that a model is, holds or refers to."""
    if "torch._dynamo" not in sys.modules:
        return []
    modules = modules_of(model)
    things = [*_reached([model]), *modules, *_reached(_functions_of(modules))]
    return [thing for thing in things if is_compiled(thing)]


@contextmanager
def uncompiled(model: Callable[..., Any]) -> Iterator[None]:
    """Run the originals of compiled modules and functions within the block, in this thread only.

    Compiled models have no second derivatives. There is one warning for each.
    """
    compiled = compiled_things(model)
    if not compiled:
        yield
        return
    if _is_first(compiled[0]):
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


def warn_of_scripts(model: Callable[..., Any]) -> None:
    """Warn once of a model with ``torch.jit`` scripts that take the statistics of a batch."""
    scripts: list[Any] = [m for m in modules_of(model) if isinstance(m, torch.jit.ScriptModule)]
    norms = [m for m in scripts if m.training and "aten::batch_norm" in str(m.inlined_graph)]
    if norms and _is_first(norms[0]):
        warnings.warn(
            "the model has batch norm in a torch.jit script, through which gradients pass into the "
            "statistics of the batch: pass the original for attributions that hold them fixed",
            stacklevel=2,
        )


def _is_first(thing: Any) -> bool:
    """Return whether nothing was asked of the thing before."""
    if thing in _warned:
        return False
    _warned.add(thing)
    return True
