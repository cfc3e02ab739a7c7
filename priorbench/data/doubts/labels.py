"""Classes and splits that are too small to carry a score, and labels that tell nothing."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from priorbench.data.codes import SPLITS, TEST, TRAIN
from priorbench.data.formats.notes import Notes
from priorbench.errors import UserError, first_names

FEWEST, FEW = 5, 20
"""members of a class in a split below which data are refused, and below which a warning is given:
with 20 of a class against many, the standard error of an auROC of .8 is about .05"""
_CHUNK_CELLS = 4 << 20
_MOST_NAMED = 5
_REMEDY = "give more sequences, or other files, labels or regions for that split"


@dataclass(frozen=True)
class LabelCounts:
    """How often each output is positive.

    Attributes:
        rows: (3,) int64 number of sequences of each split.
        positives: (3, outputs) int64 positives of each split.
        classes: whether all labels are 0 or 1.
        repeated: (outputs,) bool, whether an earlier output has the same labels.
    """

    rows: NDArray[np.int64]
    positives: NDArray[np.int64]
    classes: bool
    repeated: NDArray[np.bool_]

    @property
    def smaller(self) -> NDArray[np.int64]:
        """(3, outputs) int64 members of the smaller class."""
        fewest: NDArray[np.int64] = np.minimum(self.positives, self.rows[:, None] - self.positives)
        return fewest


def count_labels(label: NDArray[np.float32], split: NDArray[np.uint8]) -> LabelCounts:
    """Count (n,) or (n, outputs) labels chunk by chunk, with (n,) splits."""
    outputs = int(np.prod(label.shape[1:], initial=1))
    positives = np.zeros((len(SPLITS), outputs), dtype=np.int64)
    sums, classes = np.zeros(outputs, dtype=np.uint64), True
    generator = np.random.default_rng(0)
    step = max(1, _CHUNK_CELLS // outputs)
    for begin in range(0, len(split), step):
        part = np.asarray(label[begin : begin + step]).reshape(-1, outputs)
        positive = part == 1
        classes &= bool((positive | (part == 0)).all())
        here = split[begin : begin + step]
        positives += [positive[here == number].sum(axis=0) for number in range(len(SPLITS))]
        # sums of random numbers, modulo 2^64, are equal for equal columns only
        weights = generator.integers(2**64, size=(len(part), 1), dtype=np.uint64)
        sums += np.where(positive, weights, np.uint64(0)).sum(axis=0)
    repeated = np.ones(outputs, dtype=bool)
    repeated[np.unique(sums, return_index=True)[1]] = False
    rows = np.bincount(split, minlength=len(SPLITS)).astype(np.int64)
    return LabelCounts(rows, positives, classes, repeated)


def doubt_labels(counts: LabelCounts, notes: Notes, source: Path, *, classes: bool = True) -> None:
    """Warn of splits with few members, and refuse those with too few.

    Args:
        counts: counts of the labels.
        notes: take warnings.
        source: the data file.
        classes: whether labels of 0 and 1 are classes; counts of reads may be 0 and 1 too.

    Raises:
        UserError: a split has too few sequences, or too few of a class of every output.
    """
    if not (classes and counts.classes):
        _doubt_sizes(counts.rows, notes, source)
    elif counts.positives.shape[1] == 1:
        _doubt_two_classes(counts, notes, source)
    else:
        _doubt_outputs(counts, notes, source)
    if counts.rows[TRAIN] < counts.rows[TEST]:
        notes.warn(
            f"Training has {counts.rows[TRAIN]:,} sequences, fewer than the {counts.rows[TEST]:,} "
            "of test: are the files or regions the right way round?"
        )


def _doubt_sizes(rows: NDArray[np.int64], notes: Notes, source: Path) -> None:
    for name, count in zip(SPLITS, rows.tolist(), strict=True):
        _doubt_number(f"{count} windows for {name}", count, notes, source)


def _doubt_two_classes(counts: LabelCounts, notes: Notes, source: Path) -> None:
    for number, name in enumerate(SPLITS):
        positives = int(counts.positives[number, 0])
        negatives = int(counts.rows[number]) - positives
        _doubt_number(f"{positives} positives for {name}", positives, notes, source)
        _doubt_number(f"{negatives} negatives for {name}", negatives, notes, source)


def _doubt_number(what: str, count: int, notes: Notes, source: Path) -> None:
    """Refuse or warn of one number."""
    if count < FEWEST:
        raise UserError(
            f"{source}: {what} cannot carry a score, at least {FEWEST} are needed, better {FEW}; "
            f"{_REMEDY}{notes.dropped_so_far()}"
        )
    if count < FEW:
        notes.warn(f"Only {what}: its score is mostly chance; {_REMEDY}.")


def _doubt_outputs(counts: LabelCounts, notes: Notes, source: Path) -> None:
    total, outputs = counts.positives.sum(axis=0), counts.positives.shape[1]
    constant = (total == 0) | (total == counts.rows.sum())
    if constant.any():
        notes.warn(f"The labels of {_named(constant)} are constant: nothing can be learnt.")
    if counts.repeated.any() and not constant.all():
        same = counts.repeated & ~constant
        if same.any():
            notes.warn(f"The labels of {_named(same)} equal those of an output before.")
    scored = np.ones(outputs, dtype=bool)
    for number, name in enumerate(SPLITS):
        smaller = counts.smaller[number]
        absent = (smaller == 0) & ~constant
        if absent.any():
            notes.warn(f"The labels of {_named(absent)} are constant for {name}.")
        few = (smaller > 0) & (smaller < FEW)
        if few.any():
            notes.warn(
                f"Fewer than {FEW} sequences of a class for {name} in {_named(few)}, at least "
                f"{int(smaller[few].min())}: their scores are mostly chance; {_REMEDY}."
            )
        scored &= smaller >= FEWEST
    if not scored.any():
        raise UserError(
            f"{source}: no output has {FEWEST} positives and {FEWEST} negatives in every split, "
            f"fewer cannot carry a score; {_REMEDY}"
        )


def doubt_drawn_negatives(
    positives: NDArray[np.uint8], negatives: NDArray[np.uint8], notes: Notes
) -> None:
    """Warn of splits for which fewer negatives were drawn than there are positives.

    Args:
        positives: (n,) uint8 split of every positive.
        negatives: (m,) uint8 split of every negative.
        notes: take warnings.
    """
    for number, name in enumerate(SPLITS):
        wanted, drawn = (int((split == number).sum()) for split in (positives, negatives))
        if drawn < wanted:
            notes.warn(
                f"Only {drawn:,} negatives could be drawn for the {wanted:,} positives of {name}: "
                "the genome has no more that match; give a larger region or negatives of your own."
            )


def _named(chosen: NDArray[np.bool_]) -> str:
    """Return how many outputs are chosen, with the first of their numbers, from 1."""
    numbers = [str(number) for number in np.flatnonzero(chosen) + 1]
    shown = first_names(numbers, _MOST_NAMED)
    return f"{len(numbers)} of {len(chosen)} outputs (number {shown})"
