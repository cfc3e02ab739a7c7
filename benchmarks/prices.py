"""What every prior costs on the paper's binary network."""

from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path

import pandas as pd
import torch
from measuring import Row, binary_step, in_turns, peak_memory, random_batch, three_conv

from priorbench import Attribution, Batch, load_prior
from priorbench.components import registry

LENGTH, ROUNDS = 1000, 5
TABLE = Path(__file__).parent.parent / "docs" / "prior-prices.csv"


def prices(*, quick: bool = False, write: bool = False) -> Iterator[Row]:
    """Measure every prior's penalty, step and memory over a plain step (docs/prior-prices.csv)."""
    rows, rounds = [], 1 if quick else ROUNDS
    for prior in registry.components("prior"):
        ways = product((prior, "none"), (False, True))
        steps = {way: binary_step(way[0], LENGTH, batch_norm=way[1]) for way in ways}
        times, alone = in_turns(steps, rounds), in_turns({prior: _penalty(prior)}, 5 * rounds)
        plain, normed = (times["none", batch_norm] for batch_norm in (False, True))
        row = {"prior": prior, "penalty": alone[prior] / plain, "step": times[prior, False] / plain}
        row["step_batch_norm"] = times[prior, True] / normed
        memory = [peak_memory(steps[name, True]) for name in (prior, "none")]
        rows.append({**row, "memory": memory[0] / memory[1]})
        yield rows[-1]
    if write and not quick:
        table = pd.DataFrame(rows)
        table["penalty"] = table["penalty"].map("{:.4f}".format)
        table.to_csv(TABLE, index=False, float_format="%.2f", lineterminator="\n")


def _penalty(spec: str) -> Callable[[], None]:
    """Return the penalty and its gradient alone, given attributions of half the batch."""
    prior, (_, batch) = load_prior(spec), random_batch("binary", 32, LENGTH)
    gradient = torch.randn(batch.sequence.shape, requires_grad=True)
    computed = {name: torch.rand(32, LENGTH) for name in prior.needs if name not in batch.arrays}
    given = Batch(batch.sequence, batch.label, {**batch.arrays, **computed})
    network = three_conv(LENGTH)
    matrices = [parameter for parameter in network.parameters() if parameter.dim() > 1]

    def run() -> None:
        if prior.overrides("penalty"):
            observed = (gradient * batch.sequence).sum(dim=1)
            value = prior.penalty(Attribution(gradient, observed), given).mean()
            torch.autograd.grad(value, gradient)
        if prior.overrides("parameter_penalty"):
            torch.autograd.grad(prior.parameter_penalty(network), matrices)

    return run
