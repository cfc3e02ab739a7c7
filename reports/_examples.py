"""Which sequence, seed and stretch a figure of attributions shows: by rule, not by hand."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from priorbench.contracts import TrialArrays
from priorbench.dataset import Dataset
from priorbench.metrics.localisation import MOTIFS, average_precision
from priorbench.results import Run
from priorbench.store import DONE

from ._blocks import Block

SHOWN = 200
"""at most this many bp are shown"""
_ASKED_SEEDS = 5
"""so many seeds, the lowest, say which sequence is typical: a run may have thousands of trials"""


@dataclass(frozen=True)
class Example:
    """One test sequence under every prior.

    Attributes:
        row: its place among the attributed sequences.
        rule: how it was chosen, in words.
        seed: of the trials that are shown.
        tracks: (L,) attribution by prior, not normalised.
        missing: priors without a finished trial of this seed.
        start: first position shown, 0-based.
        stop: one past the last.
    """

    row: int
    rule: str
    seed: int
    tracks: Mapping[str, NDArray[np.float32]]
    missing: Sequence[str]
    start: int
    stop: int


def choose_example(run: Run, block: Block) -> Example | None:
    """The example of a block; None if no trial finished."""
    done = _done(block)
    dataset = run.datasets.get(block.key)
    if dataset is None or not done or not len(dataset.attributed):
        return None
    asked = sorted({seed for _, seed in done})[:_ASKED_SEEDS]
    trials = [trial for (_, seed), trial in done.items() if seed in asked]
    row, rule = _choose_row(run, dataset, trials)
    # most priors first, then the lowest seed
    seed = max(block.seeds, key=lambda s: (sum((p, s) in done for p in block.priors), -s))
    tracks = {
        prior: arrays.attribution[row]
        for prior in block.priors
        if (prior, seed) in done and (arrays := run.arrays(done[prior, seed])) is not None
    }
    missing = [prior for prior in block.priors if prior not in tracks]
    start, stop = _stretch(dataset, row, list(tracks.values()))
    return Example(row, rule, seed, tracks, missing, start, stop)


def _done(block: Block) -> dict[tuple[str, int], str]:
    rows = block.rows[block.rows["status"] == DONE].drop_duplicates("trial")
    found = zip(rows["prior"], rows["seed"], rows["trial"], strict=True)
    return {(str(prior), int(seed)): str(trial) for prior, seed, trial in found}


def _arrays(run: Run, trials: Sequence[str]) -> Iterator[TrialArrays]:
    for trial in trials:
        arrays = run.arrays(trial)
        if arrays is not None:
            yield arrays


def _choose_row(run: Run, dataset: Dataset, trials: Sequence[str]) -> tuple[int, str]:
    if dataset.truth is not None and np.isin(dataset.truth, MOTIFS).any():
        relevant = np.isin(dataset.truth, MOTIFS)
        known = np.flatnonzero(relevant.any(axis=1))
        scores = [
            average_precision(np.abs(arrays.attribution[known]), relevant[known])
            for arrays in _arrays(run, trials)
        ]
        return int(known[_median(scores)]), (
            "the one whose motif-auprc, averaged over all priors and the lowest seeds (at most "
            f"{_ASKED_SEEDS}), is the median of the "
            f"{len(known):,} test sequences with a motif"
        )
    tested = np.searchsorted(dataset.scored_rows, dataset.attributed)
    scores = [
        arrays.prediction["logit"].reshape(len(arrays.label), -1)[tested].mean(axis=1)
        for arrays in _arrays(run, trials)
        if "logit" in arrays.prediction
    ]
    if not scores:
        return 0, "the first of the attributed test sequences"
    return _median(scores), (
        "the one whose predicted logit, averaged over all priors and the lowest seeds (at most "
        f"{_ASKED_SEEDS}), is the median of the "
        f"{len(tested):,} attributed test sequences"
    )


def _median(scores: Sequence[NDArray[np.floating]]) -> int:
    """Index of the (lower) median of the mean scores."""
    mean = np.mean(scores, axis=0)
    return int(np.argsort(mean, kind="stable")[(len(mean) - 1) // 2])


def _stretch(dataset: Dataset, row: int, tracks: Sequence[NDArray[np.float32]]) -> tuple[int, int]:
    """The whole window, or ``SHOWN`` bp around the motif or, without one, the maximum."""
    if dataset.length <= SHOWN:
        return 0, dataset.length
    truth = dataset.truth
    if truth is not None and np.isin(truth[row], MOTIFS).any():
        centre = int(np.median(np.flatnonzero(np.isin(truth[row], MOTIFS))))
    else:
        centre = int(np.argmax(np.mean([normalised(track) for track in tracks], axis=0)))
    start = min(max(centre - SHOWN // 2, 0), dataset.length - SHOWN)
    return start, start + SHOWN


def normalised(track: NDArray[np.float32]) -> NDArray[np.float64]:
    """A track over its largest absolute value; zero stays zero."""
    largest = float(np.abs(track).max(initial=0))
    return track.astype(np.float64) / (largest or 1.0)
