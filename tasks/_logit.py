"""What tasks of 0/1 labels and planted motifs share: simulation, metrics and loss."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from priorbench import Batch, Task, UserError
from priorbench.components.architecture import Scale
from priorbench.data.codes import TRAIN
from priorbench.data.dataset import Dataset
from priorbench.data.dataset_writer import DatasetWriter
from priorbench.data.readers.data_file import DataFile
from priorbench.data.readers.read_binary import read_binary
from priorbench.data.simulated_examples import SimulatedExamples, write_examples

_CHUNK = 2000


@dataclass(frozen=True, kw_only=True)
class SimulatedTask(Task):
    """A task of 0/1 labels whose sequences are drawn chunk by chunk; a subclass says how.

    Attributes:
        channels: channel that simulated data offer to priors: ``motif``, 1 inside the planted
            motifs, or none; users' data have their own.
    """

    reverse_complement: ClassVar[bool] = True
    metrics: ClassVar[tuple[str, ...]] = (
        "auroc",
        "auprc",
        "auprc-corrected",
        "cross-entropy",
        "calibration-error",
    )
    # length in bp, then sequences for training, validation and test
    sizes: ClassVar[Mapping[Scale, tuple[int, int, int, int]]] = {
        "smoke": (80, 400, 100, 200),
        "quick": (120, 3000, 800, 1000),
        "standard": (200, 20000, 4000, 4000),
        "paper": (1000, 50000, 10000, 10000),
    }

    channels: Literal["none", "motif"] = "none"

    @abstractmethod
    def draw(self, count: int, length: int, generator: np.random.Generator) -> SimulatedExamples:
        """Draw ``count`` examples of ``length`` bp."""

    @abstractmethod
    def room(self) -> int:
        """Return the shortest window in bp into which everything fits, wherever it falls."""

    def positive(self, labels: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Return (N,) bool: the examples that are attributed."""
        positive: NDArray[np.bool_] = labels == 1
        return positive

    def simulate(self, writer: DatasetWriter, scale: Scale, generator: np.random.Generator) -> None:
        """Write simulated sequences of the scale's size, with what is known about them."""
        length, *sizes = self.sizes[scale]
        if length < self.room():
            raise UserError(
                f"the planted motifs need windows of {self.room()} bp, scale {scale} has {length}; "
                "plant less or use a larger --scale"
            )

        def draw(count: int, split: int) -> SimulatedExamples:
            return self.draw(count, length, generator)

        write_examples(
            writer,
            sizes,
            draw,
            self.positive,
            chunk=_CHUNK,
            motif_channel=self.channels == "motif",
        )

    def chance(self, dataset: Dataset) -> Mapping[str, NDArray[np.float32]]:
        """Return ``logit``: (N, ...) the log-odds of the shares of positives in training."""
        label = dataset.columns["label"]
        share = label.take(dataset.rows(TRAIN)).mean(axis=0)
        # shares of 0 and 1 have no log-odds
        p = np.where((share > 0) & (share < 1), share, np.float32(0.5))
        odds = np.asarray(np.log(p / (1 - p)), dtype=np.float32)
        return {"logit": np.broadcast_to(odds, (len(dataset.scored_rows), *label.shape[1:]))}


@dataclass(frozen=True, kw_only=True)
class LogitTask(SimulatedTask):
    """Positives against negatives, cross-entropy, attribution of the logit or of the probability.

    Attributes:
        attributed: what is attributed and penalised: the ``logit``, or the ``probability``, its
            sigmoid, whose gradient is small where the network is sure.
    """

    architecture: ClassVar[str] = "three-conv"

    attributed: Literal["logit", "probability"] = "logit"

    def read(self, writer: DatasetWriter, data: DataFile, generator: np.random.Generator) -> None:
        """Write the user's positives and negatives."""
        read_binary(writer, data, generator, both_strands=type(self).reverse_complement)

    def prediction_loss(self, output: torch.Tensor, batch: Batch) -> torch.Tensor:
        """Return the (B,) binary cross-entropy in nats."""
        return F.binary_cross_entropy_with_logits(output[:, 0], batch.label, reduction="none")

    def target(self, output: torch.Tensor) -> torch.Tensor:
        """Return the (B,) logit."""
        return output[:, 0]

    @property
    def link(self) -> torch.nn.Module | None:
        """The sigmoid where the probability is attributed."""
        return torch.nn.Sigmoid() if self.attributed == "probability" else None

    def predictions(self, output: torch.Tensor, batch: Batch) -> Mapping[str, torch.Tensor]:
        """Return ``logit``: (B,)."""
        return {"logit": output[:, 0]}

    def applies(self, batch: Batch) -> torch.Tensor:
        """Return (B,) bool: the positives."""
        return batch.label == 1


def alternate(count: int) -> NDArray[np.float32]:
    """Return (count,) float32 labels 1, 0, 1, 0, ..."""
    return np.equal(np.arange(count) % 2, 0).astype(np.float32)
