"""Checks of the hooks through which a prior acts, penalties on attributions aside."""

from __future__ import annotations

import torch

from priorbench.components.hooks import LossOfInput
from priorbench.components.prior import Prior
from priorbench.components.task import Batch
from priorbench.training.loop import seeded_torch, weights_hash

from .check_tools import (
    LENGTH,
    MIXED,
    CheckFailed,
    NotApplicable,
    arrays_for,
    network,
    require_hook,
    sequences,
    weight_of,
)


def keeps_initial_weights(prior: Prior) -> str:
    """Check that the network starts from the weights of every other prior: trials are paired."""
    require_hook(prior, "adapt")
    with seeded_torch(1, torch.device("cpu")):
        model = network()
        before, outputs = weights_hash(model), model(sequences(3, LENGTH)).shape
        adapted = prior.adapt(model, weight_of(prior))
        if weights_hash(adapted) != before:
            raise CheckFailed(
                "adapt changes the initial weights, so that comparisons are not paired"
            )
        if adapted(sequences(3, LENGTH)).shape != outputs:
            raise CheckFailed("adapt changes the shape of the output")
        adapted.eval()
        if not torch.equal(adapted(sequences(3, LENGTH)), adapted(sequences(3, LENGTH))):
            raise CheckFailed("the adapted network is random in evaluation mode")
    return "same weights, same output shape"


def penalises_parameters(prior: Prior) -> str:
    """Check that the penalty on parameters is one finite number with a gradient."""
    require_hook(prior, "parameter_penalty")
    model = network(spec="three-conv")
    value = prior.parameter_penalty(model)
    if value.shape != ():
        raise CheckFailed(f"parameter_penalty has shape {tuple(value.shape)}, wanted ()")
    if not value.requires_grad:
        raise CheckFailed("parameter_penalty has no gradient")
    learnt = [parameter for parameter in model.parameters() if parameter.requires_grad]
    slopes = torch.autograd.grad(value, learnt, materialize_grads=True)
    if not all(torch.isfinite(tensor).all() for tensor in (value, *slopes)):
        raise CheckFailed("parameter_penalty or its gradient is not finite")
    return f"{value.item():.3g} on a small network"


def changes_input(prior: Prior) -> str:
    """Check shape and dtype of the changed input, and that draws come from the generator."""
    require_hook(prior, "augment")
    for dtype in (torch.float32, torch.float64):
        sequence = sequences(3, 50, dtype)
        weight = weight_of(prior)
        draws = [
            prior.augment(sequence, weight, torch.Generator().manual_seed(3)) for _ in range(2)
        ]
        if draws[0].shape != sequence.shape or draws[0].dtype != dtype:
            raise CheckFailed("augment changes the shape or the dtype of the sequence")
        if not torch.equal(*draws):
            raise CheckFailed("augment differs for the same generator: draw from nothing else")
        if not torch.isfinite(draws[0]).all():
            raise CheckFailed("augment gives input that is not finite")
    return "same shape, same draw from the same generator"


def penalises_the_loss(prior: Prior) -> str:
    """Check that the penalty on the loss is one finite number with a gradient."""
    require_hook(prior, "loss_penalty")
    model = network(spec="three-conv")
    label = torch.tensor(MIXED)

    def losses(sequence: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.softplus((1 - 2 * label) * model(sequence)[:, 0])

    sequence = sequences(len(MIXED), LENGTH).requires_grad_()
    value = prior.loss_penalty(LossOfInput(sequence, losses(sequence), losses))
    if value.shape != ():
        raise CheckFailed(f"loss_penalty has shape {tuple(value.shape)}, wanted ()")
    learnt = [parameter for parameter in model.parameters() if parameter.requires_grad]
    slopes = torch.autograd.grad(value, learnt, materialize_grads=True)
    if not all(torch.isfinite(tensor).all() for tensor in (value, *slopes)):
        raise CheckFailed("loss_penalty or its gradient is not finite")
    return f"{value.item():.3g} on a small network"


def changes_the_examples(prior: Prior) -> str:
    """Check shapes and dtypes of changed examples, and that draws come from the generator."""
    require_hook(prior, "change_examples")
    for dtype in (torch.float32, torch.float64):
        sequence, label = sequences(3, 50, dtype), torch.tensor([1.0, 0.0, 1.0], dtype=dtype)
        batch = Batch(sequence, label, arrays_for(prior, sequence, sequence))
        first, second = (
            prior.change_examples(batch, weight_of(prior), torch.Generator().manual_seed(3))
            for _ in range(2)
        )
        for name, old, new, again in (
            ("sequence", batch.sequence, first.sequence, second.sequence),
            ("label", batch.label, first.label, second.label),
        ):
            if new.shape != old.shape or new.dtype != dtype:
                raise CheckFailed(f"change_examples changes the shape or the dtype of the {name}")
            if not torch.equal(new, again):
                raise CheckFailed(
                    "change_examples differs for the same generator: draw from nothing else"
                )
            if not torch.isfinite(new).all():
                raise CheckFailed(f"change_examples gives a {name} that is not finite")
    return "same shapes, same draw from the same generator"


def averages_weights(prior: Prior) -> str:
    """Check that the shares of weights in their average lie between 0 and 1, and are not all 0."""
    require_hook(prior, "average_share")
    weight, per_epoch = weight_of(prior), 5
    shares = [prior.average_share(weight, step, per_epoch) for step in range(1, 4 * per_epoch + 1)]
    if not all(0 <= share <= 1 for share in shares):
        raise CheckFailed("average_share is not between 0 and 1")
    if not any(shares):
        raise CheckFailed("average_share is 0 in the first four epochs: nothing is averaged")
    return f"{shares[per_epoch - 1]:.3g} after the first epoch, {shares[-1]:.3g} after the fourth"


def asks_for_a_final_phase(prior: Prior) -> str:
    """Check that a share of the epochs and a learning rate are asked for."""
    require_hook(prior, "final_phase")
    phase = prior.final_phase(weight_of(prior))
    if phase is None:
        raise NotApplicable("asks for none, with these options")
    if not 0 < phase.share < 1:
        raise CheckFailed(f"the last phase has a share of {phase.share:g}, not between 0 and 1")
    if not phase.learning_rate > 0:
        raise CheckFailed("the learning rate of the last phase is not above 0")
    return f"{phase.share:.0%} of the epochs, learning rate x {phase.learning_rate:g}"
