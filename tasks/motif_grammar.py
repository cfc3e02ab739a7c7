"""Several motifs of a small set against motifs of a larger one: Task 3 of Koo & Ploenzke (2021)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from priorbench.components.architecture import Scale
from priorbench.data.codes import MOTIF, TEST, TRAIN, VALID
from priorbench.data.dataset_writer import DatasetWriter
from priorbench.data.simulated_examples import SimulatedExamples, write_examples
from priorbench.data.simulation import (
    Instances,
    Motif,
    Planted,
    kinds_of,
    nothing_planted,
    weights_of,
    write_instance,
)

from ._jaspar_core import CORE, KEPT, REMOVED, probabilities
from ._logit import LogitTask, alternate

_LENGTH = 200
_SEED = 22
_MATRICES_OF_SOURCE = 519
_OF_EACH_CLASS = 10_000
_SPLITS = {TRAIN: slice(0, 14_000), VALID: slice(14_000, 16_000), TEST: slice(16_000, 20_000)}
_FEWEST = 3
_UP_TO = (0.5, 0.75, 0.92, 0.97)
"""upper ends of the draws that give 3, 4, 5 and 6 motifs; above them there are 7"""
_ATTRIBUTED = 500
_SMALLEST = 1e-6  # log-odds of a base that never occurs are finite

_Sites = Sequence[tuple[int, int]]
"""numbers of motifs in a pool, and their starts"""


@dataclass(frozen=True)
class MotifGrammar(LogitTask):
    """Three to seven motifs on uniform bases, from five core motifs or from these and fifty others.

    Positives hold core motifs (SP1, GABPA, CEBPB, MAX, YY1), on either strand and in any order;
    negatives draw from a pool of 55, so that they may hold core motifs too. The 14,000, 2,000 and
    4,000 sequences of 200 bp are the published ones: drawn with NumPy's legacy generator and the
    published seed, whatever the study's root seed, in the published order; smaller scales take the
    first of each part. The first 500 positives of a part are attributed, of one's own draws
    1,000.

    Strands are not turned at random in training, as they are not in the published one. The prior
    applies to positives.

    Attributes:
        look_alikes: whether motifs that look like core motifs were ``removed`` from the further
            ones, or ``kept``. The published code means to remove them and keeps them; the published
            networks reach their scores where they are removed.
        draw_from: ``published`` for the published sequences, ``seed`` for as many of the same kind
            that are drawn from the study's root seed, one class after the other in turn.
        attributed: what is attributed, the ``logit`` or the ``probability``, as published.
    """

    summary: ClassVar[str] = "several motifs of five against motifs of fifty-five (Task 3)"
    citation: ClassVar[str] = "Koo & Ploenzke, Nature Machine Intelligence 2021"
    architecture: ClassVar[str] = "koo-local"
    reverse_complement: ClassVar[bool] = False
    sizes: ClassVar[Mapping[Scale, tuple[int, int, int, int]]] = {
        "smoke": (_LENGTH, 400, 100, 200),
        "quick": (_LENGTH, 3000, 800, 1000),
        "standard": (_LENGTH, 14_000, 2000, 4000),
        "paper": (_LENGTH, 14_000, 2000, 4000),
    }

    look_alikes: Literal["removed", "kept"] = "removed"
    draw_from: Literal["published", "seed"] = "published"

    def room(self) -> int:
        """Return the shortest window in bp that most draws of motifs fit into."""
        return _LENGTH // 2

    def simulate(self, writer: DatasetWriter, scale: Scale, generator: np.random.Generator) -> None:
        """Write the first sequences of each part of the published draw, or a draw of one's own."""
        if self.draw_from == "seed":
            super().simulate(writer, scale, generator)
            return
        everything = _published(REMOVED if self.look_alikes == "removed" else KEPT)

        def first(count: int, split: int) -> SimulatedExamples:
            return everything.examples(everything.order[_SPLITS[split]][:count])

        sizes = self.sizes[scale][1:]
        write_examples(
            writer,
            sizes,
            first,
            self.positive,
            chunk=max(sizes),
            motif_channel=self.channels == "motif",
            attributed=_ATTRIBUTED,
        )

    def draw(self, count: int, length: int, generator: np.random.Generator) -> SimulatedExamples:
        """Draw windows of core motifs and windows of all motifs, in turn."""
        labels = alternate(count)
        state = np.random.RandomState(int(generator.integers(2**32)))
        core, all_motifs = _pools(REMOVED if self.look_alikes == "removed" else KEPT)
        drawn = [_sequence(core if label else all_motifs, length, state) for label in labels]
        order = np.arange(count)
        return _Drawn(labels, [d[0] for d in drawn], [d[1] for d in drawn], order).examples(order)


