"""Differentiable attributions: the input of a prior's penalty, in any training loop.

Every attribution method has a function of the same name. All leave the caller's model as it is: its
mode, the gradient flags and gradients of its parameters; all follow the device and dtype of
``sequence``.

Where the model is in training mode, the statistics of batch norm are those of the batch and are
held fixed: an attribution is the gradient of one example's target by that example's own input.
Methods with the option ``through_statistics`` differentiate through them, as a plain loop does.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Literal, Protocol

import torch

from priorbench.autograd.model_call import ModelCall, require_callable
from priorbench.autograd.split.ways import CannotTakeApart
from priorbench.components import specs
from priorbench.components.prior import Attribution

from .methods import (
    METHODS,
    AttributionMethod,
    ExpectedGradients,
    Gradient,
    InputXGradient,
    IntegratedGradients,
    SimplexGradient,
    check_draws,
    load_attribution,
)
from .passes import Chosen, Layout, Output, Reading, attribute, attribute_apart

__all__ = [
    "METHODS",
    "AttributionFunction",
    "AttributionMethod",
    "ExpectedGradients",
    "Gradient",
    "InputXGradient",
    "IntegratedGradients",
    "SimplexGradient",
    "attribute_and_predict",
    "check_draws",
    "expected_gradients",
    "gradient",
    "input_x_gradient",
    "integrated_gradients",
    "load_attribution",
    "simplex_gradient",
]


def attribute_and_predict(
    model: Callable[..., Output],
    sequence: torch.Tensor,
    applies: torch.Tensor,
    target: Callable[[Output], torch.Tensor],
    *,
    method: AttributionMethod | None = None,
    args: Sequence[Any] = (),
    kwargs: Mapping[str, Any] | None = None,
    generator: torch.Generator | None = None,
    create_graph: bool = True,
    layout: Layout = "B4L",
    split: bool = False,
) -> tuple[Output, Attribution]:
    """Run one forward pass that also attributes some of the examples.

    The model is called once, for the whole batch, as it is, so that hooks, and what modules keep,
    are those of a plain loop. Methods that take gradients along a path call it once more, at points
    of the paths; hooks see that, and what it leaves on modules is undone. A compiled model is run
    uncompiled, with a warning. The device is waited for once, to count a mask, and not at all if
    ``applies`` are rows.

    Args:
        model: module, or any other callable, that is called with ``sequence``, ``args`` and
            ``kwargs``. Examples may be coupled by batch norm only; within a ``torch.jit`` script
            its statistics are not held fixed, of which there is a warning.
        sequence: (B, 4, L) one-hot, floating; or (B, L, 4), with ``layout="BL4"``. One that is
            itself computed, with gradients, gets those of a penalty too.
        applies: (B,) bool, the examples to attribute, of which there may be none; or (k,) int64,
            their rows, each of them once (on a GPU that is not checked).
        target: function from the model's output to one scalar per example, (B,). For a path it is
            given the output at its points, as many rows as there are points.
        method: attribution method; gradient x input if left out.
        args: further arguments of the model, such as control tracks. Tensors with a row per
            example, also in lists, tuples and dictionaries, go with their examples to the points of
            a path; everything else is passed on. A tensor of another kind whose first dimension
            happens to be B is no argument but part of the model: close over it.
        kwargs: further arguments of the model by keyword, of which the same is true.
        generator: generator of methods that draw; on the sequence's device, or what it draws is
            copied there.
        create_graph: whether to keep the graph, so that a penalty on the result can be
            differentiated.
        layout: order of the sequence's dimensions, ``B4L`` or ``BL4``.
        split: whether to take the batch in parts, so that only the chosen examples pay for the
            second differentiation. It is for modules that treat examples one by one and keep
            nothing of a pass but buffers: the model then sees the parts, or an object that stands
            for both. Whether it gives the numbers of the whole batch is tried on the first batch,
            and again when the model changes. Random draws within the model, such as those of
            dropout, are other ones than in one tensor. Batches that gain nothing are taken whole:
            those of which all or none are chosen, or a single one is or is not, the points of a
            path, and, on a CPU, those too small to be faster in parts; so are all batches of a
            method whose gradients pass through the statistics of batch norm.

    Returns:
        the model's output, and the Attribution of the k chosen examples, in the order of the batch
        or of the rows given: gradient (k, 4, L), whatever the layout, and observed (k, L), both of
        the sequence's dtype. Those of no example have gradients of zero.

    Raises:
        ValueError: if an argument has the wrong shape or dtype, if the target does not depend on
            the sequence, if the model has ``SyncBatchNorm`` over several processes, or if
            ``split`` would change what the model gives or shows; the message says why.
    """
    check_sequence(sequence, layout)
    if method is not None and not isinstance(method, AttributionMethod):
        raise ValueError(f"method is a {type(method).__name__}, wanted what load_attribution gives")
    reading = _reading(target, method or InputXGradient(), generator, create_graph, layout)
    call = ModelCall(model, args, kwargs, count=len(sequence))
    if not split:
        return _run(call, sequence, applies, reading)
    try:
        return _run(call, sequence, applies, reading, partial(attribute_apart, strict=True))
    except CannotTakeApart as reason:
        raise ValueError(f"split=True does not suit this model: {reason}") from reason


def _run(
    call: ModelCall,
    sequence: torch.Tensor,
    applies: torch.Tensor | None,
    reading: Reading[Output],
    way: Callable[..., tuple[Output, Attribution]] = attribute,
) -> tuple[Output, Attribution]:
    """Attribute in one of two ways, outside of inference mode; all examples if applies is None."""
    if torch.is_inference_mode_enabled():
        with torch.inference_mode(False):
            call, sequence = call.mapped(torch.clone), sequence.clone()
            applies = None if applies is None else applies.clone()
            return _run(call, sequence, applies, reading, way)
    return way(call, sequence, _chosen(applies, sequence), reading)


def _reading(
    target: Callable[[Output], torch.Tensor],
    method: AttributionMethod,
    generator: torch.Generator | None,
    create_graph: bool,
    layout: Layout,
) -> Reading[Output]:
    require_callable("target", target, "a function from the model's output to (B,)")
    if generator is not None and not isinstance(generator, torch.Generator):
        raise ValueError(f"generator is a {type(generator).__name__}, wanted a torch.Generator")
    return Reading(target, method, generator, create_graph, layout)


def check_sequence(sequence: torch.Tensor, layout: Layout) -> None:
    """Raise ValueError unless a sequence is floating, of the shape that a layout names."""
    if not isinstance(sequence, torch.Tensor):
        raise ValueError(f"sequence is a {type(sequence).__name__}, wanted a tensor")
    if layout not in ("B4L", "BL4"):
        raise ValueError(f"layout is {layout!r}, wanted 'B4L' or 'BL4'")
    bases, wanted = (1, "(B, 4, L)") if layout == "B4L" else (2, "(B, L, 4)")
    if sequence.dim() != 3 or sequence.shape[bases] != 4 or not sequence.is_floating_point():
        raise ValueError(
            f"sequence is {sequence.dtype} of shape {tuple(sequence.shape)}, wanted floating "
            f"{wanted}"
        )


def _chosen(applies: torch.Tensor | None, sequence: torch.Tensor) -> Chosen:
    count = len(sequence)
    if applies is None:
        return Chosen(count, torch.arange(count, device=sequence.device), everything=True)
    if not isinstance(applies, torch.Tensor):
        raise ValueError(f"applies is a {type(applies).__name__}, wanted a tensor")
    if applies.dtype == torch.bool and applies.shape == (count,):
        chosen = Chosen.where(applies, int(applies.sum()))
        return chosen.to(sequence.device)
    if applies.dtype == torch.int64 and applies.dim() == 1:
        _check_rows(applies, count)
        return Chosen(count, applies.to(sequence.device))
    raise ValueError(
        f"applies is {applies.dtype} of shape {tuple(applies.shape)}, wanted bool ({count},), or "
        "int64 (k,) of rows"
    )


def _check_rows(rows: torch.Tensor, count: int) -> None:
    """Raise ValueError for other rows than some of a batch; those on a GPU are believed.

    Labels, which are as many as there are examples, are told apart from rows there, too.
    """
    if rows.device.type != "cpu" and len(rows) != count:
        return
    ordered = rows.sort()[0].tolist()
    if len(set(ordered)) < len(ordered) or (ordered and not 0 <= ordered[0] <= ordered[-1] < count):
        hint = ": a mask, such as label == 1, is bool" if len(rows) == count else ""
        raise ValueError(
            f"applies is torch.int64 of shape ({len(rows)},), but not rows of a batch of {count}, "
            f"each once{hint}"
        )


class AttributionFunction(Protocol):
    """An attribution method as a function, for use alone."""

    def __call__(
        self,
        model: Callable[..., Output],
        sequence: torch.Tensor,
        target: Callable[[Output], torch.Tensor],
        *,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        create_graph: bool = True,
        layout: Layout = "B4L",
    ) -> Attribution:
        """Attribute every example.

        Args:
            model: module, or any other callable, that is called with ``sequence``, ``args`` and
                ``kwargs``; examples may be coupled by batch norm only.
            sequence: (B, 4, L) one-hot, floating, or (B, L, 4), with ``layout="BL4"``; the result
                follows its device and dtype.
            target: function from the model's output to (B,), the scalar to be attributed.
            args: further arguments of the model; see :func:`attribute_and_predict`.
            kwargs: further arguments of the model by keyword.
            create_graph: whether to keep the graph, so that a penalty on the result can be
                differentiated.
            layout: order of the sequence's dimensions, ``B4L`` or ``BL4``.

        Returns:
            Attribution with gradient (B, 4, L), whatever the layout, and observed (B, L).

        Raises:
            ValueError: if an argument has the wrong shape or dtype, or the target does not depend
                on the sequence.
        """


def _function(
    method: AttributionMethod, generator: torch.Generator | None = None
) -> AttributionFunction:
    """Return a method as a function, with a docstring of its own."""

    def attribute_all(
        model: Callable[..., Output],
        sequence: torch.Tensor,
        target: Callable[[Output], torch.Tensor],
        *,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        create_graph: bool = True,
        layout: Layout = "B4L",
    ) -> Attribution:
        check_sequence(sequence, layout)
        reading = _reading(target, method, generator, create_graph, layout)
        call = ModelCall(model, args, kwargs, count=len(sequence))
        return _run(call, sequence, None, reading)[1]

    name = specs.kebab(type(method).__name__).replace("-", "_")
    attribute_all.__name__ = attribute_all.__qualname__ = name
    _, _, shared = (inspect.getdoc(AttributionFunction.__call__) or "").partition("\n")
    attribute_all.__doc__ = f"Return the {method.summary} ({method.citation}).\n{shared}"
    return attribute_all


input_x_gradient = _function(InputXGradient())
"""gradient x input of every example"""
gradient = _function(Gradient())
"""gradient of every example, whose ``observed`` sums its absolute values over bases"""
simplex_gradient = _function(SimplexGradient())
"""(gradient - its mean over bases) x input of every example"""


def expected_gradients(
    model: Callable[..., Output],
    sequence: torch.Tensor,
    target: Callable[[Output], torch.Tensor],
    generator: torch.Generator,
    *,
    args: Sequence[Any] = (),
    kwargs: Mapping[str, Any] | None = None,
    create_graph: bool = True,
    layout: Layout = "B4L",
) -> Attribution:
    """Return one sample of expected gradients, with other examples as references.

    From Erion et al. 2021. Other arguments, result and errors are those of
    :class:`AttributionFunction`. A single example has no reference, and its attribution is zero;
    arguments with a row per example stay those of the example along its whole path.

    Args:
        generator: generator from which references and points on the paths are drawn.
    """
    function = _function(ExpectedGradients(), generator)
    return function(
        model,
        sequence,
        target,
        args=args,
        kwargs=kwargs,
        create_graph=create_graph,
        layout=layout,
    )


def integrated_gradients(
    model: Callable[..., Output],
    sequence: torch.Tensor,
    target: Callable[[Output], torch.Tensor],
    *,
    steps: int = 8,
    reference: Literal["zero", "uniform"] = "zero",
    args: Sequence[Any] = (),
    kwargs: Mapping[str, Any] | None = None,
    create_graph: bool = True,
    layout: Layout = "B4L",
) -> Attribution:
    """Return integrated gradients, of which ``observed`` sums to f(x) - f(r).

    From Sundararajan, Taly & Yan 2017. Other arguments, result and errors are those of
    :class:`AttributionFunction`; arguments with a row per example stay those of the example along
    its whole path.

    Args:
        steps: number of points on a path, by the midpoint rule; memory and time grow with it.
        reference: r, all ``zero`` or ``uniform`` over the four bases (0.25 each).

    Raises:
        UserError: if ``steps`` or ``reference`` is out of range.
    """
    function = _function(IntegratedGradients(steps, reference))
    return function(
        model,
        sequence,
        target,
        args=args,
        kwargs=kwargs,
        create_graph=create_graph,
        layout=layout,
    )
