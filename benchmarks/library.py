"""A step of a user's own loop with the Fourier prior: two ways of the library, and by hand."""

from collections.abc import Callable, Iterator
from functools import partial

import measuring as m
import torch
import torch.nn.functional as F

from priorbench import Attribution, Batch, Prior, attribute_and_predict, load_prior

COUNT = 64


def library(*, quick: bool = False) -> Iterator[m.Row]:
    """Time a step of the paper's network, half of the batch chosen, over a plain one."""
    scale, length = ("quick", 120) if quick else ("paper", 1000)
    _, batch = m.random_batch("binary", COUNT, length)
    prior = load_prior("fourier")
    losses: dict[str, Callable[[torch.nn.Module], torch.Tensor]] = {
        "plain": lambda model: _prediction(model(batch.sequence), batch),
        "by hand": lambda model: m.published_loss(model, prior, batch),
        "by hand, selected": lambda model: _by_hand(model, prior, batch),
        "default": lambda model: _of_library(model, prior, batch, split=False),
        "split=True": lambda model: _of_library(model, prior, batch, split=True),
    }
    for batch_norm in (False, True):
        ways = {}
        for name, loss in losses.items():
            model = m.three_conv(length, scale, batch_norm=batch_norm)
            optimiser = torch.optim.Adam(model.parameters())
            ways[name] = m.optimised(partial(loss, model), optimiser)
        seconds = m.in_turns(ways, 3 if quick else 9)
        yield {
            "network": f"{scale}, {'with' if batch_norm else 'without'} batch norm",
            **{f"{name} / plain": seconds[name] / seconds["plain"] for name in list(ways)[1:]},
            "default / by hand": seconds["default"] / seconds["by hand"],
            "goal": 1.05,
            "goal of split": "" if batch_norm else 1.5,
        }


def _target(output: torch.Tensor) -> torch.Tensor:
    return output[:, 0]


def _prediction(output: torch.Tensor, batch: Batch) -> torch.Tensor:
    return F.binary_cross_entropy_with_logits(_target(output), batch.label)


def _by_hand(model: torch.nn.Module, prior: Prior, batch: Batch) -> torch.Tensor:
    """Return the loss of one pass, with the gradient of the positives only."""
    sequence = batch.sequence.detach().requires_grad_()
    output, positive = model(sequence), batch.label == 1
    chosen = _target(output)[positive].sum()
    (gradient,) = torch.autograd.grad(chosen, sequence, create_graph=True)
    attribution = Attribution(gradient, (gradient * sequence).sum(dim=1)).select(positive)
    penalty = prior.penalty(attribution, batch.select(positive)).mean()
    return _prediction(output, batch) + penalty


def _of_library(model: torch.nn.Module, prior: Prior, batch: Batch, *, split: bool) -> torch.Tensor:
    positive = batch.label == 1
    output, attribution = attribute_and_predict(
        model, batch.sequence, positive, _target, split=split
    )
    penalty = prior.mean_penalty(attribution, batch.select(positive))
    return _prediction(output, batch) + penalty
