"""Outputs of networks: tensors, also within lists, tuples (named ones too) and dictionaries."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import optree
import torch


def map_leaves(function: Callable[[Any], Any], tree: Any) -> Any:
    """Return a tree with a function applied to all that is no list, tuple or dictionary.

    A mapping of a class of its own, such as the outputs of ``transformers``, becomes a dictionary,
    a list or tuple of a class of its own a plain one; named tuples keep their class.
    """

    def apply(leaf: Any) -> Any:
        plain = _plain(leaf)
        return function(leaf) if plain is None else map_leaves(function, plain)

    return optree.tree_map(apply, tree)


def _plain(leaf: Any) -> Any:
    """Return the contents of a container whose class is not known, or None if it is none."""
    for known, plain in ((Mapping, dict), (list, list), (tuple, tuple)):
        if isinstance(leaf, known):
            return plain(leaf)
    return None


def map_tensors(function: Callable[[torch.Tensor], Any], tree: Any) -> Any:
    """Return a tree with a function applied to its tensors."""
    return map_leaves(lambda leaf: function(leaf) if isinstance(leaf, torch.Tensor) else leaf, tree)


def join_trees(first: Any, second: Any, dim: int) -> Any:
    """Return the tensors of two trees of the same form, concatenated along a dimension.

    Raises:
        ValueError: if the trees differ in form.
    """

    def join(leaf: Any, other: Any) -> Any:
        if isinstance(leaf, torch.Tensor) != isinstance(other, torch.Tensor):
            raise ValueError(f"expected outputs of the same form, got {type(leaf)}, {type(other)}")
        return torch.cat([leaf, other], dim) if isinstance(leaf, torch.Tensor) else leaf

    plain = [map_leaves(lambda leaf: leaf, tree) for tree in (first, second)]
    return optree.tree_map(join, *plain)


def tensors_in(tree: Any) -> list[torch.Tensor]:
    """Return all tensors of a tree; those of a dictionary in the order of its sorted keys."""
    tensors: list[torch.Tensor] = []
    map_tensors(tensors.append, tree)
    return tensors
