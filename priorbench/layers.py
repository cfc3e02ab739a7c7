"""Layers on a batch in parts: one kernel call for all parts, and one for those attributed.

What a layer here does to every part is what torch's function of the same name does to a tensor.
Parts lie one behind the other in memory, so that the forward pass and training are one call for
the whole batch; while attributions are taken (the gate is closed) only the attributed parts are
differentiated, by their input alone, in a form whose own derivative is cheap.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import torch
import torch.nn.functional as F

_aten = torch.ops.aten
_WIDE = 14
"""padding from which on oneDNN, which torch uses on CPU, takes twice as long if it pads itself"""
Parameters = Sequence[torch.Tensor | None]
Results = tuple[torch.Tensor, ...]


class Gate:
    """Whether attributions are being taken, and where.

    Attributes:
        is_open: whether gradients pass into the statistics of the batch.
        points: inputs at which attributions are taken, unless the caller too wants the gradient by
            them.
    """

    def __init__(self, points: torch.Tensor | None = None) -> None:
        """Start open."""
        self.is_open = True
        self.points = points

    @contextmanager
    def closed(self) -> Iterator[None]:
        """Take attributions: hold the batch statistics fixed within the block."""
        self.is_open = False
        try:
            yield
        finally:
            self.is_open = True


def joined(parts: Sequence[torch.Tensor]) -> torch.Tensor:
    """All parts as one tensor: a view where they lie one behind the other, else a copy.

    Always a copy where gradients are on, so that they pass.
    """
    first = parts[0]
    if len(parts) == 1:
        return first
    rows = 0
    end = first.data_ptr()
    for part in parts:
        if part.data_ptr() != end:
            return torch.cat(list(parts))
        rows, end = rows + part.shape[0], end + part.nbytes
    # neighbours by chance, in memory of their own, are no neighbours
    home = first.untyped_storage().data_ptr()
    together = all(part.untyped_storage().data_ptr() == home for part in parts[1:])
    if torch.is_grad_enabled() or not (together and all(p.is_contiguous() for p in parts)):
        return torch.cat(list(parts))
    return first.as_strided((rows, *first.shape[1:]), first.stride())


@dataclass(frozen=True)
class Parts:
    """A batch in parts.

    Attributes:
        pieces: tensors that differ at most in their first dimension.
        whole: all of them in one tensor, in the same memory, without gradients; None if they lie
            apart.
    """

    pieces: Sequence[torch.Tensor]
    whole: torch.Tensor | None = None

    def joined(self) -> torch.Tensor:
        """All of them, without gradients."""
        if self.whole is not None:
            return self.whole
        with torch.no_grad():
            return joined(self.pieces).detach()


def separate(whole: torch.Tensor, sizes: Sequence[int]) -> Results:
    """So many rows for each part, in the memory of the whole."""
    # .data: one of several views could not be changed in place, which networks may do
    return tuple([piece.data for piece in torch.split_with_sizes(whole, sizes)])


class Layer(ABC):
    """A function that treats rows one by one, with its derivatives.

    ``value`` is the input, or the result if that is what derivatives read; ``kept`` is what
    ``forward`` keeps beside, with as many rows.
    """

    parameters: ClassVar[int] = 0
    """how many tensors it takes beside its input"""
    reads_result: ClassVar[bool] = False
    """whether its derivatives are given the result in place of the input"""

    @abstractmethod
    def forward(
        self, value: torch.Tensor, parameters: Parameters
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """The result, and what is kept; gradients are off."""

    @abstractmethod
    def by_input(
        self,
        gradient: torch.Tensor,
        value: torch.Tensor,
        kept: torch.Tensor | None,
        parameters: Parameters,
    ) -> torch.Tensor:
        """The gradient by the input from that by the result; can be differentiated."""

    def by_parameters(
        self, gradient: torch.Tensor, value: torch.Tensor, parameters: Parameters
    ) -> Parameters:
        """The gradients by the parameters; can be differentiated."""
        return ()

    def by_all(
        self,
        gradient: torch.Tensor,
        value: torch.Tensor,
        kept: torch.Tensor | None,
        parameters: Parameters,
    ) -> tuple[torch.Tensor, Parameters]:
        """Both."""
        by_input = self.by_input(gradient, value, kept, parameters)
        return by_input, self.by_parameters(gradient, value, parameters)


def apply(layer: Layer, gate: Gate, parameters: Parameters, parts: Parts) -> Parts:
    """A layer's results for the parts of a batch."""
    whole = parts.joined()
    results = _Rows.apply(layer, gate, whole, *parameters, *parts.pieces)  # type: ignore[no-untyped-call]
    return Parts(results[:-1], results[-1])


