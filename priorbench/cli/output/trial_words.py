"""Trials in a few words, for lines of progress: only what differs among those to be run."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from priorbench.components.specs import name_of, split_spec
from priorbench.study.trial import EVALUATE, Trial

_Words = Callable[[Trial], str]


def trial_words(trials: Sequence[Trial]) -> _Words:
    """Return the function that puts one of some trials into words.

    It names the stage, task, dataset, network, prior, weight and seed where they differ among the
    trials, and the prior and seed where nothing does. Options are named where they differ among the
    tasks, or priors, of one name.

    Args:
        trials: all trials that are run together.
    """
    parts: list[tuple[_Words, str]] = [
        (_stage, ""),
        (_spec_words("task", trials), " "),
        (lambda trial: trial.dataset, " "),
        (_spec_words("architecture", trials), " "),
        (_spec_words("prior", trials), " "),
        (_weight_words(trials), " weight "),
        (lambda trial: f"{trial.seed}", " seed "),
    ]
    varying = [part for part in parts if len({part[0](trial) for trial in trials}) > 1]
    shown = varying or [(lambda trial: trial.prior, ""), parts[-1]]

    def words(trial: Trial) -> str:
        return "".join(before + text for of, before in shown if (text := of(trial))).strip()

    return words


def _stage(trial: Trial) -> str:
    return "" if trial.stage == EVALUATE else trial.stage


def _weight_words(trials: Sequence[Trial]) -> _Words:
    """Return a trial's weight where its prior has several among the trials, else ""."""
    weights: dict[tuple[str, str], set[float]] = {}
    for trial in trials:
        weights.setdefault((trial.task, trial.prior), set()).add(trial.weight)
    return lambda trial: f"{trial.weight:g}" if len(weights[trial.task, trial.prior]) > 1 else ""


def _spec_words(field: str, trials: Sequence[Trial]) -> _Words:
    """Return a component of a trial, without the options that do not differ among the trials.

    Its name is left out where there is no other.
    """
    specs = {str(getattr(trial, field)) for trial in trials}
    names = {_name(spec) for spec in specs}
    words = {}
    for spec in specs:
        peers = [_options(other) for other in specs if _name(other) == _name(spec)]
        differing = [
            f"{key}={value}"
            for key in dict.fromkeys(key for peer in peers for key in peer)
            if len({peer.get(key) for peer in peers}) > 1 and (value := _options(spec).get(key))
        ]
        name = [_name(spec)] if len(names) > 1 or not differing else []
        words[spec] = ":".join([*name, *differing])
    return lambda trial: words[str(getattr(trial, field))]


def _name(spec: str) -> str:
    """Return the name in a spec; a composition is a name as it stands."""
    return spec if "+" in spec else name_of(spec)


def _options(spec: str) -> dict[str, str]:
    return {} if "+" in spec else split_spec(spec)[1]
