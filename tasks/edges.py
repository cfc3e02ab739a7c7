"""The same motif near the ends of the window and in its middle: who is pushed down, who up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from priorbench import UserError
from priorbench.data.codes import DECOY, MOTIF
from priorbench.data.simulation import (
    make_instances,
    markov_background,
    motif_from_consensus,
    nothing_planted,
    plant,
    write_instance,
)
from priorbench.edges.motif_places import NOWHERE, WHERE

from ._logit import LogitTask, SimulatedExamples, alternate

_TARGET = "GCATGAGTCACC"
_DECOY = "CCATATAAGG"
_MIXED = ("start", "end", "both", "middle", "both-middle")


@dataclass(frozen=True)
class Edges(LogitTask):
    """Bound against unbound windows; the motif stands at a controlled distance from the ends.

    ``where=both`` plants two instances, one at either end, which a periodic transform takes for
    neighbours; ``middle`` plants one in the middle; ``both-middle`` two, as far from each other
    there as those of ``both`` are around the ends; ``mixed`` puts every positive, by turns, into
    one of these five places; ``anywhere`` plants one at a random place. Negatives hold the bases
    of instances in a random order, at the same places. A decoy is in both classes. The prior
    applies to positives.

    Attributes:
        where: the place of the motif.
        distance: bp between the motif and the end of the window, the least for ``anywhere``.
        fidelity: probability of the consensus base in every motif column.
    """

    summary: ClassVar[str] = "the same motif at the ends of the window, at both, and in the middle"
    citation: ClassVar[str] = "Tseng, Shrikumar & Kundaje, NeurIPS 2020"
    reverse_complement: ClassVar[bool] = True

    where: Literal["mixed", "start", "end", "both", "middle", "both-middle", "anywhere"] = "mixed"
    distance: int = 0
    fidelity: float = 0.8

    def __post_init__(self) -> None:
        """Refuse options outside their range."""
        super().__post_init__()
        if self.distance < 0:
            raise UserError(f"distance {self.distance} is negative; 0 touches the end")
        if not 0.25 < self.fidelity < 1:
            raise UserError(f"fidelity {self.fidelity:g} is not between 0.25 and 1")

    def room(self) -> int:
        """See LogitTask.room."""
        # the decoy fits beside the motif in the middle, and between those at the ends
        return 2 * (self.distance + len(_TARGET) + len(_DECOY))

    def place(self, turn: int) -> str:
        """Where the motif of the ``turn``-th window of its class stands."""
        return _MIXED[turn % len(_MIXED)] if self.where == "mixed" else self.where

    def starts(self, name: str, length: int, generator: np.random.Generator) -> Sequence[int]:
        """First positions of the motifs of a window; a random one for ``anywhere``."""
        width, first = len(_TARGET), self.distance
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
        """See LogitTask.draw; ``where`` numbers the place as in WHERE, NOWHERE for negatives."""
        labels = alternate(count)
        sequences = markov_background(count, length, generator)
        planted = nothing_planted(count, length)
        motif = motif_from_consensus("target", _TARGET, self.fidelity)
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
                write_instance(sequences, planted, (row, start), instances, index)
        decoy = motif_from_consensus("decoy", _DECOY, self.fidelity)
        some = np.flatnonzero(generator.random(count) < 0.5)
        plant(sequences, decoy, some, planted, code=DECOY, generator=generator)
        return SimulatedExamples(sequences, labels, planted, {"where": numbers})
