"""Does a protein bind this DNA? One logit per window."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from priorbench import Batch, Task, UserError
from priorbench.classification import read_classification
from priorbench.contracts import Scale
from priorbench.datafile import DataFile
from priorbench.dataset import DECOY, MOTIF, TEST, TRAIN, VALID, DatasetWriter
from priorbench.simulation import (
    Planted,
    markov_background,
    motif_from_consensus,
    nothing_planted,
    plant,
)

# length in bp, then sequences for training, validation and test
_SIZES: dict[Scale, tuple[int, int, int, int]] = {
    "smoke": (80, 400, 100, 200),
    "quick": (120, 3000, 800, 1000),
    "standard": (200, 20000, 4000, 4000),
    "paper": (1000, 50000, 10000, 10000),
}
_TARGET = "GCATGAGTCACC"
_DECOYS = ("CCATATAAGG", "ACCACGTGGT")
_CHUNK = 2000
_ATTRIBUTED = 1000


@dataclass(frozen=True)
class Binary(Task):
    """Bound against unbound windows, cross-entropy, attribution of the logit.

    Simulated: a Markov background; a target motif once or twice in positives; two decoy motifs
    in both classes, so that only the target tells the classes apart. The prior applies to
    positives.

    Attributes:
        fidelity: probability of the consensus base in every motif column; lower is harder.
        copies: positives hold between one and this many instances of the target.
    """

    summary: ClassVar[str] = "binding or not, one logit per DNA window"
    citation: ClassVar[str] = "Tseng, Shrikumar & Kundaje, NeurIPS 2020"
    architecture: ClassVar[str] = "three-conv"
    reverse_complement: ClassVar[bool] = True
    metrics: ClassVar[tuple[str, ...]] = ("auroc", "auprc", "cross-entropy")

    fidelity: float = 0.8
    copies: int = 2

    def __post_init__(self) -> None:
        """Refuse options outside their range."""
        # four targets and both decoys fit the shortest window without overlap, wherever they fall
        if not 0.25 < self.fidelity < 1:
            raise UserError(f"fidelity {self.fidelity:g} is not between 0.25 and 1")
        if not 1 <= self.copies <= 4:
            raise UserError(f"copies {self.copies} is not between 1 and 4")

    def simulate(self, writer: DatasetWriter, scale: Scale, generator: np.random.Generator) -> None:
        """See Task.simulate."""
        length, *sizes = _SIZES[scale]
        if length < self._room():
            raise UserError(
                f"copies {self.copies} need windows of {self._room()} bp, scale {scale} has "
                f"{length}; use fewer copies or a larger --scale"
            )
        truth, oracle, rows = [], [], []
        for split, size in zip((TRAIN, VALID, TEST), sizes, strict=True):
            for start in range(0, size, _CHUNK):
                count = min(_CHUNK, size - start)
                first = writer.rows
                sequences, labels, planted = self._draw(count, length, generator)
                writer.append(sequences, labels, np.full(count, split, dtype=np.uint8))
                if split == TEST:
                    positive = np.flatnonzero(labels == 1)
                    rows.append(first + positive)
                    truth.append(planted.codes[positive])
                    oracle.append(planted.oracle[positive])
        chosen = slice(0, _ATTRIBUTED)
        writer.attribute(
            np.concatenate(rows)[chosen],
            np.concatenate(truth)[chosen],
            np.concatenate(oracle)[chosen],
        )

    def _room(self) -> int:
        """Window in bp in which all motifs fit wherever the earlier ones fell."""
        widths = [len(_TARGET)] * self.copies + [len(consensus) for consensus in _DECOYS]
        largest = max(widths)
        # each motif blocks its own width and a largest width less one before it
        return sum(width + largest - 1 for width in widths[:-1]) + largest

    def _draw(
        self, count: int, length: int, generator: np.random.Generator
    ) -> tuple[NDArray[np.uint8], NDArray[np.float32], Planted]:
        target = motif_from_consensus("target", _TARGET, self.fidelity)
        decoys = [motif_from_consensus("decoy", text, self.fidelity) for text in _DECOYS]
        sequences = markov_background(count, length, generator)
        labels = (np.arange(count) % 2 == 0).astype(np.float32)
        planted = nothing_planted(count, length)
        for copy in range(self.copies):
            more = labels == 1
            if copy:
                more &= generator.random(count) < 0.5
            plant(sequences, target, np.flatnonzero(more), planted, code=MOTIF, generator=generator)
        for decoy in decoys:
            chosen = np.flatnonzero(generator.random(count) < 0.5)
            plant(sequences, decoy, chosen, planted, code=DECOY, generator=generator)
        return sequences, labels, planted

    def read(self, writer: DatasetWriter, data: DataFile, generator: np.random.Generator) -> None:
        """See Task.read."""
        read_classification(writer, data, generator, reverse_complement=True)

    def prediction_loss(self, output: torch.Tensor, batch: Batch) -> torch.Tensor:
        """(B,) binary cross-entropy in nats."""
        return F.binary_cross_entropy_with_logits(output[:, 0], batch.label, reduction="none")

    def target(self, output: torch.Tensor) -> torch.Tensor:
        """(B,) the logit."""
        return output[:, 0]

    def predictions(self, output: torch.Tensor) -> Mapping[str, torch.Tensor]:
        """``logit``: (B,)."""
        return {"logit": output[:, 0]}

    def chance(self, label: NDArray[np.float32]) -> Mapping[str, NDArray[np.float32]]:
        """``logit``: (N,) the log-odds of the share of positives."""
        share = float(label.mean())
        odds = np.log(share) - np.log1p(-share) if 0 < share < 1 else 0.0
        return {"logit": np.full(len(label), odds, dtype=np.float32)}

    def applies(self, batch: Batch) -> torch.Tensor:
        """(B,) bool: positives."""
        return batch.label == 1
