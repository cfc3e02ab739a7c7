"""Layers with their derivatives of first and second order, written out.

What a layer does is what torch's function of the same name does. Each treats the rows of its input
one by one; batch norm joins them by its statistics alone.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, NamedTuple

import torch
import torch.nn.functional as F

_aten = torch.ops.aten
_WIDE = 14
"""padding from which on oneDNN, which torch uses on CPU, takes twice as long if it pads itself"""
Tensors = Sequence[torch.Tensor]
Parameters = Sequence[torch.Tensor | None]
Gradients = Sequence[torch.Tensor | None]


class Made(NamedTuple):
    """What a layer makes in the forward pass.

    Attributes:
        result: as many rows as the input.
        kept: what derivatives need beside, as many rows; or None.
        statistics: of the batch.
    """

    result: torch.Tensor
    kept: torch.Tensor | None = None
    statistics: Tensors = ()


class Seen(NamedTuple):
    """What a layer saw in the forward pass; derivatives are taken there.

    Attributes:
        layer: which one.
        parameters: such as weight and bias.
        value: its input, or its result if that is what its derivatives read; without history.
        kept: as in Made.
        statistics: as in Made.
    """

    layer: Layer
    parameters: Parameters
    value: torch.Tensor
    kept: torch.Tensor | None
    statistics: Tensors

    def rows(self, start: int, count: int) -> Seen:
        """Of some of the rows."""
        kept = None if self.kept is None else self.kept.narrow(0, start, count)
        return self._replace(value=self.value.narrow(0, start, count), kept=kept)


class Second(NamedTuple):
    """Derivatives of a gradient by the input, times a slope.

    Attributes:
        by_gradient: by the gradient by the result.
        by_parameters: by the parameters.
        by_statistics: by the statistics.
    """

    by_gradient: torch.Tensor
    by_parameters: Gradients = ()
    by_statistics: Gradients = ()


class Layer(ABC):
    """A function of a tensor and of parameters."""

    parameters: ClassVar[int] = 0
    """how many tensors it takes beside its input"""
    statistics: ClassVar[int] = 0
    """how many statistics of the batch it makes"""
    reads_result: ClassVar[bool] = False
    """whether its derivatives read its result in place of its input"""

    @property
    def state(self) -> Parameters:
        """Tensors that it changes in the forward pass."""
        return ()

    def for_members(self, members: int, state: Parameters) -> Layer:
        """The layer that does this for several networks, whose channels lie side by side.

        It is given what this layer is given with the networks' channels one behind the other,
        (B, M * C, ...), and the parameters of :meth:`joined_parameters`.

        Args:
            members: how many networks, M.
            state: of all of them, (M, ...) each.
        """
        return self

    def joined_parameters(self, parameters: Parameters) -> Parameters:
        """Of all networks, from such with a first dimension more, (M, ...)."""
        return [None if one is None else one.flatten(0, 1) for one in parameters]

    @abstractmethod
    def forward(self, value: torch.Tensor, parameters: Parameters) -> Made:
        """The function; torch can differentiate it too."""

    @abstractmethod
    def by_input(self, gradient: torch.Tensor, seen: Seen) -> torch.Tensor:
        """The gradient by the input from that by the result, statistics held fixed.

        Torch can differentiate it by the gradient, the parameters and the statistics.
        """

    @abstractmethod
    def second(self, slope: torch.Tensor, gradient: torch.Tensor, seen: Seen) -> Second:
        """The derivatives of ``by_input``, given that of something by its result."""

    def by_all(
        self, gradient: torch.Tensor, seen: Seen, of_statistics: Gradients, wanted: bool
    ) -> tuple[torch.Tensor | None, Gradients]:
        """The gradients by the input, if it is wanted, and by the parameters.

        From those by the result and by the statistics, which follow the input.
        """
        return (self.by_input(gradient, seen) if wanted else None), ()


@dataclass(frozen=True)
class Convolution(Layer):
    """``torch.conv1d`` of stride 1; parameters are weight and bias.

    Attributes:
        padding: zeros at either end.
        dilation: distance between the positions that are weighted.
        groups: of channels, each convolved by itself.
    """

    parameters: ClassVar[int] = 2

    padding: int
    dilation: int
    groups: int = 1

    def for_members(self, members: int, state: Parameters) -> Convolution:
        """See Layer.for_members."""
        return replace(self, groups=self.groups * members)

    def forward(self, value: torch.Tensor, parameters: Parameters) -> Made:
        """See Layer.forward."""
        weight, bias = parameters
        assert weight is not None
        return Made(torch.conv1d(value, weight, bias, 1, self.padding, self.dilation, self.groups))

    def by_input(self, gradient: torch.Tensor, seen: Seen) -> torch.Tensor:
        """See Layer.by_input."""
        found: torch.Tensor = self._gradients(
            gradient, seen.value, seen.parameters[0], (True, False, False)
        )[0]
        return found

    def second(self, slope: torch.Tensor, gradient: torch.Tensor, seen: Seen) -> Second:
        """See Layer.second; the gradient is linear in that by the result and in the weight."""
        weight = seen.parameters[0]
        assert weight is not None
        by_gradient = torch.conv1d(slope, weight, None, 1, self.padding, self.dilation, self.groups)
        by_weight = self._gradients(gradient, slope, weight, (False, True, False))[1]
        return Second(by_gradient, (by_weight, None))

    def by_all(
        self, gradient: torch.Tensor, seen: Seen, of_statistics: Gradients, wanted: bool
    ) -> tuple[torch.Tensor | None, Gradients]:
        """See Layer.by_all."""
        weight, bias = seen.parameters
        asked = (wanted, True, _learnt(bias))
        by_input, *by_parameters = self._gradients(gradient, seen.value, weight, asked)
        return by_input, by_parameters

    def _gradients(
        self,
        gradient: torch.Tensor,
        value: torch.Tensor,
        weight: torch.Tensor | None,
        asked: tuple[bool, bool, bool],
    ) -> Any:
        """By input, weight and bias, those that are asked for."""
        assert weight is not None
        around = self.dilation * (weight.shape[2] - 1) - self.padding
        if asked[0] and around >= _WIDE and gradient.device.type == "cpu":
            padded = F.pad(gradient, (around, around))
            turned = (
                torch.unflatten(weight.flip(2), 0, (self.groups, -1)).transpose(1, 2).flatten(0, 1)
            )
            by_input = torch.conv1d(padded, turned, None, 1, 0, self.dilation, self.groups)
            if not any(asked[1:]):
                return by_input, None, None
            return by_input, *self._gradients(gradient, value, weight, (False, *asked[1:]))[1:]
        sizes = [weight.shape[0]] if asked[2] else None
        form = [1], [self.padding], [self.dilation], False, [0], self.groups
        return _aten.convolution_backward(gradient, value, weight, sizes, *form, asked)


@dataclass(frozen=True)
class Linear(Layer):
    """``torch.nn.functional.linear`` of (B, C); parameters are weight and bias."""

    parameters: ClassVar[int] = 2

    def for_members(self, members: int, state: Parameters) -> MemberLinear:
        """See Layer.for_members."""
        return MemberLinear(members)

    def joined_parameters(self, parameters: Parameters) -> Parameters:
        """See Layer.joined_parameters: as they are."""
        return parameters

    def forward(self, value: torch.Tensor, parameters: Parameters) -> Made:
        """See Layer.forward."""
        weight, bias = parameters
        assert weight is not None
        return Made(F.linear(value, weight, bias))

    def by_input(self, gradient: torch.Tensor, seen: Seen) -> torch.Tensor:
        """See Layer.by_input."""
        weight = seen.parameters[0]
        assert weight is not None
        return gradient @ weight

    def second(self, slope: torch.Tensor, gradient: torch.Tensor, seen: Seen) -> Second:
        """See Layer.second."""
        weight = seen.parameters[0]
        assert weight is not None
        return Second(F.linear(slope, weight), (gradient.t() @ slope, None))

    def by_all(
        self, gradient: torch.Tensor, seen: Seen, of_statistics: Gradients, wanted: bool
    ) -> tuple[torch.Tensor | None, Gradients]:
        """See Layer.by_all."""
        by_bias = gradient.sum(0) if _learnt(seen.parameters[1]) else None
        by_input = self.by_input(gradient, seen) if wanted else None
        return by_input, (gradient.t() @ seen.value, by_bias)


@dataclass(frozen=True)
class MemberLinear(Layer):
    """``torch.nn.functional.linear`` of several networks; parameters are (M, O, I) and (M, O).

    Attributes:
        members: how many networks, M.
    """

    parameters: ClassVar[int] = 2

    members: int

    def forward(self, value: torch.Tensor, parameters: Parameters) -> Made:
        """See Layer.forward."""
        weight, bias = parameters
        assert weight is not None
        result = self._split(value) @ weight.transpose(1, 2)
        return Made(side_by_side(result if bias is None else result + bias.unsqueeze(1)))

    def by_input(self, gradient: torch.Tensor, seen: Seen) -> torch.Tensor:
        """See Layer.by_input."""
        weight = seen.parameters[0]
        assert weight is not None
        return side_by_side(self._split(gradient) @ weight)

    def second(self, slope: torch.Tensor, gradient: torch.Tensor, seen: Seen) -> Second:
        """See Layer.second."""
        weight = seen.parameters[0]
        assert weight is not None
        slopes = self._split(slope)
        by_weight = self._split(gradient).transpose(1, 2) @ slopes
        return Second(side_by_side(slopes @ weight.transpose(1, 2)), (by_weight, None))

    def by_all(
        self, gradient: torch.Tensor, seen: Seen, of_statistics: Gradients, wanted: bool
    ) -> tuple[torch.Tensor | None, Gradients]:
        """See Layer.by_all."""
        gradients = self._split(gradient)
        by_bias = gradients.sum(1) if _learnt(seen.parameters[1]) else None
        by_input = self.by_input(gradient, seen) if wanted else None
        return by_input, (gradients.transpose(1, 2) @ self._split(seen.value), by_bias)

    def _split(self, value: torch.Tensor) -> torch.Tensor:
        """(M, B, C) of (B, M * C)."""
        return torch.unflatten(value, 1, (self.members, -1)).transpose(0, 1)


def side_by_side(value: torch.Tensor) -> torch.Tensor:
    """(B, M * C, ...) of (M, B, C, ...); a view where the members lie there already."""
    return value.transpose(0, 1).flatten(1, 2)


def _learnt(bias: torch.Tensor | None) -> bool:
    return bias is not None and bias.requires_grad


@dataclass(frozen=True)
class Rectifier(Layer):
    """``torch.relu``."""

    reads_result: ClassVar[bool] = True

    def forward(self, value: torch.Tensor, parameters: Parameters) -> Made:
        """See Layer.forward."""
        return Made(torch.relu(value))

    def by_input(self, gradient: torch.Tensor, seen: Seen) -> torch.Tensor:
        """See Layer.by_input."""
        found: torch.Tensor = _aten.threshold_backward(gradient, seen.value, 0)
        return found

    def second(self, slope: torch.Tensor, gradient: torch.Tensor, seen: Seen) -> Second:
        """See Layer.second."""
        return Second(self.by_input(slope, seen))


@dataclass(frozen=True)
class MaxPool(Layer):
    """``torch.max_pool1d``; attributes as there."""

    width: int
    stride: int
    padding: int
    dilation: int
    ceil_mode: bool

    def forward(self, value: torch.Tensor, parameters: Parameters) -> Made:
        """See Layer.forward; what is kept are the places of the maxima."""
        image = value.unsqueeze(2)
        if value.device.type == "cpu":
            # all channels at once, where torch would compare neighbours one by one
            image = image.contiguous(memory_format=torch.channels_last)
        result, places = _aten.max_pool2d_with_indices(image, *self._form())
        return Made(result.squeeze(2).contiguous(), places.squeeze(2).contiguous())

    def by_input(self, gradient: torch.Tensor, seen: Seen) -> torch.Tensor:
        """See Layer.by_input."""
        assert seen.kept is not None
        image, before = gradient.unsqueeze(2), seen.value.unsqueeze(2)
        found: torch.Tensor = _aten.max_pool2d_with_indices_backward(
            image, before, *self._form(), seen.kept.unsqueeze(2)
        )
        return found.squeeze(2)

    def second(self, slope: torch.Tensor, gradient: torch.Tensor, seen: Seen) -> Second:
        """See Layer.second: the slope where the maxima are."""
        assert seen.kept is not None
        return Second(slope.gather(2, seen.kept))

    def _form(self) -> tuple[Any, ...]:
        padding, dilation = [0, self.padding], [1, self.dilation]
        return [1, self.width], [1, self.stride], padding, dilation, self.ceil_mode


@dataclass(frozen=True)
class Flatten(Layer):
    """``torch.flatten`` of all dimensions but the first."""

    def forward(self, value: torch.Tensor, parameters: Parameters) -> Made:
        """See Layer.forward."""
        return Made(value.flatten(1))

    def by_input(self, gradient: torch.Tensor, seen: Seen) -> torch.Tensor:
        """See Layer.by_input."""
        return gradient.reshape(seen.value.shape)

    def second(self, slope: torch.Tensor, gradient: torch.Tensor, seen: Seen) -> Second:
        """See Layer.second."""
        return Second(slope.flatten(1))
