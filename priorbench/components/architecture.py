"""The contract of architectures: which network is built, and what it maps to what."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

if TYPE_CHECKING:  # listing what there is must not wait for torch
    import torch

Scale = Literal["smoke", "quick", "standard", "paper"]
"""sizes of simulated data, networks and trainings"""
Precision = Literal["float32", "bf16"]
"""number format of the networks' forward pass in training"""


@dataclass(frozen=True)
class NetworkShape:
    """Sizes of what goes into a network and what comes out.

    Attributes:
        length: length of the window in bp.
        outputs: how many numbers, or profiles (strands), are predicted.
        profile: length of a predicted profile in bp, centred in the window; 0 for numbers.
        controls: how many control tracks of that length the network is given beside the sequence.
        offset: whether the network is also given logits, which it adds to its own.
    """

    length: int
    outputs: int = 1
    profile: int = 0
    controls: int = 0
    offset: bool = False


@dataclass(frozen=True)
class Architecture(ABC):
    """A network by name; its sizes follow the scale.

    A plug-in's network may be any module whose examples are coupled by batch norm only. If it says
    so by ``examples_apart = True``, the engine differentiates only those examples that the prior
    applies to. A row of modules with batch norm is then quickest as an
    ``autograd.layer_chain.LayerChain``, whose derivatives are written out; a plain
    ``torch.nn.Sequential`` of the same modules is never treated as one.
    """

    summary: ClassVar[str]
    citation: ClassVar[str] = ""
    examples_apart: ClassVar[bool] = False
    """whether a batch may go through the network in parts: it treats examples one by one, batch
    norm aside, and keeps nothing of a pass but buffers"""
    chosen_freely: ClassVar[bool] = True
    """whether the program may choose it (``auto``); one that stands for a publication is trained
    only where it is named, or where it is the task's own"""

    @abstractmethod
    def build(self, shape: NetworkShape, scale: Scale) -> torch.nn.Module:
        """Return a module that maps (B, 4, length) to (B, outputs).

        A module that predicts profiles is also given (B, controls, profile), where there are
        controls, then (B, outputs, profile), where there is an offset, and returns logits
        (B, outputs, profile) and log counts (B, outputs).

        Weights are drawn from torch's default generator, which the engine seeds.

        Raises:
            UserError: if the shape does not fit the network.
        """
