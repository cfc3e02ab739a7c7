"""What every prior costs on the paper's binary network; run as a script, writes the table.

`python benchmarks/prior_prices.py` writes docs/prior-prices.csv, which docs/generate.py reads.
"""

from __future__ import annotations

import csv
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from priorbench import Attribution, Batch, load_attribution, load_prior
from priorbench.components import registry
from priorbench.components.architecture import NetworkShape
from priorbench.data.formats.encoding import one_hot
from priorbench.seeds import RandomStreams
from priorbench.training.objective import Objective, Regularisation

LENGTH, BATCH, ROUNDS = 1000, 64, 5
TABLE = Path(__file__).parent.parent / "docs" / "prior-prices.csv"


@dataclass(frozen=True)
class PriorPrice:
    """Of one prior, in units of a step without it (one thread).

    Attributes:
        prior: spec.
        penalty: penalty and its gradient alone, given attributions of half the batch.
        step: the whole step, without batch norm.
        step_batch_norm: with it.
    """

    prior: str
    penalty: float
    step: float
    step_batch_norm: float


def batch() -> Batch:
    codes = np.random.default_rng(0).integers(0, 4, (BATCH, LENGTH)).astype(np.uint8)
    return Batch(one_hot(codes), (torch.arange(BATCH) % 2 == 0).float())


def step(spec: str, *, batch_norm: bool) -> Callable[[], None]:
    task = registry.build("task", "binary")
    prior = load_prior(spec)
    architecture = f"three-conv:batch_norm={str(batch_norm).lower()}"
    parts = prior.parts(prior.default_weight("binary"), "binary")
    regularisation = Regularisation(parts, load_attribution("input-x-gradient"))
    torch.manual_seed(0)
    network = registry.build("architecture", architecture).build(NetworkShape(LENGTH), "paper")
    network = regularisation.adapt(network)
    objective = Objective(network, task, regularisation, RandomStreams(0, ("prices",), 0))
    optimiser = torch.optim.Adam(network.parameters(), fused=True)
    examples = batch()

    def run() -> None:
        optimiser.zero_grad(set_to_none=True)
        prediction, penalty = objective.losses(examples, 1.0)
        (prediction + penalty).backward()
        optimiser.step()

    return run


def penalty_alone(spec: str) -> Callable[[], None]:
    prior = load_prior(spec)
    examples = batch().select(torch.arange(BATCH) % 2 == 0)
    generator = torch.Generator().manual_seed(0)
    gradient = torch.randn(examples.sequence.shape, generator=generator, requires_grad=True)

    network = registry.build("architecture", "three-conv").build(NetworkShape(LENGTH), "paper")
    matrices = [parameter for parameter in network.parameters() if parameter.dim() > 1]

    def run() -> None:
        if prior.overrides("penalty"):
            observed = (gradient * examples.sequence).sum(dim=1)
            value = prior.penalty(Attribution(gradient, observed), examples).mean()
            torch.autograd.grad(value, gradient)
        if prior.overrides("parameter_penalty"):
            torch.autograd.grad(prior.parameter_penalty(network), matrices)

    return run


def seconds(ways: dict[str, Callable[[], None]], rounds: int = ROUNDS) -> dict[str, float]:
    """Median seconds of each, taken in turns."""
    for run in ways.values():
        run()
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, run in ways.items():
            started = time.perf_counter()
            run()
            times[name].append(time.perf_counter() - started)
    return {name: statistics.median(found) for name, found in times.items()}


def prices() -> Iterator[PriorPrice]:
    torch.set_num_threads(1)
    for spec in registry.components("prior"):
        plain, normed = (
            seconds({s: step(s, batch_norm=batch_norm) for s in ("none", spec)})
            for batch_norm in (False, True)
        )
        alone = seconds({spec: penalty_alone(spec)}, 5 * ROUNDS)[spec]
        yield PriorPrice(
            spec,
            alone / plain["none"],
            plain[spec] / plain["none"],
            normed[spec] / normed["none"],
        )


def main() -> None:
    rows = [("prior", "penalty", "step", "step_batch_norm")]
    for price in prices():
        numbers = (price.penalty, price.step, price.step_batch_norm)
        rows.append((price.prior, f"{numbers[0]:.4f}", *(f"{n:.2f}" for n in numbers[1:])))
        print(*rows[-1], flush=True)
    with TABLE.open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)


if __name__ == "__main__":
    main()
