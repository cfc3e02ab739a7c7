"""Runs one trial: builds it, trains it, evaluates it, and writes its folder.

`run_group.py` hands over the job, in a worker process. `training/loop.py` trains,
`evaluation/measure.py` measures, and `run_directory.py` renames the folder when it is whole.
"""

from __future__ import annotations

import dataclasses
import platform
import time
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from priorbench.components import registry, specs
from priorbench.evaluation.measure import measure, write_arrays
from priorbench.files import write_json
from priorbench.run_directory import COLLAPSED, DONE, FAILED, RunDirectory
from priorbench.study.trial import Trial, code_digest
from priorbench.training.loop import Fit, fit
from priorbench.training.schedules import schedule_of

from .devices import claim_device
from .job import Job, TrialParts
from .process_state import prepare_process
from .training_price import TrainingPrice, price_of_training


def run_trial(job: Job) -> None:
    """Train and evaluate a trial, and write its folder; never raise for its failure."""
    prepare_process()
    started = time.perf_counter()
    with RunDirectory(job.run).new_trial(job.trial.id) as folder:
        try:
            record = _train_and_evaluate(job, folder)
        except (Exception, SystemExit) as error:  # what went wrong is the trial's result
            record = failure_record(error)
        write_record(job, folder, record, time.perf_counter() - started)


def failure(error: BaseException) -> dict[str, Any]:
    """What the record of a trial says that failed; call it while the error is handled."""
    return {
        "status": FAILED,
        "reason": in_one_line(error),
        "traceback": traceback.format_exc(),
    }


def in_one_line(error: BaseException) -> str:
    """Kind and message of an error."""
    return f"{type(error).__name__}: {error}".splitlines()[0]


def write_record(job: Job, folder: Path, record: Mapping[str, Any], seconds: float) -> None:
    """Write record.json of a trial that has ended."""
    finished = {
        "trial": job.trial.id,
        **dataclasses.asdict(job.trial),
        **record,
        "seconds": round(seconds, 3),
        "host": platform.node(),
    }
    write_json(folder / "record.json", finished)


def measure_trial(job: Job) -> None:
    """Attribute and score what is missing of a trial that was trained before.

    Its arrays and its record are replaced, each whole; the model and what was measured of its
    training stay.

    Raises:
        Exception: whatever goes wrong; then the trial is left as it was.
    """
    set_torch()
    folder = RunDirectory(job.run).trial(job.trial.id)
    record = RunDirectory(job.run).record(job.trial.id)
    assert record is not None
    registry.use_plugins(job.plugins)
    parts = TrialParts.of(job)
    with seeded_torch(0, torch.device("cpu")):
        model = parts.regularisation.adapt(parts.model())
    model.load_state_dict(load_file(folder / "model.safetensors"))
    device = claim_device(job.trial.device, job.run)
    examinee = parts.examinee(model.to(device).eval(), device, record["costs"])
    current = record["probed_by"] == scoring.probes_digest()
    probing = {metric.name for metric in METRICS.values() if metric.scope == "model"}
    known = {
        spec: {name: value for name, value in scores.items() if name in probing}
        for spec, scores in record["metrics"].items()
        if spec and current
    }
    stored = read_arrays(folder / "arrays.npz") if current else {}
    if record.get("discovered_by") != scoring.discovery_digest():
        stored = without_motifs(stored)
    found = measure_again(examinee, job.wanted, stored, known)
    write_arrays(folder / "arrays.npz", found.arrays)
    reason = record.get("divergence", "") or found.reason
    status = COLLAPSED if reason else DONE
    write_json(
        folder / "record.json",
        {**record, "status": status, "reason": reason, **found.as_record()},
    )


def is_outdated(record: Mapping[str, Any], wanted: Measurements) -> bool:
    """Whether a trained trial lacks a score, or has one by other code than the present."""
    if not record.get("metrics"):
        return False
    return (
        record.get("scored_by") != scoring.metrics_digest()
        or record.get("probed_by") != scoring.probes_digest()
        or not set(wanted.attributions) <= set(record["metrics"])
        or (wanted.discovery and not _is_discovered(record, wanted))
    )


def _is_discovered(record: Mapping[str, Any], wanted: Measurements) -> bool:
    current = record.get("discovered_by") == scoring.discovery_digest()
    return current and all("motifs-found" in record["metrics"][s] for s in wanted.attributions)


