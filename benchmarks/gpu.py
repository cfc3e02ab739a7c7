"""Ways to train several networks on one GPU: their first losses compared, then timed.

Data are on the device: forward pass, attribution, penalty, backward pass, Adam. Trials an hour are
of 50,000 examples, to the last of the scale's epochs, without validation and scoring.
"""

import gc
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import product
from multiprocessing import get_context
from threading import Barrier, Event, Thread

import torch
import typer
from measuring import Row, Step, optimised, random_batch, regularised, suite_step
from optree import tree_map
from torch.func import functional_call, grad, grad_and_value, replace_all_batch_norm_modules_

from priorbench import Attribution, Batch, Task
from priorbench.components import registry
from priorbench.components.architecture import Precision, Scale
from priorbench.execution.process_state import set_torch
from priorbench.execution.run_ensemble import is_out_of_memory
from priorbench.seeds import RandomStreams
from priorbench.training.adam import Adam
from priorbench.training.ensemble.objective import EnsembleObjective, MemberTraining
from priorbench.training.ensemble.stacked_networks import MemberGenerators, StackedNetworks
from priorbench.training.loop import seeded_torch
from priorbench.training.schedules import Schedule, schedule_of

LENGTHS, EXAMPLES = {"binary": 1000, "profile": 1346}, 50_000
SECONDS, MINUTES = 3, 8  # that each way is measured, and after which none is begun
LOOK_EVERY = 0.25
"""seconds from one look at the GPU's use to the next"""
WARM_UP = 4
"""steps before time is taken; their losses are compared"""
COLUMNS = ("task", "way", "at once", "loss off by", "trials an hour", "over alone")
COLUMNS += ("ms a step", "GiB", "GPU busy")


@dataclass(frozen=True)
class Problem:
    """What is trained with the Fourier prior: the default network of a task, on a device."""

    name: str
    scale: Scale
    device: torch.device

    @property
    def task(self) -> Task:
        return registry.build("task", self.name)

    @property
    def schedule(self) -> Schedule:
        return schedule_of(self.task, self.scale)

    def network(self, seed: int) -> torch.nn.Module:
        shape, _ = random_batch(self.name, 1, LENGTHS[self.name])
        architecture = registry.build("architecture", self.task.architecture)
        with seeded_torch(seed, torch.device("cpu")):
            network = architecture.build(shape, self.scale)
        return network.to(self.device).train()

    def stack(self, count: int) -> StackedNetworks:
        networks = [self.network(seed) for seed in range(count)]
        return StackedNetworks(networks, MemberGenerators(self.device, range(count)))

    def batch(self, count: int) -> Batch:
        """Return the same examples for each of so many networks."""
        _, batch = random_batch(self.name, self.schedule.batch_size, LENGTHS[self.name])
        inputs = (batch.sequence, batch.label, batch.arrays)
        return Batch(*tree_map(lambda value: torch.cat([value.to(self.device)] * count), inputs))


def alone(problem: Problem, count: int, seed: int = 0) -> Step:
    """Return a step of one network."""
    added = regularised("fourier", problem.name)
    return suite_step(problem.network(seed), problem.task, added, problem.batch(1))


def ensemble(problem: Problem, count: int, precision: Precision = "float32") -> Step:
    """Return a step as `priorbench run --ensemble` takes it."""
    networks, batch = problem.stack(count), problem.batch(count)
    added = regularised("fourier", problem.name)
    own = [MemberTraining(added, RandomStreams(0, ("gpu",), seed)) for seed in range(count)]
    objective = EnsembleObjective(networks, problem.task, own, precision=precision)
    optimiser = Adam(networks.parameters.values(), 1e-3)
    return optimised(lambda: sum(objective.losses(batch, 1.0)).sum(), optimiser)


