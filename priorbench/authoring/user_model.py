"""How a user's model is checked, by the name of what makes it, ``module:factory``."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import torch

from priorbench.attribution.model_check import ModelCheck, check_model
from priorbench.attribution.passes import Layout
from priorbench.autograd.output_trees import tensors_in
from priorbench.components.architecture import NetworkShape
from priorbench.errors import UserError
from priorbench.user_models.factory import load_factory, member, of_user

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
            and in the working directory first. A factory that needs sizes is given those of a
            network with one output.
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
    with of_user(f"--model {name}"):
        factory = load_factory(name)
        model = factory.make(NetworkShape(length))
        scalars = _target(target, factory.module, model)
        kind = next((p for p in model.parameters() if p.is_floating_point()), torch.zeros(0))
        given = sequences(batch, length).to(kind)
        given = given if layout == "B4L" else given.transpose(1, 2).contiguous()
        return check_model(model, given, scalars, layout=layout)


def _target(
    text: str | None, module: ModuleType, model: torch.nn.Module
) -> Callable[[Any], torch.Tensor]:
    if text is None:
        own = getattr(module, "target", None) or getattr(model, "target", None)
        return own if callable(own) else lambda output: _column(output, 0)
    if text.lstrip("-").isdigit():
        return lambda output: _column(output, int(text))
    function: Callable[[Any], torch.Tensor] = member(module, text)
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
