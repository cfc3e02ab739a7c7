"""Where the time of a trial goes: `python benchmarks/trial_profile.py [SCALE]`, quick if left out.

A trial of the binary task, training and scoring, in this process as in a worker. Time inside
kernels is torch's profiler's, as a share of the profiled trial; what the profiler itself adds lies
outside kernels and is taken off again by the processor time of trials that were not profiled.
"""

from __future__ import annotations

import re
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch.profiler import ProfilerActivity, profile

from priorbench.execution.job import Job
from priorbench.execution.run_trial import run_trial
from priorbench.run_directory import RunDirectory
from priorbench.study.plan import Plan, make_plan
from priorbench.study.resolve import resolve
from priorbench.study.study import Study
from priorbench.study.trial import Trial

ROUNDS = 3
KERNELS = {
    "convolutions": r".*conv.*",
    "matrix products": r"addmm|mm|bmm|baddbmm",
    "optimiser": r"fused_adam",
    "normalisation and pooling": r".*(batch_norm|max_pool).*",
    "elementwise and sums": (
        r"add|sub|mul|div|neg|abs|sgn|pow|sqrt|rsqrt|exp|log|sum|mean|amax|where|gather|sigmoid"
        r"|clamp_min|threshold_backward|maximum|.*cross_entropy.*|log_sigmoid.*|fft.*"
    ),
}
"""names of torch's operations by kind, without ``aten::`` and underscores at the ends"""
ARITHMETIC = ("convolutions", "matrix products", "optimiser")


@dataclass(frozen=True)
class Shares:
    """Of one trial.

    Attributes:
        prior: spec.
        seconds: processor time, median of trials that were not profiled.
        kernels: share of it by kind of kernel.
    """

    prior: str
    seconds: float
    kernels: dict[str, float]

    @property
    def arithmetic(self) -> float:
        """Share of convolution, matrix and optimiser kernels."""
        return sum(self.kernels[kind] for kind in ARITHMETIC)


def kind_of(operation: str) -> str:
    """Kind of kernel of an operation of torch, or "" for what is no arithmetic."""
    if not operation.startswith("aten::"):
        return ""
    name = operation.removeprefix("aten::").strip("_")
    return next((kind for kind, known in KERNELS.items() if re.fullmatch(known, name)), "")


def shares(scale: str) -> Iterator[Shares]:
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        run = RunDirectory(Path(folder) / "run")
        study = Study.model_validate(
            {"priors": ["none", "fourier"], "seeds": [0], "scale": scale, "device": "cpu"}
        )
        plan = make_plan(resolve(study, "cpu"), run, lambda line: None)
        for trial in plan.trials:
            job = _job(plan, run, trial)
            run_trial(job)  # the first pays for imports
            times = []
            for _ in range(ROUNDS):
                started = time.process_time()
                run_trial(job)
                times.append(time.process_time() - started)
            yield _profiled(job, statistics.median(times))


def _job(plan: Plan, run: RunDirectory, trial: Trial) -> Job:
    dataset = plan.datasets[f"{trial.task}/{trial.dataset}"]
    return Job(trial, dataset.resolve(), (), run.root, plan.measurements(trial))


def _profiled(job: Job, seconds: float) -> Shares:
    started, processor = time.perf_counter(), time.process_time()
    with profile(activities=[ProfilerActivity.CPU]) as profiler:
        run_trial(job)
        wall = time.perf_counter() - started
        processor = time.process_time() - processor
    found = dict.fromkeys(KERNELS, 0.0)
    for operation in profiler.key_averages():
        if kind := kind_of(operation.key):
            # a neighbour on the same core stretches kernels and all else alike
            found[kind] += operation.self_cpu_time_total / 1e6 / wall * processor / seconds
    return Shares(job.trial.prior, seconds, found)


def main() -> None:
    for found in shares(sys.argv[1] if sys.argv[1:] else "quick"):
        print(f"{found.prior}: {found.seconds:.2f} s of processor time")
        for kind, share in found.kernels.items():
            print(f"  {kind:<28} {share:6.1%}")
        print(f"  {'everything else':<28} {1 - sum(found.kernels.values()):6.1%}")


if __name__ == "__main__":
    main()
