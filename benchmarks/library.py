"""A step of a user's own loop with the Fourier prior: two ways of the library, and by hand."""

from collections.abc import Callable, Iterator
from functools import partial
from importlib import import_module, util

import measuring as m
import torch
import torch.nn.functional as F

from priorbench import Attribution, Batch, Prior, attribute_and_predict, load_prior

COUNT = 64


def library(*, quick: bool = False) -> Iterator[m.Row]:
    """Time a step, half of the batch chosen, over a plain one: the paper's network, and others'."""
    scale, length = ("quick", 120) if quick else ("paper", 1000)
    _, batch = m.random_batch("binary", COUNT, length)
    for batch_norm in (False, True):
        yield _row(
            f"{scale}, {'with' if batch_norm else 'without'} batch norm",
            partial(m.three_conv, length, scale, batch_norm=batch_norm),
            batch,
            "" if batch_norm else 1.5,
            quick=quick,
        )
    if util.find_spec("bpnetlite") is not None:
        _, batch = m.random_batch("binary", 8 if quick else COUNT, 2 * length + 114)
        yield _row("bpnet-lite's BPNet", partial(_bpnet, quick), batch, 1.65, quick=quick)


def _row(
    name: str,
    build: Callable[[], torch.nn.Module],
    batch: Batch,
    goal: float | str,
    *,
    quick: bool,
) -> m.Row:
    prior = load_prior("fourier")
    losses: dict[str, Callable[[torch.nn.Module], torch.Tensor]] = {
        "plain": lambda model: _prediction(model(batch.sequence), batch),
        "by hand": lambda model: m.published_loss(model, prior, batch),
        "by hand, selected": lambda model: _by_hand(model, prior, batch),
        "default": lambda model: _of_library(model, prior, batch, split=False),
        "split=True": lambda model: _of_library(model, prior, batch, split=True),
    }
    ways = {}
    for way, loss in losses.items():
        model = build()
        optimiser = torch.optim.Adam(model.parameters())
        ways[way] = m.optimised(partial(loss, model), optimiser)
    seconds = m.in_turns(ways, 3 if quick else 9)
    return {
        "network": name,
        **{f"{way} / plain": seconds[way] / seconds["plain"] for way in list(ways)[1:]},
        "default / by hand": seconds["default"] / seconds["by hand"],
        "goal": 1.05,
        "goal of split": goal,
    }


class _Scalar(torch.nn.Module):
    """A profile network's one scalar per example: centred logits, weighted by probabilities."""

    def __init__(self, network: torch.nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, sequence: torch.Tensor) -> torch.Tensor:
        profile, counts = self.network(sequence)
        logits = profile.flatten(start_dim=1)
        logits = logits - logits.mean(dim=1, keepdim=True)
        weights = logits.softmax(dim=1).detach()
        return (logits * weights).sum(dim=1, keepdim=True) + counts


def _bpnet(quick: bool) -> torch.nn.Module:
    """Return the network with the defaults of its authors; it is no dependency."""
    network: torch.nn.Module = import_module("bpnetlite").BPNet(
        n_filters=16 if quick else 64, n_outputs=2, n_control_tracks=0, trimming=57, verbose=False
    )
    return _Scalar(network)


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
