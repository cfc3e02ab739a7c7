"""Which of the trials that are to be run train at once, in one process."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from priorbench.components import registry, specs
from priorbench.components.prior import Prior
from priorbench.study.trial import Trial


def group_trials(trials: Sequence[Trial], most: int) -> list[list[Trial]]:
    """Group trials that differ in their seed, weight and options of the prior only.

    A group that is too large is split into parts of almost equal size. Groups come in the order of
    their first trials.

    Args:
        trials: the trials to be trained.
        most: how many may train at once.
    """
    if most == 1:
        return [[trial] for trial in trials]
    forms = {spec: prior_form(spec) for spec in {trial.prior for trial in trials}}
    groups: dict[Hashable, list[Trial]] = {}
    for trial in trials:
        groups.setdefault(ensemble_key(trial, forms[trial.prior]), []).append(trial)
    return [part for group in groups.values() for part in _split(group, most)]


@dataclass(frozen=True)
class PriorForm:
    """What of a prior decides which networks can train at once with its own.

    Attributes:
        names: names of the priors that it is composed of.
        adapts: whether it changes the network, so that another weight makes another network.
    """

    names: tuple[str, ...]
    adapts: bool


def prior_form(spec: str) -> PriorForm:
    """Return the form of the prior with this spec."""
    prior: Prior = registry.build("prior", spec)
    names = tuple(specs.split_spec(text)[0] for text, _ in specs.split_composition(spec))
    return PriorForm(names, prior.overrides("adapt"))


def ensemble_key(trial: Trial, form: PriorForm) -> Hashable:
    """Return what trials that train at once must have in common."""
    return (
        trial.setting,
        trial.stage,
        trial.scale,
        trial.train_attribution,
        trial.device,
        trial.precision,
        (trial.prior, trial.weight) if form.adapts else form.names,
    )


def _split(group: list[Trial], most: int) -> list[list[Trial]]:
    count = math.ceil(len(group) / most)
    ends = [round(len(group) * (part + 1) / count) for part in range(count)]
    return [group[start:end] for start, end in zip([0, *ends], ends, strict=False)]
