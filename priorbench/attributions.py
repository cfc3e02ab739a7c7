"""Differentiable attributions: what a prior's penalty sees, in any training loop."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.nn.modules.batchnorm import _BatchNorm

from .contracts import Attribution
from .streams import Gate, Streams, part

Target = Callable[[Any], torch.Tensor]


def input_x_gradient(
    model: torch.nn.Module,
    sequence: torch.Tensor,
    target: Target,
    *,
    create_graph: bool = True,
) -> Attribution:
    """Gradient x input of every example (Shrikumar et al. 2016, arXiv:1605.01713).

    Where the model is in training mode, the statistics of batch norm are held fixed: the
    gradient is that of one example's target by its own input. The model's mode, the gradient
    flags of its parameters and ``sequence`` itself are left as they are.

    Args:
        model: maps (B, 4, L) to an output; examples may be coupled by batch norm only.
        sequence: (B, 4, L) one-hot, floating; result follows its device and dtype.
        target: maps the model's output to (B,), the scalar to be attributed.
        create_graph: keep the graph, so that a penalty on the result can be differentiated.

    Returns:
        Attribution with gradient (B, 4, L) and observed (B, L).
    """
    everything = torch.ones(len(sequence), dtype=torch.bool, device=sequence.device)
    return attribute_and_predict(model, sequence, everything, target, create_graph=create_graph)[1]


def attribute_and_predict(
    model: torch.nn.Module,
    sequence: torch.Tensor,
    applies: torch.Tensor,
    target: Target,
    *,
    create_graph: bool = True,
) -> tuple[Any, Attribution]:
    """One forward pass that also attributes some of the examples.

    Only the chosen examples pay for the second differentiation.

    Args:
        model: maps (B, 4, L) to (B, ...), or to a tuple of such; examples may be coupled by
            batch norm only.
        sequence: (B, 4, L) one-hot, floating.
        applies: (B,) bool, which examples to attribute; at least one.
        target: maps the model's output to one scalar per example.
        create_graph: as in :func:`input_x_gradient`.

    Returns:
        the model's output, (B, ...), in the order of ``sequence``; and the Attribution of the
        k chosen examples: gradient (k, 4, L), observed (k, L).
    """
    gate = Gate()
    chosen = sequence[applies].detach().requires_grad_()
    rest = sequence[~applies]
    parts = [chosen, rest] if len(rest) else [chosen]
    with torch.enable_grad():
        outputs = _forward(model, parts, gate)
        with gate.closed():
            (gradient,) = torch.autograd.grad(
                target(outputs[0]).sum(), chosen, create_graph=create_graph
            )
        attribution = Attribution(gradient, (gradient * chosen.detach()).sum(dim=1))
    if len(outputs) == 1:
        return outputs[0], attribution
    order = torch.cat([torch.nonzero(applies)[:, 0], torch.nonzero(~applies)[:, 0]])
    return _rejoin(outputs[0], outputs[1], torch.argsort(order)), attribution


def _forward(model: torch.nn.Module, parts: list[torch.Tensor], gate: Gate) -> list[Any]:
    """The model's output for every part; together only where batch norm couples them."""
    norms = [m for m in model.modules() if isinstance(m, _BatchNorm)]
    coupled = any(m.training or m.running_mean is None for m in norms)
    if not coupled:
        return [model(value) for value in parts]
    output = model(Streams(parts, gate))
    return [part(output, index) for index in range(len(parts))]


def _rejoin(first: Any, second: Any, order: torch.Tensor) -> Any:
    if isinstance(first, tuple):
        return tuple(_rejoin(a, b, order) for a, b in zip(first, second, strict=True))
    return torch.cat([first, second])[order]
