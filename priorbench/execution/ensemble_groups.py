"""Which of the trials that are to be run train at once, in one process."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence

from priorbench.components import registry, specs
from priorbench.components.prior import Prior
from priorbench.study.trial import Trial


def group_trials(trials: Sequence[Trial], most: int) -> list[list[Trial]]:
    """Group trials that differ in their seed, weight and options of the prior only.

    Trials of a prior that acts through what networks trained at once do not provide stay alone.
    A group of more than ``most`` is split into parts of almost equal size. Groups come in the order
    of their first trials.
    """
    if most == 1:
        return [[trial] for trial in trials]
    names = {spec: shared_names(spec) for spec in {trial.prior for trial in trials}}
    alone = {spec for spec in names if registry.load_prior(spec).alone}
    groups: dict[Hashable, list[Trial]] = {}
    for trial in trials:
        own = trial.id if trial.prior in alone else ensemble_key(trial, names[trial.prior])
        groups.setdefault(own, []).append(trial)
    return [part for group in groups.values() for part in _split(group, most)]


def shared_names(spec: str) -> tuple[str, ...] | None:
    """Return the names of the priors that a prior is composed of; None if it changes the network.

    Another weight then makes another network, which cannot train at once with its own.
    """
    prior: Prior = registry.build("prior", spec)
    names = tuple(specs.name_of(text) for text, _ in specs.split_composition(spec))
    return None if prior.overrides("adapt") else names


def ensemble_key(trial: Trial, names: tuple[str, ...] | None) -> Hashable:
    """Return what trials that train at once must have in common; names are the shared ones."""
    return (
        *(trial.setting, trial.stage, trial.scale),
        *(trial.train_attribution, trial.device, trial.precision, trial.schedule),
        names or (trial.prior, trial.weight),
    )


def _split(group: list[Trial], most: int) -> list[list[Trial]]:
    count = math.ceil(len(group) / most)
    ends = [round(len(group) * (part + 1) / count) for part in range(count)]
    return [group[start:end] for start, end in zip([0, *ends], ends, strict=False)]
