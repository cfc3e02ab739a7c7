"""Two motifs that act together only: what a prior does to the grammar of binding sites."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from priorbench import UserError
from priorbench.components.architecture import Scale
from priorbench.data.codes import DECOY, MOTIF
from priorbench.data.simulated_examples import SimulatedExamples
from priorbench.data.simulation import (
    free_start,
    make_instances,
    markov_background,
    motif_from_consensus,
    nothing_planted,
    write_instance,
)

from ._logit import LogitTask, alternate
from ._motifs import OCTAMER, SOX_SITE, check_fidelity

_MOTIFS = (OCTAMER, SOX_SITE)


@dataclass(frozen=True)
class Syntax(LogitTask):
    """Positives hold two motifs in a preferred arrangement; negatives one, or both in another.

    In a positive the two stand in one order and orientation with a gap of ``spacing`` bp, give or
    take ``jitter``, the pair on either strand (as Oct4 and Sox2 do). In a negative one of them
    stands alone, beside the bases of the other in a random order, or, in a share of
    ``wrong_spacing``, both stand at another gap or orientation. Motifs of a negative count as
    decoys. The prior applies to positives.

    Attributes:
        spacing: preferred gap between the two motifs, in bp.
        jitter: largest difference between the gap and ``spacing``, in bp.
        wrong_spacing: share of the negatives that hold both motifs in another arrangement.
        fidelity: probability of the consensus base in every motif column.
    """

    summary: ClassVar[str] = "two cooperating motifs at a preferred spacing; one alone is negative"
    citation: ClassVar[str] = "Avsec et al., Nature Genetics 2021"
    # what one motif alone does must be unlearnt, which takes more sequences
    sizes: ClassVar[Mapping[Scale, tuple[int, int, int, int]]] = {
        **LogitTask.sizes,
        "quick": (120, 6000, 1000, 1000),
    }

    spacing: int = 6
    jitter: int = 1
    wrong_spacing: float = 0.0
    fidelity: float = 0.9

    def __post_init__(self) -> None:
        """Refuse options outside their range."""
        super().__post_init__()
        if not 0 <= self.jitter <= self.spacing:
            raise UserError(f"jitter {self.jitter} is not between 0 and spacing {self.spacing}")
        if not 0 <= self.wrong_spacing <= 1:
            raise UserError(f"wrong_spacing {self.wrong_spacing:g} is not between 0 and 1")
        check_fidelity(self.fidelity)

    def room(self) -> int:
        """Return the shortest window in bp into which the motifs fit."""
        return sum(map(len, _MOTIFS)) + 2 * (self.spacing + self.jitter) + 2

    def draw(self, count: int, length: int, generator: np.random.Generator) -> SimulatedExamples:
        """Draw windows whose negatives hold one motif alone, or both in a wrong arrangement."""
        labels = alternate(count)
        planted = nothing_planted(markov_background(count, length, generator))
        motifs = [motif_from_consensus(text, text, self.fidelity) for text in _MOTIFS]
        both = (labels == 1) | (generator.random(count) < self.wrong_spacing)
        alone = generator.integers(0, 2, count)
        reversed_pair = generator.random(count) < 0.5
        for row in range(count):
            code = MOTIF if labels[row] == 1 else DECOY
            pair = [make_instances(motif, 1, code, generator) for motif in motifs]
            if not both[row]:
                broken = 1 - alone[row]
                pair[broken] = pair[broken].scrambled(np.array([True]), generator)
            if labels[row] == 1 or not both[row]:
                gap = self.spacing + int(generator.integers(-self.jitter, self.jitter + 1))
            else:
                gap = self._wrong_gap(generator)
                if generator.random() < 0.5:  # in another orientation any gap is wrong
                    gap = int(generator.integers(2 * (self.spacing + self.jitter) + 3))
                    which = int(generator.integers(2))
                    pair[which] = pair[which].turned(np.array([True]))
            if reversed_pair[row]:
                pair = [instance.turned(np.array([True])) for instance in reversed(pair)]
            widths = [instance.codes.shape[1] for instance in pair]
            start = free_start(planted.occupied[row], sum(widths) + gap, generator)
            for instance, width in zip(pair, widths, strict=True):
                write_instance(planted, (row, start), instance, 0)
                start += width + gap
        return SimulatedExamples(labels, planted)

    def _wrong_gap(self, generator: np.random.Generator) -> int:
        """Draw a gap that is not within the jitter of the preferred one."""
        right = range(self.spacing - self.jitter, self.spacing + self.jitter + 1)
        gaps = [g for g in range(2 * (self.spacing + self.jitter) + 3) if g not in right]
        return int(generator.choice(gaps))
