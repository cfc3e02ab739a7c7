"""Ways to train several networks on one GPU, side by side: `make bench-gpu`, under ten minutes.

The paper's binary network and the profile network with the Fourier prior, data on the device:
forward pass, attribution, penalty, backward pass, Adam. Trials per hour are those of the paper's
scale, to the last of its epochs, without validation and scoring. `--device cpu --scale smoke` tries
the program without a GPU; its figures mean nothing then.
"""

from __future__ import annotations

import argparse
import gc
import math
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any

os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # before torch is loaded

import torch
from gpu_ways import Fixed, Step, captured, compiled, products

from priorbench import Batch, Prior, Task, load_attribution, load_prior
from priorbench.components import registry
from priorbench.components.architecture import NetworkShape, Precision, Scale
from priorbench.execution.process_state import set_torch
from priorbench.execution.run_ensemble import is_out_of_memory
from priorbench.seeds import RandomStreams
from priorbench.training.adam import Adam
from priorbench.training.ensemble.objective import EnsembleObjective, MemberTraining
from priorbench.training.ensemble.stacked_networks import MemberGenerators, StackedNetworks
from priorbench.training.loop import seeded_torch
from priorbench.training.objective import Objective, Regularisation
from priorbench.training.schedules import schedule_of

WARM_UP = 3
_MOST_PROCESSES = 16
EXAMPLES = 50_000  # of training, in both tasks at paper scale
PRIOR = "fourier"
BINARY, PLAIN, PROFILE = "binary", "binary without batch norm", "profile"


