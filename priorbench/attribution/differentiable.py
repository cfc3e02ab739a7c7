"""Differentiable attributions: the input of a prior's penalty, in any training loop.

Each attribution method is a small class, chosen with ``--train-attribution``, and a function of
the same name for use alone. All leave the caller's model as it is: its mode, the gradient flags
and gradients of its parameters; all follow the device and dtype of ``sequence``.

Where the model is in training mode, the statistics of batch norm are those of the batch and are
held fixed: an attribution is the gradient of one example's target by that example's own input.
"""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Protocol

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from priorbench.autograd.forward import forward_parts
from priorbench.autograd.output_trees import join_trees, map_tensors
from priorbench.autograd.statistics_gate import StatisticsGate
from priorbench.components import specs
from priorbench.components.prior import Attribution
from priorbench.errors import UserError, unknown

Target = Callable[[Any], torch.Tensor]
"""function from a model's output to one scalar per example"""
_MOST_DRAWS = 1000
"""largest number of points or references of one example, each of which costs a pass"""


@dataclass(frozen=True)
class Path:
    """Points at which gradients are taken, between references and inputs.

    Attributes:
        points: (K, k, 4, L), K points for each of k examples.
        difference: (k, 4, L) input - reference.
    """

    points: torch.Tensor
    difference: torch.Tensor


@dataclass(frozen=True)
class AttributionMethod(ABC):
    """An attribution method that a penalty can be differentiated through."""

    summary: ClassVar[str]
    citation: ClassVar[str]
    draws: ClassVar[bool] = False
    """whether it needs a generator"""

    def path(
        self, sequence: torch.Tensor, applies: torch.Tensor, generator: torch.Generator | None
    ) -> Path | None:
        """Return where gradients are taken, or None for the inputs themselves.

        Args:
            sequence: (B, 4, L) inputs of the batch.
            applies: (B,) bool, the k examples to attribute.
            generator: generator to draw from.

        Raises:
            ValueError: if the method draws and there is no generator.
        """
        return None

    @abstractmethod
    def read(self, gradient: torch.Tensor, difference: torch.Tensor) -> Attribution:
        """Return the attribution.

        Args:
            gradient: (k, 4, L) mean gradient over the path.
            difference: (k, 4, L) input - reference, or the input where there is no path.
        """


class _TimesDifference(AttributionMethod):
    """An attribution method that multiplies the gradient by the difference."""

    def read(self, gradient: torch.Tensor, difference: torch.Tensor) -> Attribution:
        """Return gradient times difference, summed over the four bases."""
        return Attribution(gradient, (gradient * difference).sum(dim=1))


@dataclass(frozen=True)
class InputXGradient(_TimesDifference):
    """a_i = sum_b x_ib g_ib, the gradient at the observed base."""

    summary: ClassVar[str] = "gradient x input"
    citation: ClassVar[str] = "Shrikumar et al. 2016, arXiv:1605.01713"


@dataclass(frozen=True)
class Gradient(AttributionMethod):
    """a_i = sum_b |g_ib|, over all four bases, whichever is observed; never negative."""

    summary: ClassVar[str] = "absolute gradient, summed over the four bases"
    citation: ClassVar[str] = "Simonyan, Vedaldi & Zisserman 2013, arXiv:1312.6034"

    def read(self, gradient: torch.Tensor, difference: torch.Tensor) -> Attribution:
        """Return the attribution, without the difference."""
        return Attribution(gradient, gradient.abs().sum(dim=1))


@dataclass(frozen=True)
class SimplexGradient(AttributionMethod):
    """a_i = sum_b x_ib (g_ib - mean_b g_ib): without the component off the simplex of bases."""

    summary: ClassVar[str] = "gradient corrected to the simplex, x input"
    citation: ClassVar[str] = "Majdandzic, Rajesh & Koo, Genome Biology 2023"

    def read(self, gradient: torch.Tensor, difference: torch.Tensor) -> Attribution:
        """Return the attribution and the corrected gradient."""
        corrected = gradient - gradient.mean(dim=1, keepdim=True)
        return Attribution(corrected, (corrected * difference).sum(dim=1))


