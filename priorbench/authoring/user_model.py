"""A user's model by the name of what makes it, ``module:factory``, and how it is checked."""

from __future__ import annotations

import contextlib
import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

from priorbench.attribution.model_check import ModelCheck, check_model
from priorbench.attribution.passes import Layout
from priorbench.autograd.output_trees import tensors_in
from priorbench.errors import UserError, in_one_line, unknown

from .check_tools import sequences

_MOST = 10_000_000
"""largest number of bases of a batch"""


def check_user_model(
    name: str, *, length: int, batch: int, target: str | None, layout: Layout = "B4L"
) -> ModelCheck:
    """Check the model that a factory makes, on random sequences.

    What the user's code prints goes to standard error.

    Args:
        name: module and factory, ``module:factory``; modules are looked for where Python looks,
            and in the working directory first.
        length: length of the sequences in bp.
        batch: number of sequences.
        target: column of the output that is attributed, or a function of the module from the
            output to (B,). None for the function ``target`` of the module or the method of the
            model, or else the first column.
        layout: order of the dimensions of the sequences that the model takes.

    Raises:
        UserError: if there is no such model, or it does not take the sequences.
    """
    if length < 1 or batch < 4 or length * batch > _MOST:
        raise UserError(
            f"--length {length}, --batch {batch}: give at least 4 sequences of at least 1 bp, and "
            f"at most {_MOST:,} bases in all"
        )
    with contextlib.redirect_stdout(sys.stderr), _of_user(f"--model {name}"):
        module, model = _load(name)
        scalars = _target(target, module, model)
        kind = next((p for p in model.parameters() if p.is_floating_point()), torch.zeros(0))
        given = sequences(batch, length).to(kind)
        given = given if layout == "B4L" else given.transpose(1, 2).contiguous()
        return check_model(model, given, scalars, layout=layout)


@contextlib.contextmanager
def _of_user(where: str) -> Iterator[None]:
    try:
        yield
    except UserError as error:
        raise UserError(f"{where}: {error}") from error


def _load(name: str) -> tuple[ModuleType, torch.nn.Module]:
    path, colon, factory = name.partition(":")
    if not (path and colon and factory) or path.startswith("."):
        raise UserError("write module:factory, such as my_models:make_model")
    if path.endswith(".py"):
        raise UserError(f"write the module without .py: {path.removesuffix('.py')}:{factory}")
    with _working_directory_first():
        try:
            module = importlib.import_module(path)
        except (Exception, SystemExit) as error:
            # whatever a user's file raises while it is imported is theirs to mend
            raise UserError(f"module {path!r} cannot be imported: {_told(error)}") from error
        thing = _member(module, factory)
        if not isinstance(thing, torch.nn.Module):
            thing = _made(thing, factory)
    return module, thing


@contextlib.contextmanager
def _working_directory_first() -> Iterator[None]:
    sys.path.insert(0, str(Path.cwd()))
    try:
        yield
    finally:
        sys.path.remove(str(Path.cwd()))


def _member(module: ModuleType, name: str) -> Any:
    if not hasattr(module, name):
        known = [key for key, value in vars(module).items() if callable(value) and key[0] != "_"]
        raise unknown(f"function of module {module.__name__!r}:", name, known)
    return getattr(module, name)


def _made(factory: Any, name: str) -> torch.nn.Module:
    if not callable(factory):
        raise UserError(f"{name} is a {type(factory).__name__}; name a function without arguments")
    try:
        model = factory()
    except (Exception, SystemExit) as error:
        raise UserError(f"{name}() raises {_told(error)}") from error
    if not isinstance(model, torch.nn.Module):
        raise UserError(f"{name}() returns a {type(model).__name__}, wanted a torch.nn.Module")
    return model


def _target(
    text: str | None, module: ModuleType, model: torch.nn.Module
) -> Callable[[Any], torch.Tensor]:
    if text is None:
        own = getattr(module, "target", None) or getattr(model, "target", None)
        return own if callable(own) else lambda output: _column(output, 0)
    if text.lstrip("-").isdigit():
        return lambda output: _column(output, int(text))
    function: Callable[[Any], torch.Tensor] = _member(module, text)
    if not callable(function):
        raise UserError(f"--target {text}: is no function; name one, or a column such as 0")
    return function


def _column(output: Any, number: int) -> torch.Tensor:
    """Return a column of the first tensor of an output; its mean over what follows."""
    tensors = tensors_in(output)
    if not tensors:
        raise UserError("the output has no tensor; write a function `target` in its module")
    values = tensors[0]
    if values.dim() < 2:
        if number:
            raise UserError(f"--target {number}: the output has one number per example")
        return values
    columns = values.shape[1]
    if not -columns <= number < columns:
        raise UserError(f"--target {number}: the output has columns 0 to {columns - 1}")
    column = values[:, number]
    return column.flatten(1).mean(dim=1) if column.dim() > 1 else column


def _told(error: BaseException) -> str:
    return in_one_line(f"{type(error).__name__}: {error}")
