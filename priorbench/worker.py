"""Runs one trial and writes its folder; this is what a worker process calls."""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import fcntl
import gc
import os
import platform
import resource
import sys
import time
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file

from . import registry, scoring, specs
from .attributions import load_attribution
from .contracts import Architecture, Prior, Task
from .dataset import Dataset, load_dataset
from .evaluation import attribute, pack, predict, unpack
from .objective import Regularisation
from .schedules import schedule_of
from .seeds import Luck
from .store import COLLAPSED, DONE, FAILED, RunDirectory, write_json
from .training import Fit, fit, seeded_torch
from .trial import Trial, code_digest

_SPREAD = 1e-6
_GPU_LOCKS: list[IO[str]] = []


@dataclass(frozen=True)
class Job:
    """What a worker needs to run a trial.

    Attributes:
        trial: what to run.
        dataset: folder of the encoded dataset.
        plugins: plug-in files to register first.
        run: the run directory.
    """

    trial: Trial
    dataset: Path
    plugins: Sequence[Path]
    run: Path


def run_trial(job: Job) -> str:
    """Train, evaluate and score a trial, and write its folder; never raises for its failure.

    Returns:
        the status: ``done``, ``collapsed`` or ``failed``.
    """
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    import sklearn.metrics  # noqa: F401 (what scoring needs must not look like a later trial's memory)

    # so must the first Fourier transform of a process
    torch.fft.rfft(torch.ones(8, requires_grad=True)).abs().sum().backward()
    _forget_peak_memory()
    started = time.perf_counter()
    with RunDirectory(job.run).new_trial(job.trial.id) as folder:
        try:
            record = _train_and_score(job, folder)
        except (Exception, SystemExit) as error:  # what went wrong is the trial's result
            record = {
                "status": FAILED,
                "reason": f"{type(error).__name__}: {error}".splitlines()[0],
                "traceback": traceback.format_exc(),
            }
        finished = {
            "trial": job.trial.id,
            **dataclasses.asdict(job.trial),
            **record,
            "seconds": round(time.perf_counter() - started, 3),
            "host": platform.node(),
        }
        write_json(folder / "record.json", finished)
    return str(record["status"])


def _train_and_score(job: Job, folder: Path) -> dict[str, Any]:
    trial = job.trial
    registry.use_plugins(job.plugins)
    task: Task = registry.build("task", trial.task)
    prior: Prior = registry.build("prior", trial.prior)
    architecture: Architecture = registry.build("architecture", trial.architecture)
    _refuse_changed_code(trial)
    dataset = load_dataset(job.dataset)
    device = _device(trial.device, job.run)
    luck = Luck(trial.root_seed, (trial.task, trial.dataset), trial.seed)
    with seeded_torch(luck.derive("init"), torch.device("cpu")):
        model = architecture.build(dataset.form(task), trial.scale)
    parts = prior.parts(trial.weight, specs.split_spec(trial.task)[0])
    trained = fit(
        model,
        task,
        Regularisation(parts, load_attribution(trial.train_attribution)),
        dataset,
        schedule=schedule_of(task, trial.scale),
        luck=luck,
        device=device,
    )
    names = [text for text, _ in specs.split_composition(trial.prior)]
    record = {
        "parts": [
            {"prior": name, "weight": part.weight} for name, part in zip(names, parts, strict=True)
        ],
        **_describe(trained, _peak_memory_mib(device)),
    }
    if trained.best_epoch < 0:
        return {**record, "status": COLLAPSED, "reason": trained.divergence, "metrics": {}}
    save_file(
        {name: value.contiguous().cpu() for name, value in trained.model.state_dict().items()},
        folder / "model.safetensors",
    )
    reason = _evaluate(trained, task, dataset, folder)
    arrays = unpack(folder / "arrays.npz", dataset, record["costs"])
    metrics = scoring.score_trial(arrays, task.metrics) if not _not_finite(reason) else {}
    return {
        **record,
        "status": COLLAPSED if reason else DONE,
        "reason": reason,
        "metrics": metrics,
        "scored_by": scoring.metrics_digest(),
    }


