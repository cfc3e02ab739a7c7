"""Training steps on a GPU against the same steps on the CPU: priors, attributions, networks."""

import sys
from collections.abc import Iterator

import torch
import typer
from measuring import Row, random_batch
from optree import tree_map

from priorbench import Batch, Task, load_attribution, load_prior
from priorbench.attribution.methods import METHODS
from priorbench.components import registry
from priorbench.execution.process_state import set_torch
from priorbench.seeds import RandomStreams
from priorbench.training.loop import seeded_torch
from priorbench.training.objective import Objective, Regularisation

COUNT, LENGTH = 32, 200
WITHIN = 1e-4
"""largest relative difference of a loss, and of all gradients taken together, that is rounding"""
CPU = torch.device("cpu")


def cases() -> Iterator[tuple[str, str, str, str]]:
    """Yield task, prior, attribution and network of every step to compare."""
    usual, network = "input-x-gradient", "three-conv"
    for prior in registry.components("prior"):
        yield "binary", prior, usual, network
    for name in registry.components("architecture"):
        task = "profile" if name == "bpnet" else "binary"
        for attribution in METHODS:
            yield task, "fourier", attribution, name


def step(
    case: tuple[str, str, str, str], device: torch.device, seed: int = 0
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the loss and all gradients, in one row, of a step on a device; both on the CPU."""
    name, prior, attribution, architecture = case
    task: Task = registry.build("task", name)
    loaded = load_prior(prior)
    parts = loaded.parts(loaded.default_weight(name), name)
    added = Regularisation(parts, load_attribution(attribution), apart=True)
    shape, batch = random_batch(name, COUNT, 1346 if name == "profile" else LENGTH)
    with seeded_torch(0, CPU):
        build = registry.build("architecture", architecture).build
        teachers = [build(shape, "quick").to(device) for _ in range(added.teachers)]
        model = added.adapt(build(shape, "quick")).to(device).train()
    moved = tree_map(lambda value: value.to(device), (batch.sequence, batch.label, batch.arrays))
    with seeded_torch(seed, device):
        streams = RandomStreams(seed, ("devices",), seed)
        objective = Objective(model, task, added, streams, teachers=teachers)
        total = sum(objective.losses(Batch(*moved), 1.0))
        assert isinstance(total, torch.Tensor)
        total.backward()  # type: ignore[no-untyped-call]
    slopes = [p.grad.flatten() for p in model.parameters() if p.grad is not None]
    return total.detach().cpu().double(), torch.cat(slopes).cpu().double()


def difference(expected: torch.Tensor, value: torch.Tensor) -> float:
    """Return the difference of a tensor to another, relative to the first."""
    return float((expected - value).norm() / expected.norm())


def devices(*, device: str = "cuda", quick: bool = False) -> Iterator[Row]:
    """Compare a step of every prior, attribution and network on a GPU with the CPU's.

    What draws random numbers draws other ones on a GPU; of that, the loss must be finite.
    """
    if device == "cuda" and not quick and not torch.cuda.is_available():
        print("torch finds no GPU here; --quick tries the topic on CPU", file=sys.stderr)
        raise typer.Exit(2)
    set_torch()
    place, wrong = torch.device("cpu" if quick else device), 0
    for case in list(cases())[:: 9 if quick else 1]:
        expected = step(case, CPU)
        draws = not torch.equal(expected[0], step(case, CPU, 1)[0])
        loss, slopes = step(case, place)
        off = difference(expected[0], loss), difference(expected[1], slopes)
        fine = bool(loss.isfinite()) if draws else max(off) <= WITHIN
        wrong += not fine
        yield {
            **dict(zip(("task", "prior", "attribution", "network"), case, strict=True)),
            "draws": "yes" if draws else "",
            "loss off by": "" if draws else f"{off[0]:.1g}",
            "gradients off by": "" if draws else f"{off[1]:.1g}",
            "agrees": "yes" if fine else "NO",
        }
    if wrong:
        print(f"{wrong} steps differ by more than {WITHIN:g}", file=sys.stderr)
        raise typer.Exit(1)
