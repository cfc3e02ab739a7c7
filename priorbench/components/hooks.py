"""The hooks through which priors act, and what the engine and the hooks hand to each other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

HOOKS = {
    "penalty": "a penalty on attributions",
    "loss_penalty": "a penalty on the loss as a function of the input",
    "parameter_penalty": "a penalty on the network's weights",
    "adapt": "a change of the network",
    "augment": "a change of the training input",
    "change_examples": "a change of the training examples, labels included",
    "average_share": "an average of the network's weights",
    "final_phase": "a last phase of training",
}
"""names of the methods through which a prior acts, and what each is"""
ALONE = ("loss_penalty", "average_share", "final_phase")
"""names of hooks that several networks trained at once do not provide"""
COMPUTED = {
    "reverse-complement": "attributions of the other strand",
    "target": "the scalars that are attributed",
    "teachers:label": "the mean prediction of the teachers",
    "teachers:attribution": "the mean attribution of the teachers",
}
"""names of further arrays that a step can compute for a penalty, and what each is"""


@dataclass(frozen=True)
class FinalPhase:
    """The last phase of a training, with its own optimiser and its own wait for an improvement.

    Attributes:
        share: share of the epochs that are kept for it, above 0 and below 1: one epoch at least,
            and none where training has one epoch only.
        learning_rate: factor of the learning rate.
        rests: whether the prior that asks for the phase does nothing in it.
    """

    share: float
    learning_rate: float = 1.0
    rests: bool = False


@dataclass(frozen=True)
class LossOfInput:
    """The prediction loss of a training step as a function of the input.

    Attributes:
        sequence: (B, 4, L) input of the step, a tensor that the losses can be differentiated by.
        losses: (B,) prediction losses of its examples there.
        at: function of another input, (B, 4, L) in the order of the examples, that returns the (B,)
            losses there. The network is in training mode: batch norm takes the statistics of this
            input, and dropout draws anew.
    """

    sequence: torch.Tensor
    losses: torch.Tensor
    at: Callable[[torch.Tensor], torch.Tensor]

    def gradient(self, *, create_graph: bool) -> torch.Tensor:
        """Return the (B, 4, L) gradient of the sum of the losses by the input.

        Args:
            create_graph: whether the result can be differentiated by the network's weights.
        """
        from torch.autograd import grad  # listing what there is must not wait for torch

        (gradient,) = grad(
            self.losses.sum(), self.sequence, create_graph=create_graph, retain_graph=True
        )
        return gradient