def _refuse_changed_code(trial: Trial) -> None:
    """A file that was edited while the run went on must not be stored under the old code's id."""
    now = code_digest(task=trial.task, architecture=trial.architecture, prior=trial.prior)
    if now != trial.code:
        raise RuntimeError("the code changed while the run went on; run the command again")


def _evaluate(trained: Fit, task: Task, dataset: Dataset, folder: Path) -> str:
    """Write ``arrays.npz``; why the trial counts as collapsed, or ""."""
    device = next(trained.model.parameters()).device
    prediction = predict(trained.model, task, dataset, device)
    attribution = attribute(trained.model, task, dataset, device)
    np.savez(folder / "arrays.npz", allow_pickle=False, **pack(prediction, attribution))
    return trained.divergence or collapse(prediction, attribution)


def _not_finite(reason: str) -> bool:
    return "not finite" in reason


def collapse(prediction: Mapping[str, np.ndarray[Any, Any]], attribution: Any) -> str:
    """Why a trained model counts as collapsed, or "".

    Args:
        prediction: arrays of the test examples by name; the first axis is the examples.
        attribution: (M, L).

    Returns:
        a reason when no prediction of an example, or an attribution, is finite, when every
        prediction is constant over examples, or when more than half of the attributions vanish.
    """
    arrays = [values.reshape(len(values), -1) for values in prediction.values()]
    # a score of one example may be undefined, such as the fit to a profile without reads
    if np.all([~np.isfinite(values).all(axis=1) for values in arrays], axis=0).any():
        return "a prediction is not finite"
    if not np.isfinite(attribution).all():
        return "an attribution is not finite"
    if all((_spread(values) <= _SPREAD).all() for values in arrays):
        return "predictions are constant"
    if np.mean(np.abs(attribution).max(axis=1) == 0) > 0.5:
        return "attributions vanished in more than half of the sequences"
    return ""


def _spread(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Largest less smallest finite value of every column; below 0 where there is none."""
    finite = np.isfinite(values)
    largest = np.where(finite, values, -np.inf).max(axis=0)
    spread: NDArray[np.float32] = largest - np.where(finite, values, np.inf).min(axis=0)
    return spread


def _describe(trained: Fit, peak_memory_mib: float) -> dict[str, Any]:
    return {
        "best_epoch": trained.best_epoch,
        "history": [dataclasses.asdict(epoch) for epoch in trained.history],
        "initial_weights": trained.initial_weights,
        "batch_order": [epoch.order for epoch in trained.history],
        "costs": {
            "seconds_per_step": float(
                np.median([epoch.seconds_per_step for epoch in trained.history])
            ),
            "peak_memory_mib": peak_memory_mib,
        },
    }


def _device(kind: str, run: Path) -> torch.device:
    """The CPU, or a GPU that no other worker of this run holds."""
    if kind == "cpu":
        return torch.device("cpu")
    if not _GPU_LOCKS:
        for index in range(torch.cuda.device_count()):
            file = (run / f".gpu-{index}.lock").open("w")
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                file.close()
                continue
            file.write(f"{os.getpid()}")
            _GPU_LOCKS.append(file)  # held until the process ends
            torch.cuda.set_device(index)
            break
        else:
            raise RuntimeError("more workers than GPUs")
    return torch.device("cuda", torch.cuda.current_device())


def _forget_peak_memory() -> None:
    """Make the peak that is measured next this trial's own, as far as the system allows."""
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):  # Linux with the GNU C library only
        ctypes.CDLL(None).malloc_trim(0)  # what earlier trials freed goes back to the system
        Path("/proc/self/clear_refs").write_text("5")
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()


def _peak_memory_mib(device: torch.device) -> float:
    if device.type == "cuda":
        return float(torch.cuda.max_memory_allocated(device)) / 2**20
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 2**10
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)