def prepare() -> None:
    """Settle what must not depend on what this process did before."""
    set_torch()
    _settle()
    forget_peak_memory()


def set_torch() -> None:
    """One thread, the same bits again, and float32 where it is asked for."""
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    # torch lets convolutions on a GPU round their factors to 10 bits (TF32)
    torch.backends.cudnn.allow_tf32 = False
    # nothing here reads memory that nothing was written to, and filling it takes time at every call
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]


@cache
def _settle() -> None:
    """Load what trials need, once a process, and leave it out of the search for garbage.

    It must not look like a later trial's memory; and to go through a million objects, which all
    stay, takes longer than a short epoch.
    """
    for module in _NEEDED_LATER:
        importlib.import_module(module)
    # so must the first Fourier transform of a process
    torch.fft.rfft(torch.ones(8, requires_grad=True)).abs().sum().backward()
    gc.collect()
    gc.freeze()


@dataclass(frozen=True)
class TrialParts:
    """What a trial is made of."""

    job: Job
    task: Task
    architecture: Architecture
    regularisation: Regularisation
    dataset: Dataset
    streams: RandomStreams

    @classmethod
    def of(cls, job: Job) -> Self:
        """Build them; plug-ins are loaded already."""
        trial = job.trial
        prior: Prior = registry.build("prior", trial.prior)
        parts = prior.parts(trial.weight, specs.split_spec(trial.task)[0])
        task: Task = registry.build("task", trial.task)
        stage = SCORED_ON[trial.stage]
        return cls(
            job,
            task,
            registry.build("architecture", trial.architecture),
            Regularisation(parts, load_attribution(trial.train_attribution)),
            load_dataset(job.dataset, stage, train_share=task.train_share),
            # more data or epochs change no random stream
            RandomStreams(
                trial.root_seed, (registry.data_spec(trial.task), trial.dataset), trial.seed
            ),
        )

    def model(self) -> torch.nn.Module:
        """With its initial weights."""
        with seeded_torch(self.streams.derive("init"), torch.device("cpu")):
            return self.architecture.build(
                self.task.network_shape_of(self.dataset), self.job.trial.scale
            )

    def examinee(
        self, model: torch.nn.Module, device: torch.device, costs: Mapping[str, float]
    ) -> TrainedModel:
        """The trained model with what it is measured on."""
        scale = self.job.trial.scale
        return TrainedModel(model, self.task, self.dataset, scale, device, costs)


def _train_and_score(job: Job, folder: Path) -> dict[str, Any]:
    registry.use_plugins(job.plugins)
    parts = TrialParts.of(job)
    refuse_changed_code(job.trial)
    device = claim_device(job.trial.device, job.run)
    trained = fit(
        parts.model(),
        parts.task,
        parts.regularisation,
        parts.dataset,
        schedule=schedule_of(parts.task, job.trial.scale, job.trial.precision),
        streams=parts.streams,
        device=device,
    )
    seconds = float(np.median([epoch.seconds_per_step for epoch in trained.history]))
    return evaluate(parts, trained, folder, device, TrainingPrice(seconds, peak_memory_mib(device)))


def step_time_alone(parts: TrialParts, schedule: Schedule, device: torch.device) -> float:
    """Mean seconds of some steps of a training by itself.

    Schedules of weights that start at 0 have begun; penalties of some steps only have their share,
    unless they are rare.
    """
    every = max([getattr(part.prior, "every", 1) for part in parts.regularisation.parts], default=1)
    count = min(every * math.ceil(_TIMED_STEPS / every), _MOST_TIMED_STEPS)
    with seeded_torch(parts.streams.derive("prior"), device):
        trainer = Trainer(
            parts.regularisation.adapt(parts.model()).to(device),
            parts.task,
            parts.regularisation,
            parts.dataset,
            schedule=schedule,
            streams=parts.streams,
        )
        order = epoch_order(parts.dataset, parts.task, parts.streams, TIMED_EPOCH)
        return mean_step_time(trainer.steps(TIMED_EPOCH, order), device, most=count)


