"""Trains several networks at once, if their first step is the one that each would make alone."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch

from priorbench.components.architecture import Precision
from priorbench.components.task import Batch
from priorbench.data.codes import VALID
from priorbench.training.batches import epoch_order, load_batch
from priorbench.training.loop import Fit
from priorbench.training.objective import Objective, forward

from .objective import EnsembleObjective, MemberTraining
from .stacked_networks import CannotStack
from .trainer import CommonTraining, Ensemble

_SAME: Mapping[Precision, tuple[float, float]] = {"float32": (1e-3, 1e-2), "bf16": (2e-2, 0.5)}
"""by how much values and gradients may differ, relative to their size: rounding may turn a
rectifier or the choice of a maximum around, in float32 rarely, in bfloat16 often"""
_ELAPSED = 1.0  # epochs: schedules that start at 0 have begun
_EVALUATED = 64


def fit_ensemble(
    models: Sequence[torch.nn.Module], own: Sequence[MemberTraining], terms: CommonTraining
) -> Iterator[tuple[int, Fit]]:
    """Train networks at once; each is given, with its place, as soon as it ends.

    As ``training.fit`` for each of them. Before the first step it is tried whether that step is the
    one that each would make alone.

    Args:
        models: fresh weights, not yet adapted by a prior.
        own: what is added to the loss of each, and its luck.
        terms: what they have in common.

    Raises:
        NotTogether: for networks or priors that cannot be trained at once.
    """
    ensemble = Ensemble(models, own, terms)
    require_same_first_step(ensemble)
    while ensemble.present:
        yield from ensemble.epoch()


@dataclass(frozen=True)
class _MemberStep:
    """What one network's step gave.

    Attributes:
        values: by what they are: losses, buffers after the step, losses in eval mode then.
        gradients: of prediction loss and penalty, by all parameters, one after the other.
    """

    values: Mapping[str, torch.Tensor]
    gradients: Sequence[torch.Tensor]


def require_same_first_step(ensemble: Ensemble) -> None:
    """Compare the first step with those of trainings alone, in float32 and as it will be trained.

    Of the first member, the last, and one for every different prior; leaves no trace.

    Raises:
        NotTogether: if it is another step.
    """
    for precision in dict.fromkeys(("float32", ensemble.terms.schedule.precision)):
        of_values, of_gradient = _SAME[precision]
        for found, expected in _steps(ensemble, precision):
            for name, value in expected.values.items():
                if not _agree(found.values[name], value, of_values):
                    raise CannotStack(f"their {name} would not be that of a training alone")
            for one, other in zip(found.gradients, expected.gradients, strict=True):
                if not _agree(one, other, of_gradient):
                    raise CannotStack("their gradient would not be that of a training alone")


def _steps(ensemble: Ensemble, precision: Precision) -> Iterator[tuple[_MemberStep, _MemberStep]]:
    """The steps of some members, together and alone."""
    members, terms, rows = ensemble.members, ensemble.terms, ensemble.batches[0]
    # other examples for each, also where they have one seed: who looks at another's is found out
    order = [
        epoch_order(terms.dataset, terms.task, own.luck, place)
        for place, own in enumerate(ensemble.own)
    ]
    valid = load_batch(terms.dataset, terms.dataset.rows(VALID)[:_EVALUATED], terms.device)
    buffers = {name: value.clone() for name, value in members.buffers.items()}
    members.train(mode=True)
    with ensemble.draws.kept():
        objective = EnsembleObjective(members, terms.task, ensemble.own, precision=precision)
        losses = objective.losses(ensemble.batch(order, rows), _ELAPSED)
        gradients = [_gradients(loss.sum(), members.parameters) for loss in losses]
    members.train(mode=False)
    evaluated = ensemble.evaluated(valid)
    after, members.buffers = members.buffers, buffers
    for place in _places(ensemble):
        together = _MemberStep(
            {
                **_named([loss[place] for loss in losses]),
                **{f"buffer {name}": value[place] for name, value in after.items()},
                "validation loss": evaluated[place],
            },
            [torch.cat([value[place].flatten() for value in of_loss]) for of_loss in gradients],
        )
        batch = ensemble.batch([order[place]], rows)
        yield together, _alone(ensemble, place, (batch, valid), precision)


def _alone(
    ensemble: Ensemble, place: int, batches: tuple[Batch, Batch], precision: Precision
) -> _MemberStep:
    model, own = copy.deepcopy(ensemble.models[place]), ensemble.own[place]
    task, (batch, valid) = ensemble.terms.task, batches
    with ensemble.draws.kept(), ensemble.draws.of(place):
        objective = Objective(model, task, own.regularisation, own.luck, precision=precision)
        losses = objective.losses(batch, _ELAPSED)
        parameters = dict(model.named_parameters())
        gradients = [
            torch.cat([value.flatten() for value in _gradients(loss, parameters)])
            for loss in losses
        ]
    model.eval()
    with torch.no_grad():
        evaluated = task.prediction_loss(forward(model, task, valid), valid)
    values = {f"buffer {name}": value for name, value in model.named_buffers()}
    return _MemberStep({**_named(losses), **values, "validation loss": evaluated}, gradients)


def _places(ensemble: Ensemble) -> list[int]:
    first: dict[tuple[object, ...], int] = {}
    for place, own in enumerate(ensemble.own):
        priors = tuple(part.prior for part in own.regularisation.parts)
        first.setdefault(priors, place)
    return sorted({*first.values(), len(ensemble.own) - 1})


def _named(losses: Sequence[torch.Tensor]) -> dict[str, torch.Tensor]:
    return dict(zip(("prediction loss", "penalty"), losses, strict=True))


def _gradients(
    loss: torch.Tensor, parameters: Mapping[str, torch.Tensor]
) -> Sequence[torch.Tensor]:
    """By all parameters; zeros where there is none."""
    values = list(parameters.values())
    wanted = [value for value in values if value.requires_grad]
    found = (
        torch.autograd.grad(loss, wanted, retain_graph=True, allow_unused=True)
        if loss.requires_grad
        else [None] * len(wanted)
    )
    known = dict(zip(map(id, wanted), found, strict=True))
    gradients = [known.get(id(value)) for value in values]
    return [
        torch.zeros_like(value) if gradient is None else gradient
        for value, gradient in zip(values, gradients, strict=True)
    ]


def _agree(found: torch.Tensor, expected: torch.Tensor, tolerance: float) -> bool:
    """Within a share of the expected values' norm; values that are not finite are not judged."""
    found, expected = found.detach(), expected.detach()
    if not bool(torch.isfinite(expected).all()):
        return True
    apart = float((found.double() - expected.double()).norm())
    return apart <= tolerance * float(expected.double().norm()) + 1e-7
