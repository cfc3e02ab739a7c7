"""Outputs of networks: tensors, also within lists, tuples (named ones too) and dictionaries."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch


def map_tree(function: Callable[[Any], Any], value: Any) -> Any:
    """The same tree with a function applied to everything that is no list, tuple or dictionary."""
    if isinstance(value, Mapping):
        return {key: map_tree(function, item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return _like(value, [map_tree(function, item) for item in value])
    return function(value)


def map_tensors(function: Callable[[torch.Tensor], Any], value: Any) -> Any:
    """The same tree with a function applied to its tensors."""
    return map_tree(lambda v: function(v) if isinstance(v, torch.Tensor) else v, value)


def join_trees(first: Any, second: Any, dim: int) -> Any:
    """A tree of the tensors of two that are alike, one behind the other along a dimension."""
    if isinstance(first, Mapping):
        return {key: join_trees(first[key], second[key], dim) for key in first}
    if isinstance(first, (list, tuple)):
        pairs = zip(first, second, strict=True)
        return _like(first, [join_trees(*pair, dim) for pair in pairs])
    return torch.cat([first, second], dim) if isinstance(first, torch.Tensor) else first


def tensors_in(value: Any) -> Iterator[torch.Tensor]:
    """All tensors, in order."""
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, Mapping):
        yield from tensors_in(list(value.values()))
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from tensors_in(item)


def _like(value: Sequence[Any], items: list[Any]) -> Any:
    return type(value)(*items) if hasattr(value, "_fields") else type(value)(items)  # type: ignore[call-arg]
