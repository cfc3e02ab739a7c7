"""Shares of the processor time of a trial of the binary task, training and scoring.

Time inside kernels is torch's profiler's, as a share of the profiled trial; what the profiler
itself adds lies outside kernels and is taken off again by the time of trials not profiled.
"""

import re
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from measuring import Row, in_turns
from torch.profiler import ProfilerActivity, profile

from priorbench.execution.job import Job
from priorbench.execution.run_trial import run_trial
from priorbench.storage.run_directory import RunDirectory
from priorbench.study.plan import make_plan
from priorbench.study.resolve import resolve
from priorbench.study.study import Study

KERNELS = {
    "convolutions": r".*conv.*",
    "matrix products": r"addmm|mm|bmm|baddbmm",
    "optimiser": r"fused_adam",
    "batch norm and pooling": r".*(batch_norm|max_pool).*",
    "elementwise and sums": (
        r"add|sub|mul|div|neg|abs|sgn|pow|sqrt|rsqrt|exp|log|sum|mean|amax|where|gather|sigmoid"
        r"|clamp_min|threshold_backward|maximum|.*cross_entropy.*|log_sigmoid.*|fft.*"
    ),
}
"""names of torch's operations by kind, without ``aten::`` and underscores at the ends"""


def trial(*, quick: bool = False) -> Iterator[Row]:
    """Profile a trial at quick scale: shares of its processor time inside kernels, by kind."""
    scale = "smoke" if quick else "quick"
    with tempfile.TemporaryDirectory() as folder:
        run = RunDirectory(Path(folder) / "run")
        study = Study(priors=["none", "fourier"], seeds=[0], scale=scale, device="cpu")
        plan = make_plan(resolve(study, "cpu"), run, lambda line: None)
        for planned in plan.trials:
            data = plan.datasets[f"{planned.task}/{planned.dataset}"].resolve()
            job = Job(planned, data, (), run.root, plan.measurements(planned))
            seconds = in_turns({"": partial(run_trial, job)}, 3)[""]
            shares = _shares(job, seconds) | {"everything else": 0.0}
            shares["everything else"] = 1 - sum(shares.values())
            percent = {kind: f"{share:.0%}" for kind, share in shares.items()}
            yield {"prior": planned.prior, "processor s": seconds, **percent}


def _shares(job: Job, seconds: float) -> dict[str, float]:
    wall, processor = time.perf_counter(), time.process_time()
    with profile(activities=[ProfilerActivity.CPU]) as profiler:
        run_trial(job)
        wall, processor = time.perf_counter() - wall, time.process_time() - processor
    shares = dict.fromkeys(KERNELS, 0.0)
    for operation in profiler.key_averages():
        library, _, name = operation.key.rpartition("::")
        kinds = [kind for kind, names in KERNELS.items() if re.fullmatch(names, name.strip("_"))]
        if library == "aten" and kinds:
            # a neighbour on the same core stretches kernels and all else alike
            shares[kinds[0]] += operation.self_cpu_time_total / 1e6 / wall * processor / seconds
    return shares
