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
        """Return the output for (B, 4, L); one number an example, (B,), becomes (B, 1)."""
        given = sequence if self._layout == "B4L" else sequence.transpose(1, 2)
        output = self.network(given, *further)
        if isinstance(output, torch.Tensor) and output.dim() == 1:
            return output[:, None]
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
    parts = output if isinstance(output, (tuple, list)) else [output]
    shapes = [tuple(part.shape) for part in parts if isinstance(part, torch.Tensor)]
    if len(shapes) != len(parts) or shapes != wanted:
        tensors = [str(tuple(tensor.shape)) for tensor in tensors_in(output)]
        seen = " and ".join(tensors) or f"a {type(output).__name__}"
        raise UserError(f"the model returns {seen} for {given}; the task reads {text}")
    values = parts[0]
    return not shape.profile and bool(((values >= 0) & (values <= 1)).all())