@dataclass(frozen=True)
class _Drawn:
    """Sequences with the sites of their motifs.

    Attributes:
        labels: (N,) float32, 1 for core motifs only.
        sequences: N times (L,) uint8.
        sites: the motifs of each.
        order: (N,) int64, the rows in the order of training, validation and test data.
    """

    labels: NDArray[np.float32]
    sequences: Sequence[NDArray[np.uint8]]
    sites: Sequence[_Sites]
    order: NDArray[np.int64]

    def examples(self, rows: NDArray[np.int64]) -> SimulatedExamples:
        """Return some of them; motifs of negatives count as background."""
        planted = nothing_planted(np.stack([self.sequences[row] for row in rows]))
        for place, row in enumerate(rows.tolist()):
            if self.labels[row] == 1:
                for motif, start in self.sites[row]:
                    _mark(planted, (place, start), motif)
        return SimulatedExamples(self.labels[rows], planted)


def _mark(planted: Planted, at: tuple[int, int], number: int) -> None:
    """Record a core motif that stands in a sequence; odd numbers are on the other strand."""
    motif, flip = _core_motifs()[number // 2], np.array([number % 2 == 1])
    row, start = at
    codes = planted.sequences[None, row, start : start + motif.width]
    forward = 3 - codes[:, ::-1] if flip[0] else codes
    kinds = kinds_of(motif, 1, MOTIF)
    instance = Instances(motif, forward, weights_of(motif, forward), kinds).turned(flip)
    write_instance(planted, at, instance, 0)


@lru_cache(maxsize=1)
def _core_motifs() -> list[Motif]:
    return [Motif(name, np.maximum(probabilities(name), _SMALLEST)) for name in CORE]


def _both_strands(names: Sequence[str]) -> list[NDArray[np.float64]]:
    """Return matrices (width, 4), each followed by its reverse complement."""
    forward = [probabilities(name) for name in names]
    return [matrix for own in forward for matrix in (own, own[::-1, ::-1])]


def _pools(others: Sequence[str]) -> tuple[list[NDArray[np.float64]], list[NDArray[np.float64]]]:
    """Return the matrices of positives, and those of negatives."""
    return _both_strands(CORE), _both_strands([*CORE, *others])


@lru_cache(maxsize=2)
def _published(others: tuple[str, ...]) -> _Drawn:
    """Draw the published sequences, every number in the published order."""
    state = np.random.RandomState(_SEED)
    state.permutation(_MATRICES_OF_SOURCE)  # which chose the further motifs
    drawn = [
        _sequence(pool, _LENGTH, state) for pool in _pools(others) for _ in range(_OF_EACH_CLASS)
    ]
    labels = np.repeat(np.array([1, 0], dtype=np.float32), _OF_EACH_CLASS)
    order = state.permutation(2 * _OF_EACH_CLASS)
    return _Drawn(labels, [d[0] for d in drawn], [d[1] for d in drawn], order)


def _sequence(
    pool: Sequence[NDArray[np.float64]], length: int, state: np.random.RandomState
) -> tuple[NDArray[np.uint8], _Sites]:
    """Draw a sequence of motifs of a pool, and say where they stand."""
    while True:
        count = _FEWEST + int(np.searchsorted(_UP_TO, state.uniform()))
        motifs = state.randint(len(pool), size=count).tolist()
        widths = [len(pool[motif]) for motif in motifs]
        free = length - sum(widths)
        if free > 0:
            break
    while True:
        gaps = state.uniform(0, 2, count + 1)
        gaps = np.round(gaps / gaps.sum() * free)  # half to even
        if gaps.sum() == free:
            break
    probability = np.full((length, 4), 0.25)
    starts = (gaps.cumsum()[:-1] + np.cumsum([0, *widths[:-1]])).astype(int).tolist()
    for motif, start, width in zip(motifs, starts, widths, strict=True):
        probability[start : start + width] = pool[motif]
    chosen = state.uniform(size=length)[:, None] >= probability.cumsum(axis=1)[:, :3]
    return chosen.sum(axis=1).astype(np.uint8), list(zip(motifs, starts, strict=True))
