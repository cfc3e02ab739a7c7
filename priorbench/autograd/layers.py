"""Layers with their derivatives of first and second order written out.

A layer computes what torch's function of the same name computes. It treats the rows of its input
one by one; only batch norm couples them, by its statistics.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, NamedTuple

import torch
import torch.nn.functional as F

_aten = torch.ops.aten
Tensors = Sequence[torch.Tensor]
Parameters = Sequence[torch.Tensor | None]
Gradients = Sequence[torch.Tensor | None]


class LayerOutput(NamedTuple):
    """What a layer computes in the forward pass.

    Attributes:
        result: the result, with as many rows as the input.
        auxiliary: further tensor that derivatives need, with as many rows; or None.
        statistics: statistics of the batch.
    """

    result: torch.Tensor
    auxiliary: torch.Tensor | None = None
    statistics: Tensors = ()


class SavedLayer(NamedTuple):
    """A layer and what its derivatives read of the forward pass.

    Attributes:
        layer: the layer.
        parameters: its parameters, such as weight and bias.
        value: its input, or its result if its derivatives read that instead; without history.
        auxiliary: the tensor of the same name in :class:`LayerOutput`.
        statistics: the statistics of the batch.
    """

    layer: Layer
    parameters: Parameters
    value: torch.Tensor
    auxiliary: torch.Tensor | None
    statistics: Tensors

    @property
    def weight(self) -> torch.Tensor:
        """The first parameter of a layer that always has one."""
        return _present(self.parameters[0])

    def rows(self, start: int, count: int) -> SavedLayer:
        """Return the same for some of the rows."""
        auxiliary = None if self.auxiliary is None else self.auxiliary.narrow(0, start, count)
        return self._replace(value=self.value.narrow(0, start, count), auxiliary=auxiliary)


class SecondDerivatives(NamedTuple):
    """Derivatives of an input gradient, multiplied by a slope.

    Attributes:
        by_gradient: derivative by the gradient by the result.
        by_parameters: derivatives by the parameters.
        by_statistics: derivatives by the statistics.
    """

    by_gradient: torch.Tensor
    by_parameters: Gradients = ()
    by_statistics: Gradients = ()


class Layer(ABC):
    """A function of a tensor and of parameters."""

    parameter_count: ClassVar[int] = 0
    """number of tensors that it takes beside its input"""
    statistic_count: ClassVar[int] = 0
    """number of statistics of the batch that it computes"""
    reads_result: ClassVar[bool] = False
    """whether its derivatives read its result instead of its input"""

    @property
    def state(self) -> Parameters:
        """Tensors that it changes in the forward pass."""
        return ()

    def for_members(self, members: int, state: Parameters) -> Layer:
        """Return the layer that does this for several networks at once.

        Its input has the channels of the networks side by side, (B, M * C, ...), and its parameters
        are those of :meth:`joined_parameters`.

        Args:
            members: number of networks, M.
            state: the state of all networks, (M, ...) each.
        """
        return self

    def joined_parameters(self, parameters: Parameters) -> Parameters:
        """Return the parameters for several networks, from stacked ones of (M, ...) each."""
        return [None if stacked is None else stacked.flatten(0, 1) for stacked in parameters]

    @abstractmethod
    def forward(self, value: torch.Tensor, parameters: Parameters) -> LayerOutput:
        """Compute the function; torch can differentiate it too."""

    @abstractmethod
    def input_gradient(self, gradient: torch.Tensor, saved: SavedLayer) -> torch.Tensor:
        """Return the gradient by the input from that by the result, statistics held fixed.

        Torch can differentiate it by the gradient, the parameters and the statistics.
        """

    @abstractmethod
    def second_derivatives(
        self, slope: torch.Tensor, gradient: torch.Tensor, saved: SavedLayer
    ) -> SecondDerivatives:
        """Return the derivatives of ``input_gradient`` times ``slope``, of its result's shape."""

    def all_gradients(
        self, gradient: torch.Tensor, saved: SavedLayer, by_statistics: Gradients, needs_input: bool
    ) -> tuple[torch.Tensor | None, Gradients]:
        """Return the gradients by the input, if it is needed, and by the parameters.

        Args:
            gradient: gradient by the result.
            saved: what was saved in the forward pass.
            by_statistics: gradients by the statistics, which follow the input.
            needs_input: whether the gradient by the input is needed.
        """
        return (self.input_gradient(gradient, saved) if needs_input else None), ()


