"""The contract of tasks: their data, loss and target, and the batches that they are trained on."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from priorbench.errors import UserError

from .architecture import NetworkShape, Scale

if TYPE_CHECKING:  # listing what there is must not wait for torch
    import numpy as np
    import torch
    from numpy.typing import NDArray

    from priorbench.data.dataset import Dataset
    from priorbench.data.dataset_writer import DatasetWriter
    from priorbench.data.readers.data_file import DataFile

Axis = Literal[
    "prediction", "localisation", "stability", "faithfulness", "function", "smoothness", "cost"
]
"""kinds of quality that metrics measure"""
MOST_EPOCHS = 100
"""largest factor by which a task may prolong training"""


@dataclass(frozen=True)
class Batch:
    """Examples as tensors on one device.

    Attributes:
        sequence: (B, 4, L) float one-hot; N is an all-zero column.
        label: (B,) float32 or (B, outputs).
        arrays: further arrays of the dataset by name, each with B rows.
    """

    sequence: torch.Tensor
    label: torch.Tensor
    arrays: Mapping[str, torch.Tensor] = field(default_factory=dict)

    def select(self, index: torch.Tensor) -> Batch:
        """Return the examples at ``index``, (k,) int64 or (B,) bool."""
        arrays = {name: array[index] for name, array in self.arrays.items()}
        return Batch(self.sequence[index], self.label[index], arrays)


@dataclass(frozen=True, kw_only=True)
class Task(ABC):
    """What is learnt: data, splits, prediction loss, the scalar that is attributed.

    Attributes:
        train_share: share of the training examples that models are trained on: always the same
            ones, and those of a smaller share are among those of a larger. They are passed through
            so much more often in an epoch that its number of steps stays the same.
        train_epochs: factor of the usual number of epochs that training may take, and of the
            number that it waits for an improvement.
    """

    summary: ClassVar[str]
    citation: ClassVar[str] = ""
    architecture: ClassVar[str]
    """name of the default architecture"""
    epochs: ClassVar[float] = 1.0
    """factor of the scale's number of epochs that a training may take"""
    reverse_complement: ClassVar[bool]
    """whether the reverse complement is the same molecule (DNA: yes; RNA: no)"""
    labels_are_classes: ClassVar[bool] = True
    """whether labels are 0 and 1, and the loss takes what lies between; tracks of reads are not"""
    motif_length_option: ClassVar[str] = ""
    """name of the option that is a motif's length in bp; "" where there is none"""
    metrics: ClassVar[tuple[str, ...]]
    """names of the prediction metrics that make sense for this task, the primary one first"""
    primary: ClassVar[Mapping[Axis, str]] = {}
    """primary metric by axis, where it is not the one of ``priorbench.study.declared``"""

    train_share: float = 1.0
    train_epochs: float = 1.0

    def __post_init__(self) -> None:
        """Refuse options outside their range; subclasses with further options call this too."""
        if not 0 < self.train_share <= 1:
            raise UserError(f"train_share {self.train_share:g} is not above 0 and at most 1")
        if not 0 < self.train_epochs <= MOST_EPOCHS:
            raise UserError(
                f"train_epochs {self.train_epochs:g} is not above 0 and at most {MOST_EPOCHS}"
            )

    @abstractmethod
    def simulate(self, writer: DatasetWriter, scale: Scale, generator: np.random.Generator) -> None:
        """Write a simulated dataset of the scale's size; equal generators give equal bytes."""

    @abstractmethod
    def read(self, writer: DatasetWriter, data: DataFile, generator: np.random.Generator) -> None:
        """Write the user's own data.

        Raises:
            UserError: if the input cannot be used.
        """

    def network_shape(self, length: int, shapes: Mapping[str, tuple[int, ...]]) -> NetworkShape:
        """Return the shape of the network: by default an output for every column of the labels.

        The window's length is in bp; ``shapes`` are of a row of every other array of the dataset.
        """
        shape = shapes["label"]
        return NetworkShape(length, outputs=shape[0] if shape else 1)

    def network_shape_of(self, dataset: Dataset) -> NetworkShape:
        """Return the shape of a network for a dataset."""
        return self.network_shape(dataset.length, dataset.row_shapes)

    def inputs(self, batch: Batch) -> Sequence[torch.Tensor]:
        """Return the network's inputs beside the sequence, such as control tracks."""
        return ()

    @abstractmethod
    def prediction_loss(self, output: Any, batch: Batch) -> torch.Tensor:
        """Return the (B,) loss of each example, the only loss by which models are selected."""

    @abstractmethod
    def target(self, output: Any) -> torch.Tensor:
        """Return the (B,) scalar of each example whose gradient is the attribution.

        Where there is a :attr:`link`, the link of this scalar is attributed instead.
        """

    @property
    def link(self) -> torch.nn.Module | None:
        """Elementwise function of the target that is attributed; None for the target itself.

        It is a module, so that DeepLIFT has a rule for it.
        """
        return None

    def activity(self, output: Any) -> torch.Tensor:
        """Return the (B,) scalar whose change is the predicted effect of a variant.

        By default it is the target, without a link: of several outputs their sum, or the one that
        is attributed.
        """
        return self.target(output)

    def explained(self, output: Any) -> torch.Tensor:
        """Return the (B,) scalar that is attributed: the target, or the link of it."""
        link, target = self.link, self.target(output)
        if link is None:
            return target
        value: torch.Tensor = link(target)
        return value

    @abstractmethod
    def predictions(self, output: Any, batch: Batch) -> Mapping[str, torch.Tensor]:
        """Return the arrays, (B, ...) each, that the task's prediction metrics read, by name."""

    @abstractmethod
    def chance(self, dataset: Dataset) -> Mapping[str, NDArray[np.float32]]:
        """Return the ``predictions`` for the scored rows of a model that knows averages only.

        They are the floor of the prediction metrics: a failed trial counts as no better.
        """

    def references(
        self, dataset: Dataset, generator: np.random.Generator
    ) -> Mapping[str, Mapping[str, NDArray[np.float32]]]:
        """Return ``predictions`` for the scored rows that show which scores are in reach, by name.

        A reference may lack arrays; the metrics that read them are then left out.
        """
        return {}

    @abstractmethod
    def applies(self, batch: Batch) -> torch.Tensor:
        """Return (B,) bool, the examples that an attribution prior applies to."""
