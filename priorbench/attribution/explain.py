"""Attributions of a trained model for use alone: what the evaluation of a run offers."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from priorbench.autograd.model_call import (
    ModelCall,
    modules_of,
    require_callable,
    uncompiled,
    without_communication,
)
from priorbench.autograd.module_state import ModuleState, forked_generators
from priorbench.errors import UserError

from .differentiable import check_sequence
from .explainers import load_explainer
from .explainers.subject import CONVERGED, ExplainedModel, Explainer, Explanation
from .passes import Layout, Output

_CAUSES = {
    "deep-lift-shap": "an operation has no rule, such as a function of torch that forward calls; "
    "write it as a module",
    "integrated-gradients": "the path needs more points, the method's option `steps`",
    "expected-gradients": "the mean needs more samples, the method's option `samples`",
}
"""likely causes of attributions that do not add up, by method"""


def explain(
    model: Callable[..., Output],
    sequence: torch.Tensor,
    target: Callable[[Output], torch.Tensor],
    *,
    method: str = "deep-lift-shap",
    references: torch.Tensor | None = None,
    seed: int = 0,
    args: Sequence[Any] = (),
    kwargs: Mapping[str, Any] | None = None,
    layout: Layout = "B4L",
) -> Explanation:
    """Attribute the predictions of a trained model; the same for the same arguments.

    The model is explained in evaluation mode, a few sequences at a time, and left as it was.
    Methods, with options after colons, are ``input-x-gradient``, ``gradient``,
    ``simplex-gradient``, ``integrated-gradients:steps=32``, ``expected-gradients:samples=32``,
    ``deep-lift-shap:shuffles=20`` and ``in-silico-mutagenesis`` (formulae are on the page "Metrics"
    of the documentation). DeepLIFT/SHAP (Shrikumar, Greenside & Kundaje 2017; Lundberg & Lee 2017),
    by tangermeme, has rules for modules, not for functions that forward calls; where attributions
    do not add up to the change of the target there is a warning, and the result says of which
    sequences.

    Args:
        model: module, or any other callable of modules, that is called with ``sequence``, ``args``
            and ``kwargs``. A compiled one is run uncompiled.
        sequence: (k, 4, L) one-hot, floating, in which N is all zero; or (k, L, 4), with
            ``layout="BL4"``.
        target: function from the model's output to one scalar per example, (k,).
        method: name of the method, with its options.
        references: (R, 4, L) sequences to compare each with, or (k, R, 4, L) of its own, in the
            layout of the sequences. Left out: dinucleotide shuffles of each sequence for
            DeepLIFT/SHAP, the other sequences for expected gradients, zeros for integrated
            gradients, of which ``reference=uniform`` takes 0.25 of each base, and
            ``reference=shuffled`` the sequence with its positions in a random order.
        seed: seed of shuffles and samples.
        args: further arguments of the model, such as control tracks. Tensors with a row per
            example, also in lists, tuples and dictionaries, go with their examples.
        kwargs: further arguments of the model by keyword, of which the same is true.
        layout: order of the sequence's dimensions, ``B4L`` or ``BL4``.

    Returns:
        the Explanation: attribution (k, L), hypothetical (k, 4, L) contributions of all four bases
        (None for ``gradient``, which has none), and, for methods that promise a sum, ``expected``,
        ``error`` and ``converged``, (k,) each. All of the sequence's dtype and device.

    Raises:
        ValueError: if an argument has the wrong shape, dtype or device.
        UserError: if the method or an option of it is unknown; the message suggests the nearest.
    """
    check_sequence(sequence, layout)
    require_callable("model", model, "a module or another callable of modules")
    require_callable("target", target, "a function from the model's output to (k,)")
    explainer = _explainer(method)
    plain = _bases_first(sequence.detach(), layout)
    references = _references(references, sequence, layout)
    _check_method(explainer, method, plain, references)
    if not len(sequence):
        return _of_nothing(plain, explainer)
    with torch.inference_mode(False), _evaluating(model, sequence.device), uncompiled(model):
        call = ModelCall(model, args, kwargs, count=len(sequence))
        if torch.is_inference(sequence):
            call, plain = call.mapped(torch.clone), plain.clone()
            references = None if references is None else references.clone()
        taking = call.taking_rows if layout == "B4L" else _ChannelsLast(call)
        subject = ExplainedModel(
            taking,
            _checked(target),
            plain,
            [value.detach() for value in call.rows],
            references=references,
            seed=seed,
        )
        explanation = explainer.explain(subject, every_base=True)
    _warn(explanation, method)
    return explanation


class _ChannelsLast:
    """A model that is given its sequences as (B, 4, L), and takes (B, L, 4)."""

    def __init__(self, call: ModelCall) -> None:
        self.call = call

    def __call__(self, sequence: torch.Tensor, *rows: torch.Tensor) -> Any:
        return self.call(sequence.transpose(1, 2), *rows)


def _bases_first(values: torch.Tensor, layout: Layout) -> torch.Tensor:
    return values if layout == "B4L" else values.transpose(-2, -1).contiguous()


def _explainer(method: str) -> Explainer:
    try:
        return load_explainer(method)
    except UserError as error:
        raise UserError(f"method: {error}") from None


def _checked(target: Callable[[Any], torch.Tensor]) -> Callable[[Any], torch.Tensor]:
    """Return a target that refuses to give anything but a vector."""

    def scalars(output: Any) -> torch.Tensor:
        values = target(output)
        if not isinstance(values, torch.Tensor) or values.dim() != 1:
            shape = tuple(values.shape) if isinstance(values, torch.Tensor) else type(values)
            raise ValueError(f"target gives shape {shape}, wanted (B,): one scalar per example")
        return values

    return scalars


def _references(
    references: torch.Tensor | None, sequence: torch.Tensor, layout: Layout
) -> torch.Tensor | None:
    """Return references (k, R, 4, L), of the sequences' dtype; ValueError if they do not fit."""
    if references is None:
        return None
    each = references.dim() == 3
    wanted = (sequence.shape[1:],) if each else (sequence.shape[:1], sequence.shape[1:])
    shape = references.shape
    given = (shape[1:],) if each else (shape[:1], shape[2:])
    if references.dim() not in (3, 4) or given != wanted or not references.shape[-3]:
        bases = "4, L" if layout == "B4L" else "L, 4"
        raise ValueError(
            f"references has shape {tuple(shape)}, wanted (R, {bases}) or (k, R, {bases}) beside "
            f"sequence {tuple(sequence.shape)}"
        )
    if references.device != sequence.device:
        raise ValueError(
            f"references is on {references.device}, wanted {sequence.device}, where sequence is"
        )
    references = _bases_first(references.detach().to(sequence.dtype), layout)
    return references.expand(len(sequence), *references.shape) if each else references


