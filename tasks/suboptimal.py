"""Motifs with one bad base: a negative attribution between positive ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from priorbench import UserError
from priorbench.components.contracts import Axis
from priorbench.data.codes import DECOY, MOTIF, SUBOPTIMAL
from priorbench.data.simulation import (
    Instances,
    draw_instances,
    draw_places,
    markov_background,
    motif_from_consensus,
    mutated_codes,
    nothing_planted,
    plant,
    weights_of,
    with_mutations,
    write_instance,
)

from ._logit import LogitTask, SimulatedExamples, alternate

_TARGET = "GCATGAGTCACC"
_DECOY = "CCATATAAGG"
_MOST_MUTATED = 0.3


@dataclass(frozen=True)
class Suboptimal(LogitTask):
    """Bound against unbound windows; some of what is bound has one base of low affinity.

    Positives hold one instance of the target. A share of them has the best base in every column
    but one, which has the worst: the bases around it speak for binding, the mutated one against
    it, and so should attributions. A prior that smooths them is against that. In the others every
    base is drawn from the matrix. Negatives hold the bases of an instance in a random order. The
    oracle is the log-odds of the matrix that results, column by
    column: what a model knows that adds up bases. A decoy is in both classes. The prior applies to
    positives.

    Attributes:
        fidelity: probability of the consensus base in every column of the motif.
        mutated: share of the positives whose instance has exactly one base of low affinity; with
            many of them a low base would itself become a sign of binding.
    """

    summary: ClassVar[str] = "motif instances with one base of low affinity between good ones"
    citation: ClassVar[str] = "Farley et al., Science 2015"
    reverse_complement: ClassVar[bool] = True
    primary: ClassVar[Mapping[Axis, str]] = {"localisation": "suboptimal-sign"}
    fidelity: float = 0.8
    mutated: float = 0.2

    def __post_init__(self) -> None:
        """Refuse options outside their range."""
        super().__post_init__()
        if not 0.25 < self.fidelity < 1:
            raise UserError(f"fidelity {self.fidelity:g} is not between 0.25 and 1")
        if not 0 < self.mutated <= _MOST_MUTATED:
            raise UserError(f"mutated {self.mutated:g} is not above 0 and at most {_MOST_MUTATED}")

    def room(self) -> int:
        """See LogitTask.room."""
        return len(_TARGET) + len(_DECOY)

    def draw(self, count: int, length: int, generator: np.random.Generator) -> SimulatedExamples:
        """See LogitTask.draw."""
        labels = alternate(count)
        sequences = markov_background(count, length, generator)
        planted = nothing_planted(count, length)
        motif = motif_from_consensus("target", _TARGET, self.fidelity)
        codes = draw_instances(motif, count, generator)
        mutated = generator.random(count) < self.mutated
        codes[mutated] = mutated_codes(motif, int(mutated.sum()), generator)
        kinds = np.full(codes.shape, MOTIF, dtype=np.uint8)
        worst = motif.matrix.argmin(axis=1)
        kinds[mutated[:, None] & (codes == worst)] = SUBOPTIMAL
        generating = with_mutations(motif, self.mutated)
        instances = Instances(generating, codes, weights_of(generating, codes), kinds)
        instances = instances.turned(generator.random(count) < 0.5)
        instances = instances.scrambled(labels == 0, generator)
        places = draw_places(count, [motif.width, len(_DECOY)], length, generator)
        for row, start in enumerate(places[:, 0].tolist()):
            write_instance(sequences, planted, (row, start), instances, row)
        decoy = motif_from_consensus("decoy", _DECOY, self.fidelity)
        some = np.flatnonzero(generator.random(count) < 0.5)
        plant(
            sequences,
            decoy,
            some,
            planted,
            code=DECOY,
            generator=generator,
            starts=places[some, 1],
        )
        return SimulatedExamples(sequences, labels, planted, {})
