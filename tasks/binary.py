"""Does a protein bind this DNA? One logit per window."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from priorbench import UserError
from priorbench.data.codes import DECOY, MOTIF
from priorbench.data.simulated_examples import SimulatedExamples
from priorbench.data.simulation import (
    HUMAN_DINUCLEOTIDES,
    Motif,
    draw_places,
    markov_background,
    motif_from_consensus,
    nothing_planted,
    plant,
    shift_gc,
)

from ._logit import LogitTask, alternate
from ._motifs import (
    DECOY_CONSENSUS,
    E_BOX,
    GC_BOX,
    NUCLEAR_RECEPTOR_SITE,
    TARGET_CONSENSUS,
    check_fidelity,
)

_DECOYS = (DECOY_CONSENSUS, E_BOX)
_CO_FACTORS = (NUCLEAR_RECEPTOR_SITE, "ATTTGCATAA", GC_BOX)


@dataclass(frozen=True)
class Binary(LogitTask):
    """Bound against unbound windows, cross-entropy, attribution of the logit.

    Simulated: a Markov background; a target motif once or twice in positives; two decoy motifs
    in both classes. Negatives hold the bases of as many instances, each in a random order, so that
    neither GC content nor the places of decoys tell the classes apart. The prior applies to
    positives.

    Attributes:
        fidelity: probability of the consensus base in every motif column; lower is harder.
        copies: largest number of instances of the target in a positive, which holds at least one.
        co_factors: number of further motifs, each in half of the positives; scrambled in negatives.
        gc_shift: preference for G and C in the background of positives, in log-odds per base;
            attribution of it lies outside the motifs.
    """

    summary: ClassVar[str] = "binding or not, one logit per DNA window"
    citation: ClassVar[str] = "Tseng, Shrikumar & Kundaje, NeurIPS 2020"

    fidelity: float = 0.8
    copies: int = 2
    co_factors: int = 0
    gc_shift: float = 0.0

    def __post_init__(self) -> None:
        """Refuse options outside their range."""
        super().__post_init__()
        check_fidelity(self.fidelity)
        if not 1 <= self.copies <= 4:
            raise UserError(f"copies {self.copies} is not between 1 and 4")
        if not 0 <= self.co_factors <= len(_CO_FACTORS):
            raise UserError(f"co_factors {self.co_factors} is not between 0 and {len(_CO_FACTORS)}")
        if not abs(self.gc_shift) <= 2:
            raise UserError(f"gc_shift {self.gc_shift:g} is not between -2 and 2")

    def room(self) -> int:
        """Return the shortest window in bp into which the motifs fit."""
        return sum(motif.width for motif in self._motifs())

    def draw(self, count: int, length: int, generator: np.random.Generator) -> SimulatedExamples:
        """Draw windows whose negatives hold the scrambled motifs of positives."""
        labels = alternate(count)
        bound = labels == 1
        sequences = markov_background(count, length, generator)
        if self.gc_shift:
            shifted = shift_gc(HUMAN_DINUCLEOTIDES, self.gc_shift)
            sequences[bound] = markov_background(int(labels.sum()), length, generator, shifted)
        planted = nothing_planted(sequences)
        motifs = self._motifs()
        places = draw_places(count, [motif.width for motif in motifs], length, generator)
        for index, motif in enumerate(motifs):
            always = index == 0  # the first copy of the target
            rows = np.flatnonzero(always | (generator.random(count) < 0.5))
            decoy = motif.name == "decoy"
            code, scrambled = (DECOY, None) if decoy else (MOTIF, ~bound)
            starts = places[:, index]
            plant(planted, motif, rows, generator, code=code, starts=starts, scrambled=scrambled)
        return SimulatedExamples(labels, planted)

    def _motifs(self) -> list[Motif]:
        """Return the target as often as it may occur, co-factors, decoys."""
        named = [
            *[("target", TARGET_CONSENSUS)] * self.copies,
            *[(f"co-factor {i + 1}", _CO_FACTORS[i]) for i in range(self.co_factors)],
            *[("decoy", text) for text in _DECOYS],
        ]
        return [motif_from_consensus(name, text, self.fidelity) for name, text in named]
