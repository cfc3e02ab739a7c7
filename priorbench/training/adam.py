"""Adam with the kernel of ``torch.optim.Adam(fused=True)``, without its bookkeeping.

For small networks the bookkeeping takes ten times as long as the kernel. The numbers are those of
torch to the last bit.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

import torch

_BETAS, _EPSILON = (0.9, 0.999), 1e-8


class Adam:
    """Adam (Kingma & Ba, ICLR 2015), with the constants that torch has by default."""

    def __init__(self, parameters: Iterable[torch.Tensor], learning_rate: float) -> None:
        """Start with moments of zero.

        Args:
            parameters: dense floating tensors on one device.
            learning_rate: step size.
        """
        self.parameters = [p for p in parameters if p.requires_grad]
        self.learning_rate = learning_rate
        self._first = [torch.zeros_like(p) for p in self.parameters]
        self._second = [torch.zeros_like(p) for p in self.parameters]
        self._steps = [0] * len(self.parameters)

    def keep(self, parameters: Iterable[torch.Tensor], index: torch.Tensor) -> None:
        """Continue with some places of the first dimension of every parameter.

        Args:
            parameters: the reduced parameters, in the same order.
            index: (k,) int64, the places that are kept.
        """
        self.parameters = [p for p in parameters if p.requires_grad]
        self._first = [moment[index] for moment in self._first]
        self._second = [moment[index] for moment in self._second]

    def zero_grad(self) -> None:
        """Remove all gradients."""
        for parameter in self.parameters:
            parameter.grad = None

    @torch.no_grad()
    def step(self) -> None:
        """Move the parameters that have a gradient."""
        # a parameter without a gradient is left out of a step, and each counts its own steps
        groups: dict[int, list[int]] = defaultdict(list)
        for index, parameter in enumerate(self.parameters):
            if parameter.grad is not None:
                self._steps[index] += 1
                groups[self._steps[index]].append(index)
        for steps, group in groups.items():
            self._move(group, steps)

    def _move(self, group: list[int], steps: int) -> None:
        parameters: list[torch.Tensor] = [self.parameters[i] for i in group]
        count = torch.full((), float(steps), device=parameters[0].device)
        torch._fused_adam_(
            parameters,
            [p.grad for p in parameters if p.grad is not None],
            [self._first[i] for i in group],
            [self._second[i] for i in group],
            [],
            [count] * len(group),
            lr=self.learning_rate,
            beta1=_BETAS[0],
            beta2=_BETAS[1],
            weight_decay=0.0,
            eps=_EPSILON,
            amsgrad=False,
            maximize=False,
        )
