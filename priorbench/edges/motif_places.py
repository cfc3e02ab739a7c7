"""The places of a window's motifs: at its ends, in its middle, anywhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from priorbench.data.codes import NEUTRAL, WHERE
from priorbench.data.dataset import Dataset
from priorbench.metrics.localisation import MOTIFS

from .penalty_effects import NEAR


@dataclass(frozen=True)
class PlacedSequences:
    """The attributed sequences of a dataset, by where their motifs are.

    Attributes:
        relevant: (M, L) bool, motif positions.
        counts: (M, L) bool, positions that are not neutral.
        distance: (M,) int64 distance of the motif from the nearest end, in bp.
        kinds: (M,) bool whether a sequence is of a kind, by kind: ``edge``, ``centre``, ``both``,
            ``both-middle``, ``one``.
        opposite: (M, L) bool, positions whose attribution counts as ``opposite``.
    """

    relevant: NDArray[np.bool_]
    counts: NDArray[np.bool_]
    distance: NDArray[np.int64]
    kinds: Mapping[str, NDArray[np.bool_]]
    opposite: NDArray[np.bool_]


def has_places(dataset: Dataset) -> bool:
    """Return whether a dataset says where its motifs are."""
    return "where" in dataset.columns and dataset.truth is not None


def sequences_of(dataset: Dataset) -> PlacedSequences:
    """Sort the attributed sequences of a dataset that :func:`has_places`.

    Motifs that may be anywhere are at the edge if they are within NEAR bp of an end, and in the
    centre if their distance from it is at least a third of the window.
    """
    assert dataset.truth is not None
    where = dataset.columns["where"].take(dataset.attributed)
    relevant = np.isin(dataset.truth, MOTIFS)
    length = relevant.shape[1]
    before = relevant.argmax(axis=1)
    behind = relevant[:, ::-1].argmax(axis=1)
    distance = np.minimum(before, behind)
    named = {name: where == number for number, name in enumerate(WHERE)}
    kinds = {
        "edge": named["start"] | named["end"] | named["anywhere"] & (distance <= NEAR),
        "centre": named["middle"] | named["anywhere"] & (distance >= length // 3),
        "both": named["both"],
        "both-middle": named["both-middle"],
        "one": named["start"] | named["end"] | named["middle"] | named["anywhere"],
    }
    at_start = np.arange(length) < NEAR
    at_end = at_start[::-1]
    far_end = np.where((before < behind)[:, None], at_end, at_start)
    opposite = np.where(kinds["centre"][:, None], at_start | at_end, far_end) & ~relevant
    return PlacedSequences(relevant, dataset.truth != NEUTRAL, distance, kinds, opposite)
