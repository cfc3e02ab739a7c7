"""Sequences that are the same, that leak, or that tell the classes apart by their composition."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from priorbench.data.codes import SPLITS, TEST, TRAIN, VALID
from priorbench.data.formats.notes import Notes
from priorbench.data.sequence_hashes import NO_DIGESTS, sequence_digests
from priorbench.encoding import N_CODE
from priorbench.errors import UserError

from .relatives import constant_columns, families, neighbours, row_chunks, united

_TELLS = 0.75
"""auROC of the GC content alone from which it is said"""
_N_TELLS = 0.6
"""the same for the share of N, which few sequences have"""
_MUCH_N = 0.1
_SHARED = 0.01
"""share of sequences from which it is a warning that they are in both classes, or near-identical to
those of an earlier split"""
_DISTINCT = 0.5


def doubt_sequences(
    codes: NDArray[np.uint8],
    positive: NDArray[np.bool_] | None,
    notes: Notes,
    source: Path,
    *,
    both_strands: bool,
) -> None:
    """Warn of sequences that are the same, and of a composition that tells the classes apart.

    Args:
        codes: (n, L) uint8, in memory or mapped.
        positive: (n,) bool, which sequences are positives; None where there are not two classes.
        notes: take warnings.
        source: the data file.
        both_strands: whether a reverse complement counts as the same sequence.

    Raises:
        UserError: most sequences are in both classes.
    """
    digests, gc, unknown = [NO_DIGESTS], [np.empty(0)], [np.empty(0)]
    for _, part in row_chunks(codes):
        digests.append(sequence_digests(part, both_strands=both_strands))
        absent = (part == N_CODE).mean(axis=1)
        unknown.append(absent)
        gc.append(((part == 1) | (part == 2)).mean(axis=1) / np.maximum(1 - absent, 1e-9))
    digest = np.concatenate(digests)
    share_of_n = np.concatenate(unknown)
    groups = {"sequences": np.ones(len(digest), dtype=bool)}
    if positive is not None:
        groups = {"positives": positive, "negatives": ~positive}
    for name, members in groups.items():
        _doubt_repeats(digest[members], name, notes)
    constant = int(constant_columns(codes).sum())
    if 2 * constant > codes.shape[1]:
        notes.warn(
            f"Nine tenths of the sequences have the same base at {constant:,} of "
            f"{codes.shape[1]:,} positions: they hardly differ."
        )
    if share_of_n.mean() > _MUCH_N:
        notes.warn(f"{share_of_n.mean():.0%} of all bases are N.")
    if positive is not None:
        _doubt_shared(digest, positive, notes, source)
        _doubt_composition("GC content", np.concatenate(gc), positive, _TELLS, notes)
        _doubt_composition("share of N", share_of_n, positive, _N_TELLS, notes)


def _doubt_repeats(digests: NDArray[np.uint64], name: str, notes: Notes) -> None:
    distinct = len(np.unique(digests))
    if distinct < _DISTINCT * len(digests):
        same = "all are the same" if distinct == 1 else f"only {distinct:,} are different"
        notes.warn(f"Of {len(digests):,} {name}, {same}.")


def _doubt_shared(
    digests: NDArray[np.uint64], positive: NDArray[np.bool_], notes: Notes, source: Path
) -> None:
    """Refuse classes that are mostly the same sequences, and warn of some."""
    classes = [np.unique(digests[positive]), np.unique(digests[~positive])]
    shared = len(np.intersect1d(classes[0], classes[1]))
    fewest = min(map(len, classes))
    if 2 * shared > fewest:
        raise UserError(
            f"{source}: {shared:,} of {fewest:,} different sequences of a class are in the other "
            "one too; are positives and negatives the same file?"
        )
    if shared > _SHARED * fewest:
        notes.warn(
            f"{shared:,} sequences, {shared / fewest:.1%} of a class, are in both classes: nothing "
            "can tell these apart."
        )


def _doubt_composition(
    name: str,
    values: NDArray[np.float64],
    positive: NDArray[np.bool_],
    limit: float,
    notes: Notes,
) -> None:
    """Warn where one number tells the classes apart: its auROC, in either direction."""
    ones = int(positive.sum())
    zeros = len(positive) - ones
    if not ones or not zeros:
        return
    above = rankdata(values)[positive].sum() - ones * (ones + 1) / 2
    area = above / (ones * zeros)
    if max(area, 1 - area) > limit:
        notes.warn(
            f"The {name} alone tells positives from negatives with auROC "
            f"{max(area, 1 - area):.2f}: a network may learn nothing else; match the negatives."
        )


def doubt_splits(
    codes: NDArray[np.uint8], split: NDArray[np.uint8], notes: Notes, *, both_strands: bool
) -> None:
    """Count the sequences that are near-identical to one of an earlier split; warn from 1% on.

    They are kept: which sequences a given split holds is not for a reader to change.
    """
    family = families(codes, both_strands=both_strands)
    # repeats without a telling base, or of short sequences, have no seed in common
    digests = [sequence_digests(part, both_strands=both_strands) for _, part in row_chunks(codes)]
    repeats = neighbours(np.concatenate([NO_DIGESTS, *digests]))
    family = united(len(family), *np.concatenate([neighbours(family), repeats], axis=1))
    count = int(family.max(initial=0)) + 1
    present = np.zeros((len(SPLITS), count), dtype=bool)
    for number in range(len(SPLITS)):
        present[number, family[split == number]] = True
    for number, earlier in ((VALID, "training"), (TEST, "training or validation")):
        mine = family[split == number]
        leaking = int(np.any(present[TRAIN:number][:, mine], axis=0).sum())
        if not leaking:
            continue
        sentence = (
            f"{leaking:,} of the {len(mine):,} {SPLITS[number]} sequences, "
            f"{leaking / len(mine):.1%}, are near-identical to sequences of {earlier}"
        )
        if leaking > _SHARED * len(mine):
            notes.warn(f"{sentence}: scores on these say little about new sequences.")
        else:
            notes.say(f"{sentence}; they are kept.")