@dataclass(frozen=True)
class Convolution(Layer):
    """``torch.conv1d`` of stride 1; its parameters are weight and bias.

    Attributes:
        padding: number of zeros at either end.
        dilation: distance between the positions that are weighted.
        groups: number of groups of channels, each convolved by itself.
    """

    parameter_count: ClassVar[int] = 2

    padding: int
    dilation: int
    groups: int = 1

    def for_members(self, members: int, state: Parameters) -> Convolution:
        """Return a convolution with as many groups for each network."""
        return replace(self, groups=self.groups * members)

    def forward(self, value: torch.Tensor, parameters: Parameters) -> LayerOutput:
        """Compute the convolution."""
        weight, bias = parameters
        return LayerOutput(self._convolved(value, _present(weight), bias))

    def input_gradient(self, gradient: torch.Tensor, saved: SavedLayer) -> torch.Tensor:
        """Return the transposed convolution of the gradient."""
        by_input: torch.Tensor = self._gradients(
            gradient, saved.value, saved.weight, (True, False, False)
        )[0]
        return by_input

    def second_derivatives(
        self, slope: torch.Tensor, gradient: torch.Tensor, saved: SavedLayer
    ) -> SecondDerivatives:
        """Return the derivatives; the input gradient is linear in gradient and weight."""
        by_gradient = self._convolved(slope, saved.weight, None)
        by_weight = self._gradients(gradient, slope, saved.weight, (False, True, False))[1]
        return SecondDerivatives(by_gradient, (by_weight, None))

    def all_gradients(
        self, gradient: torch.Tensor, saved: SavedLayer, by_statistics: Gradients, needs_input: bool
    ) -> tuple[torch.Tensor | None, Gradients]:
        """Return all gradients by one kernel."""
        needed = (needs_input, True, _learnt(saved.parameters[1]))
        by_input, *by_parameters = self._gradients(gradient, saved.value, saved.weight, needed)
        return by_input, by_parameters

    def _convolved(
        self, value: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None
    ) -> torch.Tensor:
        return torch.conv1d(value, weight, bias, 1, self.padding, self.dilation, self.groups)

    def _gradients(
        self,
        gradient: torch.Tensor,
        value: torch.Tensor,
        weight: torch.Tensor,
        needed: tuple[bool, bool, bool],
    ) -> Any:
        """Return the gradients by input, weight and bias that are needed, None for the others."""
        sizes = [weight.shape[0]] if needed[2] else None
        form = [1], [self.padding], [self.dilation], False, [0], self.groups
        return _aten.convolution_backward(gradient, value, weight, sizes, *form, needed)


@dataclass(frozen=True)
class Linear(Layer):
    """``torch.nn.functional.linear`` of (B, C); its parameters are weight and bias."""

    parameter_count: ClassVar[int] = 2

    def for_members(self, members: int, state: Parameters) -> MemberLinear:
        """Return a batched matrix product."""
        return MemberLinear(members)

    def joined_parameters(self, parameters: Parameters) -> Parameters:
        """Return the parameters as they are."""
        return parameters

    def forward(self, value: torch.Tensor, parameters: Parameters) -> LayerOutput:
        """Compute the product."""
        weight, bias = parameters
        return LayerOutput(F.linear(value, _present(weight), bias))

    def input_gradient(self, gradient: torch.Tensor, saved: SavedLayer) -> torch.Tensor:
        """Return the product of gradient and weight."""
        return gradient @ saved.weight

    def second_derivatives(
        self, slope: torch.Tensor, gradient: torch.Tensor, saved: SavedLayer
    ) -> SecondDerivatives:
        """Return the derivatives; the input gradient is linear in gradient and weight."""
        return SecondDerivatives(F.linear(slope, saved.weight), (gradient.t() @ slope, None))

    def all_gradients(
        self, gradient: torch.Tensor, saved: SavedLayer, by_statistics: Gradients, needs_input: bool
    ) -> tuple[torch.Tensor | None, Gradients]:
        """Return the products of the gradient with weight, input and ones."""
        by_bias = gradient.sum(0) if _learnt(saved.parameters[1]) else None
        by_input = self.input_gradient(gradient, saved) if needs_input else None
        return by_input, (gradient.t() @ saved.value, by_bias)