def compiled(problem: Problem, count: int, mode: str = "default") -> Step:
    """Return a compiled step, `torch.func.grad` twice inside.

    The whole batch is attributed, and statistics of batch norm are differentiated, which the suite
    leaves out of attributions: losses go apart.
    """
    networks, batch, task = problem.stack(count), problem.batch(count), problem.task
    (part,), names = regularised("fourier", problem.name).parts, list(networks.parameters)
    form = replace_all_batch_norm_modules_(problem.network(0))
    stacked = [value.detach() for value in networks.parameters.values()]
    optimiser = torch.optim.Adam(stacked, 1e-3)
    inputs = (batch.sequence, batch.label, batch.arrays, part.prior.applies(batch, task).float())
    inputs = tree_map(lambda value: value.unflatten(0, (count, -1)), inputs)

    def loss(own: list[torch.Tensor], *inputs: torch.Tensor) -> torch.Tensor:
        batch, applies = Batch(*inputs[:3]), inputs[3]

        def target(sequence: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            output = functional_call(form, dict(zip(names, own, strict=True)), (sequence,))
            return (task.target(output) * applies).sum(), output

        gradient, output = grad(target, has_aux=True)(batch.sequence)
        attribution = Attribution(gradient, (gradient * batch.sequence).sum(1))
        penalty = (part.prior.penalty(attribution, batch) * applies).sum() / applies.sum()
        return task.prediction_loss(output, batch).mean() + part.weight * penalty

    torch.compiler.reset()  # or else the eighth would not be compiled
    slopes = torch.compile(torch.vmap(grad_and_value(loss)), mode=mode)

    def step() -> torch.Tensor:
        gradients, losses = slopes(stacked, *inputs)
        for value, gradient in zip(stacked, gradients, strict=True):
            value.grad = gradient
        optimiser.step()
        optimiser.zero_grad()  # the next step may write to the same memory
        return losses.sum()

    return step


def first_losses(step: Step) -> torch.Tensor:
    return torch.tensor([step().item() for _ in range(WARM_UP)])


def steps_a_second(step: Step, device: torch.device, seconds: float) -> float:
    started, elapsed, count = time.perf_counter(), 0.0, 0
    while elapsed < seconds:
        step()
        count += 1
        if count % 8 == 0 and device.type == "cuda":
            torch.cuda.synchronize()
        elapsed = time.perf_counter() - started
    step().item()
    return (count + 1) / (time.perf_counter() - started)


@contextmanager
def shares_of_use(gpu_id: str) -> Iterator[list[float]]:
    """Ask nvidia-smi for the use of a GPU, in percent, again and again while the block runs.

    Args:
        gpu_id: the GPU's own identifier; "" for none, of which there is nothing to ask.
    """
    query = ["nvidia-smi", f"--id={gpu_id}", "--query-gpu=utilization.gpu"]
    query += ["--format=csv,noheader,nounits"]
    shares: list[float] = []
    ended = Event()

    def look() -> None:
        while not ended.wait(LOOK_EVERY):
            answer = subprocess.run(query, capture_output=True, text=True, check=False).stdout
            shares.extend(float(line) for line in answer.split() if line.isdecimal())

    if not gpu_id or not shutil.which("nvidia-smi"):
        yield shares
        return
    asking = Thread(target=look)
    asking.start()
    try:
        yield shares
    finally:
        ended.set()
        asking.join()


def gpu_id_of(device: torch.device) -> str:
    """Return the identifier by which nvidia-smi knows a device; "" of a CPU, and in old torch."""
    properties = torch.cuda.get_device_properties(device) if device.type == "cuda" else None
    identifier = getattr(properties, "uuid", "")
    return f"GPU-{identifier}" if identifier else ""


def child(problem: Problem, seconds: float, barrier: Barrier) -> float:
    """Return steps a second of one of several processes, which begin together."""
    set_torch()
    step = alone(problem, 1)
    first_losses(step)
    barrier.wait(timeout=100)
    return steps_a_second(step, problem.device, seconds)


def processes(problem: Problem, count: int, seconds: float) -> float:
    """Return steps a second of so many processes that share the device, a network each."""
    spawn = get_context("spawn")
    with spawn.Manager() as manager, ProcessPoolExecutor(count, mp_context=spawn) as pool:
        arguments = (problem, seconds, manager.Barrier(count))
        return sum(pool.map(child, *([argument] * count for argument in arguments)))


WAYS = {
    "alone": alone,
    "ensemble": ensemble,
    "ensemble, bfloat16": partial(ensemble, precision="bf16"),
    "ensemble, TF32": ensemble,  # factors of convolutions and matrices are rounded to 10 bits
    "processes": processes,
    "compiled, torch.func.grad inside": compiled,
    "compiled, CUDA graphs": partial(compiled, mode="reduce-overhead"),
}


def rows(problem: Problem, sizes: list[int], seconds: float, deadline: float) -> Iterator[Row]:
    """Return what came of every way and number of networks, until the deadline."""
    expected = [first_losses(alone(problem, 1, seed)) for seed in range(max(sizes))]
    rate_alone, schedule = None, problem.schedule
    steps = schedule.epochs * round(EXAMPLES / schedule.batch_size)
    tries = [("alone", 1), *product(list(WAYS)[1:], sizes)]
    for name, size in (each for each in tries if each[0] != "processes" or each[1] <= 16):
        row = dict.fromkeys(COLUMNS, "") | {"task": problem.name, "way": name, "at once": size}
        try:
            if time.monotonic() > deadline:
                raise TimeoutError
            if name == "processes":
                rate = processes(problem, size, seconds) / size
            else:
                rounded = name.endswith("TF32")
                torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = rounded
                step = WAYS[name](problem, size)
                off = first_losses(step) / sum(expected[:size]) - 1
                with shares_of_use(gpu_id_of(problem.device)) as shares:
                    rate = steps_a_second(step, problem.device, seconds)
                row["GPU busy"] = f"{statistics.mean(shares):.0f} %" if shares else ""
                row |= {"loss off by": f"{off.abs().max():.1g}", "ms a step": 1000 / rate}
        except Exception as error:  # a way that fails is a result too
            print(f"{name}, {size}: {error}", file=sys.stderr)
            row["ms a step"] = "no memory" if is_out_of_memory(error) else type(error).__name__
        else:
            rate_alone = rate if name == "alone" else rate_alone
            row["trials an hour"] = 3600 * rate * size / steps
            row["over alone"] = rate * size / rate_alone if rate_alone else ""
        step = None
        gc.collect()
        if problem.device.type == "cuda":
            if name != "processes":  # whose memory this process does not see
                row["GiB"] = torch.cuda.max_memory_allocated() / 2**30
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
        yield row


def gpu(
    *, device: str = "cuda", scale: Scale = "paper", members: str = "1,4,16,64", quick: bool = False
) -> Iterator[Row]:
    """Compare ways to train several networks on one GPU; with --quick on CPU, to try the topic."""
    if quick:
        device, scale, members = "cpu", "smoke", "1,2"
        torch.compiler.set_stance("force_eager")
    if device == "cuda" and not torch.cuda.is_available():
        print(
            "torch finds no GPU here; --quick, or --device cpu, runs the topic on CPU",
            file=sys.stderr,
        )
        raise typer.Exit(2)
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # for the same bits again
    set_torch()
    for task in LENGTHS:
        problem, sizes = Problem(task, scale, torch.device(device)), members.split(",")
        deadline = time.monotonic() + 60 * MINUTES / len(LENGTHS)
        yield from rows(problem, [*map(int, sizes)], 0.2 if quick else SECONDS, deadline)
