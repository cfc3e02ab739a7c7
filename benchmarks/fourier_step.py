"""One training step of the binary network: plain, with priorbench, the published way."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F

from priorbench import (
    Attribution,
    Batch,
    Prior,
    attribute_and_predict,
    load_prior,
)
from priorbench.components import registry
from priorbench.components.architecture import NetworkShape, Scale
from priorbench.data.formats.encoding import one_hot
from priorbench.training.adam import Adam

BATCH = 64
LENGTHS: dict[Scale, int] = {"quick": 120, "paper": 1000}
ROUNDS: dict[Scale, int] = {"quick": 101, "paper": 9}


def step_ratios(*, batch_norm: bool, scale: Scale = "paper") -> dict[str, float]:
    """Median processor seconds of a step over those of the plain step, taken in turns."""
    length = LENGTHS[scale]
    task = registry.build("task", "binary")
    spec = f"three-conv:batch_norm={str(batch_norm).lower()}"
    model = registry.build("architecture", spec).build(NetworkShape(length), scale)
    optimiser = Adam(model.parameters(), 1e-3)
    prior: Prior = load_prior("fourier")
    codes = np.random.default_rng(0).integers(0, 4, (BATCH, length)).astype(np.uint8)
    batch = Batch(one_hot(codes), (torch.arange(BATCH) % 2 == 0).float())

    def plain() -> torch.Tensor:
        return task.prediction_loss(model(batch.sequence), batch).mean()

    def ours() -> torch.Tensor:
        applies = prior.applies(batch, task)
        output, attribution = attribute_and_predict(model, batch.sequence, applies, task.target)
        penalty = prior.penalty(attribution, batch.select(applies)).mean()
        return task.prediction_loss(output, batch).mean() + penalty

    def published() -> torch.Tensor:
        # the whole batch is differentiated, the penalty taken over the positives
        sequence = batch.sequence.clone().requires_grad_()
        output = model(sequence)
        (gradient,) = torch.autograd.grad(task.target(output).sum(), sequence, create_graph=True)
        observed = (gradient * sequence).sum(dim=1)[batch.label == 1]
        loss = F.binary_cross_entropy_with_logits(output[:, 0], batch.label)
        positives = batch.select(batch.label == 1)
        return loss + prior.penalty(Attribution(gradient, observed), positives).mean()

    def run(loss: Callable[[], torch.Tensor]) -> float:
        started = time.process_time()
        optimiser.zero_grad()
        loss().backward()
        optimiser.step()
        return time.process_time() - started

    ways = {"plain": plain, "fourier, priorbench": ours, "fourier, published way": published}
    for loss in ways.values():
        run(loss)
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(ROUNDS[scale]):
        for name, loss in ways.items():
            times[name].append(run(loss))
    medians = {name: float(np.median(found)) for name, found in times.items()}
    return {name: value / medians["plain"] for name, value in medians.items() if name != "plain"}
