"""Many related outputs at once, each a mixture of motifs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from priorbench import Batch, UserError
from priorbench.components.architecture import Scale
from priorbench.data.codes import DECOY, MOTIF
from priorbench.data.dataset_writer import DatasetWriter
from priorbench.data.readers.data_file import DataFile
from priorbench.data.readers.read_multitask import read_multitask
from priorbench.data.simulated_examples import SimulatedExamples
from priorbench.data.simulation import (
    draw_places,
    markov_background,
    motif_from_consensus,
    nothing_planted,
    plant,
)

from ._logit import SimulatedTask
from ._motifs import (
    DECOY_CONSENSUS,
    E_BOX,
    GC_BOX,
    NUCLEAR_RECEPTOR_SITE,
    OCTAMER,
    SOX_SITE,
    TARGET_CONSENSUS,
    check_fidelity,
)

_GATA_SITE = "CTTATCTCT"
_MOTIFS = (
    TARGET_CONSENSUS,
    DECOY_CONSENSUS,
    E_BOX,
    OCTAMER,
    SOX_SITE,
    NUCLEAR_RECEPTOR_SITE,
    GC_BOX,
    _GATA_SITE,
)
_MOST_OUTPUTS = 28
"""pairs of eight motifs"""
_PRESENT = 0.2
"""share of the sequences that hold a motif"""


@dataclass(frozen=True)
class Multitask(SimulatedTask):
    """K outputs, mean cross-entropy over them, attribution of their sum or of one.

    Simulated: each of eight motifs is in a fifth of the sequences; an output is positive where
    any of its two motifs is. Outputs share motifs, so they are related. Trained for twice as
    many epochs as other tasks. The prior applies to sequences with a positive output, or, with the
    option ``output``, to those where that output is positive.

    Attributes:
        outputs: number K of outputs of simulated data; users' data have their own.
        output: number of the output that is attributed, from 1; 0 for the sum over outputs.
        fidelity: probability of the consensus base in every motif column.
    """

    summary: ClassVar[str] = "K related outputs of one sequence, one logit each"
    citation: ClassVar[str] = "Kelley, Snoek & Rinn, Genome Research 2016"
    architecture: ClassVar[str] = "basset"
    epochs: ClassVar[float] = 2.0
    sizes: ClassVar[Mapping[Scale, tuple[int, int, int, int]]] = {
        "smoke": (100, 400, 100, 200),
        "quick": (150, 6000, 1000, 1000),
        "standard": (200, 20000, 4000, 4000),
        "paper": (600, 50000, 10000, 10000),
    }

    outputs: int = 16
    output: int = 0
    fidelity: float = 0.95

    def __post_init__(self) -> None:
        """Refuse options outside their range."""
        super().__post_init__()
        if not 1 <= self.outputs <= _MOST_OUTPUTS:
            raise UserError(f"outputs {self.outputs} is not between 1 and {_MOST_OUTPUTS}")
        if self.output < 0:
            raise UserError(f"output {self.output} is negative; use 0 for the sum over outputs")
        check_fidelity(self.fidelity)

    def room(self) -> int:
        """Return the shortest window in bp into which the motifs fit."""
        return sum(map(len, _MOTIFS))

    def mixtures(self) -> NDArray[np.bool_]:
        """Return (K, motifs) bool: which motifs make an output positive.

        They are neighbours on a ring first, then motifs that are further apart.
        """
        count = len(_MOTIFS)
        chosen = np.zeros((self.outputs, count), dtype=bool)
        for output in range(self.outputs):
            step, first = divmod(output, count)
            chosen[output, [first, (first + 1 + step % (count - 1)) % count]] = True
        return chosen

    def positive(self, labels: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Return (N,) bool: the positives of the attributed output, or of any."""
        if self.output > labels.shape[1]:
            raise UserError(
                f"output {self.output} is beyond the {labels.shape[1]} outputs there are"
            )
        chosen = labels if self.output == 0 else labels[:, [self.output - 1]]
        positive: NDArray[np.bool_] = (chosen == 1).any(axis=1)
        return positive

    def draw(self, count: int, length: int, generator: np.random.Generator) -> SimulatedExamples:
        """Draw windows with several motifs, whose outputs follow from the motifs."""
        if self.output > self.outputs:
            raise UserError(f"output {self.output} is beyond the {self.outputs} outputs there are")
        planted = nothing_planted(markov_background(count, length, generator))
        present = generator.random((count, len(_MOTIFS))) < _PRESENT
        # places of absent motifs are kept free, so that places do not tell what is there
        places = draw_places(count, [len(text) for text in _MOTIFS], length, generator)
        mixtures = self.mixtures()
        chosen = slice(None) if self.output == 0 else slice(self.output - 1, self.output)
        labels = (present @ mixtures.T).astype(np.float32)
        for index, text in enumerate(_MOTIFS):
            # how many of the attributed outputs the motif makes positive
            feeds = int(mixtures[chosen, index].sum())
            motif = motif_from_consensus(text, text, self.fidelity)
            before = planted.oracle.copy()
            rows = np.flatnonzero(present[:, index])
            code = MOTIF if feeds else DECOY
            plant(planted, motif, rows, generator, code=code, starts=places[:, index])
            planted.oracle[planted.oracle != before] *= feeds
        return SimulatedExamples(labels, planted)

    def read(self, writer: DatasetWriter, data: DataFile, generator: np.random.Generator) -> None:
        """Write the user's sequences with their labels."""
        both = type(self).reverse_complement
        read_multitask(writer, data, generator, both_strands=both, positive=self.positive)

    def prediction_loss(self, output: torch.Tensor, batch: Batch) -> torch.Tensor:
        """Return the (B,) binary cross-entropy in nats, mean over outputs."""
        losses = F.binary_cross_entropy_with_logits(output, batch.label, reduction="none")
        return losses.mean(dim=1)

    def target(self, output: torch.Tensor) -> torch.Tensor:
        """Return the (B,) sum of the logits, or one of them."""
        return output.sum(dim=1) if self.output == 0 else output[:, self.output - 1]

    def predictions(self, output: torch.Tensor, batch: Batch) -> Mapping[str, torch.Tensor]:
        """Return ``logit``: (B, K)."""
        return {"logit": output}

    def applies(self, batch: Batch) -> torch.Tensor:
        """Return (B,) bool: the positives of the attributed output, or of any."""
        chosen = batch.label if self.output == 0 else batch.label[:, [self.output - 1]]
        return (chosen == 1).any(dim=1)
