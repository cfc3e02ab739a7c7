"""How long the studies that come with priorbench take on one core, by scale.

A few training steps of every task, network and prior are timed and multiplied by how many a full
training has; scoring and validation are put at a quarter of it. It is a guess: training may stop
early, and a busy machine takes longer.
"""

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import get_args

import torch
from measuring import Row, in_turns, random_batch, regularised, suite_step

from priorbench import load_prior
from priorbench.components import registry
from priorbench.components.architecture import Scale
from priorbench.components.specs import split_spec
from priorbench.study.network_choice import AUTO, TASK_DEFAULT, named_networks
from priorbench.study.resolve import resolve, seen_by
from priorbench.study.study import Study, load_study
from priorbench.training.schedules import schedule_of

STUDIES = Path(__file__).parent.parent / "studies"
WITH_SCORING, ROUNDS = 1.25, 4
PUBLIC = {"binary": (1000, 40_000, 4), "profile": (1346, 15_000, 3)}
"""length, training sequences and number of files in studies of public data, which are not here"""


def minutes(
    studies: list[str] | None = None, *, quick: bool = False, write: bool = False
) -> Iterator[Row]:
    """Estimate the minutes that studies take on one core (`minutes` in studies/*.toml).

    What those about data of the user's own take depends on the data: theirs are measured.
    """
    paths = [p for p in sorted(STUDIES.glob("*.toml")) if not studies or p.stem in studies]
    paths = [path for path in paths if not load_study(path).own_data]
    for path in paths[: 1 if quick else None]:
        study = load_study(path)
        tasks = study.tasks or (["binary", "profile"] if study.fetch else [])
        # of a study that chooses its network, the chosen one counts; which it will be is not known
        networks = [TASK_DEFAULT] if AUTO in study.architectures else study.architectures
        known = {"tasks": tasks, "fetch": "", "architectures": networks}
        resolved = resolve(study.model_copy(update=known), "cpu")
        resolved = resolved.model_copy(update={"fetch": study.fetch})
        scales = ("paper",) if study.fetch else ("smoke",) if quick else get_args(Scale)
        times = {scale: float(f"{max(0.1, _minutes(resolved, scale)):.2g}") for scale in scales}
        if write and not quick:
            path.write_text(_with_minutes(path.read_text("utf-8"), times), "utf-8")
        yield {"study": path.stem, **times}


def _minutes(study: Study, scale: Scale) -> float:
    total = 0.0
    for spec in study.tasks:
        task = registry.build("task", spec)
        schedule = schedule_of(task, scale, table=study.schedule.text)
        steps = schedule.epochs * max(1, round(_size(spec, scale)[1] / schedule.batch_size))
        files = PUBLIC[split_spec(spec)[0]][2] if study.fetch else 1
        for architecture in named_networks(study, task):
            for prior in study.priors:
                training = (registry.data_spec(spec), architecture, prior, seen_by(prior, study))
                seconds = _step_seconds(*training, scale)
                total += files * _trainings(study, prior) * steps * seconds
    return WITH_SCORING * total / 60


def _trainings(study: Study, prior: str) -> int:
    """Return how many trainings a setting has of a prior, those that choose its weight included."""
    weights = study.tune if study.tune and load_prior(prior).has_strength else int(study.tune > 0)
    return len(study.seed_list) + weights * len(study.tuning_seed_list)


@cache
def _step_seconds(task_spec: str, network: str, prior: str, seen: str, scale: Scale) -> float:
    """Return the processor time of a training step on random sequences."""
    task, (length, _) = registry.build("task", task_spec), _size(task_spec, scale)
    shape, batch = random_batch(task_spec, schedule_of(task, scale).batch_size, length)
    torch.manual_seed(0)
    built = registry.build("architecture", network).build(shape, scale)
    added = regularised(prior, split_spec(task_spec)[0], seen)
    return in_turns({"step": suite_step(built, task, added, batch)}, ROUNDS)["step"]


def _size(task_spec: str, scale: Scale) -> tuple[int, int]:
    """Return length in bp and training sequences of simulated data, or else of public data."""
    sizes = getattr(registry.build("task", task_spec), "sizes", None)
    return sizes[scale][:2] if sizes else PUBLIC[split_spec(task_spec)[0]][:2]


def _with_minutes(text: str, times: dict[Scale, float]) -> str:
    """Return a study's text with its key ``minutes``, before the first table."""
    table = ", ".join(f"{scale} = {value:g}" for scale, value in times.items())
    text = re.sub(r"^minutes = .*\n", "", text, flags=re.MULTILINE)
    head, bracket, rest = text.partition("\n[")
    return f"{head.rstrip()}\nminutes = {{ {table} }}\n" + bracket + rest