@dataclass(frozen=True)
class TrainingPrice:
    """What a training takes.

    Attributes:
        seconds_per_step: processor time on CPU, wall time on a GPU.
        peak_memory_mib: of the process, or of the GPU's memory.
    """

    seconds_per_step: float
    peak_memory_mib: float


def evaluate(
    parts: TrialParts, trained: Fit, folder: Path, device: torch.device, price: TrainingPrice
) -> dict[str, Any]:
    """Store a trained model, measure it, and say what came of it.

    Args:
        parts: what the trial is made of.
        trained: what came of its training.
        folder: where model and arrays go.
        device: where the model is.
        price: of its training.
    """
    names = [text for text, _ in specs.split_composition(parts.job.trial.prior)]
    record = {
        "parts": [
            {"prior": name, "weight": part.weight}
            for name, part in zip(names, parts.regularisation.parts, strict=True)
        ],
        **_describe(trained, price),
    }
    if trained.best_epoch < 0:
        return {**record, "status": COLLAPSED, "reason": trained.divergence, "metrics": {}}
    save_file(
        {name: value.contiguous().cpu() for name, value in trained.model.state_dict().items()},
        folder / "model.safetensors",
    )
    found = measure(parts.examinee(trained.model, device, record["costs"]), parts.job.wanted)
    write_arrays(folder / "arrays.npz", found.arrays)
    reason = trained.divergence or found.reason
    return {
        **record,
        "status": COLLAPSED if reason else DONE,
        "reason": reason,
        **found.as_record(),
    }


def refuse_changed_code(trial: Trial) -> None:
    """Raise RuntimeError if the code is no longer the one that the trial's id was made of."""
    now = code_digest(task=trial.task, architecture=trial.architecture, prior=trial.prior)
    if now != trial.code:
        raise RuntimeError("the code changed while the run went on; run the command again")


def evaluate(
    parts: TrialParts, trained: Fit, folder: Path, device: torch.device, price: TrainingPrice
) -> dict[str, Any]:
    """Store a trained model, measure it, and return what its record says of both.

    Args:
        parts: what the trial is made of.
        trained: what came of its training.
        folder: where the model and the arrays are written.
        device: where the model is.
        price: what its training cost.
    """
    names = [text for text, _ in specs.split_composition(parts.job.trial.prior)]
    record: dict[str, Any] = {
        "parts": [
            {"prior": name, "weight": part.weight}
            for name, part in zip(names, parts.regularisation.parts, strict=True)
        ],
        "best_epoch": trained.best_epoch,
        "divergence": trained.divergence,
        "history": [dataclasses.asdict(epoch) for epoch in trained.history],
        "initial_weights": trained.initial_weights,
        "batch_order": [epoch.order for epoch in trained.history],
        "costs": {**dataclasses.asdict(price), "epochs_to_best": trained.best_epoch + 1},
    }
    if trained.best_epoch < 0:
        return {**record, "status": COLLAPSED, "reason": trained.divergence, "metrics": {}}
    save_file(
        {name: value.contiguous().cpu() for name, value in trained.model.state_dict().items()},
        folder / "model.safetensors",
    )
    model = parts.trained_model(trained.model, device, record["costs"])
    measured = measure(model, parts.job.measurements)
    write_arrays(folder / "arrays.npz", measured.arrays)
    reason = trained.divergence or measured.reason
    return {
        **record,
        "status": COLLAPSED if reason else DONE,
        "reason": reason,
        **measured.as_record(),
    }


def failure_record(error: BaseException) -> dict[str, Any]:
    """Return what the record of a failed trial says; call it while the error is handled."""
    return {
        "status": FAILED,
        "reason": in_one_line(error),
        "traceback": traceback.format_exc(),
    }


def in_one_line(error: BaseException) -> str:
    """Return the kind and the message of an error."""
    return f"{type(error).__name__}: {error}".splitlines()[0]


def write_record(job: Job, folder: Path, record: Mapping[str, Any], seconds: float) -> None:
    """Write the record.json of a trial that has ended.

    Args:
        job: the trial's job.
        folder: the folder that is being filled.
        record: what came of the trial.
        seconds: wall time that it took.
    """
    finished = {
        "trial": job.trial.id,
        **dataclasses.asdict(job.trial),
        **record,
        "seconds": round(seconds, 3),
        "host": platform.node(),
    }
    write_json(folder / "record.json", finished)
