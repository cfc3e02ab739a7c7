"""Batch norm that was not seen when it was called, reached in the graph that autograd recorded.

Kernels that are called below ``torch.nn.functional`` (``torch.native_batch_norm``, ``torch.ops``,
a ``torch.jit`` trace, ``torch.vmap``) leave nodes, and hooks on these hold statistics fixed.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch

_KERNELS = ("NativeBatchNorm", "CudnnBatchNorm", "MiopenBatchNorm", "BatchNormWithUpdate")
"""what the names of nodes begin with, one for each kernel of batch norm and each device"""
_SYNCHRONISED = "SyncBatchNormBackward"
_COMPILED = "CompiledFunction"
_SCRIPT = "DifferentiableGraphBackward"
"""what the name of a node ends with that stands for a piece of a script"""
_NAMELESS = "CppFunction"
"""class of nodes that only their own name tells apart, which takes longer to ask for"""


class BatchNormNodes:
    """Nodes of batch norm in training mode, and what hides them, on which values depend.

    Attributes:
        kernels: nodes of batch norm.
        scripted: whether some operations are within ``torch.jit`` scripts, out of sight.
        compiled: whether some are within functions that ``torch.compile`` made.
        synchronised: whether there is a ``torch.nn.SyncBatchNorm`` of several processes.
    """

    def __init__(self, values: torch.Tensor) -> None:
        """Walk through the graph behind values."""
        self.kernels: list[Any] = []
        self.scripted = self.compiled = self.synchronised = False
        reached, waiting = set(), [values.grad_fn]
        while waiting:
            node: Any = waiting.pop()
            if node is None or node in reached:
                continue
            reached.add(node)
            waiting += [before for before, _ in node.next_functions]
            name = type(node).__name__
            name = node.name() if name == _NAMELESS else name
            if name.startswith(_KERNELS):
                if _couples(node):
                    self.kernels.append(node)
            elif name.startswith(_COMPILED):
                self.compiled = True
            elif name == _SYNCHRONISED:
                self.synchronised = True
            elif name.endswith(_SCRIPT):
                self.scripted = True

    @contextmanager
    def statistics_held(self) -> Iterator[None]:
        """Let no gradient pass into the statistics within the block."""
        hooks = [node.register_hook(partial(_by_input, node)) for node in self.kernels]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()


def _couples(node: Any) -> bool:
    """Return whether a node takes statistics over several rows; instance norm makes them one."""
    return getattr(node, "_saved_training", True) and node._saved_input.shape[0] > 1


def _by_input(
    node: Any, before: tuple[torch.Tensor | None, ...], gradients: tuple[torch.Tensor | None, ...]
) -> tuple[torch.Tensor | None, ...]:
    """Return gradient times weight / sqrt(variance + eps) in place of the gradient by the input."""
    gradient = gradients[0]
    if gradient is None or before[0] is None:
        return before
    value, weight = node._saved_input, node._saved_weight
    dims = [0, *range(2, value.dim())]
    kind = torch.promote_types(value.dtype, torch.float32)
    eps = node._saved_eps if hasattr(node, "_saved_eps") else node._saved_epsilon
    scale = torch.rsqrt(value.to(kind).var(dims, unbiased=False) + eps)
    scale = scale if weight is None else scale * weight
    along = scale.view(-1, *[1] * (value.dim() - 2))
    return ((gradient * along).to(before[0].dtype), *before[1:])
