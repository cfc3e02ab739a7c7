"""How long the studies that come with priorbench take on one core, by scale.

`python benchmarks/study_minutes.py` times a few training steps of every task, network and prior of
every study, multiplies them by how many a full training has, and writes `minutes` into the studies'
files; with names, of those alone. Scoring and validation are put at a quarter of the training. A
guess on an idle machine, and no more: training may stop early, and a busy machine takes longer.
"""

from __future__ import annotations

import math
import re
import statistics
import sys
import time
from functools import cache
from pathlib import Path
from typing import get_args

import numpy as np
import torch

from priorbench import Batch, Task, load_attribution, load_prior
from priorbench.components import registry
from priorbench.components.architecture import NetworkShape, Scale
from priorbench.components.specs import split_spec
from priorbench.data.formats.encoding import one_hot
from priorbench.seeds import RandomStreams
from priorbench.study.resolve import resolve, seen_by
from priorbench.study.study import Study, load_study
from priorbench.training.objective import Objective, Regularisation
from priorbench.training.schedules import schedule_of

STUDIES = Path(__file__).parent.parent / "studies"
_SCORING = 1.25
_STEPS = 5
_PUBLIC = {  # windows, sequences and files of studies of public data, which are not here
    "binary": (1000, 40_000, 4),
    "profile": (1346, 15_000, 3),
}


@cache
def step_seconds(task_spec: str, architecture: str, prior: str, seen: str, scale: Scale) -> float:
    """Processor time of a training step on random sequences, median of a few."""
    task: Task = registry.build("task", task_spec)
    length = _size(task_spec, scale)[0]
    schedule = schedule_of(task, scale)
    generator = np.random.default_rng(0)
    codes = generator.integers(0, 4, (schedule.batch_size, length)).astype(np.uint8)
    form, batch = _form_and_batch(task_spec, task, one_hot(codes), length)
    one = load_prior(prior)
    parts = one.parts(one.default_weight(split_spec(task_spec)[0]), split_spec(task_spec)[0])
    added = Regularisation(parts, load_attribution(seen))
    torch.manual_seed(0)
    network = added.adapt(registry.build("architecture", architecture).build(form, scale))
    objective = Objective(network, task, added, RandomStreams(0, ("minutes",), 0))
    optimiser = torch.optim.Adam(network.parameters(), fused=True)
    taken = []
    for _ in range(_STEPS):
        started = time.process_time()
        optimiser.zero_grad(set_to_none=True)
        prediction, penalty = objective.losses(batch, 1.0)
        (prediction + penalty).backward()
        optimiser.step()
        taken.append(time.process_time() - started)
    return statistics.median(taken[1:])


def _form_and_batch(
    spec: str, task: Task, sequence: torch.Tensor, length: int
) -> tuple[NetworkShape, Batch]:
    count = len(sequence)
    if split_spec(spec)[0] == "profile":
        wide = 1000  # of 1,346
        reads = torch.ones(count, 2, wide)
        return NetworkShape(length, 2, wide), Batch(sequence, reads.sum(dim=2), {"reads": reads})
    if split_spec(spec)[0] == "multitask":
        outputs = task.outputs  # type: ignore[attr-defined]
        label = (torch.arange(count * outputs).reshape(count, outputs) % 3 == 0).float()
        return NetworkShape(length, outputs), Batch(sequence, label)
    return NetworkShape(length), Batch(sequence, (torch.arange(count) % 2 == 0).float())


def _size(spec: str, scale: Scale) -> tuple[int, int]:
    """Window in bp and training sequences of simulated data."""
    task = registry.build("task", spec)
    if hasattr(task, "sizes"):
        length, train, *_ = task.sizes[scale]
        return length, train
    return _PUBLIC[split_spec(spec)[0]][:2]


def minutes(study: Study, scale: Scale) -> float:
    """Of one core."""
    total = 0.0
    for spec in study.tasks:
        task: Task = registry.build("task", spec)
        schedule = schedule_of(task, scale)
        steps = schedule.epochs * max(1, round(_size(spec, scale)[1] / schedule.batch_size))
        files = _PUBLIC[split_spec(spec)[0]][2] if study.fetch else 1
        for architecture in study.architectures or [task.architecture]:
            for prior in study.priors:
                seen = seen_by(prior, study)
                seconds = step_seconds(registry.data_spec(spec), architecture, prior, seen, scale)
                total += files * len(study.seed_list) * steps * seconds
    return _SCORING * total / 60


def _rounded(value: float) -> float:
    """To two digits, at least a tenth."""
    if value < 0.1:
        return 0.1
    digits = 1 - math.floor(math.log10(value))
    return round(value, digits)


def _written(text: str, found: dict[Scale, float]) -> str:
    """The study's text with its key ``minutes``, before the first table."""
    told = ", ".join(f"{scale} = {value:g}" for scale, value in found.items())
    text = re.sub(r"^minutes = .*\n", "", text, flags=re.MULTILINE)
    head, table, rest = text.partition("\n[")
    return f"{head.rstrip()}\nminutes = {{ {told} }}\n" + (table + rest if table else "")


def main() -> None:
    torch.set_num_threads(1)
    for path in sorted(STUDIES.glob("*.toml")):
        if sys.argv[1:] and path.stem not in sys.argv[1:]:
            continue
        study = load_study(path)
        tasks = study.tasks or (["binary", "profile"] if study.fetch else [])
        public = study.fetch
        resolved = resolve(study.model_copy(update={"tasks": tasks, "fetch": ""}), "cpu")
        resolved = resolved.model_copy(update={"fetch": public})
        found = {
            scale: _rounded(minutes(resolved, scale))
            for scale in get_args(Scale)
            if not public or scale == "paper"
        }
        path.write_text(_written(path.read_text(encoding="utf-8"), found), encoding="utf-8")
        print(path.stem, found, flush=True)


if __name__ == "__main__":
    sys.exit(main())