class _Rows(torch.autograd.Function):
    """A layer on parts: results for each, and all of them in one tensor without gradient."""

    @staticmethod
    def forward(ctx: Any, layer: Layer, gate: Gate, whole: torch.Tensor, *tensors: Any) -> Results:
        parameters, parts = tensors[: layer.parameters], tensors[layer.parameters :]
        result, kept = layer.forward(whole, parameters)
        ctx.sizes = [part.shape[0] for part in parts]
        results = separate(result, ctx.sizes)
        ctx.layer, ctx.gate = layer, gate
        ctx.asked = [part.requires_grad and part is not gate.points for part in parts]
        values = (result.data, *results) if layer.reads_result else (whole, *parts)
        ctx.save_for_backward(kept, *parameters, *values)
        ctx.set_materialize_grads(False)
        ctx.mark_non_differentiable(result)
        return (*results, result)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor | None) -> tuple[Any, ...]:
        count = ctx.layer.parameters
        kept, *tensors = ctx.saved_tensors
        saved = _Saved(kept, tensors[:count], tensors[count], tensors[count + 1 :])
        *of_parts, _ = gradients
        if not ctx.gate.is_open:
            return (None, None, None, *[None] * count, *_attributing(ctx, of_parts, saved))
        by_parameters, by_parts = _training(ctx, of_parts, saved)
        return (None, None, None, *by_parameters, *by_parts)


class _Saved(NamedTuple):
    """What a layer's derivatives read: the whole without gradients, the parts with them."""

    kept: torch.Tensor | None
    parameters: Parameters
    whole: torch.Tensor
    parts: Sequence[torch.Tensor]


def _attributing(
    ctx: Any, gradients: Sequence[torch.Tensor | None], saved: _Saved
) -> list[torch.Tensor | None]:
    """Gradients by the attributed parts."""
    values = torch.split_with_sizes(saved.whole, ctx.sizes)
    kept: Sequence[torch.Tensor | None] = [None] * len(values)
    if saved.kept is not None:
        kept = torch.split_with_sizes(saved.kept, ctx.sizes)
    return [
        None if gradient is None else ctx.layer.by_input(gradient, value, rows, saved.parameters)
        for gradient, value, rows in zip(gradients, values, kept, strict=True)
    ]


def _training(
    ctx: Any, gradients: Sequence[torch.Tensor | None], saved: _Saved
) -> tuple[Parameters, Sequence[torch.Tensor | None]]:
    """Gradients by the parameters, and by the parts that want one."""
    layer: Layer = ctx.layer
    nothing: list[torch.Tensor | None] = [None] * len(saved.parts)
    given = [gradient for gradient in gradients if gradient is not None]
    if not given:
        return [None] * layer.parameters, nothing
    if len(given) < len(gradients):
        given = [
            part.new_zeros(shape) if gradient is None else gradient
            for gradient, part, shape in zip(
                gradients, saved.parts, _shapes(given[0], ctx.sizes), strict=True
            )
        ]
    gradient, value = joined(given), saved.whole
    if torch.is_grad_enabled() and not layer.reads_result:
        value = torch.cat(list(saved.parts))  # someone differentiates once more
    if not any(ctx.asked):
        return layer.by_parameters(gradient, value, saved.parameters), nothing
    by_input, by_parameters = layer.by_all(gradient, value, saved.kept, saved.parameters)
    pieces = torch.split_with_sizes(by_input, ctx.sizes)
    return by_parameters, [
        piece if asked else None for piece, asked in zip(pieces, ctx.asked, strict=True)
    ]


def _shapes(like: torch.Tensor, sizes: Sequence[int]) -> list[tuple[int, ...]]:
    return [(size, *like.shape[1:]) for size in sizes]


