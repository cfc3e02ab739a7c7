"""Simulated sequences: Markov background, and motifs drawn from position weight matrices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from priorbench.encoding import reverse_complement

from .codes import BACKGROUND, DECOY, MOTIF, NEUTRAL

HUMAN_DINUCLEOTIDES = np.array(
    [
        [0.098, 0.050, 0.070, 0.077],
        [0.073, 0.052, 0.010, 0.070],
        [0.059, 0.043, 0.052, 0.050],
        [0.066, 0.059, 0.073, 0.098],
    ]
)
"""dinucleotide frequencies of the human genome, both strands, rounded to three digits; rows are the
first base, columns the second, A C G T; the depletion of CG is what uniform bases lack"""
TRANSCRIPT_DINUCLEOTIDES = np.array(
    [
        [0.106, 0.046, 0.063, 0.089],
        [0.063, 0.040, 0.007, 0.066],
        [0.056, 0.034, 0.042, 0.053],
        [0.079, 0.056, 0.072, 0.127],
    ]
)
"""the same frequencies in human transcripts, one strand: negative windows of three CLIP sets
(iONMF; Strazar et al., Bioinformatics 2016)"""
NEUTRAL_BELOW = 0.2
"""bits of information (of 2) under which a motif's column neither rewards nor punishes"""
_TYPICAL_DRAWS = 2000
_SILENT = np.isin(np.arange(256), (BACKGROUND, NEUTRAL, DECOY))
"""by position code, whether the base there counts neither for nor against a motif"""
_SMALLEST = 1e-6
"""probability of a base that never occurs, so that its log-odds are finite"""

_IUPAC = {
    **{"A": "A", "C": "C", "G": "G", "T": "T", "R": "AG", "Y": "CT", "S": "CG", "W": "AT"},
    **{"K": "GT", "M": "AC", "B": "CGT", "D": "AGT", "H": "ACT", "V": "ACG", "N": "ACGT"},
}


@dataclass(frozen=True)
class Motif:
    """A position weight matrix.

    Attributes:
        name: name in reports.
        matrix: (width, 4) probabilities of A C G T, every one above 0.
    """

    name: str
    matrix: NDArray[np.float64]

    @property
    def width(self) -> int:
        """Width in bp."""
        return len(self.matrix)

    def information(self) -> NDArray[np.float64]:
        """Return the (width,) bits of every column over uniform bases, 0 to 2."""
        bits: NDArray[np.float64] = 2 + (self.matrix * np.log2(self.matrix)).sum(axis=1)
        return bits

    def log_odds(self) -> NDArray[np.float64]:
        """Return the (width, 4) natural log of probability over 0.25."""
        return np.log(self.matrix / 0.25)


def motif_from_consensus(name: str, consensus: str, fidelity: float) -> Motif:
    """Make a matrix that gives the consensus bases ``fidelity`` in all and the others the rest.

    Args:
        name: name in reports.
        consensus: IUPAC letters; those that stand for several bases share the probability.
        fidelity: probability of the consensus at each position, below 1.
    """
    matrix = np.empty((len(consensus), 4))
    for row, letter in zip(matrix, consensus, strict=True):
        chosen = np.array([base in _IUPAC[letter] for base in "ACGT"])
        if chosen.all():
            row[:] = 0.25
        else:
            row[:] = np.where(chosen, fidelity / chosen.sum(), (1 - fidelity) / (~chosen).sum())
    return Motif(name, matrix)


def markov_background(
    count: int,
    length: int,
    generator: np.random.Generator,
    dinucleotides: NDArray[np.float64] = HUMAN_DINUCLEOTIDES,
) -> NDArray[np.uint8]:
    """Draw sequences from a first-order Markov chain.

    Args:
        count: N.
        length: L, in bp.
        generator: draws the bases.
        dinucleotides: (4, 4) frequencies, first base by second base; human DNA by default.

    Returns:
        (N, L) uint8 codes.
    """
    transition = dinucleotides / dinucleotides.sum(axis=1, keepdims=True)
    cumulative = transition.cumsum(axis=1)
    start = dinucleotides.sum(axis=1).cumsum()
    draws = generator.random((length, count))
    codes = np.empty((length, count), dtype=np.uint8)
    codes[0] = np.searchsorted(start / start[-1], draws[0], side="right").clip(max=3)
    for i in range(1, length):
        thresholds = cumulative[codes[i - 1], :3]
        codes[i] = (draws[i][:, None] >= thresholds).sum(axis=1)
    return np.ascontiguousarray(codes.T)


