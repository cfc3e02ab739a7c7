"""The weights of a study's priors: the one each has, and those that tuning tries."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TypeVar

from priorbench.components import registry
from priorbench.components.prior import Prior
from priorbench.errors import UserError, unknown

from .study import Study
from .tuning_rule import weight_grid

T = TypeVar("T")


def resolve_weights(
    study: Study, priors: Sequence[str], tasks: Sequence[str]
) -> dict[str, dict[str, float]]:
    """The weight of every prior in every task, given or default.

    Args:
        study: as the user wrote it.
        priors: normalised specs.
        tasks: their names.

    Raises:
        UserError: for weights of unknown priors or tasks, and those that make no sense.
    """
    given = _by_spec("weights", study.weights, priors)
    result: dict[str, dict[str, float]] = {}
    for spec in priors:
        prior = registry.load_prior(spec)
        weight = given.get(spec, {})
        by_task = weight if isinstance(weight, dict) else dict.fromkeys(tasks, weight)
        _known_tasks("weights", spec, by_task, tasks)
        result[spec] = {task: _weight(spec, prior, task, by_task.get(task)) for task in tasks}
    return result


def resolve_grids(
    study: Study, weights: Mapping[str, Mapping[str, float]]
) -> dict[str, dict[str, list[float]]]:
    """The weights that are tried, ascending, of every prior that has a strength, by task.

    Args:
        study: as the user wrote it.
        weights: of :func:`resolve_weights`; a grid that is not given lies around them.

    Raises:
        UserError: for grids of unknown priors or tasks, of the wrong size, or with weights that
            make no sense.
    """
    if not study.tune:
        if study.grids:
            raise UserError("grids: weights to try are given, but tune is 0; add --tune N")
        return {}
    given = _by_spec("grids", study.grids, weights)
    result: dict[str, dict[str, list[float]]] = {}
    for spec, by_task in weights.items():
        prior = registry.load_prior(spec)
        if not prior.has_strength:
            if spec in given:
                raise UserError(f"grids: prior {spec!r} has no strength to tune; leave it out")
            continue
        grid = given.get(spec, {})
        grids = grid if isinstance(grid, dict) else dict.fromkeys(by_task, grid)
        _known_tasks("grids", spec, grids, by_task)
        result[spec] = {
            task: _given_grid(spec, grids[task], study.tune)
            if task in grids
            else _grid_around(spec, prior, task, weight, study.tune)
            for task, weight in by_task.items()
        }
        for task, tried in result[spec].items():
            for one in tried:
                _weight(spec, prior, task, one)
    return result


def _given_grid(spec: str, grid: Sequence[float], count: int) -> list[float]:
    if len(grid) != count or len(set(grid)) != count:
        raise UserError(
            f"grids: prior {spec!r} has {len(set(grid))} different weights, but tune = {count}; "
            f"every prior tries the same number: give it {count}"
        )
    if not min(grid) > 0:
        raise UserError(f"grids: prior {spec!r}: weight {min(grid):g} is not above 0")
    return sorted(grid)


def _grid_around(spec: str, prior: Prior, task: str, weight: float, count: int) -> list[float]:
    if not weight:
        raise UserError(f"prior {spec!r}: its weight is 0, and no grid lies around it; give grids")
    return weight_grid(weight, count, prior.weight_bound(task))


def _by_spec(key: str, written: Mapping[str, T], priors: Collection[str]) -> dict[str, T]:
    """Values by normal spec, each of a prior of the study."""
    given: dict[str, T] = {}
    for text, value in written.items():
        spec = registry.normal_spec("prior", text)
        if spec in given:
            raise UserError(f"{key}: {spec!r} has two; a study has one of them a prior")
        given[spec] = value
    for spec in given:
        if spec not in priors:
            raise UserError(f"{key}: {unknown('prior of this study', spec, priors)}")
    return given


def _known_tasks(key: str, spec: str, by_task: Collection[str], tasks: Collection[str]) -> None:
    """Refuse names of no task; a task that the study has no data of is passed over."""
    every = {*tasks, *registry.components("task")}
    for task in by_task:
        if task not in every:
            raise UserError(f"{key} of {spec!r}: {unknown('task of this study', task, tasks)}")


def _weight(spec: str, prior: Prior, task: str, given: float | None) -> float:
    try:
        weight = prior.default_weight(task) if given is None else given
        prior.check_weight(weight)
        for part in prior.parts(weight, task):
            part.prior.check_weight(part.weight)
        if weight and not prior.acts:
            raise UserError(f"weight {weight:g} has nothing to act on; leave it out")
    except UserError as error:
        raise UserError(f"prior {spec!r}: {error}") from None
    return weight