@dataclass(frozen=True)
class Convolution(Layer):
    """``torch.conv1d`` of stride 1, in one group; parameters are weight and bias.

    Attributes:
        padding: zeros at either end.
        dilation: distance between the positions that are weighted.
    """

    parameters: ClassVar[int] = 2

    padding: int
    dilation: int

    def forward(
        self, value: torch.Tensor, parameters: Parameters
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """See Layer.forward."""
        weight, bias = parameters
        assert weight is not None
        return torch.conv1d(value, weight, bias, 1, self.padding, self.dilation), None

    def by_input(
        self,
        gradient: torch.Tensor,
        value: torch.Tensor,
        kept: torch.Tensor | None,
        parameters: Parameters,
    ) -> torch.Tensor:
        """See Layer.by_input."""
        found: torch.Tensor = _ByInput.apply(gradient, parameters[0], value, self)  # type: ignore[no-untyped-call]
        return found

    def by_parameters(
        self, gradient: torch.Tensor, value: torch.Tensor, parameters: Parameters
    ) -> Parameters:
        """See Layer.by_parameters."""
        weight, bias = parameters
        asked = (False, True, bias is not None)
        found: Parameters = self.gradients(gradient, value, weight, asked)[1:]
        return found

    def by_all(
        self,
        gradient: torch.Tensor,
        value: torch.Tensor,
        kept: torch.Tensor | None,
        parameters: Parameters,
    ) -> tuple[torch.Tensor, Parameters]:
        """See Layer.by_all."""
        weight, bias = parameters
        by_input, *found = self.gradients(gradient, value, weight, (True, True, bias is not None))
        return by_input, found

    def gradients(
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
            turned = weight.flip(2).transpose(0, 1)
            by_input = torch.conv1d(padded, turned, None, 1, 0, self.dilation)
            if not any(asked[1:]):
                return by_input, None, None
            return by_input, *self.gradients(gradient, value, weight, (False, *asked[1:]))[1:]
        sizes = [weight.shape[0]] if asked[2] else None
        form = [1], [self.padding], [self.dilation], False, [0], 1
        return _aten.convolution_backward(gradient, value, weight, sizes, *form, asked)


class _ByInput(torch.autograd.Function):
    """A convolution's gradient by its input: linear in that by its result, and in the weight.

    Torch's own derivative of it also passes zeros back to the input.
    """

    @staticmethod
    def forward(
        ctx: Any,
        gradient: torch.Tensor,
        weight: torch.Tensor,
        value: torch.Tensor,
        layer: Convolution,
    ) -> torch.Tensor:
        ctx.layer = layer
        ctx.save_for_backward(gradient, weight)
        found: torch.Tensor = layer.gradients(gradient, value, weight, (True, False, False))[0]
        return found

    @staticmethod
    def backward(ctx: Any, slope: torch.Tensor) -> tuple[Any, ...]:
        gradient, weight = ctx.saved_tensors
        layer: Convolution = ctx.layer
        by_gradient = torch.conv1d(slope, weight, None, 1, layer.padding, layer.dilation)
        by_weight = layer.gradients(gradient, slope, weight, (False, True, False))[1]
        return by_gradient, by_weight, None, None


@dataclass(frozen=True)
class Linear(Layer):
    """``torch.nn.functional.linear`` of (B, C); parameters are weight and bias."""

    parameters: ClassVar[int] = 2

    def forward(
        self, value: torch.Tensor, parameters: Parameters
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """See Layer.forward."""
        weight, bias = parameters
        assert weight is not None
        return F.linear(value, weight, bias), None

    def by_input(
        self,
        gradient: torch.Tensor,
        value: torch.Tensor,
        kept: torch.Tensor | None,
        parameters: Parameters,
    ) -> torch.Tensor:
        """See Layer.by_input."""
        assert parameters[0] is not None
        return gradient @ parameters[0]

    def by_parameters(
        self, gradient: torch.Tensor, value: torch.Tensor, parameters: Parameters
    ) -> Parameters:
        """See Layer.by_parameters."""
        return gradient.t() @ value, None if parameters[1] is None else gradient.sum(0)


@dataclass(frozen=True)
class Rectifier(Layer):
    """``torch.relu``."""

    reads_result: ClassVar[bool] = True

    def forward(
        self, value: torch.Tensor, parameters: Parameters
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """See Layer.forward."""
        return torch.relu(value), None

    def by_input(
        self,
        gradient: torch.Tensor,
        value: torch.Tensor,
        kept: torch.Tensor | None,
        parameters: Parameters,
    ) -> torch.Tensor:
        """See Layer.by_input."""
        found: torch.Tensor = _aten.threshold_backward(gradient, value, 0)
        return found


@dataclass(frozen=True)
class MaxPool(Layer):
    """``torch.max_pool1d``; attributes as there."""

    width: int
    stride: int
    padding: int
    dilation: int
    ceil_mode: bool

    def forward(
        self, value: torch.Tensor, parameters: Parameters
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """See Layer.forward; what is kept are the places of the maxima."""
        image = value.unsqueeze(2)
        if value.device.type == "cpu":
            # all channels at once, where torch would compare neighbours one by one
            image = image.contiguous(memory_format=torch.channels_last)
        result, places = _aten.max_pool2d_with_indices(image, *self._form())
        return result.squeeze(2).contiguous(), places.squeeze(2).contiguous()

    def by_input(
        self,
        gradient: torch.Tensor,
        value: torch.Tensor,
        kept: torch.Tensor | None,
        parameters: Parameters,
    ) -> torch.Tensor:
        """See Layer.by_input."""
        assert kept is not None
        image, before = gradient.unsqueeze(2), value.detach().unsqueeze(2)
        found: torch.Tensor = _aten.max_pool2d_with_indices_backward(
            image, before, *self._form(), kept.unsqueeze(2)
        )
        return found.squeeze(2)

    def _form(self) -> tuple[Any, ...]:
        padding, dilation = [0, self.padding], [1, self.dilation]
        return [1, self.width], [1, self.stride], padding, dilation, self.ceil_mode
