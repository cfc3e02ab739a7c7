"""Motifs with one bad base: a negative attribution between positive ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from priorbench import UserError
from priorbench.components.task import Axis
from priorbench.data.codes import MOTIF, SUBOPTIMAL
from priorbench.data.simulated_examples import SimulatedExamples
from priorbench.data.simulation import (
    Instances,
    draw_instances,
    draw_places,
    markov_background,
    motif_from_consensus,
    mutated_codes,
    nothing_planted,
    weights_of,
    with_mutations,
    write_instance,
)

from ._logit import LogitTask, alternate
from ._motifs import DECOY_CONSENSUS, TARGET_CONSENSUS, check_fidelity, plant_decoy

_MOST_MUTATED = 0.3


@dataclass(frozen=True)
class Suboptimal(LogitTask):
    """Bound against unbound windows; some of what is bound has one base of low affinity.

    Positives hold one instance of the target. A share of them has the best base in every column
    but one, which has the worst: the bases around it speak for binding, the mutated one against
    it, and so should attributions. A prior that smooths them works against that. In the other
    positives every base is drawn from the matrix. Negatives hold the bases of an instance in a
    random order. The oracle is the log-odds of the matrix that results, column by column: what a
    model that adds up bases knows. A decoy is in both classes. The prior applies to positives.

    Attributes:
        fidelity: probability of the consensus base in every column of the motif.
        mutated: share of the positives whose instance has exactly one base of low affinity; with
            many of them a low base would itself become a sign of binding.
    """

    summary: ClassVar[str] = "motif instances with one base of low affinity between good ones"
    citation: ClassVar[str] = "Farley et al., Science 2015"
    primary: ClassVar[Mapping[Axis, str]] = {"localisation": "suboptimal-sign"}

    fidelity: float = 0.8
    mutated: float = 0.2

    def __post_init__(self) -> None:
        """Refuse options outside their range."""
        super().__post_init__()
        check_fidelity(self.fidelity)
        if not 0 < self.mutated <= _MOST_MUTATED:
            raise UserError(f"mutated {self.mutated:g} is not above 0 and at most {_MOST_MUTATED}")

    def room(self) -> int:
        """Return the shortest window in bp into which the motifs fit."""
        return len(TARGET_CONSENSUS) + len(DECOY_CONSENSUS)

    def draw(self, count: int, length: int, generator: np.random.Generator) -> SimulatedExamples:
        """Draw windows, some of whose instances have one base of low affinity."""
        labels = alternate(count)
        planted = nothing_planted(markov_background(count, length, generator))
        motif = motif_from_consensus("target", TARGET_CONSENSUS, self.fidelity)
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
        places = draw_places(count, [motif.width, len(DECOY_CONSENSUS)], length, generator)
        for row, start in enumerate(places[:, 0].tolist()):
            write_instance(planted, (row, start), instances, row)
        plant_decoy(planted, self.fidelity, generator, places[:, 1])
        return SimulatedExamples(labels, planted)