@dataclass(frozen=True)
class ExpectedGradients(_TimesDifference):
    """a_i = sum_b (x - r)_ib g_ib(r + u (x - r)), one sample of r and u a step, as published.

    The reference r is another example of the batch, u is uniform between 0 and 1. A batch of one
    example has no other, and the attribution is zero.
    """

    summary: ClassVar[str] = "expected gradients, one reference from the batch a step"
    citation: ClassVar[str] = "Erion et al., Nature Machine Intelligence 2021"
    draws: ClassVar[bool] = True

    def path(
        self, sequence: torch.Tensor, applies: torch.Tensor, generator: torch.Generator | None
    ) -> Path:
        """Return one point between each example and another one; ValueError without a generator."""
        if generator is None:
            raise ValueError("expected gradients draw references: pass a torch.Generator")
        # drawn for the whole batch, so that an example's draw is the same whichever are chosen
        count, device = len(sequence), generator.device
        shift = torch.randint(1, max(count, 2), (count,), generator=generator, device=device)
        share = torch.empty(count, device=device).uniform_(generator=generator).to(sequence)
        shift = shift.to(sequence.device)
        reference = sequence[((torch.arange(count, device=shift.device) + shift) % count)[applies]]
        difference = sequence[applies] - reference
        points = reference + share[applies][:, None, None] * difference
        return Path(points[None], difference)


@dataclass(frozen=True)
class IntegratedGradients(_TimesDifference):
    """a_i = sum_b (x - r)_ib mean_k g_ib(r + (k - 1/2) / K (x - r)), k = 1 ... K.

    Attributes:
        steps: K, the number of points on the path; memory and time grow with it.
        reference: r, all ``zero`` or ``uniform`` over the four bases (0.25 each).
    """

    summary: ClassVar[str] = "integrated gradients, by the midpoint rule"
    citation: ClassVar[str] = "Sundararajan, Taly & Yan, ICML 2017"

    steps: int = 8
    reference: Literal["zero", "uniform"] = "zero"

    def __post_init__(self) -> None:
        """Refuse options outside their range."""
        check_draws("steps", self.steps)

    def path(
        self, sequence: torch.Tensor, applies: torch.Tensor, generator: torch.Generator | None
    ) -> Path:
        """Return K points between reference and input."""
        reference = 0.25 if self.reference == "uniform" else 0.0
        difference = sequence[applies] - reference
        share = (torch.arange(self.steps).to(sequence) + 0.5) / self.steps
        return Path(reference + share[:, None, None, None] * difference, difference)


def check_draws(name: str, value: int) -> None:
    """Raise UserError unless an option that multiplies the cost is within its range."""
    if not 1 <= value <= _MOST_DRAWS:
        raise UserError(f"{name} {value} is not a whole number from 1 to {_MOST_DRAWS}")


METHODS: dict[str, type[AttributionMethod]] = {
    specs.kebab(cls.__name__): cls
    for cls in (InputXGradient, Gradient, SimplexGradient, ExpectedGradients, IntegratedGradients)
}
"""attribution methods by the name that ``--train-attribution`` takes"""


def load_attribution(spec: str) -> AttributionMethod:
    """Build an attribution method from a spec such as ``integrated-gradients:steps=16``.

    Raises:
        UserError: if a name or option is unknown; the message suggests the nearest.
    """
    name = specs.name_of(spec)
    if name not in METHODS:
        raise unknown("attribution", name, METHODS)
    return specs.build("attribution", METHODS[name], spec)


def attribute_and_predict(
    model: torch.nn.Module,
    sequence: torch.Tensor,
    applies: torch.Tensor,
    target: Target,
    *,
    method: AttributionMethod | None = None,
    args: Sequence[torch.Tensor] = (),
    generator: torch.Generator | None = None,
    create_graph: bool = True,
) -> tuple[Any, Attribution]:
    """Run one forward pass that also attributes some of the examples.

    Only the chosen examples pay for the second differentiation, unless the model cannot take its
    batch in parts (recurrent layers and attention beside batch norm in training mode, for
    instance): then all do, with the same result. Both are tried when a model is first used.

    Args:
        model: network that is called with ``sequence`` and ``args`` and returns (B, ...), or
            tuples, lists and dictionaries of such. Examples may be coupled by batch norm only.
        sequence: (B, 4, L) one-hot, floating.
        applies: (B,) bool, the examples to attribute; at least one.
        target: function from the model's output to one scalar per example.
        method: attribution method; gradient x input if left out.
        args: further arguments of the model, (B, ...) each, such as control tracks.
        generator: generator of methods that draw.
        create_graph: whether to keep the graph, so that a penalty on the result can be
            differentiated.

    Returns:
        the model's output in the order of ``sequence``, and the Attribution of the k chosen
        examples: gradient (k, 4, L), observed (k, L).

    Raises:
        ValueError: if an argument has the wrong shape or dtype.
    """
    _check(sequence, applies, args)
    if torch.is_inference_mode_enabled():
        with torch.inference_mode(False):
            copies = [value.clone() for value in (sequence, applies, *args)]
            return attribute_and_predict(
                model,
                copies[0],
                copies[1],
                target,
                method=method,
                args=copies[2:],
                generator=generator,
                create_graph=create_graph,
            )
    method = method or InputXGradient()
    path = method.path(sequence.detach(), applies, generator)
    reading = _Reading(method, path, target, create_graph)
    take = _at_inputs if path is None else _on_path
    with torch.enable_grad(), twice_differentiable(model, needed=create_graph):
        return take(model, (sequence, *args), applies, reading)


