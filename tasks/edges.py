"""The same motif near the ends of the window and in its middle: where does a prior push it down?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from priorbench import UserError
from priorbench.data.codes import MOTIF, NOWHERE, WHERE
from priorbench.data.simulated_examples import SimulatedExamples
from priorbench.data.simulation import (
    make_instances,
    markov_background,
    motif_from_consensus,
    nothing_planted,
    write_instance,
)

from ._logit import LogitTask, alternate
from ._motifs import DECOY_CONSENSUS, TARGET_CONSENSUS, check_fidelity, plant_decoy

_MIXED = ("start", "end", "both", "middle", "both-middle")


@dataclass(frozen=True)
class Edges(LogitTask):
    """Bound against unbound windows; the motif stands at a controlled distance from the ends.

    ``where=start`` and ``where=end`` plant one instance at that end; ``both`` plants two, one at
    either end, which a periodic transform takes for neighbours; ``middle`` plants one in the
    middle; ``both-middle`` plants two there, as far from each other as those of ``both`` are around
    the ends; ``mixed`` puts positives, by turns, into one of these five places; ``anywhere`` plants
    one at a random place. Negatives hold the bases of instances in a random order, at the same
    places. A decoy is in both classes. The prior applies to positives.

    Attributes:
        where: place of the motif.
        distance: bp between the motif and the end of the window; the least for ``anywhere``.
        fidelity: probability of the consensus base in every motif column.
    """

    summary: ClassVar[str] = "the same motif at the ends of the window, at both, and in the middle"
    citation: ClassVar[str] = "Tseng, Shrikumar & Kundaje, NeurIPS 2020"

    where: Literal["mixed", "start", "end", "both", "middle", "both-middle", "anywhere"] = "mixed"
    distance: int = 0
    fidelity: float = 0.8

    def __post_init__(self) -> None:
        """Refuse options outside their range."""
        super().__post_init__()
        if self.distance < 0:
            raise UserError(f"distance {self.distance} is negative; 0 touches the end")
        check_fidelity(self.fidelity)

    def room(self) -> int:
        """Return the shortest window in bp into which the motifs fit."""
        # the decoy fits beside the motif in the middle, and between those at the ends
        return 2 * (self.distance + len(TARGET_CONSENSUS) + len(DECOY_CONSENSUS))

    def place(self, turn: int) -> str:
        """Return where the motif of the ``turn``-th window of its class stands."""
        return _MIXED[turn % len(_MIXED)] if self.where == "mixed" else self.where

    def starts(self, name: str, length: int, generator: np.random.Generator) -> Sequence[int]:
        """Return first positions of the motifs of a window; a random one for ``anywhere``."""
        width, first = len(TARGET_CONSENSUS), self.distance
        last, middle = length - width, length // 2
        if name == "anywhere":
            return (int(generator.integers(first, last - first + 1)),)
        return {
            "start": (first,),
            "end": (last - first,),
            "both": (first, last - first),
            "middle": (last // 2,),
            "both-middle": (middle - first - width, middle + first),
        }[name]

    def draw(self, count: int, length: int, generator: np.random.Generator) -> SimulatedExamples:
        """Draw windows, with the array ``where``: a place's number in WHERE, or NOWHERE."""
        labels = alternate(count)
        planted = nothing_planted(markov_background(count, length, generator))
        motif = motif_from_consensus("target", TARGET_CONSENSUS, self.fidelity)
        numbers = np.full(count, NOWHERE, dtype=np.uint8)
        for row, bound in enumerate((labels == 1).tolist()):
            name = self.place(row // 2)  # positives and negatives alternate
            starts = self.starts(name, length, generator)
            instances = make_instances(motif, len(starts), MOTIF, generator)
            instances = instances.turned(generator.random(len(starts)) < 0.5)
            if bound:
                numbers[row] = WHERE.index(name)
            else:
                instances = instances.scrambled(np.full(len(starts), True), generator)
            for index, start in enumerate(starts):
                write_instance(planted, (row, start), instances, index)
        plant_decoy(planted, self.fidelity, generator)
        return SimulatedExamples(labels, planted, {"where": numbers})
