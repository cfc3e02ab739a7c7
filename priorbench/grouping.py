"""Which of the trials that are to be run train at once, in one process."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from functools import cache

from . import registry, specs
from .contracts import Prior
from .trial import Trial


def grouped(trials: Sequence[Trial], most: int) -> list[list[Trial]]:
    """Trials that differ in their seed, weight and options of the prior only, in groups.

    Of a group that is too large parts of almost equal size are made. Groups come in the order of
    their first trials.

    Args:
        trials: to be trained.
        most: how many may train at once.
    """
    found: dict[Hashable, list[Trial]] = {}
    for trial in trials:
        found.setdefault(common(trial) if most > 1 else trial.id, []).append(trial)
    return [part for group in found.values() for part in _parts(group, most)]


def common(trial: Trial) -> Hashable:
    """What trials that train at once must have in common."""
    # one that changes the network makes another form of it
    form = (trial.prior, trial.weight) if _adapts(trial.prior) else _names(trial.prior)
    return (
        trial.block,
        trial.stage,
        trial.scale,
        trial.train_attribution,
        trial.device,
        trial.precision,
        form,
    )


@cache
def _adapts(spec: str) -> bool:
    prior: Prior = registry.build("prior", spec)
    return prior.overrides("adapt")


def _names(spec: str) -> tuple[str, ...]:
    return tuple(specs.split_spec(text)[0] for text, _ in specs.split_composition(spec))


def _parts(group: list[Trial], most: int) -> list[list[Trial]]:
    count = math.ceil(len(group) / most)
    ends = [round(len(group) * (part + 1) / count) for part in range(count)]
    return [group[start:end] for start, end in zip([0, *ends], ends, strict=False)]