@dataclass(frozen=True)
class Problem:
    """What is trained.

    Attributes:
        kind: of network, for the table.
        architecture: spec.
        form: what the network maps to what.
        scale: sizes.
        device: where.
    """

    kind: str
    architecture: str
    form: NetworkShape
    scale: Scale
    device: torch.device

    @property
    def task(self) -> str:
        """Name of the task."""
        return "profile" if self.form.profile else "binary"

    @property
    def built(self) -> Task:
        task: Task = registry.build("task", self.task)
        return task

    @property
    def prior(self) -> Prior:
        return load_prior(PRIOR)

    @property
    def weight(self) -> float:
        return self.prior.default_weight(self.task)

    @property
    def batch_size(self) -> int:
        return schedule_of(self.built, self.scale).batch_size

    @property
    def applies(self) -> int:
        """Examples of a batch that the prior applies to."""
        return self.batch_size if self.form.profile else self.batch_size // 2

    @property
    def steps(self) -> int:
        """Of a trial that goes to its last epoch."""
        return schedule_of(self.built, self.scale).epochs * round(EXAMPLES / self.batch_size)

    def part(self, seed: int) -> MemberTraining:
        added = Regularisation(
            self.prior.parts(self.weight, self.task), load_attribution("input-x-gradient")
        )
        return MemberTraining(added, RandomStreams(0, (self.task, "benchmark"), seed))

    def network(self, seed: int) -> torch.nn.Module:
        with seeded_torch(seed, torch.device("cpu")):
            network = registry.build("architecture", self.architecture).build(self.form, self.scale)
        trained: torch.nn.Module = network.to(self.device).train()
        return trained

    def members(self, count: int) -> StackedNetworks:
        models = [self.network(seed) for seed in range(count)]
        return StackedNetworks(models, MemberGenerators(self.device, range(count)))

    def batch(self, members: int) -> Batch:
        """Of every network's examples the first half is positive."""
        count, form = members * self.batch_size, self.form
        generator = torch.Generator().manual_seed(0)
        codes = torch.randint(0, 4, (count, form.length), generator=generator)
        sequence = torch.nn.functional.one_hot(codes, 4).transpose(1, 2).float().contiguous()
        label = (torch.arange(count) % self.batch_size < self.batch_size // 2).float()
        arrays = {}
        if form.profile:
            rate = torch.full((count, form.outputs, form.profile), 0.2)
            arrays = {"reads": torch.poisson(rate, generator=generator).to(self.device)}
        return Batch(sequence.to(self.device), label.to(self.device), arrays)


def alone(problem: Problem, members: int, precision: Precision = "float32") -> Step:
    """One after another: a step of one network."""
    network, part = problem.network(0), problem.part(0)
    objective = Objective(
        network, problem.built, part.regularisation, part.streams, precision=precision
    )
    optimiser, batch = Adam(network.parameters(), 1e-3), problem.batch(1)

    def step() -> None:
        prediction, penalty = objective.losses(batch, 0.0)
        optimiser.zero_grad()
        (prediction + penalty).backward()  # type: ignore[no-untyped-call]
        optimiser.step()

    return step


def ensemble(problem: Problem, members: int, precision: Precision = "float32") -> Step:
    """As `priorbench run --ensemble` trains: members' convolutions are groups of one."""
    together = problem.members(members)
    parts = [problem.part(seed) for seed in range(members)]
    objective = EnsembleObjective(together, problem.built, parts, precision=precision)
    optimiser, batch = Adam(together.parameters.values(), 1e-3), problem.batch(members)

    def step() -> None:
        prediction, penalty = objective.losses(batch, 0.0)
        optimiser.zero_grad()
        (prediction + penalty).sum().backward()  # type: ignore[no-untyped-call]
        optimiser.step()

    return step


def _fixed(problem: Problem, members: int) -> Step:
    together, batch = problem.members(members), problem.batch(members)
    form = (problem.built, problem.prior, problem.weight, batch, problem.applies)
    return Fixed(together, *form).step()


def graph(problem: Problem, members: int) -> Step:
    """The ensemble's step as one CUDA graph."""
    return captured(_fixed(problem, members))


def _compiled(problem: Problem, members: int) -> Step:
    form = (problem.network(0), problem.built, problem.prior, problem.weight)
    return compiled(*form, batch=problem.batch(members), members=members)


@contextmanager
def tf32() -> Iterator[None]:
    """Factors of convolutions and matrix products are rounded to 10 bits within the block."""
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = True
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False


@dataclass(frozen=True)
class Way:
    """How networks are trained.

    Attributes:
        name: for the table.
        make: gives a step of so many networks.
        within: a context that the step is made and run in.
        kinds: of problems that it is tried with.
        only_one: whether it trains one network at a time.
        gpu_only: whether it takes a GPU.
    """

    name: str
    make: Callable[[Problem, int], Step]
    within: Callable[[], Any] = nullcontext
    kinds: tuple[str, ...] = (BINARY, PROFILE)
    only_one: bool = False
    gpu_only: bool = False


WAYS = (
    Way("one after another", alone, kinds=(BINARY, PLAIN, PROFILE), only_one=True),
    Way("ensemble, grouped convolutions", ensemble, kinds=(BINARY, PLAIN, PROFILE)),
    Way("ensemble, matrix products", ensemble, products, kinds=(BINARY,)),
    Way("ensemble, no size from the data", _fixed),
    Way("ensemble, bfloat16", partial(ensemble, precision="bf16")),
    Way("ensemble, TF32", ensemble, tf32, gpu_only=True),
    # last: what fails in the middle of a capture may leave something behind
    Way("no size from the data, one CUDA graph", graph, gpu_only=True),
    Way("the same, matrix products", graph, products, kinds=(BINARY,), gpu_only=True),
    Way("compiled, torch.func.grad inside", _compiled, kinds=(PLAIN,)),
)


@dataclass(frozen=True)
class GpuTiming:
    """What was measured.

    Attributes:
        seconds: of a step.
        memory_gib: peak on the device; NaN on CPU.
        busy: share of the time in which the GPU ran a kernel, by nvidia-smi; NaN without it.
    """

    seconds: float
    memory_gib: float
    busy: float


def measure(step: Step, device: torch.device, seconds: float, *, watch: bool = True) -> GpuTiming:
    """A step's time over some seconds, after a few to warm up."""
    for _ in range(WARM_UP):
        step()
    synchronise(device)
    count = 0
    with busy_share(device) if watch else nullcontext(lambda: math.nan) as busy:
        started = time.perf_counter()
        while time.perf_counter() - started < seconds:
            step()
            count += 1
            if count % 8 == 0:
                synchronise(device)
        synchronise(device)
        elapsed = time.perf_counter() - started
    memory = torch.cuda.max_memory_allocated() / 2**30 if device.type == "cuda" else float("nan")
    return GpuTiming(elapsed / count, memory, busy())


def synchronise(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


@contextmanager
def busy_share(device: torch.device) -> Iterator[Callable[[], float]]:
    """Ask nvidia-smi while the block runs; the mean is there when it has ended."""
    if device.type != "cuda":
        yield lambda: float("nan")
        return
    which = str(torch.cuda.get_device_properties(device).uuid)
    which = which if which.startswith("GPU-") else f"GPU-{which}"
    query = ["nvidia-smi", f"--id={which}", "--query-gpu=utilization.gpu"]
    query.append("--format=csv,noheader,nounits")
    try:
        asking = subprocess.Popen([*query, "--loop-ms=200"], stdout=subprocess.PIPE, text=True)
    except OSError:
        yield lambda: float("nan")
        return
    shares: list[float] = []
    try:
        yield lambda: sum(shares) / len(shares) / 100 if shares else float("nan")
    finally:
        asking.terminate()
        out, _ = asking.communicate()
    # the first says what was before
    shares += [float(line) for line in out.split()[1:] if line.strip().isdigit()]


def processes(problem: Problem, count: int, seconds: float) -> float:
    """Steps a second of so many processes that share the device, one network each.

    Raises:
        RuntimeError: if one of them ended before its time.
    """
    where = ["--device", problem.device.type, "--scale", problem.scale]
    command = [sys.executable, __file__, *where, "--child", problem.kind]
    children = [
        subprocess.Popen(
            [*command, "--seconds", str(seconds)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(count)
    ]
    try:
        for one in children:
            assert one.stdout is not None
            if one.stdout.readline() != "ready\n":
                raise RuntimeError(f"one of {count} processes ended before its time")
        for one in children:
            assert one.stdin is not None
            one.stdin.write("go\n")
            one.stdin.flush()
        return sum(float(one.communicate(timeout=60 + seconds)[0]) for one in children)
    finally:
        for one in children:
            one.kill()
            one.communicate()


def child(problem: Problem, seconds: float) -> None:
    """One of several processes."""
    step = alone(problem, 1)
    for _ in range(WARM_UP):
        step()
    synchronise(problem.device)
    print("ready", flush=True)
    sys.stdin.readline()
    print(1 / measure(step, problem.device, seconds, watch=False).seconds, flush=True)


def problems(scale: Scale, device: torch.device) -> list[Problem]:
    paper = scale == "paper"
    binary = NetworkShape(1000 if paper else 120)
    profile = NetworkShape(1346, 2, profile=1000) if paper else NetworkShape(120, 2, profile=80)
    return [
        Problem(BINARY, "three-conv", binary, scale, device),
        Problem(PROFILE, "bpnet", profile, scale, device),
        Problem(PLAIN, "three-conv:batch_norm=false", binary, scale, device),
    ]


def rows(problem: Problem, sizes: list[int], seconds: float, deadline: float) -> Iterator[str]:
    """Lines of a Markdown table."""
    baseline = None
    for way in WAYS:
        if problem.kind not in way.kinds or (way.gpu_only and problem.device.type != "cuda"):
            continue
        for members in sizes if not way.only_one else [1]:
            if time.monotonic() > deadline:
                yield f"| {way.name} | {members} | no time left | | | | |"
                continue
            try:
                with way.within():
                    found = measure(way.make(problem, members), problem.device, seconds)
            except Exception as error:  # a way that fails is a result too
                told = "out of memory" if is_out_of_memory(error) else f"{type(error).__name__}"
                print(f"{way.name}, {members}: {error}", file=sys.stderr)
                yield f"| {way.name} | {members} | {told} | | | | |"
                continue
            finally:
                clear(problem.device)
            rate = members / found.seconds / problem.steps * 3600
            baseline = baseline or rate
            yield line(way.name, members, found, rate, rate / baseline)
    if problem.kind == PLAIN or baseline is None:
        return
    name, nothing = "processes of one network each", GpuTiming(math.nan, math.nan, math.nan)
    for count in sizes[1:]:
        if count > _MOST_PROCESSES or time.monotonic() > deadline:
            yield f"| {name} | {count} | not tried | | | | |"
            continue
        try:
            rate = processes(problem, count, seconds) / problem.steps * 3600
        except (RuntimeError, ValueError, OSError, subprocess.TimeoutExpired) as error:
            print(f"{name}, {count}: {error}", file=sys.stderr)
            yield f"| {name} | {count} | {type(error).__name__} | | | | |"
            continue
        yield line(name, count, nothing, rate, rate / baseline)


def line(name: str, members: int, found: GpuTiming, rate: float, ratio: float) -> str:
    def said(value: float, form: str) -> str:
        return "" if math.isnan(value) else format(value, form)

    cells = (
        name,
        str(members),
        said(found.seconds * 1000, ".1f"),
        f"{rate:.1f}",
        f"{ratio:.1f}",
        said(found.memory_gib, ".1f"),
        said(found.busy, ".0%"),
    )
    return f"| {' | '.join(cells)} |"


def clear(device: torch.device) -> None:
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--scale", choices=("smoke", "quick", "paper"), default="paper")
    parser.add_argument("--members", default="1,4,16,64", help="numbers of networks at once")
    parser.add_argument("--seconds", type=float, default=3.0, help="that each way is measured")
    parser.add_argument("--minutes", type=float, default=8.0, help="after which nothing is begun")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.device == "cuda" and not torch.cuda.is_available():
        parser.exit(2, "torch finds no GPU here; --device cpu --scale smoke tries the program\n")
    set_torch()
    device = torch.device(given.device)
    if given.child:
        found = next(one for one in problems(given.scale, device) if one.kind == given.child)
        child(found, given.seconds)
        return
    deadline = time.monotonic() + 60 * given.minutes
    name = torch.cuda.get_device_name() if device.type == "cuda" else platform.processor() or "CPU"
    print(f"{name}, torch {torch.__version__}, scale {given.scale}")
    sizes = [int(text) for text in given.members.split(",")]
    for problem in problems(given.scale, device):
        print(f"\n{problem.kind} ({problem.architecture}), {problem.steps:,} steps a trial\n")
        print("| way | networks | ms a step | trials an hour | over one | GiB | GPU busy |")
        print("|---|---|---|---|---|---|---|", flush=True)
        for text in rows(problem, sizes, given.seconds, deadline):
            print(text, flush=True)


if __name__ == "__main__":
    main()
