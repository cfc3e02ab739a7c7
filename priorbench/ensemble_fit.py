"""Trains several networks at once, if their first step is the one that each would make alone."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch

from .contracts import Batch, Precision
from .dataset import VALID
from .ensemble import Ensemble, Terms
from .ensemble_objective import EnsembleObjective, Own
from .members import NotTogether
from .objective import Objective, forward
from .training import Fit, load_batch

_SAME: Mapping[Precision, tuple[float, float]] = {"float32": (1e-3, 1e-2), "bf16": (2e-2, 0.5)}
"""by how much values and gradients may differ, relative to their size: rounding may turn a
rectifier or the choice of a maximum around, in float32 rarely, in bfloat16 often"""
_ELAPSED = 1.0  # epochs: schedules that start at 0 have begun
_EVALUATED = 64


def fit_ensemble(
    models: Sequence[torch.nn.Module], own: Sequence[Own], terms: Terms
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
class _Step:
    """What one network's step gave.

    Attributes:
        values: by what they are: losses, buffers after the step, losses in eval mode then.
        gradient: of all parameters, one after the other.
    """

    values: Mapping[str, torch.Tensor]
    gradient: torch.Tensor


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
                    raise NotTogether(f"their {name} would not be that of a training alone")
            if not _agree(found.gradient, expected.gradient, of_gradient):
                raise NotTogether("their gradient would not be that of a training alone")


def _steps(ensemble: Ensemble, precision: Precision) -> Iterator[tuple[_Step, _Step]]:
    """The steps of some members, together and alone."""
    order, rows = ensemble.order(0), ensemble.batches[0]
    members, terms = ensemble.members, ensemble.terms
    valid = load_batch(terms.dataset, terms.dataset.rows(VALID)[:_EVALUATED], terms.device)
    buffers = {name: value.clone() for name, value in members.buffers.items()}
    members.train(mode=True)
    with ensemble.draws.kept():
        objective = EnsembleObjective(members, terms.task, ensemble.own, precision=precision)
        losses = objective.losses(ensemble.batch(order, rows), _ELAPSED)
        torch.stack(losses).sum().backward()  # type: ignore[no-untyped-call]
    members.train(mode=False)
    evaluated = ensemble.evaluated(valid)
    after, gradients = members.buffers, _gradients(members.parameters)
    members.buffers = buffers
    for value in members.parameters.values():
        value.grad = None
    for place in _places(ensemble):
        together = _Step(
            {
                **_named([loss[place] for loss in losses]),
                **{f"buffer {name}": value[place] for name, value in after.items()},
                "validation loss": evaluated[place],
            },
            torch.cat([value[place].flatten() for value in gradients]),
        )
        batch = ensemble.batch([order[place]], rows)
        yield together, _alone(ensemble, place, (batch, valid), precision)


def _alone(
    ensemble: Ensemble, place: int, batches: tuple[Batch, Batch], precision: Precision
) -> _Step:
    model, own = copy.deepcopy(ensemble.models[place]), ensemble.own[place]
    task, (batch, valid) = ensemble.terms.task, batches
    with ensemble.draws.kept(), ensemble.draws.of(place):
        objective = Objective(model, task, own.regularisation, own.luck, precision=precision)
        losses = objective.losses(batch, _ELAPSED)
        torch.stack(losses).sum().backward()  # type: ignore[no-untyped-call]
    model.eval()
    with torch.no_grad():
        evaluated = task.prediction_loss(forward(model, task, valid), valid)
    values = {f"buffer {name}": value for name, value in model.named_buffers()}
    gradient = torch.cat([v.flatten() for v in _gradients(dict(model.named_parameters()))])
    return _Step({**_named(losses), **values, "validation loss": evaluated}, gradient)


def _places(ensemble: Ensemble) -> list[int]:
    first: dict[tuple[object, ...], int] = {}
    for place, own in enumerate(ensemble.own):
        priors = tuple(part.prior for part in own.regularisation.parts)
        first.setdefault(priors, place)
    return sorted({*first.values(), len(ensemble.own) - 1})


def _named(losses: Sequence[torch.Tensor]) -> dict[str, torch.Tensor]:
    return dict(zip(("prediction loss", "penalty"), losses, strict=True))


def _gradients(parameters: Mapping[str, torch.Tensor]) -> list[torch.Tensor]:
    """Of all parameters; zeros where there is none."""
    return [
        torch.zeros_like(value) if value.grad is None else value.grad
        for value in parameters.values()
    ]


def _agree(found: torch.Tensor, expected: torch.Tensor, tolerance: float) -> bool:
    """Within a share of the expected values' norm; values that are not finite are not judged."""
    found, expected = found.detach(), expected.detach()
    if not bool(torch.isfinite(expected).all()):
        return True
    apart = float((found.double() - expected.double()).norm())
    return apart <= tolerance * float(expected.double().norm()) + 1e-7