@dataclass(frozen=True)
class MemberLinear(Layer):
    """``torch.nn.functional.linear`` for several networks; parameters are (M, O, I) and (M, O).

    Attributes:
        members: number of networks, M.
    """

    parameter_count: ClassVar[int] = 2

    members: int

    def forward(self, value: torch.Tensor, parameters: Parameters) -> LayerOutput:
        """Compute the product of every network."""
        weight, bias = parameters
        result = self._split(value) @ _present(weight).transpose(1, 2)
        return LayerOutput(side_by_side(result if bias is None else result + bias.unsqueeze(1)))

    def input_gradient(self, gradient: torch.Tensor, saved: SavedLayer) -> torch.Tensor:
        """Return the product of gradient and weight."""
        return side_by_side(self._split(gradient) @ saved.weight)

    def second_derivatives(
        self, slope: torch.Tensor, gradient: torch.Tensor, saved: SavedLayer
    ) -> SecondDerivatives:
        """Return the derivatives; the input gradient is linear in gradient and weight."""
        slopes = self._split(slope)
        by_weight = self._split(gradient).transpose(1, 2) @ slopes
        by_gradient = side_by_side(slopes @ saved.weight.transpose(1, 2))
        return SecondDerivatives(by_gradient, (by_weight, None))

    def all_gradients(
        self, gradient: torch.Tensor, saved: SavedLayer, by_statistics: Gradients, needs_input: bool
    ) -> tuple[torch.Tensor | None, Gradients]:
        """Return the products of the gradient with weight, input and ones."""
        gradients = self._split(gradient)
        by_bias = gradients.sum(1) if _learnt(saved.parameters[1]) else None
        by_input = self.input_gradient(gradient, saved) if needs_input else None
        return by_input, (gradients.transpose(1, 2) @ self._split(saved.value), by_bias)

    def _split(self, value: torch.Tensor) -> torch.Tensor:
        """Return (M, B, C) from (B, M * C)."""
        return torch.unflatten(value, 1, (self.members, -1)).transpose(0, 1)


def side_by_side(value: torch.Tensor) -> torch.Tensor:
    """Return (B, M * C, ...) from (M, B, C, ...); a view where memory has that order already."""
    return value.transpose(0, 1).flatten(1, 2)


def _present(parameter: torch.Tensor | None) -> torch.Tensor:
    assert parameter is not None
    return parameter


def _learnt(bias: torch.Tensor | None) -> bool:
    return bias is not None and bias.requires_grad


@dataclass(frozen=True)
class Rectifier(Layer):
    """``torch.relu``."""

    reads_result: ClassVar[bool] = True

    def forward(self, value: torch.Tensor, parameters: Parameters) -> LayerOutput:
        """Compute the positive part."""
        return LayerOutput(torch.relu(value))

    def input_gradient(self, gradient: torch.Tensor, saved: SavedLayer) -> torch.Tensor:
        """Return the gradient where the result is positive, else 0."""
        by_input: torch.Tensor = _aten.threshold_backward(gradient, saved.value, 0)
        return by_input

    def second_derivatives(
        self, slope: torch.Tensor, gradient: torch.Tensor, saved: SavedLayer
    ) -> SecondDerivatives:
        """Return the slope where the result is positive, else 0."""
        return SecondDerivatives(self.input_gradient(slope, saved))


@dataclass(frozen=True)
class MaxPool(Layer):
    """``torch.max_pool1d`` of pools side by side, the last of which may be shorter (ceil mode).

    Attributes:
        width: positions in a pool.
    """

    width: int

    def forward(self, value: torch.Tensor, parameters: Parameters) -> LayerOutput:
        """Compute the maxima; the auxiliary tensor holds their places."""
        image = value.unsqueeze(2)
        if value.device.type == "cpu":
            # all channels at once, where torch would compare neighbours one by one
            image = image.contiguous(memory_format=torch.channels_last)
        result, places = _aten.max_pool2d_with_indices(image, *self._form())
        return LayerOutput(result.squeeze(2).contiguous(), places.squeeze(2).contiguous())

    def input_gradient(self, gradient: torch.Tensor, saved: SavedLayer) -> torch.Tensor:
        """Return the gradient at the places of the maxima, else 0."""
        image, before = gradient.unsqueeze(2), saved.value.unsqueeze(2)
        places = _present(saved.auxiliary).unsqueeze(2)
        by_input: torch.Tensor = _aten.max_pool2d_with_indices_backward(
            image, before, *self._form(), places
        )
        return by_input.squeeze(2)

    def second_derivatives(
        self, slope: torch.Tensor, gradient: torch.Tensor, saved: SavedLayer
    ) -> SecondDerivatives:
        """Return the slope at the places of the maxima."""
        return SecondDerivatives(slope.gather(2, _present(saved.auxiliary)))

    def _form(self) -> tuple[Any, ...]:
        # kernel, stride, padding, dilation, ceil mode
        return [1, self.width], [1, self.width], 0, 1, True


@dataclass(frozen=True)
class Flatten(Layer):
    """``torch.flatten`` of all dimensions but the first."""

    def forward(self, value: torch.Tensor, parameters: Parameters) -> LayerOutput:
        """Compute the flat value."""
        return LayerOutput(value.flatten(1))

    def input_gradient(self, gradient: torch.Tensor, saved: SavedLayer) -> torch.Tensor:
        """Return the gradient in the shape of the input."""
        return gradient.reshape(saved.value.shape)

    def second_derivatives(
        self, slope: torch.Tensor, gradient: torch.Tensor, saved: SavedLayer
    ) -> SecondDerivatives:
        """Return the flat slope."""
        return SecondDerivatives(slope.flatten(1))