@dataclass(frozen=True)
class _Reading:
    """The way from a model's output to attributions.

    Attributes:
        method: attribution method.
        path: points at which gradients are taken; None for the inputs themselves.
        target: function from the model's output to the scalars that are attributed.
        create_graph: whether attributions can be differentiated.
    """

    method: AttributionMethod
    path: Path | None
    target: Target
    create_graph: bool

    def gradient(self, output: Any, points: torch.Tensor, gate: StatisticsGate) -> torch.Tensor:
        """Return the gradient of the target by the points, in their shape."""
        scalars = self.target(output)
        if scalars.shape != (len(points),):
            raise ValueError(
                f"target gives shape {tuple(scalars.shape)}, wanted ({len(points)},): one scalar "
                "per example"
            )
        with gate.closed():
            # the caller may want to differentiate the output too
            return torch.autograd.grad(
                scalars.sum(), points, retain_graph=True, create_graph=self.create_graph
            )[0]


def _at_inputs(
    model: torch.nn.Module, inputs: Sequence[torch.Tensor], applies: torch.Tensor, reading: _Reading
) -> tuple[Any, Attribution]:
    """Attribute at the inputs: the chosen examples and the rest are two parts of one batch."""
    order = torch.argsort(~applies, stable=True)
    ordered, count = [value[order] for value in inputs], int(applies.sum())
    chosen, rest = ([value[:count] for value in ordered], [value[count:] for value in ordered])
    # a leaf, unless the caller differentiates by the sequence too
    differentiated = chosen[0].requires_grad
    points = chosen[0] = chosen[0] if differentiated else chosen[0].detach().requires_grad_()
    gate = StatisticsGate(None if differentiated else points)
    parts = [chosen, rest] if count < len(order) else [chosen]
    outputs = forward_parts(model, parts, gate, len(parts))
    gradient = reading.gradient(outputs[0], points, gate)
    attribution = reading.method.read(gradient, points.detach())
    if len(outputs) == 1:
        return outputs[0], attribution
    back = torch.argsort(order)
    joined = join_trees(outputs[0], outputs[1], 0)
    return map_tensors(lambda value: value[back], joined), attribution


def _on_path(
    model: torch.nn.Module, inputs: Sequence[torch.Tensor], applies: torch.Tensor, reading: _Reading
) -> tuple[Any, Attribution]:
    """Attribute along paths: the batch is one part, points on the paths are the other."""
    path = reading.path
    assert path is not None
    count = len(path.points)
    points = path.points.flatten(0, 1).detach().requires_grad_()
    path_points = [points, *(v[applies].repeat(count, *[1] * (v.dim() - 1)) for v in inputs[1:])]
    gate = StatisticsGate(points)
    output, at_points = forward_parts(model, [inputs, path_points], gate, 1)
    gradient = reading.gradient(at_points, points, gate).view_as(path.points).mean(dim=0)
    return output, reading.method.read(gradient, path.difference)


@contextmanager
def twice_differentiable(model: torch.nn.Module, *, needed: bool) -> Iterator[None]:
    """Choose kernels that have a second derivative, where torch has others too."""
    if not needed:
        yield
        return
    recurrent = any(isinstance(module, torch.nn.RNNBase) for module in model.modules())
    cudnn = torch.backends.cudnn.flags(enabled=False) if recurrent else nullcontext()
    with sdpa_kernel(SDPBackend.MATH), cudnn:
        yield


