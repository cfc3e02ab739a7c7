"""How many trials an hour to expect, before the first has ended."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass

import torch
from joblib import cpu_count
from joblib.externals.loky.process_executor import ProcessPoolExecutor

from . import registry
from .dataset import VALID
from .devices import CUDA
from .engines import ENVIRONMENT, Group
from .ensemble import Ensemble, Terms
from .ensemble_objective import Own
from .members import NotTogether
from .schedules import schedule_of
from .training import mean_step_time
from .worker import TIMED_EPOCH, Parts, set_torch, step_time_alone

_MOST_KINDS = 8
_STEPS = 6  # at most, of an ensemble
_FORWARD = 1 / 4  # of a step: what an example takes in validation, roughly


def trials_per_hour(groups: Iterable[Group], slots: int, patience: float) -> float | None:
    """By a few steps of trials of different priors and tasks: all epochs, validation, no scoring.

    They are made in a process of their own, that whatever they do ends with it.

    Args:
        groups: to be trained, each at once.
        slots: how many groups at once.
        patience: seconds that this may take.

    Returns:
        None where it takes longer, or they cannot be begun; the error is told when they are run.
    """
    first: dict[Hashable, Group] = {}
    trials: Counter[Hashable] = Counter()
    for group in groups:
        kind = group[0].trial.block, group[0].trial.prior
        first.setdefault(kind, group)
        trials[kind] += len(group)
    kinds = list(first)[:: max(1, -(-len(first) // _MOST_KINDS))]
    if not kinds:
        return None
    executor = ProcessPoolExecutor(1, env=ENVIRONMENT)
    try:
        asked = executor.submit(_seconds_a_trial, [first[kind] for kind in kinds])
        found: _Found = asked.result(timeout=patience)
    except Exception:  # whatever it is, the trial's own run will say it
        return None
    finally:
        executor.shutdown(wait=True, kill_workers=True)
    seconds = sum(trials[kind] * one for kind, one in zip(kinds, found.seconds, strict=True))
    known = sum(trials[kind] for kind in kinds)
    return 3600 * min(slots, found.machines) * known / seconds


@dataclass(frozen=True)
class _Found:
    """What a process finds out.

    Attributes:
        seconds: that a trial takes, to the last epoch, its share of its group.
        machines: how many cores or GPUs there are.
    """

    seconds: Sequence[float]
    machines: int


def _seconds_a_trial(groups: Sequence[Group]) -> _Found:
    set_torch()
    registry.use_plugins(groups[0][0].plugins)
    on_gpu = groups[0][0].trial.device == CUDA
    machines = torch.cuda.device_count() if on_gpu else int(cpu_count())
    return _Found([_seconds(group) for group in groups], machines)


def _seconds(group: Group) -> float:
    """Of each trial of a group."""
    made = Parts.of(group[0])
    schedule = schedule_of(made.task, group[0].trial.scale, group[0].trial.precision)
    terms = Terms(made.task, made.dataset, schedule, torch.device(group[0].trial.device))
    share = None
    # on CPU an ensemble takes as long as its members, within a factor of two
    if len(group) > 1 and terms.device.type == CUDA:
        with contextlib.suppress(NotTogether):
            share = _time_at_once(group, terms) / len(group)
    step = step_time_alone(made, schedule, terms.device) if share is None else share
    steps = max(1, round(made.dataset.epoch_rows / schedule.batch_size))
    validation = _FORWARD * len(made.dataset.rows(VALID)) / made.dataset.epoch_rows
    return schedule.epochs * steps * step * (1 + validation)


def _time_at_once(group: Group, terms: Terms) -> float:
    made = [Parts.of(job) for job in group]
    own = [Own(one.regularisation, one.luck) for one in made]
    ensemble = Ensemble([one.model() for one in made], own, terms)
    steps = ensemble.steps(TIMED_EPOCH, ensemble.order(TIMED_EPOCH))
    return mean_step_time(steps, terms.device, most=_STEPS)
