"""The checks that every architecture must pass: what it builds and says of its examples."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch.nn.modules.dropout import _DropoutNd

from priorbench.attribution.differentiable import attribute_and_predict
from priorbench.autograd.output_trees import tensors_in
from priorbench.components import registry
from priorbench.components.architecture import Architecture, NetworkShape
from priorbench.training.loop import seeded_torch

from .check_tools import LENGTH, CheckFailed, CheckResult, NotApplicable, run_check, sequences

_COUNT = 8
Check = Callable[[Architecture], str]


def describes_itself(architecture: Architecture) -> str:
    """Check that there is a summary."""
    if not getattr(architecture, "summary", ""):
        raise CheckFailed("has no summary: set the class attribute `summary`, one line")
    return architecture.summary


def predicts_numbers(architecture: Architecture) -> str:
    """Check that (B, 4, L) becomes (B, outputs), in training and in evaluation mode."""
    for outputs in (1, 3):
        model = _built(architecture, outputs)
        for mode in (True, False):
            output = model.train(mode)(sequences(_COUNT, LENGTH, torch.float64))
            if output.shape != (_COUNT, outputs):
                raise CheckFailed(
                    f"gives shape {tuple(output.shape)}, wanted ({_COUNT}, {outputs})"
                )
    return "(B, outputs)"


def draws_weights_from_the_seed(architecture: Architecture) -> str:
    """Check that the same seed gives the same weights: trials are paired."""
    first, second = (_built(architecture).state_dict() for _ in range(2))
    if not all(torch.equal(value, second[name]) for name, value in first.items()):
        raise CheckFailed("the same seed gives other weights: draw from torch's default generator")
    return "same weights from the same seed"


def treats_examples_apart(architecture: Architecture) -> str:
    """Check that a batch has the outputs and attributions of its parts, where the class says so."""
    if not architecture.examples_apart:
        raise NotApplicable("does not say `examples_apart = True`: batches are never taken apart")
    sequence = sequences(_COUNT, LENGTH, torch.float64)
    applies = torch.arange(_COUNT) % 3 == 0
    for mode in (False, True):
        model = _without_dropout(_built(architecture)).train(mode)
        if not mode:
            _compare(model, sequence)
        results = []
        for split in (True, False):
            try:
                results.append(attribute_and_predict(model, sequence, applies, _total, split=split))
            except ValueError as error:
                raise CheckFailed(f"{error}: do not set `examples_apart`") from error
        apart, whole = (attribution.gradient for _, attribution in results)
        if not torch.allclose(apart, whole, atol=1e-10):
            raise CheckFailed("attributions differ where the batch is taken apart")
    return "outputs and attributions are those of the parts"


def _compare(model: torch.nn.Module, sequence: torch.Tensor) -> None:
    with torch.no_grad():
        parts = [model(sequence[:3]), model(sequence[3:])]
        if not torch.allclose(model(sequence), torch.cat(parts), atol=1e-10):
            raise CheckFailed(
                "an example has another output beside other examples: do not set `examples_apart`"
            )


def _without_dropout(model: torch.nn.Module) -> torch.nn.Module:
    """Return the model with dropout that drops nothing: parts are dropped in another order."""
    for module in model.modules():
        if isinstance(module, _DropoutNd):
            module.p = 0.0
    return model


def _total(output: torch.Tensor) -> torch.Tensor:
    """Return the sum of an example's outputs."""
    return torch.stack([value.flatten(1).sum(dim=1) for value in tensors_in(output)]).sum(dim=0)


def _built(architecture: Architecture, outputs: int = 1) -> torch.nn.Module:
    with seeded_torch(0, torch.device("cpu")):
        return architecture.build(NetworkShape(LENGTH, outputs), "smoke").double()


CHECKS: tuple[Check, ...] = (
    describes_itself,
    predicts_numbers,
    draws_weights_from_the_seed,
    treats_examples_apart,
)


def check_architecture(spec: str) -> Iterator[CheckResult]:
    """Run every check on the architecture of a spec, one after the other.

    Raises:
        UserError: if there is no such architecture.
    """
    architecture: Architecture = registry.build("architecture", spec)
    for check in CHECKS:
        yield run_check(check, architecture)
