"""What a pass through a model may change: its modules' attributes and buffers, and generators."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import torch

_Container = list[Any] | dict[Any, Any] | set[Any]


@dataclass(frozen=True, eq=False)
class Attribute:
    """An attribute of a module; as text, with the module's class."""

    module: torch.nn.Module
    name: str

    def __str__(self) -> str:
        """Return the class and the name."""
        return f"{type(self.module).__name__}.{self.name}"


class ModuleState:
    """Attributes and buffers of modules as they were, to be compared with and restored.

    The contents of lists, dictionaries and sets among the attributes belong to it.
    """

    def __init__(self, modules: Sequence[torch.nn.Module]) -> None:
        """Remember the present state."""
        self._attributes = [(module, dict(vars(module))) for module in modules]
        containers: list[_Container] = [
            module._buffers for module in modules if isinstance(module._buffers, dict)
        ]
        for _, attributes in self._attributes:
            plain = own_attributes(attributes)
            containers += [v for v in plain.values() if isinstance(v, list | dict | set)]
        self._contents = [(container, container.copy()) for container in containers]
        buffers = [buffer for module in modules for buffer in module._buffers.values()]
        self._buffers = [(b, b.clone()) for b in buffers if b is not None]

    def restore(self) -> None:
        """Bring the state back; autograd does not notice, as in torch's batch norm."""
        for module, before in self._attributes:
            now = vars(module)
            for name in [name for name in now if name not in before]:
                del now[name]
            now.update({name: v for name, v in before.items() if now.get(name, now) is not v})
        for container, contents in self._contents:
            if not _same(container, contents):
                container.clear()
                if isinstance(container, list):
                    container.extend(contents)
                else:
                    container.update(contents)
        for buffer, value in self._buffers:
            buffer.data.copy_(value)

    def changed_buffers(self) -> list[torch.Tensor]:
        """Return the buffers that have other values now, or have their place no more."""
        return [buffer for buffer, value in self._buffers if not torch.equal(buffer, value)]

    def changed_attribute(self) -> Attribute | None:
        """Return an attribute that is another now; None if all are as they were."""
        unlike = {id(c) for c, contents in self._contents if not _same(c, contents)}
        for module, before in self._attributes:
            now = own_attributes(vars(module))
            for name in {**own_attributes(before), **now}:
                value = now.get(name, now)
                if not _equal(before.get(name, before), value) or id(value) in unlike:
                    return Attribute(module, name)
        return None


def _equal(before: Any, now: Any) -> bool:
    plain = type(before) is type(now) and isinstance(now, int | float | str)
    return before is now or (plain and bool(before == now))


def _same(container: _Container, contents: _Container) -> bool:
    if len(container) != len(contents):
        return False
    if isinstance(container, set):
        return container == contents
    if isinstance(container, dict):
        assert isinstance(contents, dict)
        return all(contents.get(name, contents) is value for name, value in container.items())
    return all(a is b for a, b in zip(container, contents, strict=True))


OF_TORCH = frozenset(vars(torch.nn.Module())) - {"training"}
"""names of the attributes in which a module holds parameters, buffers, modules and hooks"""


def own_attributes(attributes: dict[str, Any]) -> dict[str, Any]:
    """Return those of a module's attributes that are not torch's own."""
    return {name: value for name, value in attributes.items() if name not in OF_TORCH}


def holds_tensor(value: Any) -> bool:
    """Return whether a value is a tensor, or a list, tuple, set or dictionary with one.

    Parameters are none: recurrent layers of torch keep theirs in a list too.
    """
    if isinstance(value, dict):
        return any(map(holds_tensor, value.values()))
    if isinstance(value, list | tuple | set):
        return any(map(holds_tensor, value))
    return isinstance(value, torch.Tensor) and not isinstance(value, torch.nn.Parameter)


def forked_generators(device: torch.device) -> AbstractContextManager[Any]:
    """Restore at the end of the block the generators that modules on a device draw from."""
    return torch.random.fork_rng([device] if device.type == "cuda" else [])
