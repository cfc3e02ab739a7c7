"""The weights of a study's priors: each prior's own, and those that tuning tries."""

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
    """Return the weight by normal spec of the prior and name of the task.

    Raises:
        UserError: if a weight is for an unknown prior or task, or makes no sense.
    """
    written = _by_spec("weights", study.weights, priors)
    result: dict[str, dict[str, float]] = {}
    for spec in priors:
        prior = registry.load_prior(spec)
        by_task = _by_task("weights", spec, written.get(spec, {}), tasks)
        result[spec] = {task: _weight(spec, prior, task, by_task.get(task)) for task in tasks}
    return result


def resolve_grids(
    study: Study, weights: Mapping[str, Mapping[str, float]]
) -> dict[str, dict[str, list[float]]]:
    """Return the weights that are tried, ascending, of every prior with a strength, by task.

    The study's own grids aside, they lie around the weight of every prior in every task.

    Raises:
        UserError: if a grid is for an unknown prior or task, has the wrong size, or has weights
            that make no sense.
    """
    if not study.tune:
        if study.grids:
            raise UserError("grids: weights to try are given, but tune is 0; add --tune N")
        return {}
    written = _by_spec("grids", study.grids, weights)
    result: dict[str, dict[str, list[float]]] = {}
    for spec, by_task in weights.items():
        prior = registry.load_prior(spec)
        if not prior.has_strength:
            if spec in written:
                raise UserError(f"grids: prior {spec!r} has no strength to tune; leave it out")
            continue
        grids = _by_task("grids", spec, written.get(spec, {}), by_task)
        result[spec] = {
            task: _checked_grid(spec, grids[task], study.tune)
            if task in grids
            else _grid_around(spec, prior, task, weight, study.tune)
            for task, weight in by_task.items()
        }
        for task, tried in result[spec].items():
            for weight in tried:
                _weight(spec, prior, task, weight)
    return result


def _checked_grid(spec: str, grid: Sequence[float], count: int) -> list[float]:
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
    bound = prior.weight_bound(task)
    if weight >= bound:
        raise UserError(
            f"prior {spec!r}: its weight {weight:g} is the largest that there is, and no grid lies "
            "around it; give grids"
        )
    return weight_grid(weight, count, bound)


def _by_spec(key: str, written: Mapping[str, T], priors: Collection[str]) -> dict[str, T]:
    """Return the values of a key of the study by normal spec, each of a prior of the study."""
    values: dict[str, T] = {}
    for text, value in written.items():
        spec = registry.normal_spec("prior", text)
        if spec in values:
            raise UserError(f"{key}: {spec!r} is written twice; write it once")
        values[spec] = value
    for spec in values:
        if spec not in priors:
            raise UserError(f"{key}: {unknown('prior of this study', spec, priors)}")
    return values


def _by_task(key: str, spec: str, value: T | dict[str, T], tasks: Collection[str]) -> dict[str, T]:
    """Return the values of a prior by task; tasks that the study has no data of may be named."""
    by_task = value if isinstance(value, dict) else dict.fromkeys(tasks, value)
    for task in by_task:
        if task not in {*tasks, *registry.components("task")}:
            raise UserError(f"{key} of {spec!r}: {unknown('task of this study', task, tasks)}")
    return by_task


def _weight(spec: str, prior: Prior, task: str, written: float | None) -> float:
    """Return the weight of a prior for a task, the study's or the default, if it makes sense."""
    try:
        weight = prior.default_weight(task) if written is None else written
        prior.check_weight(weight)
        for part in prior.parts(weight, task):
            part.prior.check_weight(part.weight)
        if weight and not prior.acts:
            raise UserError(f"weight {weight:g} has nothing to act on; leave it out")
    except UserError as error:
        raise UserError(f"prior {spec!r}: {error}") from None
    return weight
