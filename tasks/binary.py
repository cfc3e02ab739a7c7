"""Does a protein bind this DNA? One logit per window."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from priorbench import UserError
from priorbench.dataset import DECOY, MOTIF
from priorbench.simulation import (
    HUMAN_DINUCLEOTIDES,
    markov_background,
    motif_from_consensus,
    nothing_planted,
    plant,
    shift_gc,
)

from ._logit import Drawn, LogitTask, alternate, room_for

_TARGET = "GCATGAGTCACC"
_DECOYS = ("CCATATAAGG", "ACCACGTGGT")
_CO_FACTORS = ("TGACCTTTGA", "ATTTGCATAA", "GGGGCGGGGC")


@dataclass(frozen=True)
class Binary(LogitTask):
    """Bound against unbound windows, cross-entropy, attribution of the logit.

    Simulated: a Markov background; a target motif once or twice in positives; two decoy motifs
    in both classes, so that only the target tells the classes apart. The prior applies to
    positives.

    Attributes:
        fidelity: probability of the consensus base in every motif column; lower is harder.
        copies: positives hold between one and this many instances of the target.
        co_factors: further motifs, each in half of the positives and in no negative.
        gc_shift: how much G and C are favoured in the background of positives, in log-odds per
            base; attribution of it lies outside the motifs.
    """

    summary: ClassVar[str] = "binding or not, one logit per DNA window"
    citation: ClassVar[str] = "Tseng, Shrikumar & Kundaje, NeurIPS 2020"
    reverse_complement: ClassVar[bool] = True

    fidelity: float = 0.8
    copies: int = 2
    co_factors: int = 0
    gc_shift: float = 0.0

    def __post_init__(self) -> None:
        """Refuse options outside their range."""
        # four targets and both decoys fit the shortest window without overlap, wherever they fall
        if not 0.25 < self.fidelity < 1:
            raise UserError(f"fidelity {self.fidelity:g} is not between 0.25 and 1")
        if not 1 <= self.copies <= 4:
            raise UserError(f"copies {self.copies} is not between 1 and 4")
        if not 0 <= self.co_factors <= len(_CO_FACTORS):
            raise UserError(f"co_factors {self.co_factors} is not between 0 and {len(_CO_FACTORS)}")
        if not abs(self.gc_shift) <= 2:
            raise UserError(f"gc_shift {self.gc_shift:g} is not between -2 and 2")

    def room(self) -> int:
        """See LogitTask.room."""
        others = (*_CO_FACTORS[: self.co_factors], *_DECOYS)
        return room_for([len(_TARGET)] * self.copies + [len(text) for text in others])

    def draw(self, count: int, length: int, generator: np.random.Generator) -> Drawn:
        """See LogitTask.draw."""
        labels = alternate(count)
        sequences = markov_background(count, length, generator)
        if self.gc_shift:
            shifted = shift_gc(HUMAN_DINUCLEOTIDES, self.gc_shift)
            sequences[labels == 1] = markov_background(
                int(labels.sum()), length, generator, shifted
            )
        planted = nothing_planted(count, length)
        target = motif_from_consensus("target", _TARGET, self.fidelity)
        for copy in range(self.copies):
            more = labels == 1
            if copy:
                more &= generator.random(count) < 0.5
            plant(sequences, target, np.flatnonzero(more), planted, code=MOTIF, generator=generator)
        for text in _CO_FACTORS[: self.co_factors]:
            motif = motif_from_consensus("co-factor", text, self.fidelity)
            more = (labels == 1) & (generator.random(count) < 0.5)
            plant(sequences, motif, np.flatnonzero(more), planted, code=MOTIF, generator=generator)
        for text in _DECOYS:
            decoy = motif_from_consensus("decoy", text, self.fidelity)
            chosen = np.flatnonzero(generator.random(count) < 0.5)
            plant(sequences, decoy, chosen, planted, code=DECOY, generator=generator)
        return Drawn(sequences, labels, planted, {})
