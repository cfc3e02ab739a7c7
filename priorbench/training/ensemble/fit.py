"""Training of several networks at once, if their first step is that of a training alone."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch

from priorbench.components.architecture import Precision
from priorbench.components.task import Batch
from priorbench.data.codes import VALID
from priorbench.training.batches import epoch_order, load_batch
from priorbench.training.objective import Objective, forward
from priorbench.training.progress import Fit

from .objective import EnsembleObjective, MemberTraining
from .stacked_networks import CannotStack
from .trainer import CommonTraining, Ensemble

_SAME: Mapping[Precision, tuple[float, float]] = {"float32": (1e-3, 1e-2), "bf16": (2e-2, 0.5)}
"""largest relative differences of values and of gradients: rounding may flip a rectifier or the
choice of a maximum, in float32 rarely, in bfloat16 often"""
_ELAPSED = 1.0  # epochs: schedules that start at 0 have begun
_EVALUATED = 64


def fit_ensemble(
    models: Sequence[torch.nn.Module], trainings: Sequence[MemberTraining], common: CommonTraining
) -> Iterator[tuple[int, Fit]]:
    """Train networks at once; yield each, with its place, as soon as it ends.

    Each is trained as by ``training.loop.fit``. Before the first step, that step is compared with
    the step of trainings alone.

    Args:
        models: networks with fresh weights, not yet adapted by a prior.
        trainings: priors and random streams of each network.
        common: what the networks have in common.

    Raises:
        CannotStack: if the networks or priors cannot be trained at once.
    """
    ensemble = Ensemble(models, trainings, common)
    require_same_first_step(ensemble)
    while ensemble.present:
        yield from ensemble.epoch()


@dataclass(frozen=True)
class _MemberStep:
    """The outcome of one network's step.

    Attributes:
        values: losses, buffers after the step and losses in eval mode then, by name.
        gradients: the gradients of prediction loss and penalty by all parameters, flat.
    """

    values: Mapping[str, torch.Tensor]
    gradients: Sequence[torch.Tensor]


def require_same_first_step(ensemble: Ensemble) -> None:
    """Compare the first step with that of trainings alone, in float32 and in their own precision.

    The first member, the last, and one for every different prior are compared. Leaves no trace.

    Raises:
        CannotStack: if the steps differ.
    """
    for precision in dict.fromkeys(("float32", ensemble.common.schedule.precision)):
        value_tolerance, gradient_tolerance = _SAME[precision]
        for together, alone in _steps(ensemble, precision):
            for name, value in alone.values.items():
                if not _agree(together.values[name], value, value_tolerance):
                    raise CannotStack(f"their {name} would not be that of a training alone")
            for pair in zip(together.gradients, alone.gradients, strict=True):
                if not _agree(*pair, gradient_tolerance):
                    raise CannotStack("their gradient would not be that of a training alone")


def _steps(ensemble: Ensemble, precision: Precision) -> Iterator[tuple[_MemberStep, _MemberStep]]:
    """Yield the steps of some members, together and alone."""
    members, common, rows = ensemble.members, ensemble.common, ensemble.batches[0]
    # different examples for each, even at the same seed, so that a mix-up of members shows
    order = [
        epoch_order(common.dataset, common.task, training.streams, place)
        for place, training in enumerate(ensemble.trainings)
    ]
    valid = load_batch(common.dataset, common.dataset.rows(VALID)[:_EVALUATED], common.device)
    buffers = {name: value.clone() for name, value in members.buffers.items()}
    members.train(mode=True)
    with ensemble.generators.preserved():
        objective = EnsembleObjective(members, common.task, ensemble.trainings, precision=precision)
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
            [torch.cat([value[place].flatten() for value in by_all]) for by_all in gradients],
        )
        batch = ensemble.batch([order[place]], rows)
        yield together, _alone(ensemble, place, (batch, valid), precision)


def _alone(
    ensemble: Ensemble, place: int, batches: tuple[Batch, Batch], precision: Precision
) -> _MemberStep:
    model, training = copy.deepcopy(ensemble.models[place]), ensemble.trainings[place]
    task, (batch, valid) = ensemble.common.task, batches
    with ensemble.generators.preserved(), ensemble.generators.of(place):
        objective = Objective(
            model, task, training.regularisation, training.streams, precision=precision
        )
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
    for place, training in enumerate(ensemble.trainings):
        priors = tuple(part.prior for part in training.regularisation.parts)
        first.setdefault(priors, place)
    return sorted({*first.values(), len(ensemble.trainings) - 1})


def _named(losses: Sequence[torch.Tensor]) -> dict[str, torch.Tensor]:
    return dict(zip(("prediction loss", "penalty"), losses, strict=True))


def _gradients(
    loss: torch.Tensor, parameters: Mapping[str, torch.Tensor]
) -> Sequence[torch.Tensor]:
    """Return the gradients by all parameters; zeros where there is none."""
    gradients = {name: torch.zeros_like(value) for name, value in parameters.items()}
    learnt = {name: value for name, value in parameters.items() if value.requires_grad}
    if loss.requires_grad:
        computed = torch.autograd.grad(
            loss, list(learnt.values()), retain_graph=True, allow_unused=True
        )
        gradients |= {
            name: gradient
            for name, gradient in zip(learnt, computed, strict=True)
            if gradient is not None
        }
    return list(gradients.values())


def _agree(values: torch.Tensor, expected: torch.Tensor, tolerance: float) -> bool:
    """Compare within a share of the expected norm; anything agrees with what is not finite."""
    values, expected = values.detach().double(), expected.detach().double()
    if not bool(torch.isfinite(expected).all()):
        return True
    return float((values - expected).norm()) <= tolerance * float(expected.norm()) + 1e-7
