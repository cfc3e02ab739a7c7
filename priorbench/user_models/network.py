"""A user's trained model as the network of a task: its layout, and what it must return."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from priorbench.attribution.passes import Layout
from priorbench.autograd.output_trees import tensors_in
from priorbench.components.architecture import NetworkShape
from priorbench.errors import UserError

from .factory import Factory, load_factory, told


class UserNetwork(torch.nn.Module):
    """A user's model that takes sequences as our networks do, and returns what they return.

    Attributes:
        network: the user's model.
    """

    def __init__(self, network: torch.nn.Module, layout: Layout) -> None:
        """Wrap a model that takes sequences in a layout."""
        super().__init__()
        self.network, self._layout = network, layout

    def forward(self, sequence: torch.Tensor, *further: torch.Tensor) -> Any:
        """Return the output for (B, 4, L); one number an example, (B,), becomes (B, 1).

        So does the one number that a model which squeezes its output returns for one example.
        """
        given = sequence if self._layout == "B4L" else sequence.transpose(1, 2)
        output = self.network(given, *further)
        if isinstance(output, torch.Tensor) and output.dim() < 2:
            return output.reshape(-1, 1)
        return output


def build_network(factory: Factory, shape: NetworkShape, layout: Layout) -> UserNetwork:
    """Return a network without its trained weights, in eval mode and float32, on the CPU.

    Raises:
        UserError: if the factory does not make one.
    """
    return UserNetwork(factory.make(shape).cpu().float(), layout).eval()


def load_network(
    name: str, folder: Path, shape: NetworkShape, layout: Layout
) -> tuple[UserNetwork, str]:
    """Return what ``module:factory`` makes, as :func:`build_network`, and a hash of its code."""
    factory = load_factory(name, folder)
    return build_network(factory, shape, layout), factory.code_digest()


def check_output(
    network: UserNetwork,
    sequence: torch.Tensor,
    inputs: Sequence[torch.Tensor],
    shape: NetworkShape,
) -> bool:
    """Call a network once, and compare what it returns with what its task reads.

    Args:
        network: the network, in eval mode.
        sequence: (B, 4, L) one-hot.
        inputs: further inputs of the task, such as control tracks.
        shape: sizes of the data.

    Returns:
        whether all outputs lie between 0 and 1, as probabilities do, where logits are read.

    Raises:
        UserError: if it does not take the sequences, or returns something else.
    """
    given = " and ".join(str(tuple(tensor.shape)) for tensor in (sequence, *inputs))
    try:
        with torch.no_grad():
            output = network(sequence, *inputs)
    except Exception as error:  # whatever a user's model raises is theirs to mend
        raise UserError(f"the model does not take {given}: {told(error)}") from error
    count = len(sequence)
    wanted: list[tuple[int, ...]] = [(count, shape.outputs)]
    text = f"{wanted[0]}, a logit for each output"
    if shape.profile:
        wanted = [(count, shape.outputs, shape.profile), (count, shape.outputs)]
        text = f"{wanted[0]} and {wanted[1]}, logits of the profile and log counts"
    parts = output if shape.profile and isinstance(output, (tuple, list)) else [output]
    shapes = [tuple(part.shape) for part in parts if isinstance(part, torch.Tensor)]
    if len(shapes) != len(parts) or shapes != wanted:
        tensors = " and ".join(str(tuple(tensor.shape)) for tensor in tensors_in(output))
        kind = "" if isinstance(output, torch.Tensor) else f"a {type(output).__name__}"
        seen = " of ".join(filter(None, (kind, tensors)))
        raise UserError(f"the model returns {seen} for {given}; the task reads {text}")
    values = parts[0]
    return not shape.profile and bool(((values >= 0) & (values <= 1)).all())


def check_call(
    network: UserNetwork, rebuilt: UserNetwork, sequence: torch.Tensor, inputs: Sequence[Any]
) -> list[str]:
    """Call a network again in other ways, and return what makes its outputs doubtful, in words.

    Args:
        network: the network, in eval mode, that :func:`check_output` has called.
        rebuilt: a network built anew, from another random state, with the same weights.
        sequence: (B, 4, L) one-hot.
        inputs: further inputs of the task, (B, ...) each.

    Raises:
        UserError: if the weights do not hold all that it computes with, if a call changes it, or
            if it does not take a single example.
    """
    before = {name: value.clone() for name, value in network.state_dict().items()}
    first = _called(network, sequence, inputs)
    after = network.state_dict()
    changed = [name for name, value in before.items() if not _same(after[name], value)]
    if changed or any(module.training for module in network.modules()):
        what = changed[0].removeprefix("network.") if changed else "its mode"
        raise UserError(
            f"a call of the model changes {what}, in eval mode too; leave train() out of forward"
        )
    try:
        alone = _called(network, sequence[:1], [tensor[:1] for tensor in inputs])
    except Exception as error:
        raise UserError(f"the model does not take one sequence alone: {told(error)}") from error
    if not all(map(_same, first, _called(network, sequence, inputs, seed=1))):
        return ["the model returns something else when it is called again, so no score repeats"]
    if not all(map(_same, first, _called(rebuilt, sequence, inputs))):
        raise UserError(
            "the weights do not hold all that the model computes with: built anew, with the same "
            "weights, it returns something else; register what is missing as parameters or buffers"
        )
    if not all(map(_same, [values[:1] for values in first], alone)):
        return [
            "the output for a sequence depends on the others of its batch, as with batch norm by "
            "the statistics of a batch, so scores depend on the order of sequences"
        ]
    return []


def _called(
    network: UserNetwork, sequence: torch.Tensor, inputs: Sequence[Any], seed: int = 0
) -> list[torch.Tensor]:
    with torch.no_grad(), torch.random.fork_rng([]):
        torch.manual_seed(seed)
        return [values.clone() for values in tensors_in(network(sequence, *inputs))]


def _same(first: torch.Tensor, second: torch.Tensor) -> bool:
    """Return whether tensors agree but for rounding."""
    return first.shape == second.shape and torch.allclose(
        first.double(), second.double(), rtol=1e-3, atol=1e-4, equal_nan=True
    )
