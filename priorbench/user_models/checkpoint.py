"""The weights of a trained network: read from a file, and put into a model that they fit."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch.nn.parameter import is_lazy

from priorbench.errors import UserError, first_names

from .factory import told

State = Mapping[str, torch.Tensor]
_INSIDE = ("state_dict", "model_state_dict", "model")
"""keys under which training loops keep a state_dict"""
_MOST_NAMED = 3


def read_state(path: Path) -> State:
    """Return the tensors of a file by name, on the CPU.

    It is a ``.safetensors``, or what ``torch.save`` made of a ``state_dict()``, by itself or under
    one of the keys that training loops use. Nothing but tensors and plain values is unpacked, so
    that no code in the file is run.

    Raises:
        UserError: if the file cannot be read, or holds no ``state_dict()``.
    """
    if path.suffix == ".safetensors":
        try:
            state: State = load_file(path)
        except (SafetensorError, OSError, ValueError) as error:
            raise UserError(f"{path}: is no safetensors file ({told(error)})") from error
        return state
    try:
        contents = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # it raises what it likes, with a page of advice
        raise UserError(
            f"{path}: is damaged, or holds more than tensors ({type(error).__name__}); save "
            "model.state_dict() by itself"
        ) from error
    for candidate in (contents, *(_under(contents, key) for key in _INSIDE)):
        if _is_state(candidate):
            return dict(candidate)
    raise UserError(f"{path}: holds no state_dict; save model.state_dict()")


def _under(contents: Any, key: str) -> Any:
    return contents.get(key) if isinstance(contents, Mapping) else None


def _is_state(value: Any) -> bool:
    return (
        isinstance(value, Mapping)
        and bool(value)
        and all(isinstance(tensor, torch.Tensor) for tensor in value.values())
    )


def put_state(model: torch.nn.Module, state: State) -> None:
    """Put tensors into a model, each into the one of its name.

    A prefix that all names share, such as ``module.`` or ``model.``, is left out where that makes
    them fit.

    Raises:
        UserError: if names or shapes differ; names the first of them.
    """
    own = model.state_dict()
    if not_tensors := [name for name, value in own.items() if not isinstance(value, torch.Tensor)]:
        raise UserError(f"the model keeps {not_tensors[0]}, which is no tensor, in its state_dict")
    state = _without_prefix(state, own)
    shapes = [
        f"{name} {tuple(value.shape)} (the model's: {tuple(own[name].shape)})"
        for name, value in state.items()
        if name in own and not is_lazy(own[name]) and own[name].shape != value.shape
    ]
    if shapes:
        raise UserError(f"does not fit the model: {first_names(shapes, _MOST_NAMED)}")
    try:
        left = model.load_state_dict(state, strict=False)
    except Exception as error:  # of a module with rules of its own
        raise UserError(f"does not fit the model: {told(error)}") from error
    problems = []
    if left.missing_keys:
        problems.append(f"lacks {first_names(left.missing_keys, _MOST_NAMED)}")
    if left.unexpected_keys:
        problems.append(
            f"has {first_names(left.unexpected_keys, _MOST_NAMED)}, which the model has not"
        )
    if problems:
        raise UserError(f"does not fit the model: {'; '.join(problems)}")


def _without_prefix(state: State, own: Collection[str]) -> State:
    """Return the tensors without as much of a shared prefix as lets most names fit."""
    shared = next(iter(state))
    while not all(name.startswith(shared) for name in state):
        shared = shared[:-1]
    ends = [0, *(place + 1 for place, letter in enumerate(shared) if letter == ".")]
    best = max(ends, key=lambda end: sum(name[end:] in own for name in state))
    return {name[best:]: value for name, value in state.items()}


def digest_of_state(state: State) -> str:
    """Return a hash of names, shapes and values of tensors, whatever file they came from."""
    digest = hashlib.sha256()
    for name in sorted(state):
        value = state[name].detach().cpu().contiguous()
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        digest.update(value.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:16]
