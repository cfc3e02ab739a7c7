"""Candidates of `benchmarks/gpu.py` that the suite itself does not use."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch.func import functional_call, grad

from priorbench import Attribution, Batch, Prior, Task
from priorbench.attribution.differentiable import InputXGradient
from priorbench.autograd import layer_chain
from priorbench.autograd.layers import (
    Convolution,
    LayerOutput,
    Parameters,
    SavedLayer,
    SecondDerivatives,
)
from priorbench.autograd.output_trees import map_tensors
from priorbench.autograd.statistics_gate import StatisticsGate
from priorbench.training.ensemble.stacked_networks import StackedNetworks

Step = Callable[[], Any]


@dataclass(frozen=True)
class ProductConvolution(Convolution):
    """A convolution as one batched matrix product over groups, of windows that are written out."""

    def forward(self, value: torch.Tensor, parameters: Parameters) -> LayerOutput:
        """See Layer.forward."""
        weight, bias = parameters
        assert weight is not None
        result = self._product(
            self._windows(value, weight.shape[2], self.padding), weight, len(value)
        )
        return LayerOutput(result if bias is None else result + bias[:, None])

    def second_derivatives(
        self, slope: torch.Tensor, gradient: torch.Tensor, saved: SavedLayer
    ) -> SecondDerivatives:
        """See Layer.second."""
        weight = saved.weight
        windows = self._windows(slope, weight.shape[2], self.padding)
        by_weight = self._by_weight(gradient, windows, weight)
        return SecondDerivatives(self._product(windows, weight, len(slope)), (by_weight, None))

    def _gradients(
        self,
        gradient: torch.Tensor,
        value: torch.Tensor,
        weight: torch.Tensor,
        needed: tuple[bool, bool, bool],
    ) -> Any:
        by_input = by_weight = None
        width = weight.shape[2]
        if needed[0]:
            around = self.dilation * (width - 1) - self.padding
            turned = torch.unflatten(weight.flip(2), 0, (self.groups, -1))
            turned = turned.transpose(1, 2).flatten(0, 1)
            by_input = self._product(self._windows(gradient, width, around), turned, len(gradient))
        if needed[1]:
            by_weight = self._by_weight(gradient, self._windows(value, width, self.padding), weight)
        return by_input, by_weight, gradient.sum((0, 2)) if needed[2] else None

    def _windows(self, value: torch.Tensor, width: int, padding: int) -> torch.Tensor:
        """(G, C * width, B * L') of (B, G * C, L): all windows, written out."""
        padded = F.pad(value, (padding, padding))
        length = padded.shape[2] - self.dilation * (width - 1)
        rows, channels, step = padded.stride()
        form = (padded.shape[0], padded.shape[1], width, length)
        view = padded.as_strided(form, (rows, channels, self.dilation * step, step))
        apart = torch.unflatten(view, 1, (self.groups, -1))
        return apart.permute(1, 2, 3, 0, 4).flatten(3, 4).flatten(1, 2)

    def _product(self, windows: torch.Tensor, weight: torch.Tensor, rows: int) -> torch.Tensor:
        """(B, G * F, L') of windows and (G * F, C, width)."""
        matrices = torch.unflatten(weight.flatten(1), 0, (self.groups, -1))
        found = matrices @ windows
        return torch.unflatten(found, 2, (rows, -1)).permute(2, 0, 1, 3).flatten(1, 2)

    def _by_weight(
        self, gradient: torch.Tensor, windows: torch.Tensor, weight: torch.Tensor
    ) -> torch.Tensor:
        apart = torch.unflatten(gradient, 1, (self.groups, -1))
        flat = apart.permute(1, 2, 0, 3).flatten(2, 3)
        return (flat @ windows.transpose(1, 2)).flatten(0, 1).view_as(weight)


@contextmanager
def products() -> Iterator[None]:
    """Layers that are recognised within the block convolve by matrix products."""
    before = layer_chain.Convolution
    layer_chain.Convolution = ProductConvolution  # type: ignore[misc]
    try:
        yield
    finally:
        layer_chain.Convolution = before  # type: ignore[misc]


@dataclass(frozen=True)
class Fixed:
    """An ensemble's step whose sizes do not hang on the data, so that it can be captured.

    Attributes:
        members: the networks.
        task: gives the prediction loss and the target.
        prior: a penalty on attributions.
        weight: of it.
        batch: M * B examples; the prior applies to the first ``applies`` of each network's.
        applies: how many that are.
    """

    members: StackedNetworks
    task: Task
    prior: Prior
    weight: float
    batch: Batch
    applies: int

    def loss(self) -> torch.Tensor:
        """Of all networks together."""
        count, cut = len(self.members), self.applies
        inputs = [self.batch.sequence, *self.task.inputs(self.batch)]
        apart = [torch.unflatten(value, 0, (count, -1)) for value in inputs]
        size = apart[0].shape[1]
        points = apart[0][:, :cut].detach().clone().requires_grad_()
        parts = [[points, *(value[:, :cut] for value in apart[1:])]]
        parts += [[value[:, cut:] for value in apart]] if cut < size else []
        gate = StatisticsGate(points, count)
        outputs = self.members.forward(parts, gate, len(parts))
        scalars = self.task.target(_flat(outputs[0]))
        with gate.closed():
            (slope,) = torch.autograd.grad(
                scalars.sum(), points, retain_graph=True, create_graph=True
            )
        found = InputXGradient().read(slope.flatten(0, 1), points.detach().flatten(0, 1))
        penalty = self.prior.penalty(found, self.batch).sum() / cut
        losses = [
            self.task.prediction_loss(_flat(output), self._rows(start, len(part[0][0])))
            for output, part, start in zip(outputs, parts, (0, cut), strict=False)
        ]
        return torch.cat(losses).sum() / size + self.weight * penalty

    def _rows(self, start: int, count: int) -> Batch:
        def cut(value: torch.Tensor) -> torch.Tensor:
            apart = torch.unflatten(value, 0, (len(self.members), -1))
            return apart[:, start : start + count].flatten(0, 1)

        arrays = {name: cut(value) for name, value in self.batch.arrays.items()}
        return Batch(cut(self.batch.sequence), cut(self.batch.label), arrays)

    def step(self) -> Step:
        """The step as it is."""
        parameters = list(self.members.parameters.values())
        learnt = [value for value in parameters if value.requires_grad]
        optimiser = torch.optim.Adam(learnt, capturable=self.batch.sequence.is_cuda)

        def step() -> None:
            optimiser.zero_grad(set_to_none=True)
            self.loss().backward()  # type: ignore[no-untyped-call]
            optimiser.step()

        return step


def _flat(output: Any) -> Any:
    return map_tensors(lambda value: value.flatten(0, 1), output)


def captured(step: Step) -> Step:
    """A step as one CUDA graph."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            step()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()

    def replay(kept: Step = step) -> None:  # the graph writes to what the step holds
        graph.replay()

    return replay


def compiled(
    network: torch.nn.Module, task: Task, prior: Prior, weight: float, *, batch: Batch, members: int
) -> Step:
    """A step of networks without batch norm, compiled, ``torch.func.grad`` twice inside.

    The whole batch is attributed: what a compiled step sees has one size.
    """
    names = [name for name, _ in network.named_parameters()]
    stacked = [
        value.detach().expand(members, *value.shape).clone() for value in network.parameters()
    ]
    optimiser = torch.optim.Adam(stacked, capturable=batch.sequence.is_cuda)
    sequence = torch.unflatten(batch.sequence, 0, (members, -1))
    label = torch.unflatten(batch.label, 0, (members, -1))

    def loss(own: list[torch.Tensor], x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        tensors = dict(zip(names, own, strict=True))

        def target(value: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            output = functional_call(network, tensors, (value,))
            return task.target(output).sum(), output

        slope, output = grad(target, has_aux=True)(x)
        found = Attribution(slope, (slope * x).sum(1))
        positive = (y == 1).float()
        penalty = (prior.penalty(found, Batch(x, y)) * positive).sum() / positive.sum()
        return task.prediction_loss(output, Batch(x, y)).mean() + weight * penalty

    slopes = torch.compile(torch.vmap(grad(loss)))

    def step() -> None:
        for value, slope in zip(stacked, slopes(stacked, sequence, label), strict=True):
            value.grad = slope
        optimiser.step()

    return step
