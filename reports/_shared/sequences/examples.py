"""Attributions of the sequences that are shown, under every prior and several seeds."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from priorbench.data.dataset import Dataset
from priorbench.metrics.localisation import MOTIFS
from priorbench.results.finished_run import Run
from priorbench.storage.run_directory import DONE

from ..settings import ComparedSetting
from .choice import (
    FinishedTrials,
    ShownSequence,
    chosen_sequences,
    mean_cosine,
    motif_auprc,
    rank_sequences,
    typical_sequence,
    unit_vectors,
)

MOST_POSITIONS = 200
"""largest number of bp that are shown of a sequence"""
MOST_SEEDS = 5
"""largest number of seeds that choose the sequences and are shown: a run may have hundreds"""


@dataclass(frozen=True)
class PriorTracks:
    """Attributions of a sequence under one prior.

    Attributes:
        of_seed: (L,) attributions by seed, not normalised; without trials that did not finish.
        motif_auprc: smallest and largest motif-auprc over seeds; None where motifs are unknown.
        agreement: mean cosine of every two seeds; NaN for fewer than two.
    """

    of_seed: Mapping[int, NDArray[np.float32]]
    motif_auprc: tuple[float, float] | None
    agreement: float


@dataclass(frozen=True)
class SequenceExample:
    """A test sequence under every prior and several seeds.

    Attributes:
        sequence: the sequence, and why it was chosen.
        tracks: attributions by prior, the baseline first.
        start: first position shown, 0-based.
        stop: position after the last one shown.
    """

    sequence: ShownSequence
    tracks: Mapping[str, PriorTracks]
    start: int
    stop: int


@dataclass(frozen=True)
class SettingExamples:
    """Sequences that are shown of a setting.

    Attributes:
        examples: the sequences, the typical one first.
        seeds: seeds that are shown, ascending.
        lettered: seed that is drawn in letters: the lowest of those that most priors finished.
        missing: priors without a finished trial of the lettered seed.
        passed_over: seeds below the largest one shown that not all priors finished.
    """

    examples: Sequence[SequenceExample]
    seeds: Sequence[int]
    lettered: int
    missing: Sequence[str]
    passed_over: Sequence[int]


def typical_example(run: Run, setting: ComparedSetting) -> SettingExamples | None:
    """Return the typical sequence of a setting alone; None if no trial finished."""
    return _examples(run, setting, only_typical=True)


def all_examples(run: Run, setting: ComparedSetting) -> SettingExamples | None:
    """Return the typical sequence of a setting, and its extremes; None if no trial finished."""
    return _examples(run, setting, only_typical=False)


def _examples(run: Run, setting: ComparedSetting, *, only_typical: bool) -> SettingExamples | None:
    rows = setting.rows[setting.rows["status"] == DONE].drop_duplicates("trial")
    trials = zip(rows["prior"], rows["seed"], rows["trial"], strict=True)
    done = {(str(prior), int(seed)): str(trial) for prior, seed, trial in trials}
    dataset = run.datasets.get(setting.key)
    if dataset is None or not done or not len(dataset.attributed):
        return None
    seeds = _shown_seeds(setting, set(done))
    in_order = sorted(done, key=lambda key: (setting.priors.index(key[0]), key[1]))
    finished = FinishedTrials(run, {key: done[key] for key in in_order}, seeds)
    ranking = rank_sequences(finished, dataset)
    chosen = (
        [typical_sequence(ranking, seeds)]
        if only_typical
        else chosen_sequences(ranking, setting.priors[0], seeds)
    )
    lettered = max(seeds, key=lambda s: (sum((p, s) in done for p in setting.priors), -s))
    return SettingExamples(
        [
            SequenceExample(sequence, tracks, *_shown_positions(dataset, sequence.row, tracks))
            for sequence, tracks in zip(
                chosen, _tracks(finished, setting, dataset, chosen), strict=True
            )
        ],
        seeds,
        lettered,
        [prior for prior in setting.priors if (prior, lettered) not in done],
        [seed for seed in setting.seeds if seed < seeds[-1] and seed not in seeds],
    )


def _shown_seeds(setting: ComparedSetting, done: Collection[tuple[str, int]]) -> list[int]:
    """Return the lowest seeds that all priors finished, so that priors compare on the same ones.

    Where fewer than two are such, the lowest seeds that some prior finished are returned.
    """
    of_all = [
        seed for seed in setting.seeds if all((prior, seed) in done for prior in setting.priors)
    ]
    of_some = sorted({seed for _, seed in done})
    return (of_all if len(of_all) > 1 else of_some)[:MOST_SEEDS]


def _tracks(
    finished: FinishedTrials,
    setting: ComparedSetting,
    dataset: Dataset,
    chosen: Sequence[ShownSequence],
) -> list[dict[str, PriorTracks]]:
    """Return the attributions of every chosen sequence, by prior."""
    rows = [sequence.row for sequence in chosen]
    tracks: list[dict[str, PriorTracks]] = [{} for _ in chosen]
    for prior in setting.priors:
        # a list of rows makes copies: views would keep the attributions of all sequences
        stored = {seed: arrays.attribution[rows] for seed, arrays in finished.arrays(prior)}
        for i, row in enumerate(rows):
            truth = dataset.truth[row] if dataset.truth is not None else None
            tracks[i][prior] = _prior_tracks({s: a[i] for s, a in stored.items()}, truth)
    return tracks


def _prior_tracks(
    of_seed: Mapping[int, NDArray[np.float32]], truth: NDArray[np.uint8] | None
) -> PriorTracks:
    every = np.array(list(of_seed.values()))
    scores = None
    if len(every) and truth is not None and np.isin(truth, MOTIFS).any():
        values = motif_auprc(every, np.broadcast_to(truth, every.shape))
        scores = (float(values.min()), float(values.max()))
    agreement = float("nan")
    if len(every) > 1:
        agreement = float(mean_cosine(unit_vectors(every).sum(axis=0), len(every)))
    return PriorTracks(of_seed, scores, agreement)


def _shown_positions(
    dataset: Dataset, row: int, tracks: Mapping[str, PriorTracks]
) -> tuple[int, int]:
    """Return start and stop of the positions that are shown.

    These are the whole window, or MOST_POSITIONS around most motifs or, without a motif, around
    most attribution.
    """
    if dataset.length <= MOST_POSITIONS:
        return 0, dataset.length
    weight = np.zeros(dataset.length)
    if dataset.truth is not None:
        weight += np.isin(dataset.truth[row], MOTIFS)
    if not weight.any():
        for of_prior in tracks.values():
            for track in of_prior.of_seed.values():
                weight += np.abs(normalised(track))
    # positions near the middle count more; rounding makes equal sums equal
    near = np.convolve(weight, np.bartlett(MOST_POSITIONS + 2)[1:-1], mode="valid").round(9)
    best = np.flatnonzero(near == near.max())
    start = int(best[(len(best) - 1) // 2])
    return start, start + MOST_POSITIONS


def normalised(track: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return a track divided by its largest absolute value; zero stays zero."""
    largest = float(np.abs(track).max(initial=0))
    return track.astype(np.float64) / (largest or 1.0)
