"""What the topics share: timing, training steps on random sequences, and tables."""

import math
import resource
import statistics
import time
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from copy import deepcopy
from multiprocessing import get_context
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from optree import tree_leaves
from torch.utils._python_dispatch import TorchDispatchMode

from priorbench import Attribution, Batch, Prior, Task, load_attribution, load_prior
from priorbench.components import registry
from priorbench.components.architecture import NetworkShape, Scale
from priorbench.components.specs import split_spec
from priorbench.encoding import one_hot
from priorbench.seeds import RandomStreams
from priorbench.training.adam import Adam
from priorbench.training.objective import Objective, Regularisation
from priorbench.training.weight_average import WeightAverage

READS = 1000
"""positions of a window that reads are predicted for"""
Row = dict[str, object]
"""cells of a table by column"""
Step = Callable[[], torch.Tensor]
"""a training step; gives the loss before it"""


def in_turns(ways: Mapping[Any, Callable[[], object]], rounds: int) -> dict[Any, float]:
    """Return the median processor seconds of each way; a busy machine slows all of them alike."""
    times: dict[Any, list[float]] = {name: [] for name in ways}
    for _ in range(rounds + 1):
        for name, way in ways.items():
            started = time.process_time()
            way()
            times[name].append(time.process_time() - started)
    # the first call warms up
    return {name: statistics.median(seconds[1:]) for name, seconds in times.items()}


class Memory(TorchDispatchMode):
    """The memory of tensors that are made within a block, and the most that there was at once.

    What kernels need for themselves is not seen, so that the number is the same on every machine.

    Attributes:
        bytes: size of the tensors that are there now.
        peak: largest size so far, in bytes.
    """

    def __init__(self) -> None:
        super().__init__()
        self.bytes = self.peak = 0
        self._known: set[int] = set()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        result = function(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, torch.Tensor):
                self._add(tensor.untyped_storage())
        return result

    def _add(self, storage: torch.UntypedStorage) -> None:
        key = storage._cdata
        if key not in self._known:
            self._known.add(key)
            self.bytes += storage.nbytes()
            self.peak = max(self.peak, self.bytes)
            weakref.finalize(storage, self._remove, key, storage.nbytes())

    def _remove(self, key: int, size: int) -> None:
        self._known.discard(key)
        self.bytes -= size


def peak_memory(step: Step) -> int:
    """Return the bytes that the tensors of a step have at most, the second time it is taken."""
    step()
    with Memory() as memory:
        step()
    return memory.peak


def in_new_process(work: Callable[..., Iterator[None]], *arguments: object) -> Row:
    """Return what a generator function takes after its yield, in a process with one thread."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(_timed, work, arguments).result()


def _timed(work: Callable[..., Iterator[None]], arguments: tuple[object, ...]) -> Row:
    torch.set_num_threads(1)
    parts = work(*arguments)
    next(parts)
    processor, wall = time.process_time(), time.perf_counter()
    next(parts, None)
    processor, wall = time.process_time() - processor, time.perf_counter() - wall
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return {"processor s": processor, "wall s": wall, "peak GiB": peak}


def random_batch(task: str, count: int, length: int) -> tuple[NetworkShape, Batch]:
    """Return random sequences with what a task predicts of them, and the shape of its network."""
    sequence = one_hot(np.random.default_rng(0).integers(0, 4, (count, length)).astype(np.uint8))
    name = split_spec(task)[0]
    if name == "profile":
        reads = torch.ones(count, 2, READS)
        return NetworkShape(length, 2, READS), Batch(sequence, reads.sum(dim=2), {"reads": reads})
    if name == "multitask":
        outputs = registry.build("task", task).outputs
        label = torch.arange(count * outputs).reshape(count, outputs) % 3 == 0
        return NetworkShape(length, outputs), Batch(sequence, label.float())
    label, motif = (torch.arange(count) % 2 == 0).float(), torch.zeros(count, length)
    motif[:, length // 2 : length // 2 + 10] = 1
    return NetworkShape(length), Batch(sequence, label, {"channel:motif": motif})


def three_conv(length: int, scale: Scale = "paper", *, batch_norm: bool = True) -> torch.nn.Module:
    """Return the binary task's network; the same weights for the same arguments."""
    torch.manual_seed(0)
    architecture = registry.build("architecture", f"three-conv:batch_norm={batch_norm}".lower())
    return architecture.build(NetworkShape(length), scale)


def regularised(prior: str, task: str, attribution: str = "input-x-gradient") -> Regularisation:
    """Return what a prior adds to a task's loss at its default weight."""
    loaded = load_prior(prior)
    parts = loaded.parts(loaded.default_weight(task), task)
    return Regularisation(parts, load_attribution(attribution), apart=True)


def suite_step(network: torch.nn.Module, task: Task, added: Regularisation, batch: Batch) -> Step:
    """Return a training step as the suite takes it; teachers have the network's first weights."""
    teachers = [deepcopy(network) for _ in range(added.teachers)]
    network, streams = added.adapt(network), RandomStreams(0, ("benchmark",), 0)
    objective = Objective(network, task, added, streams, teachers=teachers)
    optimiser = Adam(network.parameters(), 1e-3)
    plain = optimised(lambda: sum(objective.losses(batch, 1.0)), optimiser)
    averages = [WeightAverage(network, part, 1) for part in added.through("average_share")]

    def step() -> torch.Tensor:
        loss = plain()
        for average in averages:
            average.step()
        return loss

    return step


def optimised(loss: Step, optimiser: Adam | torch.optim.Optimizer) -> Step:
    """Return a function that takes a step down a loss."""

    def step() -> torch.Tensor:
        optimiser.zero_grad()
        value = loss()
        value.backward()
        optimiser.step()
        return value.detach()

    return step


def binary_step(prior: str, length: int, scale: Scale = "paper", *, batch_norm: bool) -> Step:
    """Return the suite's step of the binary network on 64 sequences, half of them positive."""
    network, task = three_conv(length, scale, batch_norm=batch_norm), "binary"
    _, batch = random_batch(task, 64, length)
    return suite_step(network, registry.build("task", task), regularised(prior, task), batch)


def published_loss(network: torch.nn.Module, prior: Prior, batch: Batch) -> torch.Tensor:
    """Return the loss of Tseng et al. 2020: the whole batch differentiated, positives penalised."""
    sequence = batch.sequence.detach().requires_grad_()
    logit = network(sequence)[:, 0]
    (gradient,) = torch.autograd.grad(logit.sum(), sequence, create_graph=True)
    positive = batch.label == 1
    attribution = Attribution(gradient, (gradient * sequence).sum(dim=1)).select(positive)
    penalty = prior.penalty(attribution, batch.select(positive)).mean()
    return F.binary_cross_entropy_with_logits(logit, batch.label) + penalty


def markdown(rows: Iterable[Row]) -> Iterator[str]:
    """Return the lines of a table in Markdown; a new table begins where columns change."""
    columns: list[str] = []
    for row in rows:
        if list(row) != columns:
            yield from [""] if columns else []
            columns = list(row)
            yield f"| {' | '.join(columns)} |"
            yield f"| {' | '.join(['---'] * len(columns))} |"
        yield f"| {' | '.join(map(_cell, row.values()))} |"


def _cell(value: object) -> str:
    if isinstance(value, float):
        return "" if math.isnan(value) else f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return str(value)