def _check(sequence: torch.Tensor, applies: torch.Tensor, args: Sequence[torch.Tensor]) -> None:
    if sequence.dim() != 3 or sequence.shape[1] != 4 or not sequence.is_floating_point():
        raise ValueError(
            f"sequence is {sequence.dtype} of shape {tuple(sequence.shape)}, wanted floating "
            "(B, 4, L)"
        )
    count = len(sequence)
    if applies.shape != (count,) or applies.dtype != torch.bool or not applies.any():
        raise ValueError(
            f"applies is {applies.dtype} of shape {tuple(applies.shape)}, wanted bool ({count},) "
            "with at least one True"
        )
    for index, value in enumerate(args):
        if len(value) != count:
            raise ValueError(f"args[{index}] has {len(value)} rows, sequence has {count}")


class AttributionFunction(Protocol):
    """An attribution method as a function, for use alone."""

    def __call__(
        self,
        model: torch.nn.Module,
        sequence: torch.Tensor,
        target: Target,
        *,
        args: Sequence[torch.Tensor] = (),
        create_graph: bool = True,
    ) -> Attribution:
        """Attribute every example.

        Args:
            model: network that is called with ``sequence`` and ``args``; examples may be coupled by
                batch norm only.
            sequence: (B, 4, L) one-hot, floating; the result follows its device and dtype.
            target: function from the model's output to (B,), the scalar to be attributed.
            args: further arguments of the model, (B, ...) each.
            create_graph: whether to keep the graph, so that a penalty on the result can be
                differentiated.

        Returns:
            Attribution with gradient (B, 4, L) and observed (B, L).

        Raises:
            ValueError: if an argument has the wrong shape or dtype.
        """


def _function(
    method: AttributionMethod, generator: torch.Generator | None = None
) -> AttributionFunction:
    """Return a method as a function, with a docstring of its own."""

    def attribute(
        model: torch.nn.Module,
        sequence: torch.Tensor,
        target: Target,
        *,
        args: Sequence[torch.Tensor] = (),
        create_graph: bool = True,
    ) -> Attribution:
        everything = torch.ones(len(sequence), dtype=torch.bool, device=sequence.device)
        return attribute_and_predict(
            model,
            sequence,
            everything,
            target,
            method=method,
            args=args,
            generator=generator,
            create_graph=create_graph,
        )[1]

    name = specs.kebab(type(method).__name__).replace("-", "_")
    attribute.__name__ = attribute.__qualname__ = name
    _, _, shared = (inspect.getdoc(AttributionFunction.__call__) or "").partition("\n")
    attribute.__doc__ = f"Return the {method.summary} ({method.citation}).\n{shared}"
    return attribute


input_x_gradient = _function(InputXGradient())
"""gradient x input of every example"""
gradient = _function(Gradient())
"""gradient of every example, whose ``observed`` sums its absolute values over bases"""
simplex_gradient = _function(SimplexGradient())
"""(gradient - its mean over bases) x input of every example"""


def expected_gradients(
    model: torch.nn.Module,
    sequence: torch.Tensor,
    target: Target,
    generator: torch.Generator,
    *,
    args: Sequence[torch.Tensor] = (),
    create_graph: bool = True,
) -> Attribution:
    """Return one sample of expected gradients, with other examples as references.

    From Erion et al. 2021. Other arguments, result and errors are those of
    :class:`AttributionFunction`. A single example has no reference, and its attribution is zero;
    ``args`` stay those of the example along its whole path.

    Args:
        generator: generator from which references and points on the paths are drawn.
    """
    function = _function(ExpectedGradients(), generator)
    return function(model, sequence, target, args=args, create_graph=create_graph)


def integrated_gradients(
    model: torch.nn.Module,
    sequence: torch.Tensor,
    target: Target,
    *,
    method: IntegratedGradients | None = None,
    args: Sequence[torch.Tensor] = (),
    create_graph: bool = True,
) -> Attribution:
    """Return integrated gradients, of which ``observed`` sums to f(x) - f(r).

    From Sundararajan, Taly & Yan 2017. Other arguments, result and errors are those of
    :class:`AttributionFunction`; ``args`` stay those of the example along its whole path.

    Args:
        method: number of steps and reference; eight steps from zero if left out.
    """
    function = _function(method or IntegratedGradients())
    return function(model, sequence, target, args=args, create_graph=create_graph)
