"""One training step on the paper's binary network: plain, with priorbench, the published way."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F

from priorbench import Attribution, Batch, Prior, attribute_and_predict, load_prior, registry
from priorbench.contracts import Form
from priorbench.sequences import one_hot

LENGTH, BATCH, ROUNDS = 1000, 64, 9


def step_ratios(*, batch_norm: bool) -> dict[str, float]:
    """Median seconds of a step over those of the plain step, taken in turns in this process."""
    task = registry.build("task", "binary")
    spec = f"three-conv:batch_norm={str(batch_norm).lower()}"
    model = registry.build("architecture", spec).build(Form(LENGTH), "paper")
    optimiser = torch.optim.Adam(model.parameters(), fused=True)
    prior: Prior = load_prior("fourier")
    codes = np.random.default_rng(0).integers(0, 4, (BATCH, LENGTH)).astype(np.uint8)
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
        started = time.perf_counter()
        optimiser.zero_grad(set_to_none=True)
        loss().backward()
        optimiser.step()
        return time.perf_counter() - started

    ways = {"plain": plain, "fourier, priorbench": ours, "fourier, published way": published}
    for loss in ways.values():
        run(loss)
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(ROUNDS):
        for name, loss in ways.items():
            times[name].append(run(loss))
    medians = {name: float(np.median(found)) for name, found in times.items()}
    return {name: value / medians["plain"] for name, value in medians.items() if name != "plain"}