def shift_gc(dinucleotides: NDArray[np.float64], shift: float) -> NDArray[np.float64]:
    """Return (4, 4) frequencies whose G and C are favoured exp(shift)-fold over A and T."""
    factor = np.exp(shift * np.array([0, 1, 1, 0]))
    return dinucleotides * factor[:, None] * factor[None, :]


@dataclass(frozen=True)
class Instances:
    """Instances of a motif, ready to be written into sequences.

    Attributes:
        motif: the motif.
        codes: (k, width) uint8 bases, in the order in which they are written.
        weight: (k, width) float32 log-odds of these bases.
        kinds: (k, width) uint8 position codes.
        minus: (k,) bool, those on the other strand; None if all are on the sequence's own.
    """

    motif: Motif
    codes: NDArray[np.uint8]
    weight: NDArray[np.float32]
    kinds: NDArray[np.uint8]
    minus: NDArray[np.bool_] | None = None

    def turned(self, flip: NDArray[np.bool_]) -> Instances:
        """Return a copy with the instances at (k,) bool ``flip`` on the other strand."""
        codes, weight, kinds = self.codes.copy(), self.weight.copy(), self.kinds.copy()
        codes[flip] = reverse_complement(codes[flip])
        weight[flip], kinds[flip] = weight[flip][:, ::-1], kinds[flip][:, ::-1]
        minus = flip if self.minus is None else self.minus ^ flip
        return Instances(self.motif, codes, weight, kinds, minus)

    def scrambled(self, chosen: NDArray[np.bool_], generator: np.random.Generator) -> Instances:
        """Return a copy with the bases of those at (k,) bool ``chosen`` in a random order.

        Scrambled instances are background.
        """
        codes, kinds = self.codes.copy(), self.kinds.copy()
        codes[chosen] = generator.permuted(codes[chosen], axis=1)
        kinds[chosen] = BACKGROUND
        return replace(self, codes=codes, kinds=kinds)


def make_instances(
    motif: Motif, count: int, code: int, generator: np.random.Generator
) -> Instances:
    """Draw ``count`` instances; positions of a MOTIF with too little information are NEUTRAL."""
    codes = draw_instances(motif, count, generator)
    return Instances(motif, codes, weights_of(motif, codes), kinds_of(motif, count, code))


def kinds_of(motif: Motif, count: int, code: int) -> NDArray[np.uint8]:
    """Return the (count, width) uint8 position codes of instances of a motif."""
    kinds = np.full((count, motif.width), code, dtype=np.uint8)
    if code == MOTIF:
        kinds[:, motif.information() < NEUTRAL_BELOW] = NEUTRAL
    return kinds


def draw_instances(motif: Motif, count: int, generator: np.random.Generator) -> NDArray[np.uint8]:
    """Return (count, width) uint8 codes, every base drawn from its column of the matrix."""
    cumulative = motif.matrix.cumsum(axis=1)[None, :, :3]
    draws = generator.random((count, motif.width, 1))
    codes: NDArray[np.uint8] = (draws >= cumulative).sum(axis=2).astype(np.uint8)
    return codes