def _check_method(
    explainer: Explainer, method: str, sequence: torch.Tensor, references: torch.Tensor | None
) -> None:
    if references is not None and not explainer.takes_references:
        raise ValueError(f"references: method {method!r} compares with none; leave them out")
    shuffles = references is None and explainer.draws_whole_bases
    if not (shuffles or explainer.needs_bases):
        return
    known = ((sequence == 0) | (sequence == 1)).all(dim=1) & (sequence.sum(dim=1) <= 1)
    if not known.all():
        fix = "; or pass references" if shuffles else ""
        raise ValueError(
            f"sequence has a position that is neither one base nor N (all zero), and method "
            f"{method!r} needs whole bases{fix}"
        )


@contextmanager
def _evaluating(model: Callable[..., Any], device: torch.device) -> Iterator[None]:
    """Put a model into evaluation mode within the block; it is as it was afterwards."""
    modules = modules_of(model)
    state = ModuleState(modules)
    try:
        for module in modules:
            module.training = False
        with forked_generators(device), without_communication(modules):
            yield
    finally:
        state.restore()


def _of_nothing(sequence: torch.Tensor, explainer: Explainer) -> Explanation:
    none = sequence.new_zeros(0)
    return Explanation(
        sequence.sum(dim=1),
        none if explainer.adds_up else None,
        sequence.clone() if explainer.every_base else None,
        none if explainer.adds_up else None,
    )


def _warn(explanation: Explanation, method: str) -> None:
    error, converged = explanation.error, explanation.converged
    if error is None or converged is None or bool(converged.all()):
        return
    cause = _CAUSES[method.partition(":")[0].strip()]
    warnings.warn(
        f"{method}: the attributions of {int((~converged).sum())} of {len(error)} sequences do not "
        f"add up to the change of the target within {CONVERGED:.0%}, the worst misses "
        f"{float(error.max()):.2g} of it: {cause}, or the target holds something fixed",
        stacklevel=3,
    )
