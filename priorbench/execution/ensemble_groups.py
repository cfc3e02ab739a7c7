"""Which of the trials that are to be run train at once, in one process."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from priorbench.components import registry, specs
from priorbench.components.prior import Prior
from priorbench.study.trial import Trial


def grouped(trials: Sequence[Trial], most: int) -> list[list[Trial]]:
    """Trials that differ in their seed, weight and options of the prior only, in groups.

    Of a group that is too large parts of almost equal size are made. Groups come in the order of
    their first trials.

    Args:
        trials: to be trained.
        most: how many may train at once.
    """
    if most == 1:
        return [[trial] for trial in trials]
    forms = {spec: form_of(spec) for spec in {trial.prior for trial in trials}}
    found: dict[Hashable, list[Trial]] = {}
    for trial in trials:
        found.setdefault(common(trial, forms[trial.prior]), []).append(trial)
    return [part for group in found.values() for part in _parts(group, most)]


@dataclass(frozen=True)
class PriorForm:
    """What a prior makes of a network.

    Attributes:
        names: of its components.
        adapts: whether it changes the network, so that other weights make another one.
    """

    names: tuple[str, ...]
    adapts: bool


def form_of(spec: str) -> PriorForm:
    """Of a prior."""
    prior: Prior = registry.build("prior", spec)
    names = tuple(specs.split_spec(text)[0] for text, _ in specs.split_composition(spec))
    return PriorForm(names, prior.overrides("adapt"))


def common(trial: Trial, form: PriorForm) -> Hashable:
    """What trials that train at once must have in common."""
    return (
        trial.setting,
        trial.stage,
        trial.scale,
        trial.train_attribution,
        trial.device,
        trial.precision,
        (trial.prior, trial.weight) if form.adapts else form.names,
    )


def _parts(group: list[Trial], most: int) -> list[list[Trial]]:
    count = math.ceil(len(group) / most)
    ends = [round(len(group) * (part + 1) / count) for part in range(count)]
    return [group[start:end] for start, end in zip([0, *ends], ends, strict=False)]
