"""Runs one trial: builds it, trains it, evaluates it, and writes its folder.

`run_group.py` hands over the job, in a worker process. `training/loop.py` trains,
`evaluation/measure.py` measures, and `run_directory.py` renames the folder when it is whole.
"""

from __future__ import annotations

import dataclasses
import platform
import time
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from priorbench.components import registry, specs
from priorbench.evaluation.measure import measure, write_arrays
from priorbench.seeds import RandomStreams
from priorbench.storage.files import is_disk_error, writing
from priorbench.storage.run_directory import ARRAYS, COLLAPSED, DONE, FAILED, MODEL, RunDirectory
from priorbench.study.trial import Trial, code_digest
from priorbench.training.loop import fit
from priorbench.training.progress import Fit
from priorbench.training.schedules import schedule_of

from .devices import claim_device
from .job import Job, TrialParts
from .process_state import is_out_of_memory, prepare_process
from .training_price import TrainingPrice, price_of_training


def run_trial(job: Job) -> None:
    """Train and evaluate a trial, and write its folder; never raise for its failure."""
    prepare_process()
    started = time.perf_counter()
    with RunDirectory(job.run).new_trial(job.trial.id) as folder:
        try:
            record = _train_and_evaluate(job, folder)
        except (Exception, SystemExit) as error:  # what went wrong is the trial's result
            if is_disk_error(error):  # the next trial would fail of it too
                raise
            record = failure_record(error)
        write_record(job, folder, record, time.perf_counter() - started)


def _train_and_evaluate(job: Job, folder: Path) -> dict[str, Any]:
    registry.use_plugins(job.plugins)
    parts = TrialParts.of(job)
    refuse_changed_code(job.trial)
    device = claim_device(job.trial.device, job.run)
    numbers = range(parts.regularisation.teachers)
    teachers = [_fitted(parts, device, parts.streams.of_teacher(number)) for number in numbers]
    for number, teacher in enumerate(teachers):
        if teacher.best_epoch < 0:
            raise RuntimeError(f"teacher {number + 1}: {teacher.divergence}")
    trained = _fitted(parts, device, teachers=[teacher.model for teacher in teachers])
    return evaluate(parts, trained, folder, device, price_of_training(trained, device, teachers))


def _fitted(
    parts: TrialParts,
    device: torch.device,
    other: RandomStreams | None = None,
    teachers: Sequence[torch.nn.Module] = (),
) -> Fit:
    """Train a trial's network, or another by other random streams, without a prior."""
    trial = parts.job.trial
    return fit(
        parts.model(other),
        parts.task,
        replace(parts.regularisation, parts=[]) if other else parts.regularisation,
        parts.dataset,
        schedule=schedule_of(parts.task, trial.scale, trial.precision, trial.schedule),
        streams=other or parts.streams,
        device=device,
        teachers=teachers,
    )


def refuse_changed_code(trial: Trial) -> None:
    """Raise RuntimeError if the code is no longer the one that the trial's id was made of."""
    now = code_digest(task=trial.task, architecture=trial.architecture, prior=trial.prior)
    if now != trial.code:
        raise RuntimeError("the code changed while the run went on; run the command again")


def evaluate(
    parts: TrialParts, trained: Fit, folder: Path, device: torch.device, price: TrainingPrice
) -> dict[str, Any]:
    """Write a trained model and its arrays to a folder, and return what its record says of it."""
    names = [text for text, _ in specs.split_composition(parts.job.trial.prior)]
    record: dict[str, Any] = {
        "parts": [
            {"prior": name, "weight": part.weight}
            for name, part in zip(names, parts.regularisation.parts, strict=True)
        ],
        "best_epoch": trained.best_epoch,
        "divergence": trained.divergence,
        "history": [epoch.as_record() for epoch in trained.history],
        **({"final_epochs": trained.final_epochs} if trained.final_epochs else {}),
        "initial_weights": trained.initial_weights,
        "batch_order": [epoch.order for epoch in trained.history],
        "costs": {**dataclasses.asdict(price), "epochs_to_best": trained.best_epoch + 1},
    }
    if trained.best_epoch < 0:
        return {**record, "status": COLLAPSED, "reason": trained.divergence, "metrics": {}}
    weights = {name: value.contiguous().cpu() for name, value in trained.model.state_dict().items()}
    with writing(folder / MODEL):
        save_file(weights, folder / MODEL)
    model = parts.trained_model(trained.model, device)
    measured = measure(model, parts.job.measurements)
    write_arrays(folder / ARRAYS, measured.arrays)
    reason = trained.divergence or measured.reason
    status = COLLAPSED if reason else DONE
    return {**record, "status": status, "reason": reason, **measured.as_record()}


def failure_record(error: BaseException) -> dict[str, Any]:
    """Return what the record of a failed trial says; call it while the error is handled."""
    text = traceback.format_exc()
    reason = in_one_line(error)
    if is_out_of_memory(error):
        reason += "; fewer --jobs, or a smaller --ensemble, leave more memory to each trial"
    return {"status": FAILED, "reason": reason, "traceback": text}


def in_one_line(error: BaseException) -> str:
    """Return the kind of an error and, where it has one, its message."""
    return f"{type(error).__name__}: {error}".splitlines()[0].removesuffix(": ")


def write_record(job: Job, folder: Path, record: Mapping[str, Any], seconds: float) -> None:
    """Write the record.json of a trial that has ended after so many seconds of wall time."""
    finished = {
        "trial": job.trial.id,
        **job.trial.as_record(),
        **record,
        "seconds": round(seconds, 3),
        "host": platform.node(),
    }
    RunDirectory(job.run).seal_trial(folder, finished)