def weights_of(motif: Motif, codes: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the (k, width) float32 log-odds of the bases of (k, width) instances."""
    return motif.log_odds()[np.arange(motif.width), codes].astype(np.float32)


def mutated_codes(motif: Motif, count: int, generator: np.random.Generator) -> NDArray[np.uint8]:
    """Return (count, width) uint8 codes: the best bases, one replaced by its column's worst.

    The column is drawn at random; it is neither the first nor the last, so that the mutation lies
    between good positions.
    """
    codes = np.tile(motif.matrix.argmax(axis=1).astype(np.uint8), (count, 1))
    place = generator.integers(1, motif.width - 1, count)
    row = np.arange(count)
    codes[row, place] = motif.matrix.argmin(axis=1).astype(np.uint8)[place]
    return codes


def with_mutations(motif: Motif, share: float) -> Motif:
    """Return the matrix of instances of which a share comes from :func:`mutated_codes`."""
    best = np.eye(4)[motif.matrix.argmax(axis=1)]
    worst = np.eye(4)[motif.matrix.argmin(axis=1)]
    hit = np.full((motif.width, 1), 1 / (motif.width - 2))
    hit[[0, -1]] = 0
    matrix = (1 - share) * motif.matrix + share * ((1 - hit) * best + hit * worst)
    return Motif(motif.name, np.maximum(matrix, _SMALLEST))


@dataclass(frozen=True)
class Planted:
    """Sequences, and where motifs were planted in them.

    Attributes:
        sequences: (N, L) uint8.
        codes: (N, L) uint8 position codes of ``priorbench.data.codes``.
        oracle: (N, L) float32 natural log-odds of the planted base at motif positions, else 0.
        occupied: (N, L) bool, positions that are taken.
        motifs: the motifs that were planted, by name, decoys left out.
        instances: row, start, end (excluded), name of the motif and strand (1 or -1) of every
            instance of these motifs, in the order in which they were planted.
    """

    sequences: NDArray[np.uint8]
    codes: NDArray[np.uint8]
    oracle: NDArray[np.float32]
    occupied: NDArray[np.bool_]
    motifs: dict[str, Motif] = field(default_factory=dict)
    instances: list[tuple[int, int, int, str, int]] = field(default_factory=list)


def nothing_planted(sequences: NDArray[np.uint8]) -> Planted:
    """Return (N, L) sequences with empty tracks, for :func:`plant`."""
    codes, oracle, occupied = (np.zeros(sequences.shape, t) for t in (np.uint8, np.float32, bool))
    return Planted(sequences, codes, oracle, occupied)


def draw_places(
    count: int, widths: Sequence[int], length: int, generator: np.random.Generator
) -> NDArray[np.int64]:
    """Draw places for motifs that do not overlap, every arrangement as likely as any other.

    They are drawn before it is decided which of them are used, and in which class, so that the
    places of others cannot give away a motif.

    Args:
        count: N.
        widths: widths of k motifs in bp.
        length: window in bp.
        generator: draws the order of the motifs and the gaps between them.

    Returns:
        (N, k) int64 starts.

    Raises:
        ValueError: the motifs do not fit side by side.
    """
    number, slack = len(widths), length - sum(widths)
    if slack < 0:
        raise ValueError(f"no room for motifs of {sum(widths)} bp in {length} bp")
    order = generator.permuted(np.tile(np.arange(number), (count, 1)), axis=1)
    # stars and bars: which k of (slack + k) signs are motifs, the others being free bases
    signs = generator.random((count, slack + number)).argsort(axis=1)[:, :number]
    free_before = np.sort(signs, axis=1) - np.arange(number)
    taken = np.asarray(widths)[order]
    starts = np.empty((count, number), dtype=np.int64)
    np.put_along_axis(starts, order, free_before + taken.cumsum(axis=1) - taken, axis=1)
    return starts


def plant(
    planted: Planted,
    motif: Motif,
    rows: NDArray[np.int64],
    generator: np.random.Generator,
    *,
    code: int,
    both_strands: bool = True,
    starts: NDArray[np.int64] | None = None,
    scrambled: NDArray[np.bool_] | None = None,
) -> None:
    """Write one instance of a motif into each of some rows.

    Instances do not overlap; the oracle records log-odds unless ``code`` is DECOY.

    Args:
        planted: sequences and tracks, changed in place.
        motif: the motif to plant.
        rows: (k,) rows to plant in; distinct where ``starts`` or ``scrambled`` is given, as these
            say one thing of a row; otherwise a row gets as many instances as it occurs.
        generator: draws instances, strands and places.
        code: position code, ``MOTIF`` or ``DECOY``.
        both_strands: whether an instance is put on a random strand, or else on the sequence's own.
        starts: (N,) first positions, from :func:`draw_places`; by default wherever there is room.
        scrambled: (N,) bool, rows whose instances have their bases in a random order and are
            background; none by default.

    Raises:
        ValueError: a row has no room left, or occurs twice where rows must be distinct.
    """
    by_row = starts is not None or scrambled is not None
    if by_row and len(np.unique(rows)) < len(rows):
        raise ValueError("rows must be distinct where starts or scrambled are given by row")
    instances = make_instances(motif, len(rows), code, generator)
    if both_strands:
        instances = instances.turned(generator.random(len(rows)) < 0.5)
    if scrambled is not None:
        instances = instances.scrambled(scrambled[rows], generator)
    for index, row in enumerate(rows.tolist()):
        start = (
            free_start(planted.occupied[row], motif.width, generator)
            if starts is None
            else int(starts[row])
        )
        write_instance(planted, (row, start), instances, index)


def write_instance(planted: Planted, at: tuple[int, int], instances: Instances, index: int) -> None:
    """Write instance ``index`` at (row, start), in place; what stood there is overwritten."""
    row, start = at
    place = slice(start, start + instances.codes.shape[1])
    kinds = instances.kinds[index]
    planted.sequences[row, place] = instances.codes[index]
    planted.codes[row, place] = kinds
    planted.occupied[row, place] = True
    planted.oracle[row, place] = np.where(_SILENT[kinds], 0, instances.weight[index])
    if (kinds == MOTIF).any():
        motif, minus = instances.motif, instances.minus
        planted.motifs[motif.name] = motif
        strand = -1 if minus is not None and minus[index] else 1
        planted.instances.append((row, start, place.stop, motif.name, strand))


def free_start(occupied: NDArray[np.bool_], width: int, generator: np.random.Generator) -> int:
    """Draw the start of ``width`` free positions in a row; ValueError if there is none."""
    taken = np.concatenate([[0], occupied.cumsum()])
    starts = np.flatnonzero(taken[width:] == taken[:-width])
    if not len(starts):
        raise ValueError(f"no room for a motif of {width} bp in {len(occupied)} bp")
    return int(starts[generator.integers(len(starts))])


def scan(
    motif: Motif, sequences: NDArray[np.uint8], *, both_strands: bool = True
) -> list[NDArray[np.float64]]:
    """Return the motif's log-odds at every start, (N, L - width + 1) for each strand.

    The sequence's own strand comes first; the other one has the same starts, with the bases read
    backwards.

    Args:
        motif: the motif to look for.
        sequences: (N, L) uint8 codes without N.
        both_strands: whether the other strand is scanned too.
    """
    odds = motif.log_odds()
    tables = [odds, odds[::-1, ::-1]] if both_strands else [odds]
    windows = np.lib.stride_tricks.sliding_window_view(sequences, motif.width, axis=1)
    scores = []
    for table in tables:
        score = np.zeros(windows.shape[:2])
        for column in range(motif.width):
            score += table[column][windows[:, :, column]]
        scores.append(score)
    return scores


def mark_lookalikes(planted: Planted, motif: Motif, *, both_strands: bool = True) -> None:
    """Make background NEUTRAL, in place, where it looks like the motif by chance.

    It does so where the log-odds reach those of the better half of all instances. Such a place
    cannot be told from a planted one, so it neither rewards nor punishes.

    Args:
        planted: sequences without N, and tracks to update in place.
        motif: the motif that was planted.
        both_strands: whether instances may lie on the other strand.
    """
    typical = draw_instances(motif, _TYPICAL_DRAWS, np.random.default_rng(0))
    threshold = np.median(weights_of(motif, typical).sum(axis=1))
    for score in scan(motif, planted.sequences, both_strands=both_strands):
        row, start = np.nonzero(score >= threshold - _SMALLEST * motif.width)
        place = start[:, None] + np.arange(motif.width)
        alike = np.zeros(planted.codes.shape, dtype=bool)
        alike[row[:, None], place] = True
        planted.codes[alike & (planted.codes == BACKGROUND)] = NEUTRAL
