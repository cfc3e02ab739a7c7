"""What decides how a model takes a batch: a key that changes with it, and what forbids parts."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Set
from typing import Any, NamedTuple, cast

import torch
from torch.nn.modules import module as module_hooks

from priorbench.autograd.layer_chain import is_changed
from priorbench.autograd.model_call import compiled_things
from priorbench.autograd.module_state import OF_TORCH, holds_tensor

Passing = Set[tuple[int, str]]
"""attributes, by the module's id and name, that every pass changes"""


class Examined(NamedTuple):
    """What is seen of a model without running it.

    Attributes:
        key: equal for equal models; it can be hashed.
        refusal: why examples must not be taken apart, as the end of a sentence; "" if nothing is
            against it.
    """

    key: Hashable
    refusal: str = ""


def examine(model: Callable[..., Any], passing: Passing) -> Examined:
    """Look at a model's modules, their classes, modes, hooks and attributes.

    What follows from closures, globals and attributes of other objects is not seen.
    """
    if not isinstance(model, torch.nn.Module):
        return Examined(None, f"a {type(model).__name__} is no torch.nn.Module")
    if any(getattr(module_hooks, name) for name in _GLOBAL_HOOKS):
        return Examined(None, "there are hooks on every module")
    if compiled_things(model):
        return Examined(None, "it is compiled")
    keys = []
    for module in model.modules():
        key, refusal = _examine_one(module, passing)
        if refusal:
            return Examined(None, refusal)
        keys.append(key)
    return Examined(tuple(keys))


_GLOBAL_HOOKS = (
    "_global_forward_hooks",
    "_global_forward_pre_hooks",
    "_global_backward_hooks",
    "_global_backward_pre_hooks",
)
_WRAPPERS = {"DistributedDataParallel", "DataParallel", "FullyShardedDataParallel"}


def _examine_one(module: torch.nn.Module, passing: Passing) -> Examined:
    kind = type(module)
    if kind.__name__ in _WRAPPERS:
        return Examined(None, f"{kind.__name__} wraps it")
    if isinstance(module, torch.jit.ScriptModule):
        return Examined(None, "it is a script of torch.jit")
    if is_changed(module):
        return Examined(None, f"its {kind.__name__} has a hook, or a forward that was replaced")
    place, attributes = id(module), []
    for name, value in vars(module).items():
        if name in OF_TORCH:
            continue
        if type(value) in _PLAIN:  # nearly all
            attributes.append((name, value))
        elif holds_tensor(value):
            where = f"{kind.__name__}.{name}"
            return Examined(None, f"it keeps tensors in {where}, neither parameter nor buffer")
        else:
            attributes.append((name, _key(value)))
    if passing:
        attributes = [pair for pair in attributes if (place, pair[0]) not in passing]
    tensors = [
        (name, value.dtype, value.device, value.requires_grad)
        for held in (module._parameters, module._buffers)
        for name, value in held.items()
        if value is not None
    ]
    return Examined((place, kind, kind.forward, tuple(attributes), tuple(tensors)))


def _key(value: Any) -> Hashable:
    """Return what an attribute is compared by: numbers and text by value, others by identity.

    Of an object, such as a configuration, the numbers and texts in its own attributes count too.
    """
    if type(value) in _PLAIN:
        return cast("Hashable", value)
    if isinstance(value, list | tuple):
        return tuple(map(_key, value))
    if isinstance(value, Mapping):
        return tuple([(_key(name), _key(item)) for name, item in value.items()])
    held = () if isinstance(value, type) else getattr(value, "__dict__", {}).items()
    return id(value), tuple([pair for pair in held if type(pair[1]) in _PLAIN])


_PLAIN = {bool, int, float, complex, str, bytes, type(None), torch.dtype, torch.device}
