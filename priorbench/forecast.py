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
from .measuring import measure
from .members import NotTogether
from .schedules import schedule_of
from .training import clock, mean_step_time
from .worker import TIMED_EPOCH, Parts, set_torch, step_time_alone

_MOST_KINDS = 8
_STEPS = 6  # at most, of an ensemble
_FORWARD = 1 / 4  # of a step: what an example takes in validation, roughly


@dataclass(frozen=True)
class Forecast:
    """How fast trials will end.

    Attributes:
        rate: trials an hour, if all train to the last epoch.
        scored: whether what scoring takes is counted.
    """

    rate: float
    scored: bool


def forecast(groups: Iterable[Group], slots: int, patience: float) -> Forecast | None:
    """By a few steps of trials of different priors and tasks, and by scoring untrained networks.

    They are made in a process of their own, that whatever they do ends with it.

    Args:
        groups: to be trained, each at once.
        slots: how many groups at once.
        patience: seconds that the steps may take; scoring may take a third of that, or is left out.

    Returns:
        None where steps take longer, or cannot be begun; the error is told when trials are run.
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
        # untrained networks are scored like others; where that takes long, training takes longer
        asked = executor.submit(_scoring_seconds, [first[kind] for kind in kinds])
        scoring: Sequence[float] | None = None
        with contextlib.suppress(TimeoutError):
            scoring = asked.result(timeout=patience / 3)
    except Exception:  # whatever it is, the trial's own run will say it
        return None
    finally:
        executor.shutdown(wait=True, kill_workers=True)
    each = zip(kinds, found.seconds, scoring or [0.0] * len(kinds), strict=True)
    seconds = sum(trials[kind] * (training + score) for kind, training, score in each)
    known = sum(trials[kind] for kind in kinds)
    return Forecast(3600 * min(slots, found.machines) * known / seconds, scoring is not None)


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


def _scoring_seconds(groups: Sequence[Group]) -> list[float]:
    """Of a trial of each group; those of one network and dataset take as long."""
    known: dict[Hashable, float] = {}
    for group in groups:
        block = group[0].trial.block
        if block not in known:
            made, device = Parts.of(group[0]), torch.device(group[0].trial.device)
            costs = {"seconds_per_step": 1.0, "peak_memory_mib": 1.0, "epochs_to_best": 1.0}
            examinee = made.examinee(made.model().to(device).eval(), device, costs)
            started = clock(device)
            measure(examinee, group[0].wanted)
            known[block] = clock(device) - started
    return [known[group[0].trial.block] for group in groups]


def _seconds(group: Group) -> float:
    """Training, of each trial of a group."""
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
