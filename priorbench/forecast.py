"""How many trials an hour to expect, before the first has ended."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterable, Iterator

import torch

from .dataset import VALID
from .engines import Group
from .ensemble import Ensemble, Terms
from .ensemble_objective import Own
from .schedules import schedule_of
from .training import Trainer, mean_step_time, seeded_torch, shown
from .worker import Parts

_STEPS = 8  # at most, of a group
_FORWARD = 1 / 3  # of a step without a prior: what an example takes in validation


def trials_per_hour(groups: Iterable[Group], slots: int, seconds: float) -> float | None:
    """From a few steps of trials with different priors; all epochs, validation, no scoring.

    Args:
        groups: to be trained, each at once.
        slots: how many groups at once.
        seconds: which this may take, the first step of each prior aside.

    Returns:
        None where they cannot be begun; the error is told when they are run.
    """
    first: dict[str, Group] = {}
    trials: Counter[str] = Counter()
    for group in groups:
        prior = group[0].trial.prior
        first.setdefault(prior, group)
        trials[prior] += len(group)
    total = 0.0
    for prior, group in first.items():
        try:
            with _one_thread():
                total += trials[prior] / len(group) * _seconds(group, seconds / len(first))
        except Exception:  # whatever it is, the trial's own run will say it
            return None
    return 3600 * slots * trials.total() / total if total else None


def _seconds(group: Group, budget: float) -> float:
    """That a group takes, to the last epoch."""
    made = [Parts.of(job) for job in group]
    trial, task, dataset = group[0].trial, made[0].task, made[0].dataset
    device = torch.device(trial.device)  # claimed by nobody: workers share it out among them
    schedule = schedule_of(task, trial.scale, trial.precision)
    with seeded_torch(0, device):
        if len(group) == 1:
            model = made[0].regularisation.adapt(made[0].model()).to(device)
            trainer = Trainer(
                model,
                task,
                made[0].regularisation,
                dataset,
                schedule=schedule,
                luck=made[0].luck,
            )
            count = len(trainer.batches)
            steps = trainer.steps(0, shown(dataset, task, made[0].luck, 0))
        else:
            own = [Own(one.regularisation, one.luck) for one in made]
            terms = Terms(task, dataset, schedule, device)
            ensemble = Ensemble([one.model() for one in made], own, terms)
            count = len(ensemble.batches)
            steps = ensemble.steps(0, ensemble.order(0))
        step = mean_step_time(steps, device, most=_STEPS, budget=budget)
    validation = _FORWARD * len(dataset.rows(VALID)) / dataset.epoch_rows
    return schedule.epochs * count * step * (1 + validation)


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """As workers have."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
